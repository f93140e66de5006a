"""What the tests of virtualenv's plug-in share: the tools, and kills.

``RVENV_TOOLS`` names a directory that keeps the environments with them; without it they are
installed for one run.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
import unittest
from pathlib import Path

from support import PYTHON, Scratch, command, leftovers, picture

#: What the tools keep in the directory of an environment, besides the environment.
_OF_TOOLS = {
    *("file.lock", ".tox-info.json", "log", "tmp"),
    *(".install_state_v1", ".install_state_v2", ".project"),
}


_Picture = dict[str, tuple[str, ...]]


@functools.lru_cache(maxsize=None)
def environment_with(*wanted: str) -> Path:
    """The Python of an environment with tools, which sees the installed rvenv."""
    given = os.environ.get("RVENV_TOOLS")
    above = Path(given or tempfile.mkdtemp(prefix="rvenv-tools-"))
    if not given:
        atexit.register(shutil.rmtree, above, ignore_errors=True)
    env = above / wanted[-1]
    python = env / "bin/python"
    if not python.exists():
        subprocess.run([PYTHON, "-m", "venv", str(env)], check=True, capture_output=True)
    probe = [str(python), "-m", "pip", "show", "--quiet", *wanted]
    if subprocess.run(probe, capture_output=True).returncode:
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        ended = subprocess.run([*pip, *wanted], capture_output=True, text=True)
        if ended.returncode:
            print(f"skipped: {' '.join(wanted)} cannot be installed: {ended.stderr[-300:]}")
            raise unittest.SkipTest("the tools cannot be installed")
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    place = subprocess.check_output([str(python), "-c", asked], text=True).strip()
    Path(place, "rvenv-under-test.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def is_long() -> bool:
    """Whether this is the long form of the tests, `python/test --all`."""
    return "RVENV_KILLS" not in os.environ


def moments(of_all: int, of_few: int) -> int:
    """The number of kills: all of them in the long form of the tests."""
    return of_all if is_long() else of_few


class WithVirtualenv(Scratch):
    """A directory, the tools, and virtualenv told to use rvenv."""

    #: What is installed beside rvenv.
    tools: "tuple[str, ...]" = ("tox", "nox", "pre-commit", "virtualenv")

    def setUp(self) -> None:
        self.python = environment_with(*self.tools)
        super().setUp()
        others = ("VIRTUALENV", "TOX", "NOX", "PIPENV", "POETRY", "HATCH")
        # What a kill leaves among the temporary files goes with the rest.
        (self.root / "tmp").mkdir()
        self.names = {
            **{k: v for k, v in os.environ.items() if not k.startswith(others)},
            "VIRTUALENV_CREATOR": "rvenv",
            "VIRTUALENV_NO_PERIODIC_UPDATE": "1",
            "VIRTUALENV_OVERRIDE_APP_DATA": str(self.root / "app-data"),
            "TMPDIR": str(self.root / "tmp"),
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PRE_COMMIT_HOME": str(self.root / "hooks"),
            "GIT_CONFIG_GLOBAL": os.devnull,
        }

    def start(self, *words: str, **names: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(self.python), "-m", *words],
            env={**self.names, **names},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def runs(self, *words: str, **names: str) -> str:
        child = self.start(*words, **names)
        said, _ = child.communicate()
        self.assertEqual(child.returncode, 0, said)
        return said

    def content(self, env: Path) -> _Picture:
        """What is in an environment, without what the tools keep there, and without the root."""
        found = picture(env) or {}
        return {k: v for k, v in found.items() if k != "." and k.split("/")[0] not in _OF_TOOLS}

    def check_recreated(
        self, env: Path, count: int, words: tuple[str, ...], deletes: bool = True
    ) -> None:
        """Kills a recreation at moments that are spread over its whole time.

        The prompt tells the old environment from the new one. A tool that deletes the old one file
        by file before it calls virtualenv may leave a part of it, to which entries are added one
        after the other; what a kill of it leaves is judged after a recovery. What a kill of
        virtualenv leaves is judged as the next reader finds it, and each second time as a recovery
        leaves it too; otherwise the next run recovers it.
        """
        self.runs(*words, VIRTUALENV_PROMPT="first")
        since = time.monotonic()
        self.runs(*words, VIRTUALENV_PROMPT="second")
        lasts = time.monotonic() - since
        paths = set(self.content(env))
        found = []
        for moment in range(count):
            old = self.content(env)
            child = self.start(*words, VIRTUALENV_PROMPT=f"at {moment}")
            self.kill(child, lasts * (moment + 0.5) / count)
            left = [] if deletes else [self.content(env)]
            if deletes or moment % 2 == 0:
                recovered = command("recover", str(env))
                # A tool may have left a part of an environment, which is none to recover.
                self.assertTrue(deletes or recovered.returncode == 0, recovered)
                left.append(self.content(env))
            self.runs(*words, VIRTUALENV_PROMPT=f"at {moment}")
            self.assert_clean(env)
            self.says(env / "bin/python", "-m", "pip", "--version")
            new = self.content(env)
            self.assertEqual(set(new), paths, f"moment {moment}")
            states = [self.judge(state, old, new, f"moment {moment}") for state in left]
            if not deletes:
                self.assertLessEqual(set(states), {"the old one", "the new one"}, states)
            found.append(states[-1])
        print(f"{words[0]}: {count} kills left {', '.join(found)}")

    def kill(self, child: "subprocess.Popen[str]", after: float) -> None:
        """Kills a program and its children, some seconds after its start."""
        time.sleep(after)
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.communicate()

    def judge(self, killed: _Picture, old: _Picture, new: _Picture, why: str) -> str:
        """Which of the two environments a kill left."""
        if not killed:
            return "nothing"
        if killed == old:
            return "the old one"
        if killed.items() <= old.items():
            return "a part of the old one"
        # Hooks are installed by pip afterwards.
        added = {path for path in new if "hook" in path}
        base = {k: v for k, v in new.items() if k not in added}
        differing = {k for k in base if killed.get(k) != base[k]}
        differing |= {path for path in killed if path not in new and "hook" not in path}
        self.assertEqual(differing, set(), f"{why}: neither old nor new")
        return "the new one"
