"""Where the files that ship with edgeface lie, in a checkout and when installed."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def shipped(*parts: str) -> Path:
    """The path of a file or folder that ships with edgeface, e.g. `shipped("config")`.

    In a checkout (or an editable installation) it lies beside the package; installed from a
    wheel it lies under `share/edgeface` of the environment. When it is in neither place the
    checkout's path is returned, so that the error of who opens it names a path.
    """
    beside = PACKAGE.parent.joinpath(*parts)
    if (PACKAGE.parent / "setup.cfg").is_file():
        return beside
    # The environment's root is above site-packages, the folder of `pip install --target` beside it.
    roots = [*PACKAGE.parents[:5], Path(sysconfig.get_path("data")), Path(sys.prefix)]
    for root in roots:
        installed = root.joinpath("share", "edgeface", *parts)
        if installed.exists():
            return installed
    return beside


def shipped_models() -> Path:
    """The folder of the model packages that ship: one folder per package."""
    return shipped("models")
