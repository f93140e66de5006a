"""``python -m rvenv``: the command line of ``python -m venv``, and the commands of ``rvenv``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import rvenv
from support import PYTHON, RVENV, Scratch, base_executable, picture


class CommandLine(Scratch):
    def run_module(self, module: str, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([PYTHON, "-m", module, *words], capture_output=True, text=True)

    def test_every_flag_of_venv(self) -> None:
        ended = self.run_module("venv", "--help")
        flags = {
            word.strip(",[]") for word in ended.stdout.split() if word.strip("[").startswith("-")
        }
        ours = self.run_module("rvenv", "--help")
        self.assertEqual(ours.returncode, 0)
        self.assertEqual({flag for flag in flags if flag not in ours.stdout}, set())

    def test_the_same_streams_and_codes_as_venv(self) -> None:
        (self.root / "file").write_text("")
        cases = [
            ["--without-pip", "new"],
            ["--without-pip", "--clear", "new"],
            ["--without-pip", "--prompt", "p", "--copies", "one", "two"],
            ["--without-p", "--system-site-packages", "abbreviated"],
            ["--without-pip", "--upgrade", "new"],
            ["--without-pip", f"a{os.pathsep}b"],
            ["--without-pip", "file"],
            ["--without-pip", "file/below"],
            ["--upgrade", "--clear", "both"],
            ["--symlinks", "--copies", "both"],
            ["--no-such-flag", "new"],
            [],
        ]
        for words in cases:
            with self.subTest(words):
                found = []
                for module in ("venv", "rvenv"):
                    place = self.root / module
                    place.mkdir(exist_ok=True)
                    (place / "file").touch()
                    ended = subprocess.run(
                        [PYTHON, "-m", module, *words], cwd=place, capture_output=True, text=True
                    )
                    first = ended.stderr.split(":")[0].split(" ")[0]
                    found.append((ended.returncode, ended.stdout, first))
                if sys.version_info < (3, 11) and os.pathsep in "".join(words):
                    continue
                self.assertEqual(found[1], found[0])
        self.assertEqual(
            sorted(name for name in os.listdir(self.root / "rvenv") if os.pathsep not in name),
            sorted(name for name in os.listdir(self.root / "venv") if os.pathsep not in name),
        )

    def test_messages_that_tools_read(self) -> None:
        ended = self.run_module("rvenv", "--upgrade", "--clear", "E")
        text = "Error: you cannot supply --upgrade and --clear together.\n"
        self.assertEqual((ended.returncode, ended.stderr), (1, text))
        ended = self.run_module("rvenv", f"{self.root}/a{os.pathsep}b")
        self.assertIn("because it contains the PATH separator", ended.stderr)

    def test_the_running_python_is_the_base(self) -> None:
        self.assertEqual(self.run_module("rvenv", "--without-pip", "E").returncode, 0)
        config = (self.env / "pyvenv.cfg").read_text()
        home = os.path.dirname(os.path.abspath(base_executable()))
        self.assertIn(f"home = {home}\n", config)

    def test_each_command_of_rvenv(self) -> None:
        self.assertEqual(self.run_module("rvenv", "create", "--without-pip", "E").returncode, 0)
        self.assertEqual(self.run_module("rvenv", "verify", "E").returncode, 0)
        ended = self.run_module("rvenv", "status", "nowhere")
        own = subprocess.run([RVENV, "status", "nowhere"], capture_output=True, text=True)
        self.assertEqual((ended.returncode, ended.stderr), (own.returncode, own.stderr))
        # A release build names its commit besides.
        said = self.run_module("rvenv", "--version").stdout.split()
        self.assertEqual(said[:2], ["rvenv", rvenv.__version__])
        listed = subprocess.run([RVENV, "help"], capture_output=True, text=True).stdout
        lines = listed.split("Commands:\n")[1].split("\n\n")[0].splitlines()
        from rvenv._main import COMMANDS

        self.assertEqual(COMMANDS, {line.split()[0] for line in lines})

    def test_a_directory_with_the_name_of_a_command(self) -> None:
        self.assertEqual(self.run_module("rvenv", "--without-pip", "./create").returncode, 0)
        self.assertTrue((self.root / "create/pyvenv.cfg").exists())

    def test_from_installation_to_rollback(self) -> None:
        """As a new user would."""
        self.assertEqual(self.run_module("rvenv", "--without-pip", "E").returncode, 0)
        old = picture(self.env)
        words = ("create", "--clear", "--keep", "--without-pip", "--prompt", "new", "E")
        ended = self.run_module("rvenv", *words)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertNotEqual(picture(self.env), old)
        ended = self.run_module("rvenv", "rollback", "E")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertEqual(picture(self.env), old)

    def test_the_import_costs_almost_nothing(self) -> None:
        code = (
            "import sys; before = set(sys.modules); import rvenv; "
            "print(len(set(sys.modules) - before))"
        )
        # `rvenv`, `__future__` and `typing`, which `site` may have imported already.
        self.assertLess(int(self.says(PYTHON, "-I", "-S", "-c", self.with_path(code))), 40)
        names = ("subprocess", "rvenv._rvenv", "argparse")
        code = f"import sys, rvenv; print(*(name in sys.modules for name in {names!r}))"
        self.assertEqual(self.says(PYTHON, "-I", "-c", code), "False False False")

    def with_path(self, code: str) -> str:
        return f"import sys; sys.path.append({str(Path(rvenv.__file__).parent.parent)!r}); {code}"
