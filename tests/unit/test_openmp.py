"""The runtime that llama.cpp needs is found where a wheel carries it, and serves under its usual name."""

import subprocess
import sys
from pathlib import Path

from tokenweir.engines import openmp


def test_a_copy_of_the_carried_library_serves_under_the_usual_name(tmp_path: Path) -> None:
    library = openmp.carried()
    assert library is not None
    copy = tmp_path / "copy.so"
    copy.write_bytes(openmp.renamed(library.read_bytes(), library.name))
    program = (
        f"import ctypes; ctypes.CDLL({str(copy)!r}, mode=ctypes.RTLD_GLOBAL)\n"
        "assert ctypes.CDLL('libgomp.so.1').omp_get_max_threads() > 0\n"
        "print(open('/proc/self/maps').read())"
    )
    maps = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert str(copy) in maps
    assert maps.count("libgomp.so.1") == 0  # the machine's own was not needed
