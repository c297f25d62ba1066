"""`python -m edgeface`."""

from __future__ import annotations

import sys

from edgeface.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
