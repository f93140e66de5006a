"""``rvenv.transaction``: trees that are not Python."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Callable

import rvenv
from support import PYTHON, Scratch, command, leftovers, picture


class Transactions(Scratch):
    def test_a_tree_is_made_changed_and_brought_back(self) -> None:
        site = self.root / "site"
        with rvenv.transaction(site) as tree:
            tree.write("index.html", "<p>old</p>")
            tree.write("css/a.css", b"a{}", mode=0o600)
            tree.link("start", "index.html")
            tree.mkdir("empty")
        old = picture(site)
        self.assertEqual((site / "start").read_text(), "<p>old</p>")
        self.assertEqual((site / "css/a.css").stat().st_mode & 0o777, 0o600)
        (site / "foreign").write_text("stays")
        with rvenv.transaction(site, keep=True) as tree:
            tree.write("index.html", "<p>new</p>")
            tree.remove("css")
        self.assertIsNotNone(tree.kept)
        self.assertEqual((site / "index.html").read_text(), "<p>new</p>")
        self.assertFalse((site / "css").exists())
        self.assertEqual((site / "foreign").read_text(), "stays")
        rvenv.rollback(site)
        (site / "foreign").unlink()
        now = {name: what for name, what in (picture(site) or {}).items() if ".rvenv" not in name}
        self.assertEqual(
            now, {name: what for name, what in (old or {}).items() if ".rvenv" not in name}
        )

    def test_replace_leaves_nothing_else(self) -> None:
        with rvenv.transaction("site") as tree:
            tree.write("a", "1")
        with rvenv.transaction("site", replace=True) as tree:
            tree.write("b", "2")
        self.assertEqual(sorted(os.listdir("site")), [".rvenv", "b"])

    def test_an_exception_in_the_block_changes_nothing(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            with rvenv.transaction("site") as tree:
                tree.write("a", "1")
                _ = 1 / 0
        self.assertEqual(os.listdir("."), [])

    def test_what_a_check_raises_takes_it_back(self) -> None:
        with rvenv.transaction("site") as tree:
            tree.write("a", "old")
        before = picture(self.root / "site")

        def check() -> None:
            with open("site/a") as file:
                raise RuntimeError(file.read())

        with self.assertRaisesRegex(RuntimeError, "new"):
            with rvenv.transaction("site", check=check) as tree:
                tree.write("a", "new")
                tree.write("b/c", "new")
        self.assertEqual(picture(self.root / "site"), before)
        self.assertEqual(leftovers(self.root / "site"), [])

    def test_a_kill_during_the_check_takes_it_back(self) -> None:
        with rvenv.transaction("site") as tree:
            tree.write("a", "old")
        before = picture(self.root / "site")
        code = (
            "import os, signal, rvenv\n"
            "def check(): os.kill(os.getpid(), signal.SIGKILL)\n"
            "with rvenv.transaction('site', check=check) as tree: tree.write('a', 'new')\n"
        )
        ended = subprocess.run([PYTHON, "-c", code])
        self.assertEqual(ended.returncode, -signal.SIGKILL)
        with rvenv.transaction("site") as tree:
            tree.write("other", "text")
        with rvenv.transaction("site") as tree:
            tree.remove("other")
        now = picture(self.root / "site") or {}
        self.assertEqual(now["a"], (before or {})["a"])

    def test_paths_outside_are_refused(self) -> None:
        for path in ("..", "../a", "/a", ".", "a/../.."):
            with self.assertRaises(rvenv.RequestError, msg=path):
                rvenv.transaction("site").write(path, "")
        with self.assertRaises(rvenv.RequestError):
            rvenv.transaction("site").write("a", "", mode=0o4755)
        with self.assertRaises(rvenv.TargetError):
            rvenv.rollback("site")


class Plans(Scratch):
    def test_a_plan_is_saved_and_applied(self) -> None:
        plan = rvenv.plan(self.env, symlinks=True)
        self.assertEqual((plan.env_dir, plan.publication), (str(self.env), "put"))
        self.assertIn("bin/activate", plan.paths)
        self.assertIn(plan.digest, str(plan))
        self.assertNotIn("\x1b", str(plan))
        self.assertIsNone(picture(self.env))
        again = rvenv.read_plan(plan.to_json().encode())
        self.assertEqual(again.digest, plan.digest)
        self.assertTrue(again.apply())
        self.assertTrue((self.env / "pyvenv.cfg").exists())
        self.assert_clean()
        applied = picture(self.env)
        self.assertFalse(plan.apply())
        self.assertEqual(picture(self.env), applied)
        (self.env / "bin" / "activate").unlink()
        with self.assertRaises(rvenv.StaleError):
            plan.apply()
        with self.assertRaises(rvenv.PlanError):
            rvenv.read_plan(b"{}")


class KeptEnvironments(Scratch):
    def check_brought_back(self, replace: Callable[[], object]) -> None:
        rvenv.create(self.env, symlinks=True, clear=True, prompt="old")
        old = picture(self.env)
        replace()
        self.assertNotEqual(picture(self.env), old)
        self.assert_clean()
        ended = command("rollback", str(self.env))
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertEqual(picture(self.env), old)
        ended = command("generations", "--prune", str(self.env))
        self.assertEqual(ended.returncode, 0, ended.stderr)

    def test_what_create_replaces_is_kept_if_it_is_asked_for(self) -> None:
        self.check_brought_back(
            lambda: rvenv.create(self.env, symlinks=True, clear=True, prompt="new", keep=True)
        )
        rvenv.create(self.env, symlinks=True, clear=True, prompt="new")
        self.assertEqual(leftovers(self.env), [])

    def test_what_a_plan_replaces_is_kept_if_it_is_asked_for(self) -> None:
        self.check_brought_back(
            lambda: rvenv.plan(self.env, symlinks=True, clear=True).apply(keep=True)
        )

    def test_what_a_builder_that_works_on_the_disk_replaces_is_kept(self) -> None:
        class Works(rvenv.EnvBuilder):
            def post_setup(self, context: rvenv.Context) -> None:
                with open(os.path.join(context.bin_path, "tool"), "w") as file:
                    file.write("tool")

        self.check_brought_back(lambda: Works(symlinks=True, keep=True).create(self.env))
