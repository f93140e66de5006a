"""What the Python package costs, in one run: `python python/tests/bench.py [CARGO'S-EXECUTABLE]`.

Run it with a Python that has the wheel of a release build. Prints medians; fails if

- `import rvenv` takes more than 10 ms,
- `EnvBuilder().create()` takes more than 1.2 times what the command takes without its start,
- the executable of the wheel takes more than 1.1 times what cargo's takes.

A time out of Python is that of the call alone; the cache is warm, as after the first environment.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

import rvenv

ROUNDS = int(os.environ.get("RVENV_ROUNDS", "40"))
EXE = rvenv.find_rvenv_bin()


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    since = time.perf_counter()
    work()
    return (time.perf_counter() - since) * 1000


def medians(
    works: dict[str, Callable[[], object]], after: Callable[[], object]
) -> dict[str, float]:
    """All of them in turn, so that what disturbs the machine disturbs each."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS + 3):
        for name, work in works.items():
            took = timed(work)
            after()
            if number >= 3:
                found[name].append(took)
    return {name: statistics.median(times) for name, times in found.items()}


def run(*words: str) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def import_time() -> float:
    """What the import adds to the start of Python, measured inside it."""
    code = "import time; s = time.perf_counter(); import rvenv; print((time.perf_counter() - s) * 1000)"
    told = [subprocess.check_output([sys.executable, "-c", code]) for _ in range(ROUNDS)]
    return statistics.median(map(float, told))


def main() -> int:
    place = Path(tempfile.mkdtemp(prefix="rvenv-bench-"))
    env = place / "E"
    python = sys.executable
    words = ("--quiet", "--without-pip", "--without-scm-ignore-files", "--python", python, str(env))
    works: dict[str, Callable[[], object]] = {
        "EnvBuilder(symlinks=True).create()": lambda: rvenv.EnvBuilder(symlinks=True).create(env),
        "rvenv create, of the wheel": lambda: run(EXE, "create", *words),
        "the start of rvenv": lambda: run(EXE, "--version"),
    }
    if len(sys.argv) > 1:
        works["rvenv create, of cargo"] = lambda: run(sys.argv[1], "create", *words)
    found = medians(works, lambda: shutil.rmtree(env, ignore_errors=True))
    shutil.rmtree(place)
    found["import rvenv"] = import_time()
    for name, took in found.items():
        print(f"{took:8.2f} ms  {name}")
    call = found["EnvBuilder(symlinks=True).create()"]
    command = found["rvenv create, of the wheel"]
    bare = command - found["the start of rvenv"]
    bounds = [("import rvenv", found["import rvenv"], 10.0), ("create", call, 1.2 * bare)]
    if len(sys.argv) > 1:
        bounds.append(("executable", command, 1.1 * found["rvenv create, of cargo"]))
    missed = [
        f"{name}: {took:.2f} ms, bound {bound:.2f} ms"
        for name, took, bound in bounds
        if took > bound
    ]
    print("\n".join(missed) if missed else "every bound is kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
