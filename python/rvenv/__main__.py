"""``python -m rvenv``: the command line of ``python -m venv``, and every command of ``rvenv``."""

import sys

from rvenv._main import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
