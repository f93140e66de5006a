"""The creator of virtualenv, with the real virtualenv, tox, nox and pre-commit.

``RVENV_VIRTUALENV_TOOLS`` names an environment that has them; without it they are installed.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import textwrap
import time
import unittest
from pathlib import Path

from support import PYTHON, Scratch, command, leftovers, picture

#: What tox, nox and pre-commit keep in the directory of an environment, besides the environment.
_OF_TOOLS = {
    *("file.lock", ".tox-info.json", "log", "tmp"),
    *(".install_state_v1", ".install_state_v2"),
}


_Picture = dict[str, tuple[str, ...]]


@functools.lru_cache(maxsize=None)
def tools() -> Path:
    """The Python of an environment with the tools, which sees the installed rvenv."""
    given = os.environ.get("RVENV_VIRTUALENV_TOOLS")
    env = Path(given or tempfile.mkdtemp(prefix="rvenv-tools-"))
    if not given:
        unittest.addModuleCleanup(shutil.rmtree, env, ignore_errors=True)
        subprocess.run([PYTHON, "-m", "venv", str(env)], check=True, capture_output=True)
    python = env / "bin/python"
    wanted = ["virtualenv", "tox", "nox", "pre-commit"]
    probe = [str(python), "-c", "import virtualenv, tox, nox, pre_commit"]
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


def moments(of_all: int, of_few: int) -> int:
    """The number of kills: all of them in the long form of the tests."""
    return of_few if "RVENV_KILLS" in os.environ else of_all


class WithVirtualenv(Scratch):
    """A directory, the tools, and virtualenv told to use rvenv."""

    def setUp(self) -> None:
        self.python = tools()
        super().setUp()
        others = ("VIRTUALENV", "TOX", "NOX")
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
        by file before it calls virtualenv may leave a part of it; virtualenv itself may not.
        """
        self.runs(*words, VIRTUALENV_PROMPT="first")
        since = time.monotonic()
        self.runs(*words, VIRTUALENV_PROMPT="second")
        lasts = time.monotonic() - since
        found = []
        for moment in range(count):
            old = self.content(env)
            child = self.start(*words, VIRTUALENV_PROMPT=f"at {moment}")
            time.sleep(lasts * (moment + 0.5) / count)
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.communicate()
            killed = None
            # Each second time the next run of the tool recovers what is left.
            if moment % 2 == 0:
                recovered = command("recover", str(env))
                self.assertTrue(deletes or recovered.returncode == 0, recovered)
                killed = self.content(env)
                whole = deletes or killed == old or not killed.items() <= old.items()
                self.assertTrue(whole, f"moment {moment}: a part of the old environment is left")
            self.runs(*words, VIRTUALENV_PROMPT=f"at {moment}")
            self.assert_clean(env)
            self.says(env / "bin/python", "-m", "pip", "--version")
            if killed is not None:
                found.append(self.judge(killed, old, self.content(env), f"moment {moment}"))
        print(f"{words[0]}: {count} kills left {', '.join(found)}")

    def judge(self, killed: "_Picture", old: "_Picture", new: "_Picture", why: str) -> str:
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
        missing = {k for k in base if killed.get(k) != base[k]}
        self.assertEqual(missing, set(), f"{why}: neither old nor new")
        return "the new one"


class Virtualenv(WithVirtualenv):
    def make(self, *options: str, **names: str) -> str:
        return self.runs("virtualenv", *options, str(self.env), **names)

    def test_virtualenv_makes_an_environment_that_verify_finds_clean(self) -> None:
        said = self.make("--prompt", "team")
        self.assertIn("creator Rvenv", said)
        self.assert_clean()
        self.assertIn(f"from {self.env}", self.says(self.env / "bin/pip", "--version"))
        asked = ". ./E/bin/activate; echo $VIRTUAL_ENV $VIRTUAL_ENV_PROMPT; command -v python"
        shown = self.says("sh", "-c", asked)
        self.assertEqual(shown, f"{self.env} team\n{self.env}/bin/python")
        config = (self.env / "pyvenv.cfg").read_text()
        for key in ("home", "version_info", "virtualenv", "prompt", "base-executable"):
            self.assertIn(f"{key} = ", config)
        for name in ("activate_this.py", "activate.fish", "activate.nu"):
            self.assertTrue((self.env / "bin" / name).is_file(), name)
        self.assertTrue((self.env / ".gitignore").is_file())
        self.assertTrue((self.env / "CACHEDIR.TAG").is_file())
        self.assertEqual(leftovers(self.env), [])

    def test_the_options_of_virtualenv_count(self) -> None:
        self.make("--no-seed", "--copies", "--system-site-packages", "--no-vcs-ignore")
        self.assert_clean()
        self.assertFalse((self.env / "bin/pip").exists())
        self.assertFalse((self.env / "bin/python").is_symlink())
        self.assertFalse((self.env / ".gitignore").exists())
        config = (self.env / "pyvenv.cfg").read_text()
        self.assertIn("include-system-site-packages = true", config)
        (self.env / "own").write_text("stays")
        self.make("--activators", "bash")
        self.assertTrue((self.env / "own").exists())
        self.assertTrue((self.env / "bin/pip").exists())
        self.make("--clear", "--activators", "bash")
        self.assertFalse((self.env / "own").exists())
        self.assertFalse((self.env / "bin/activate_this.py").exists())
        self.assert_clean()

    def test_virtualenv_itself_seeds_by_links(self) -> None:
        self.make("--symlink-app-data")
        self.assertIn(f"from {self.env}", self.says(self.env / "bin/pip", "--version"))

    def test_an_interpreter_that_rvenv_does_not_make_leaves_the_other_creators(self) -> None:
        asked = """
            from types import SimpleNamespace as Named
            from rvenv._virtualenv import Rvenv
            for implementation, os in ("PyPy", "posix"), ("CPython", "nt"):
                meta = Rvenv.can_create(
                    Named(implementation=implementation, os=os, version_info=(3, 11, 0))
                )
                print(meta.error)
            """
        said = self.says(self.python, "-c", textwrap.dedent(asked))
        self.assertIn("of CPython only, not of PyPy", said)
        self.assertIn("works on Linux and macOS only", said)

    def test_virtualenv_says_why_the_creator_is_not_available(self) -> None:
        pypy = shutil.which("pypy3")
        if pypy is None:
            print("skipped: there is no pypy3")
            raise unittest.SkipTest("no pypy3")
        child = self.start("virtualenv", "--python", pypy, str(self.env))
        said, _ = child.communicate()
        self.assertEqual(child.returncode, 1, said)
        self.assertIn("the creator rvenv is not available: it makes environments of CPython", said)
        self.assertIn("Available creators: builtin", said)
        self.assertFalse(self.env.exists())

    def test_a_failure_changes_nothing(self) -> None:
        self.make("--prompt", "old")
        before = picture(self.env)
        child = self.start("virtualenv", "--clear", "--pip", "0.0.1", str(self.env))
        said, _ = child.communicate()
        self.assertNotEqual(child.returncode, 0, said)
        self.assertEqual(picture(self.env), before)
        self.assertEqual(leftovers(self.env), [])

    def test_a_replacement_is_killed(self) -> None:
        words = ("virtualenv", "--clear", str(self.env))
        self.check_recreated(self.env, moments(20, 4), words, deletes=False)


class Tox(WithVirtualenv):
    def test_tox_recreates_while_it_is_killed(self) -> None:
        (self.root / "tox.ini").write_text(
            "[tox]\nskipsdist = true\n[testenv]\nskip_install = true\n"
            "commands = python -c \"print('it ran')\"\n"
        )
        self.assertIn("it ran", self.runs("tox", "-e", "py"))
        env = self.root / ".tox/py"
        self.assert_clean(env)
        self.assertIn("virtualenv = ", (env / "pyvenv.cfg").read_text())
        self.check_recreated(env, moments(20, 4), ("tox", "-r", "-e", "py"))


class Nox(WithVirtualenv):
    def test_nox_recreates_while_it_is_killed(self) -> None:
        (self.root / "noxfile.py").write_text(
            "import nox\n\n@nox.session(venv_backend='virtualenv')\n"
            "def it(session):\n    session.run('python', '-c', 'print(1)')\n"
        )
        self.check_recreated(self.root / ".nox/it", moments(8, 2), ("nox", "-s", "it"))


class PreCommit(WithVirtualenv):
    BACKEND = """
        import zipfile
        def build_wheel(directory, config_settings=None, metadata_directory=None):
            wheel = "hook-1.0-py3-none-any.whl"
            info = "hook-1.0.dist-info/"
            with zipfile.ZipFile(f"{directory}/{wheel}", "w") as archive:
                archive.writestr("hook.py", "def main():\\n    print('it ran')\\n")
                for name, text in (
                    ("METADATA", "Metadata-Version: 2.1\\nName: hook\\nVersion: 1.0"),
                    ("WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any"),
                    ("entry_points.txt", "[console_scripts]\\nhook = hook:main"),
                ):
                    archive.writestr(info + name, text + "\\n")
                archive.writestr(info + "RECORD", "hook.py,,\\n")
            return wheel
        """

    def git(self, *words: str) -> str:
        named = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        return self.says("git", *named, *words)

    def test_pre_commit_makes_hooks_while_it_is_killed(self) -> None:
        if shutil.which("git") is None:
            print("skipped: pre-commit needs git")
            raise unittest.SkipTest("no git")
        source = self.root / "source"
        source.mkdir()
        (source / "backend.py").write_text(textwrap.dedent(self.BACKEND))
        (source / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            '[project]\nname = "hook"\nversion = "1.0"\n'
        )
        (source / ".pre-commit-hooks.yaml").write_text(
            "- id: hook\n  name: hook\n  entry: hook\n  language: python\n"
            "  pass_filenames: false\n  always_run: true\n"
        )
        for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
            self.git("-C", str(source), *words)
        revision = self.git("-C", str(source), "rev-parse", "HEAD")
        self.git("init", "-q")
        (self.root / ".pre-commit-config.yaml").write_text(
            f"repos:\n- repo: {source}\n  rev: {revision}\n"
            "  hooks:\n  - id: hook\n    verbose: true\n"
        )
        self.git("add", ".pre-commit-config.yaml")
        words = ("pre_commit", "run", "--all-files")
        count = moments(8, 2)
        since = time.monotonic()
        self.assertIn("it ran", self.runs(*words))
        lasts = time.monotonic() - since
        found = []
        for moment in range(count):
            self.runs("pre_commit", "clean")
            child = self.start(*words)
            time.sleep(lasts * (moment + 0.5) / count)
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.communicate()
            killed = {env: self.content(env) for env in self.made()}
            self.assertIn("it ran", self.runs(*words))
            (env,) = self.made()
            self.says(env / "bin/python", "-m", "pip", "--version")
            self.assert_clean(env)
            for was in killed.values():
                found.append(self.judge(was, {}, self.content(env), f"moment {moment}"))
        print(f"pre-commit: {count} kills left {', '.join(found) or 'nothing'}")

    def made(self) -> list[Path]:
        """The environments of hooks, whatever directory pre-commit gave them."""
        return [path.parent for path in (self.root / "hooks").glob("repo*/py_env-*/pyvenv.cfg")]


if __name__ == "__main__":
    unittest.main()
