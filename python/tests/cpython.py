"""CPython's own tests of ``venv``, unchanged, with ``rvenv`` in the place of ``venv``.

    python cpython.py            with the Python that runs this
    python cpython.py PYTHON…    with each of these, one after the other

The tests are those of the Python itself (``test.test_venv``; Debian: ``libpython3.N-testsuite``). A
test on the list has to fail: one that passes is to be taken off the list.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

#: The tests that fail, with reasons that a user would accept.
EXCEPTIONS = {
    "BasicTest.test_overwrite_existing": (
        "it clears a directory that had files before it became an environment; rvenv does not "
        "delete what may be a project's files (parity.md)"
    ),
}


def name_of(test: unittest.TestCase) -> str:
    # The class is `test.test_venv.BasicTest`.
    return ".".join(test.id().split(".")[-2:])


def with_this_python() -> int:
    import rvenv
    import rvenv.__main__

    sys.modules["venv"] = rvenv
    sys.modules["venv.__main__"] = rvenv.__main__
    try:
        from test import test_venv
    except ImportError as error:
        print(f"skipped: {sys.executable} has no test.test_venv ({error})")
        return 0
    assert test_venv.venv is rvenv
    suite = unittest.defaultTestLoader.loadTestsFromModule(test_venv)
    with open(os.devnull, "w") as nowhere:
        result = unittest.TextTestRunner(nowhere, verbosity=0).run(suite)
    failed = {}
    for test, trace in result.errors + result.failures:
        # A subtest names the test that it is of.
        failed[name_of(getattr(test, "test_case", test))] = trace
    wrong = [f"{name} fails:\n{trace}" for name, trace in failed.items() if name not in EXCEPTIONS]
    wrong += [
        f"{name} passes, and is on the list of exceptions"
        for name in EXCEPTIONS
        if name not in failed
    ]
    skipped = [f"{name_of(test)}: {why}" for test, why in result.skipped]
    version = ".".join(map(str, sys.version_info[:3]))
    print(
        f"{version}: {result.testsRun} tests, {len(failed)} fail as listed, "
        f"{len(skipped)} skipped ({'; '.join(skipped)})"
    )
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


def main() -> int:
    if len(EXCEPTIONS) >= 10:
        print("the list of exceptions is too long")
        return 1
    pythons = sys.argv[1:]
    if not pythons:
        return with_this_python()
    import rvenv

    # The base interpreters have no rvenv: they get the one that is installed here, and nothing else
    # of this environment.
    with tempfile.TemporaryDirectory() as place:
        os.symlink(Path(rvenv.__file__).resolve().parent, os.path.join(place, "rvenv"))
        only = {**os.environ, "PYTHONPATH": place}
        ended = [subprocess.run([python, __file__], env=only).returncode for python in pythons]
    return 1 if any(ended) else 0


if __name__ == "__main__":
    sys.exit(main())
