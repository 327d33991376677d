"""A step of an agent, as it is seen in passing: who asks, which tools the answer asks for, what came back of earlier ones.

Of arguments and results it holds digests, sizes and names, never their text.
"""

import functools
import hashlib
import re
from typing import Protocol

import msgspec

#: Tool calls of one answer, and results in one request, that are kept one by one; the rest is counted.
MOST_ASKED = 64
MOST_RESULTS = 256
#: Characters of an id and of a tool's name.
MOST_ID = 96
MOST_NAME = 64
#: What looks like a key or a token, wherever it stands.
_SECRET = re.compile(
    r"(?:sk|pk|rk|key|weir|ghp|gho|ghu|ghs|ghr|glpat|hf|xox[abprs])[-_][A-Za-z0-9_-]{8,}|github_pat_\w{8,}|AKIA[0-9A-Z]{12,}"
    r"|eyJ[A-Za-z0-9_-]{8,}|(?=[A-Za-z0-9+_-]*[A-Za-z])(?=[A-Za-z0-9+_-]*[0-9])[A-Za-z0-9+_-]{32,}"
)
_HIDDEN = "…"
_MARKS = re.compile(r"[^A-Za-z0-9_-]")
#: Of the files or programs of a tool call, so many are told in short.
_NAMES_TOLD = 3


class AskedTool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool that an answer asks for."""

    id: str
    name: str
    digest: str  # of its arguments
    bytes: int  # of its arguments
    files: tuple[str, ...] = ()  # names in its arguments
    commands: tuple[str, ...] = ()  # programs that they name, without their arguments
    hands_on: str = ""  # digest of a text among them with which another agent may begin


class ToolResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tool gave back."""

    id: str  # of its call
    bytes: int
    failed: bool | None = None  # None: the dialect does not say


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call of an agent. Digests are 16 hexadecimal digits of a SHA-256; empty where there is nothing to digest."""

    thread: str = ""  # digest of the text that its conversation began with
    session: str = ""  # digest of the session that the client names
    agent: str = ""  # the client's own word for who asks, where it is not its main agent
    words: str = ""  # what its words ask for: "title", "compaction" or "memory"
    turns: int = 0  # of the conversation
    tools: int = 0  # that it offers
    asked: tuple[AskedTool, ...] = ()
    more_asked: int = 0  # beyond those
    results: tuple[ToolResult, ...] = ()
    more_results: int = 0
    withheld: bool = False  # the answer asked for more tools than were left, and was not handed on

    @property
    def tool_calls(self) -> int:
        """How many tools the answer asks for."""
        return len(self.asked) + self.more_asked


NO_STEP = Step()


def digest(text: str | bytes) -> str:
    """A short digest; "" of nothing."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return hashlib.sha256(data).hexdigest()[:16] if data else ""


@functools.lru_cache(maxsize=8_192)
def tool_id(text: str) -> str:
    """An id as it is kept: the same for a call and its result. Each request brings the ids of the whole conversation again."""
    return text if text == shown(text, MOST_ID) else f"#{digest(text)}"


def plain_id(id: str) -> str:
    """What a call and its result are matched by: some agents send ids back with other marks in them (Kimi Code 2.1)."""
    return _MARKS.sub("_", id)


def shown(text: str, most: int) -> str:
    """Text that may be kept and shown: printable, without what looks like a secret, its end where it is longer than `most` (at least 2)."""
    plain = "".join(c for c in text[-8 * most - 512 :] if c.isprintable())
    plain = _SECRET.sub(_HIDDEN, plain)
    return plain if len(plain) <= most else _HIDDEN + plain[1 - most :]


class NamedTool(Protocol):
    """A tool call, as far as it is told in short."""

    @property
    def name(self) -> str: ...

    @property
    def files(self) -> tuple[str, ...]: ...

    @property
    def commands(self) -> tuple[str, ...]: ...


def tool_words(tool: NamedTool) -> str:
    """A tool call in short: its name, and the files or programs that its arguments name."""
    names = tool.files or tool.commands
    more = f" (+{len(names) - _NAMES_TOLD})" if len(names) > _NAMES_TOLD else ""
    return f"{tool.name} {', '.join(names[:_NAMES_TOLD])}{more}".rstrip()
