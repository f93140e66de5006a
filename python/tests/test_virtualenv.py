"""The creator of virtualenv, with the real virtualenv."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import textwrap
import time
import unittest
from pathlib import Path

from support import leftovers, picture, renamed
from with_virtualenv import WithVirtualenv, moments


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

    def test_the_configuration_file_of_virtualenv_chooses_the_creator(self) -> None:
        del self.names["VIRTUALENV_CREATOR"]
        ini = self.root / "virtualenv.ini"
        ini.write_text("[virtualenv]\ncreator = rvenv\nprompt = of-the-file\n")
        said = self.make(VIRTUALENV_CONFIG_FILE=str(ini))
        self.assertIn("creator Rvenv", said)
        self.assertIn('prompt = "of-the-file"\n', (self.env / "pyvenv.cfg").read_text())
        self.assert_clean()

    def pip_of_the_index(self) -> Path:
        """A directory with a pip that is newer than any: virtualenv's own, by another version."""
        asked = """if True:
            from virtualenv.seed.wheels.embed import get_embed_wheel
            print(get_embed_wheel("pip", "3.11").path)
            """
        return renamed(Path(self.says(self.python, "-c", asked)), "999.0", self.root)

    def test_a_newer_wheel_of_a_search_directory_is_installed(self) -> None:
        directory = self.pip_of_the_index().parent
        said = self.make(f"--extra-search-dir={directory}")
        self.assertIn("pip==999.0", said)
        self.assertTrue(any(self.env.glob("lib/*/site-packages/pip-999.0.dist-info/RECORD")))
        self.says(self.env / "bin/pip", "--version")
        self.assert_clean()

    def test_the_newest_wheel_is_downloaded_only_if_it_is_asked_for(self) -> None:
        wheel = self.pip_of_the_index()
        page = self.root / "index/pip/index.html"
        page.parent.mkdir(parents=True)
        page.write_text(f'<a href="{wheel.as_uri()}">{wheel.name}</a>')
        del self.names["PIP_NO_INDEX"]
        index = {"PIP_INDEX_URL": (self.root / "index").as_uri()}
        self.assertNotIn("pip==999.0", self.make("--no-setuptools", **index))
        said = self.make("--no-setuptools", "--download", "--clear", **index)
        self.assertIn("pip==999.0", said)
        self.assert_clean()

    def test_setuptools_is_installed_if_it_is_asked_for(self) -> None:
        self.make("--setuptools", "bundle", "--no-pip")
        asked = "import setuptools; print(setuptools.__file__)"
        said = self.says(self.env / "bin/python", "-c", asked)
        self.assertTrue(said.startswith(str(self.env)), said)
        self.assertFalse((self.env / "bin/pip").exists())
        self.assert_clean()
        self.make("--setuptools", "none", "--clear")
        self.assertFalse(any(self.env.glob("lib/*/site-packages/setuptools*")))
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
        ini = self.root / "virtualenv.ini"
        ini.write_text("[virtualenv]\ncreator = rvenv\n")
        for names in ({}, {"VIRTUALENV_CONFIG_FILE": str(ini)}):
            if names:
                del self.names["VIRTUALENV_CREATOR"]
            child = self.start("virtualenv", "--python", pypy, str(self.env), **names)
            said, _ = child.communicate()
            self.assertEqual(child.returncode, 1, said)
            self.assertIn("the creator rvenv is not available: it makes environments", said)
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

    def interrupted(self, *words: str, after: float = 0.0) -> str:
        """What virtualenv says when Ctrl-C comes."""
        child = self.start(*words)
        time.sleep(after)
        os.killpg(child.pid, signal.SIGINT)
        said, _ = child.communicate()
        return said

    def test_ctrl_c_at_any_moment_needs_no_recovery(self) -> None:
        words = ("virtualenv", "--clear", str(self.env))
        self.make("--prompt", "old")
        since = time.monotonic()
        self.make("--clear", "--prompt", "new")
        lasts = time.monotonic() - since
        count = moments(20, 4)
        for moment in range(count):
            old = picture(self.env)
            self.names["VIRTUALENV_PROMPT"] = f"at-{moment}"
            said = self.interrupted(*words, after=lasts * (moment + 0.5) / count)
            self.assertEqual(leftovers(self.env), [], said)
            if picture(self.env) != old:
                self.assertIn(f'prompt = "at-{moment}"\n', (self.env / "pyvenv.cfg").read_text())
                self.assert_clean()
                self.says(self.env / "bin/pip", "--version")

    def test_ctrl_c_while_another_process_changes_the_environment(self) -> None:
        self.make("--prompt", "old")
        old = picture(self.env)
        with open(self.root / ".E.rvenv.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            child = self.start("virtualenv", "-v", "--clear", str(self.env))
            assert child.stdout is not None
            while f"create {self.env} by rvenv" not in (line := child.stdout.readline()):
                self.assertTrue(line, "virtualenv ended")
            os.killpg(child.pid, signal.SIGINT)
            said, _ = child.communicate()
        self.assertNotEqual(child.returncode, 0, said)
        self.assertIn("KeyboardInterrupt", said)
        self.assertEqual(picture(self.env), old)

    def test_a_replacement_is_killed(self) -> None:
        words = ("virtualenv", "--clear", str(self.env))
        self.check_recreated(self.env, moments(20, 4), words, deletes=False)


if __name__ == "__main__":
    unittest.main()
