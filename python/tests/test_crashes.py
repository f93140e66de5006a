"""Kills: whatever dies, the directory is the old environment or the new one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import textwrap
from pathlib import Path

import rvenv
from support import PYTHON, RVENV, Scratch, forget, killed_at, leftovers, picture, started

#: A builder as venv's documentation has one: it installs pip (and setuptools, where ensurepip has
#: it) in the new environment, and shows progress.
EXTENDED = '''
import subprocess, sys
import rvenv

class ExtendedEnvBuilder(rvenv.EnvBuilder):
    """Installs pip and setuptools, and shows progress."""

    def post_setup(self, context):
        command = [context.env_exe, "-Im", "ensurepip", "--upgrade", "--default-pip"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as installing:
            for _line in installing.stdout:
                sys.stderr.write(".")
                sys.stderr.flush()
        if installing.returncode:
            raise subprocess.CalledProcessError(installing.returncode, command)
        sys.stderr.write("done.\\n")

if __name__ == "__main__":
    ExtendedEnvBuilder(symlinks=True, clear=True).create(sys.argv[1])
'''

#: Dies in each hook that works on the disk: before it, in its midst, and after it.
DYING = """
import os, signal, sys
import rvenv

wanted, env = sys.argv[1:]

def here(name):
    if name == wanted:
        os.kill(os.getpid(), signal.SIGKILL)

class Dying(rvenv.EnvBuilder):
    def ensure_directories(self, env_dir):
        here("before ensure_directories")
        context = super().ensure_directories(env_dir)
        os.makedirs(os.path.join(env_dir, "etc"), exist_ok=True)
        here("after ensure_directories")
        return context

    def create_configuration(self, context):
        super().create_configuration(context)
        here("before create_configuration")
        with open(context.cfg_path, "a", encoding="utf-8") as file:
            file.write("team = blue\\n")
        here("after create_configuration")

    def setup_python(self, context):
        here("before setup_python")
        super().setup_python(context)
        open(os.path.join(context.bin_path, "second"), "w").close()
        here("after setup_python")

    def setup_scripts(self, context):
        super().setup_scripts(context)
        here("before setup_scripts")
        with open(os.path.join(context.bin_path, "activate"), "a", encoding="utf-8") as file:
            file.write("# ours\\n")
        here("after setup_scripts")

    def post_setup(self, context):
        with open(os.path.join(context.bin_path, "tool"), "w", encoding="utf-8") as file:
            file.write("half")
            file.flush()
            here("in post_setup")
            file.write(" and whole")
        here("after post_setup")

Dying(symlinks=True).create(env)
"""

POINTS = [
    "before ensure_directories",
    "after ensure_directories",
    "before create_configuration",
    "after create_configuration",
    "before setup_python",
    "after setup_python",
    "before setup_scripts",
    "after setup_scripts",
    "in post_setup",
    "after post_setup",
]


class Crashes(Scratch):
    def script(self, text: str) -> Path:
        path = self.root / "builder.py"
        path.write_text(textwrap.dedent(text))
        return path

    def check_dying(self, before: object) -> None:
        script = self.script(DYING)
        states: list[object] = [picture(self.env)]
        for point in POINTS:
            with self.subTest(point):
                ended = subprocess.run([PYTHON, str(script), point, str(self.env)])
                self.assertEqual(ended.returncode, -signal.SIGKILL)
                self.assert_whole(self.env, states, point)
        self.says(PYTHON, script, "never", self.env)
        self.assertIn("team = blue", (self.env / "pyvenv.cfg").read_text())
        self.assertEqual((self.env / "bin/tool").read_text(), "half and whole")
        self.assert_clean()

    def test_a_kill_in_any_hook_of_a_new_environment_leaves_nothing(self) -> None:
        self.check_dying(None)

    def test_a_kill_in_any_hook_of_an_existing_environment_leaves_it_as_it_was(self) -> None:
        rvenv.create(self.env, symlinks=True)
        (self.env / "own.txt").write_text("the user's")
        self.check_dying(picture(self.env))
        self.assertEqual((self.env / "own.txt").read_text(), "the user's")

    def check_killed(self, *program: object) -> None:
        """Twenty moments, over a former environment."""
        rvenv.create(self.env, symlinks=True, prompt="old")
        kept = self.root / "old"
        shutil.copytree(self.env, kept, symlinks=True)
        states: list[object] = [picture(self.env)]
        words = [str(word) for word in program]
        for moment in killed_at(20, lambda: started(words, self.root)):
            if moment < 0:
                states.append(picture(self.env))
                self.assertNotEqual(states[0], states[1])
            else:
                self.assert_whole(self.env, states, f"moment {moment}")
            forget(self.env)
            shutil.copytree(kept, self.env, symlinks=True)

    def test_the_builder_of_the_documentation_is_killed_at_twenty_moments(self) -> None:
        self.check_killed(PYTHON, self.script(EXTENDED), self.env)

    def test_the_command_is_killed_at_twenty_moments(self) -> None:
        self.check_killed(RVENV, "create", "--clear", "--python", PYTHON, self.env)

    def test_python_m_rvenv_is_killed_at_twenty_moments(self) -> None:
        self.check_killed(PYTHON, "-m", "rvenv", "--clear", self.env)

    def test_the_builder_of_the_documentation_installs_pip(self) -> None:
        ended = subprocess.run(
            [PYTHON, str(self.script(EXTENDED)), str(self.env)], capture_output=True, text=True
        )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertTrue(ended.stderr.endswith("done.\n"), ended.stderr)
        self.assertIn(f"from {self.env}", self.says(self.env / "bin/pip", "--version"))
        self.assert_clean()
        self.assertEqual(leftovers(self.env), [])

    def test_ctrl_c_in_a_hook_takes_everything_back(self) -> None:
        rvenv.create(self.env, symlinks=True)
        before = picture(self.env)

        class Interrupted(rvenv.EnvBuilder):
            def post_setup(self, context: rvenv.Context) -> None:
                with open(os.path.join(context.bin_path, "tool"), "w") as file:
                    file.write("half")
                os.kill(os.getpid(), signal.SIGINT)
                os.read(os.pipe()[0], 1)  # until the signal comes

        with self.assertRaises(KeyboardInterrupt):
            Interrupted(symlinks=True).create(self.env)
        self.assertEqual(picture(self.env), before)
        self.assertEqual(leftovers(self.env), [])

    def test_ctrl_c_during_native_work_takes_everything_back(self) -> None:
        script = self.script("""
            import os, signal, sys, threading
            import rvenv
            from rvenv import _rvenv
            # Asked for when the native half looks at signals: within the first pauses of its work.
            place, name = os.path.split(sys.argv[1])
            held = os.path.join(place, f".{name}.rvenv.lock")
            import fcntl
            lock = open(held, "w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                rvenv.create(sys.argv[1], symlinks=True)
            except KeyboardInterrupt:
                print("interrupted")
            """)
        self.assertEqual(self.says(PYTHON, script, self.env), "interrupted")
        self.assertFalse(self.env.exists())

    def test_long_work_lets_other_threads_run(self) -> None:
        import fcntl
        import threading

        held = open(self.root / ".E.rvenv.lock", "w")
        self.addCleanup(held.close)
        fcntl.flock(held, fcntl.LOCK_EX)
        # If the interpreter's lock were held, this could never give the file's lock up.
        threading.Timer(0.1, held.close).start()
        rvenv.create(self.env, symlinks=True)
        self.assertTrue(self.env.exists())
