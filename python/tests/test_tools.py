"""Tools that make their environments by virtualenv, with its creator `rvenv`."""

from __future__ import annotations

import os
import shutil
import textwrap
import time
import unittest
from pathlib import Path
from typing import Callable, Optional

from support import command, leftovers
from with_virtualenv import WithVirtualenv, is_long, moments


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
        self.check_recreated(self.root / ".nox/it", moments(20, 2), ("nox", "-s", "it"))


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
        count = moments(20, 2)
        since = time.monotonic()
        self.assertIn("it ran", self.runs(*words))
        lasts = time.monotonic() - since
        found = []
        for moment in range(count):
            self.runs("pre_commit", "clean")
            child = self.start(*words)
            self.kill(child, lasts * (moment + 0.5) / count)
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


class OneEnvironment(WithVirtualenv):
    """A tool that makes an environment for a project, in any run that finds none."""

    def setUp(self) -> None:
        if not is_long():
            print(f"skipped: {self.tools[0]} runs with --all")
            raise unittest.SkipTest("runs with --all")
        super().setUp()
        (self.root / "project").mkdir()
        os.chdir(self.root / "project")
        # Everything that a tool keeps for its user.
        self.names.update(HOME=str(self.root / "home"), VIRTUALENV_PROMPT="by rvenv")
        for name in [name for name in self.names if name.startswith("XDG_")]:
            del self.names[name]

    def check_made(self, words: tuple[str, ...], find: Callable[[], Optional[Path]]) -> None:
        """Makes it, and kills the tool while it makes it."""
        since = time.monotonic()
        self.runs(*words)
        lasts = time.monotonic() - since
        env = find()
        assert env is not None
        self.assertIn("virtualenv = ", (env / "pyvenv.cfg").read_text())
        self.assert_clean(env)
        paths = set(self.content(env))
        count = moments(8, 0)
        found = []
        for moment in range(count):
            shutil.rmtree(env)
            self.kill(self.start(*words), lasts * (moment + 0.5) / count)
            command("recover", str(env))
            left = self.content(env)
            self.assertEqual(leftovers(env), [], f"moment {moment}")
            self.runs(*words)
            self.assert_clean(env)
            new = self.content(env)
            self.assertEqual(set(new), paths, f"moment {moment}")
            found.append(self.judge(left, {}, new, f"moment {moment}"))
        print(f"{self.tools[0]}: {count} kills left {', '.join(found)}")

    def only(self, pattern: str) -> Optional[Path]:
        """The only environment at a place."""
        found = [path.parent for path in self.root.glob(f"{pattern}/pyvenv.cfg")]
        self.assertLessEqual(len(found), 1)
        return found[0] if found else None


class Pipenv(OneEnvironment):
    tools = ("pipenv",)

    def test_pipenv_makes_its_environment_while_it_is_killed(self) -> None:
        (self.root / "project/Pipfile").write_text("[packages]\n")
        words = ("pipenv", "run", "python", "-c", "print('it ran')")
        self.names["PIPENV_VENV_IN_PROJECT"] = "1"
        self.check_made(words, lambda: self.only("project/.venv"))


class Poetry(OneEnvironment):
    tools = ("poetry",)

    def test_poetry_makes_its_environment_while_it_is_killed(self) -> None:
        (self.root / "project/pyproject.toml").write_text(
            '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.9"\n'
            "[tool.poetry]\npackage-mode = false\n"
        )
        words = ("poetry", "run", "python", "-c", "print('it ran')")
        self.names["POETRY_VIRTUALENVS_IN_PROJECT"] = "true"
        self.check_made(words, lambda: self.only("project/.venv"))


class Hatch(OneEnvironment):
    tools = ("hatch",)

    def test_hatch_makes_its_environment_while_it_is_killed(self) -> None:
        (self.root / "project/pyproject.toml").write_text(
            '[project]\nname = "p"\nversion = "1"\n'
            "[tool.hatch.envs.default]\nskip-install = true\n"
        )
        self.names["HATCH_DATA_DIR"] = str(self.root / "hatch")
        words = ("hatch", "run", "python", "-c", "print('it ran')")
        self.check_made(words, lambda: self.only("hatch/env/virtual/p/*/p"))


if __name__ == "__main__":
    unittest.main()
