"""Whether a stream gets colours. Without the heavy parts that draw tables, since `weir up` asks it too."""

import os
from typing import TextIO


def colours(stream: TextIO) -> bool:
    """Whether escape sequences go there (no-color.org; FORCE_COLOR as many programs know it)."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")
