"""Which overrides plan, which work on the disk, and what each sees."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import rvenv
from rvenv._planned import plans
from support import Scratch, leftovers, picture, wheel


class WhichPlan(Scratch):
    def test_by_the_names_that_the_code_loads(self) -> None:
        class Plans(rvenv.EnvBuilder):
            def setup_scripts(self, context: rvenv.Context) -> None:
                super().setup_scripts(context)
                for name in ("a", "b"):
                    context.add_file(f"{context.bin_path}/{name}", "#!/bin/sh\n", executable=True)

            def create_configuration(self, context: rvenv.Context) -> None:
                self.seen: Any = context
                super().create_configuration(context)

            @rvenv.planned
            def setup_python(self, context: rvenv.Context) -> None:
                assert os.sep
                super().setup_python(context)

        class Works(rvenv.EnvBuilder):
            def setup_scripts(self, context: rvenv.Context) -> None:
                super().setup_scripts(context)
                open(os.path.join(context.bin_path, "a"), "w").close()

            def create_configuration(self, context: rvenv.Context) -> None:
                import shutil  # noqa: F401

                super().create_configuration(context)

            def setup_python(self, context: rvenv.Context) -> None:
                self.helper(context)

            def helper(self, context: rvenv.Context) -> None:
                pass

            @rvenv.on_disk
            def ensure_directories(self, env_dir: Any) -> rvenv.Context:
                return super().ensure_directories(env_dir)

            def post_setup(self, context: rvenv.Context) -> None:
                pass

        for name in ("setup_scripts", "create_configuration", "setup_python"):
            self.assertTrue(plans(getattr(Plans(), name)), name)
            self.assertFalse(plans(getattr(Works(), name)), name)
        self.assertFalse(plans(Works().ensure_directories))
        self.assertFalse(plans(Works().post_setup))

    def test_what_plans_is_in_the_plan_and_in_the_receipt(self) -> None:
        speck = wheel(self.root)

        class Plans(rvenv.EnvBuilder):
            what = str(speck)

            def setup_scripts(self, context: rvenv.Context) -> None:
                super().setup_scripts(context)
                context.add_file("bin/tool", "#!/bin/sh\necho tool\n", executable=True)
                context.add_link("bin/other", "tool")
                context.add_dir("etc/mine")
                context.install(self.what)

        builder = Plans(symlinks=True)
        plan = builder.plan(self.env)
        for path in ("bin/tool", "bin/other", "etc/mine", "bin/activate", "bin/speck"):
            self.assertIn(path, plan.paths)
        self.assertIsNone(picture(self.env))
        builder.create(self.env)
        self.assertEqual(self.says(self.env / "bin/other"), "tool")
        self.assertEqual(self.says(self.env / "bin/speck"), "1.0")
        self.assert_clean()
        (self.env / "bin/tool").unlink()
        with self.assertRaises(AssertionError):
            self.assert_clean()

    def test_a_requirement_brings_what_it_needs_into_the_plan(self) -> None:
        self.local_index()

        class Plans(rvenv.EnvBuilder):
            what = "needy>=3"

            def setup_scripts(self, context: rvenv.Context) -> None:
                super().setup_scripts(context)
                context.install(self.what)

        builder = Plans(symlinks=True)
        paths = builder.plan(self.env).paths
        self.assertLessEqual({"bin/needy", "bin/speck", "bin/activate"}, set(paths))
        self.assertIsNone(picture(self.env))
        builder.create(self.env)
        self.assertEqual(self.says(self.env / "bin/needy"), "3.0")
        self.assertEqual(self.says(self.env / "bin/speck"), "1.0")
        self.assert_clean()
        builder.what = "absent"
        before = picture(self.env)
        with self.assertRaisesRegex(rvenv.Error, "absent"):
            builder.create(self.env)
        self.assertEqual(picture(self.env), before)

    def test_a_later_step_replaces_an_earlier_one_as_on_a_disk(self) -> None:
        class Plans(rvenv.EnvBuilder):
            def setup_scripts(self, context: rvenv.Context) -> None:
                super().setup_scripts(context)
                context.add_file("bin/activate", "mine\n")
                context.add_file("bin/activate", "mine again\n", mode=0o600)

        Plans(symlinks=True).create(self.env)
        self.assertEqual((self.env / "bin/activate").read_text(), "mine again\n")
        self.assertEqual((self.env / "bin/activate").stat().st_mode & 0o777, 0o600)

    def test_no_plan_has_what_works_on_the_disk(self) -> None:
        class Works(rvenv.EnvBuilder):
            def post_setup(self, context: rvenv.Context) -> None:
                open(os.path.join(context.bin_path, "a"), "w").close()

        with self.assertRaisesRegex(rvenv.PlanError, "post_setup works on the disk"):
            Works().plan(self.env)

    def test_a_path_outside_the_environment_is_refused(self) -> None:
        class Plans(rvenv.EnvBuilder):
            def setup_scripts(self, context: rvenv.Context) -> None:
                context.add_file("../out", "")

        with self.assertRaises(rvenv.RequestError):
            Plans().create(self.env)
        self.assertEqual(os.listdir(self.root), [])


class OnTheDisk(Scratch):
    def test_post_setup_installs_with_pip_and_the_result_is_clean(self) -> None:
        speck = wheel(self.root)

        class Installs(rvenv.EnvBuilder):
            def post_setup(self, context: rvenv.Context) -> None:
                context.install(speck)
                self._call_new_python(context, "-c", "import speck")

        Installs(symlinks=True, with_pip=True).create(self.env)
        self.assertEqual(self.says(self.env / "bin/speck"), "1.0")
        self.assert_clean()
        # The old one comes along, with what another installer put there.
        Installs(symlinks=True, with_pip=True).create(self.env)
        self.assertEqual(self.says(self.env / "bin/speck"), "1.0")
        self.assert_clean()
        self.assertEqual(leftovers(self.env), [])
        rvenv.EnvBuilder(symlinks=True, clear=True).create(self.env)
        self.assertFalse((self.env / "bin/speck").exists())

    def test_post_setup_installs_a_requirement_with_pip(self) -> None:
        self.local_index()

        class Installs(rvenv.EnvBuilder):
            what = "needy"

            def post_setup(self, context: rvenv.Context) -> None:
                context.install(self.what)

        builder = Installs(symlinks=True, with_pip=True)
        builder.create(self.env)
        self.assertEqual(self.says(self.env / "bin/speck"), "1.0")
        self.assert_clean()
        builder.what = "speck==7"
        before = picture(self.env)
        with self.assertRaises(subprocess.CalledProcessError):
            builder.create(self.env)
        self.assertEqual(picture(self.env), before)

    def test_an_exception_takes_everything_back_and_is_raised_unchanged(self) -> None:
        class Own(Exception):
            pass

        class Fails(rvenv.EnvBuilder):
            def post_setup(self, context: rvenv.Context) -> None:
                with open(os.path.join(context.bin_path, "activate"), "w") as file:
                    file.write("broken")
                raise Own("no")

        with self.assertRaises(Own):
            Fails(symlinks=True).create(self.env)
        self.assertEqual(os.listdir(self.root), [])
        rvenv.create(self.env, symlinks=True)
        (self.env / "own").write_text("stays")
        before = picture(self.env)
        for clear in (False, True):
            with self.assertRaises(Own):
                Fails(symlinks=True, clear=clear).create(self.env)
            self.assertEqual(picture(self.env), before)
        self.assertEqual(leftovers(self.env), [])

    def test_changed_files_are_as_the_builder_left_them_for_verify(self) -> None:
        class Changes(rvenv.EnvBuilder):
            def create_configuration(self, context: rvenv.Context) -> None:
                super().create_configuration(context)
                with open(context.cfg_path, "a") as file:
                    file.write("team = blue\n")

            def post_setup(self, context: rvenv.Context) -> None:
                os.unlink(os.path.join(context.bin_path, "activate.csh"))

        Changes(symlinks=True).create(self.env)
        self.assertIn("team = blue", (self.env / "pyvenv.cfg").read_text())
        self.assert_clean()

    def test_packages_of_the_system_are_hidden_meanwhile_and_shown_afterwards(self) -> None:
        seen: list[str] = []

        class Looks(rvenv.EnvBuilder):
            def post_setup(self, context: rvenv.Context) -> None:
                with open(context.cfg_path) as file:
                    seen.append(file.read().split("include-system-site-packages = ")[1][:5])

        Looks(symlinks=True, system_site_packages=True).create(self.env)
        self.assertEqual(seen, ["false"])
        text = (self.env / "pyvenv.cfg").read_text()
        self.assertIn("include-system-site-packages = true\n", text)
        self.assert_clean()

    def test_files_that_were_there_before_the_environment_are_not_risked(self) -> None:
        self.env.mkdir()
        (self.env / "project.txt").write_text("a project's")

        class Works(rvenv.EnvBuilder):
            def post_setup(self, context: rvenv.Context) -> None:
                open(os.path.join(context.bin_path, "a"), "w").close()

        with self.assertRaisesRegex(rvenv.TargetError, "older than its environment"):
            Works(symlinks=True).create(self.env)
        self.assertEqual(os.listdir(self.env), ["project.txt"])

    def test_an_override_on_the_instance_counts(self) -> None:
        builder = rvenv.EnvBuilder(symlinks=True)
        seen = []
        builder.post_setup = seen.append  # type: ignore[method-assign]
        builder.create(self.env)
        self.assertEqual(len(seen), 1)

    def test_an_ignore_file_of_another_system(self) -> None:
        class Bzr(rvenv.EnvBuilder):
            def create_bzr_ignore_file(self, context: rvenv.Context) -> None:
                with open(os.path.join(context.env_dir, ".bzrignore"), "w") as file:
                    file.write("*\n")

        Bzr(symlinks=True, scm_ignore_files=["BZR"]).create(self.env)
        self.assertEqual((self.env / ".bzrignore").read_text(), "*\n")
        with self.assertRaises(AttributeError):
            rvenv.EnvBuilder(scm_ignore_files=["svn"]).create(self.root / "other")
        self.assertFalse((self.root / "other").exists())


class WithoutCreate(Scratch):
    def test_each_method_works_at_once_as_in_venv(self) -> None:
        builder = rvenv.EnvBuilder(symlinks=True)
        context = builder.ensure_directories(self.env)
        builder.create_configuration(context)
        builder.setup_python(context)
        builder.setup_scripts(context)
        said = self.says(self.env / "bin/python", "-c", "import sys; print(sys.prefix)")
        self.assertEqual(said, str(self.env))
        self.assertTrue((self.env / "bin/activate").exists())
        self.assertIn(sys.executable, (self.env / "pyvenv.cfg").read_text() + sys.executable)
