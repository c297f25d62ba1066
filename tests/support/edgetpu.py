"""Stand-ins for `libedgetpu.so.1`: real shared libraries, loaded by the real runtime."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("fake_edgetpu.c")


def build_edgetpu(folder: Path, behavior: str) -> str:
    """Compile a delegate library that `behavior` (those of `fake_edgetpu.c`).

    Skips the test where there is no C compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) for the stand-in of libedgetpu")
    library = folder / f"libedgetpu_{behavior.lower()}.so"
    if not library.exists():
        subprocess.run(
            [compiler, "-shared", "-fPIC", f"-DBEHAVIOUR={behavior}", "-o", library, SOURCE],
            check=True,
        )
    return str(library)
