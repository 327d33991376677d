"""The runtime that llama.cpp needs is found where a wheel carries it, and can be loaded by its usual name."""

import os
import subprocess
import sys
from pathlib import Path

from tokenweir.engines import openmp


def test_the_carried_library_is_loaded_by_its_usual_name(tmp_path: Path) -> None:
    library = openmp.carried()
    assert library is not None
    directory = openmp.directory_with(library, tmp_path)
    assert openmp.directory_with(library, tmp_path) == directory  # again, at the next start
    program = "import ctypes; ctypes.CDLL('libgomp.so.1').omp_get_max_threads(); print(open('/proc/self/maps').read())"
    environment = {**os.environ, "LD_LIBRARY_PATH": str(directory)}
    maps = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    assert str(library.resolve()) in maps.stdout
