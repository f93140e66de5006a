"""The documentation of ``venv.EnvBuilder``, sentence by sentence.

Each test has the sentence that it is for as its docstring.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import venv
from typing import Any

import rvenv
from support import RVENV, Scratch, base_executable, picture

BIN = "bin"


class TheOptions(Scratch):
    def cfg(self) -> str:
        return (self.env / "pyvenv.cfg").read_text(encoding="utf-8")

    def test_system_site_packages(self) -> None:
        """a Boolean value indicating that the system Python site-packages should be available to
        the environment (defaults to False)"""
        rvenv.EnvBuilder().create(self.env)
        self.assertIn("include-system-site-packages = false\n", self.cfg())
        rvenv.EnvBuilder(system_site_packages=True, clear=True).create(self.env)
        self.assertIn("include-system-site-packages = true\n", self.cfg())

    def test_clear(self) -> None:
        """a Boolean value which, if true, will delete the contents of any existing target
        directory, before creating the environment"""
        rvenv.EnvBuilder(symlinks=True).create(self.env)
        (self.env / "other").write_text("goes")
        rvenv.EnvBuilder(symlinks=True).create(self.env)
        self.assertTrue((self.env / "other").exists())
        rvenv.EnvBuilder(symlinks=True, clear=True).create(self.env)
        self.assertFalse((self.env / "other").exists())

    def test_symlinks(self) -> None:
        """a Boolean value indicating whether to attempt to symlink the Python binary rather than
        copying"""
        name = os.path.basename(getattr(sys, "_base_executable", sys.executable))
        for wanted in (True, False):
            rvenv.EnvBuilder(symlinks=wanted, clear=True).create(self.env)
            self.assertEqual((self.env / BIN / name).is_symlink(), wanted)

    def test_upgrade(self) -> None:
        """a Boolean value which, if true, will upgrade an existing environment with the running
        Python"""
        rvenv.EnvBuilder(symlinks=True).create(self.env)
        (self.env / BIN / "python3").unlink()
        (self.env / "own").write_text("stays")
        rvenv.EnvBuilder(symlinks=True, upgrade=True).create(self.env)
        said = self.says(
            self.env / BIN / "python3", "-c", "import sys; print(sys.version_info[:2])"
        )
        self.assertEqual(said, str(sys.version_info[:2]))
        self.assertTrue((self.env / "own").exists())

    def test_upgrade_of_nothing_creates(self) -> None:
        """venv creates an environment where there is none to upgrade."""
        rvenv.EnvBuilder(symlinks=True, upgrade=True).create(self.env)
        self.assertTrue((self.env / BIN / "python").exists())
        if sys.version_info >= (3, 11):
            self.assertIn(" --upgrade ", self.cfg())

    def test_with_pip(self) -> None:
        """a Boolean value which, if true, ensures pip is installed in the virtual environment.
        This uses ensurepip with the --default-pip option."""
        rvenv.EnvBuilder(symlinks=True, with_pip=True).create(self.env)
        import ensurepip

        said = self.says(self.env / BIN / "pip", "--version")
        self.assertTrue(said.startswith(f"pip {ensurepip.version()} from {self.env}"), said)
        rvenv.EnvBuilder(symlinks=True, clear=True).create(self.env)
        self.assertFalse((self.env / BIN / "pip").exists())

    def test_prompt(self) -> None:
        """a String to be used after virtual environment is activated (defaults to None which means
        directory name of the environment would be used)"""
        prompt = 'printf "%s" "${PS1@P}"'
        for asked, shown in ((None, "(E)"), ("mine", "(mine)"), (".", f"({self.root.name})")):
            rvenv.EnvBuilder(symlinks=True, clear=True, prompt=asked).create(self.env)
            said = self.says("bash", "-c", f"PS1='$ '; . {self.env}/bin/activate; {prompt}")
            self.assertTrue(said.startswith(shown), said)

    def test_the_options_are_attributes(self) -> None:
        """The constructor, its order and its attributes are those of the running Python's venv."""
        import inspect

        own = inspect.signature(rvenv.EnvBuilder.__init__).parameters
        for name, parameter in inspect.signature(venv.EnvBuilder.__init__).parameters.items():
            self.assertEqual(own[name].default, parameter.default, name)
            self.assertEqual(own[name].kind, parameter.kind, name)
        theirs, ours = vars(venv.EnvBuilder(prompt=".")), vars(rvenv.EnvBuilder(prompt="."))
        self.assertEqual({name: ours[name] for name in theirs}, theirs)

    def test_every_method_of_venv(self) -> None:
        """Whatever a subclass overrides or calls exists."""
        missing = {name for name in dir(venv.EnvBuilder) if not hasattr(rvenv.EnvBuilder, name)}
        self.assertEqual(missing, set())

    def test_it_can_be_a_base_class(self) -> None:
        """Creators of third-party virtual environment tools will be free to use the provided
        EnvBuilder class as a base class."""

        class Builder(rvenv.EnvBuilder):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                self.nodist = kwargs.pop("nodist", False)
                super().__init__(*args, **kwargs)

        Builder(False, True, True, nodist=True).create(self.env)
        self.assertTrue(self.env.is_dir())


class Create(Scratch):
    def test_the_path(self) -> None:
        """This method takes as required argument the path (absolute or relative to the current
        directory) of the target directory which is to contain the virtual environment."""
        rvenv.EnvBuilder(symlinks=True).create("relative")
        rvenv.EnvBuilder(symlinks=True).create(str(self.root / "absolute"))
        rvenv.EnvBuilder(symlinks=True).create(pathlib.Path("of/pathlib"))
        for name in ("relative", "absolute", "of/pathlib"):
            self.assertTrue((self.root / name / "pyvenv.cfg").is_file(), name)

    def test_create_or_raise(self) -> None:
        """The create method will either create the environment in the specified directory, or
        raise an appropriate exception."""
        self.assertIsNone(rvenv.EnvBuilder(symlinks=True).create(self.env))
        file = self.root / "file"
        file.write_text("text")
        with self.assertRaises((ValueError, OSError)):
            rvenv.EnvBuilder().create(file)
        with self.assertRaises(OSError) as raised:
            rvenv.EnvBuilder().create(file / "below")
        self.assertIsInstance(raised.exception, rvenv.Error)
        with self.assertRaises(ValueError):
            rvenv.EnvBuilder().create(f"a{os.pathsep}b")
        self.assertEqual(file.read_text(), "text")

    def test_the_order_of_the_hooks(self) -> None:
        """The create method of the EnvBuilder class illustrates the hooks available for subclass
        customization: those of the running Python's venv are called in the same order."""
        names = (
            "ensure_directories create_git_ignore_file create_configuration setup_python "
            "_setup_pip setup_scripts post_setup upgrade_dependencies"
        ).split()

        def recording(base: Any) -> Any:
            calls: list[Any] = []

            def method(name: str) -> Any:
                def call(self: Any, what: Any) -> Any:
                    calls.append((name, self.system_site_packages))
                    if name in ("_setup_pip", "upgrade_dependencies"):
                        return None
                    return getattr(base, name)(self, what)

                return call

            found = {name: method(name) for name in names if hasattr(base, name)}
            kind = type("Recording", (base,), found)
            kind.calls = calls
            return kind

        options: dict[str, Any] = {"symlinks": True, "with_pip": True, "system_site_packages": True}
        options["upgrade_deps"] = True
        if sys.version_info >= (3, 13):
            options["scm_ignore_files"] = ["git"]
        theirs, ours = recording(venv.EnvBuilder), recording(rvenv.EnvBuilder)
        theirs(**options).create(self.root / "theirs")
        ours(**options).create(self.root / "ours")
        self.assertEqual(ours.calls, theirs.calls)
        kinds = [picture(self.root / name) or {} for name in ("theirs", "ours")]
        missing = set(kinds[0]) - set(kinds[1])
        self.assertEqual(missing, set())

    def test_the_hooks_can_be_overridden(self) -> None:
        """Each of the methods ensure_directories(), create_configuration(), setup_python(),
        setup_scripts() and post_setup() can be overridden."""
        for name in (
            "ensure_directories",
            "create_configuration",
            "setup_python",
            "setup_scripts",
            "post_setup",
        ):
            with self.subTest(name):
                called = []

                def override(self: Any, what: Any, name: str = name) -> Any:
                    called.append(what)
                    return getattr(rvenv.EnvBuilder, name)(self, what)

                builder = type("Builder", (rvenv.EnvBuilder,), {name: override})
                env = self.root / name
                builder(symlinks=True).create(env)
                self.assertEqual(len(called), 1)
                self.says(env / BIN / "python", "-c", "pass")


class TheHooks(Scratch):
    def theirs(self) -> pathlib.Path:
        """An environment that venv makes with symbolic links."""
        place = self.root / "theirs"
        if base_executable() == getattr(sys, "_base_executable", sys.executable):
            venv.EnvBuilder(symlinks=True).create(place)
        else:
            words = ["-m", "venv", "--symlinks", "--without-pip", str(place)]
            subprocess.run([base_executable(), *words], check=True)
        return place

    def test_ensure_directories(self) -> None:
        """Creates the environment directory and all necessary directories, and returns a context
        object. This is just a holder for attributes (such as paths), for use by the other
        methods."""
        context = rvenv.EnvBuilder().ensure_directories(self.env)
        theirs = venv.EnvBuilder().ensure_directories(str(self.env))
        self.assertEqual(
            {name: getattr(context, name) for name in vars(theirs)},
            vars(theirs),
        )
        for path in (context.env_dir, context.bin_path, context.inc_path, context.lib_path):
            self.assertTrue(os.path.isdir(path), path)
        context.anything = 1

    def test_the_directories_may_exist(self) -> None:
        """The directories are allowed to exist already, as long as either clear or upgrade were
        specified to allow operating on an existing environment directory."""
        rvenv.EnvBuilder(symlinks=True).create(self.env)
        rvenv.EnvBuilder(symlinks=True, clear=True).create(self.env)
        rvenv.EnvBuilder(symlinks=True, upgrade=True).create(self.env)
        # As venv itself does, without either too.
        rvenv.EnvBuilder(symlinks=True).create(self.env)

    def test_create_configuration(self) -> None:
        """Creates the pyvenv.cfg configuration file in the environment."""

        class Builder(rvenv.EnvBuilder):
            def create_configuration(self, context: rvenv.Context) -> None:
                super().create_configuration(context)
                self.seen = context.cfg_path

        builder = Builder(symlinks=True)
        builder.create(self.env)
        self.assertEqual(builder.seen, str(self.env / "pyvenv.cfg"))
        theirs = self.theirs()

        def lines(env: pathlib.Path) -> list[str]:
            text = (env / "pyvenv.cfg").read_text().replace(str(env), "ENV")
            return [line for line in text.splitlines() if not line.startswith("rvenv = ")]

        self.assertEqual(lines(self.env), lines(theirs))

    def test_setup_python(self) -> None:
        """Creates a copy or symlink to the Python executable in the environment. On POSIX systems,
        if a specific executable python3.x was used, symlinks to python and python3 will be created
        pointing to that executable, unless files with those names already exist."""
        base = os.path.basename(base_executable())
        rvenv.EnvBuilder(symlinks=True).create(self.env)
        theirs = self.theirs()
        for name in ("python", "python3", f"python3.{sys.version_info[1]}"):
            own = os.readlink(self.env / BIN / name)
            self.assertEqual(own, os.readlink(theirs / BIN / name), name)
            if name != base:
                self.assertEqual(own, base)

        running = os.path.basename(getattr(sys, "_base_executable", sys.executable))

        class Own(rvenv.EnvBuilder):
            def ensure_directories(self, env_dir: Any) -> rvenv.Context:
                context = super().ensure_directories(env_dir)
                os.makedirs(context.bin_path, exist_ok=True)
                return context

            def setup_python(self, context: rvenv.Context) -> None:
                mine = os.path.join(context.bin_path, "python")
                if running != "python":
                    os.symlink("elsewhere", mine)
                    os.unlink(mine)
                    with open(mine, "w") as file:
                        file.write("mine")
                super().setup_python(context)

        Own(symlinks=True).create(self.root / "own")
        if running != "python":
            self.assertEqual((self.root / "own" / BIN / "python").read_text(), "mine")

    def test_setup_scripts(self) -> None:
        """Installs activation scripts appropriate to the platform into the virtual environment."""
        theirs = self.root / "theirs"
        venv.EnvBuilder(symlinks=True).create(theirs)
        rvenv.EnvBuilder(symlinks=True).create(self.env)
        missing = set(os.listdir(theirs / BIN)) - set(os.listdir(self.env / BIN))
        self.assertEqual(missing, set())
        said = self.says("bash", "-c", f". {self.env}/bin/activate; command -v python")
        self.assertEqual(said, str(self.env / BIN / "python"))

        class Without(rvenv.EnvBuilder):
            def setup_scripts(self, context: rvenv.Context) -> None:
                pass

        Without(symlinks=True).create(self.root / "without")
        self.assertFalse((self.root / "without" / BIN / "activate").exists())

    def test_post_setup(self) -> None:
        """A placeholder method which can be overridden in third party implementations to
        pre-install packages in the virtual environment or perform other post-creation steps."""
        seen: list[bool] = []

        class Builder(rvenv.EnvBuilder):
            def post_setup(self, context: rvenv.Context) -> None:
                seen.append(os.path.exists(context.env_exe))
                seen.append(os.path.exists(os.path.join(context.bin_path, "activate")))

        Builder(symlinks=True).create(self.env)
        self.assertEqual(seen, [True, True])
        self.assertIsNone(rvenv.EnvBuilder().post_setup(rvenv.Context()))


class InstallScripts(Scratch):
    def scripts(self) -> pathlib.Path:
        """A directory with one script for each platform, and one at the top."""
        path = self.root / "scripts"
        for folder in ("common/deep", "posix", "nt"):
            (path / folder).mkdir(parents=True)
        values = {"D": "DIR", "N": "NAME", "P": "PROMPT", "B": "BIN_NAME", "X": "PYTHON"}
        text = "".join(f"{name}=__VENV_{value}__\n" for name, value in values.items())
        for name in ("common/deep/all", "posix/here", "nt/there", "top"):
            (path / name).write_text(text)
            (path / name).chmod(0o755)
        return path

    def check(self, env: pathlib.Path) -> None:
        bin_path = env / BIN
        self.assertTrue((bin_path / "deep/all").is_file())
        self.assertFalse((bin_path / "there").exists())
        self.assertFalse((bin_path / "top").exists())
        self.assertTrue(os.access(bin_path / "here", os.X_OK))
        name = os.path.basename(getattr(sys, "_base_executable", sys.executable))
        shown = '. "$1"; printf "%s|" "$D" "$N" "$P" "$B" "$X"'
        said = self.says("bash", "-c", shown, "-", bin_path / "here")
        prompt = env.name if sys.version_info >= (3, 13) else f"({env.name}) "
        values = [str(env), env.name, prompt, "bin", f"{env}/bin/{name}"]
        self.assertEqual(said, "|".join(values) + "|")

    def test_from_setup_scripts_and_post_setup(self) -> None:
        """In addition, EnvBuilder provides this utility method that can be called from
        setup_scripts() or post_setup() in subclasses to assist in installing custom scripts into
        the virtual environment: install_scripts(context, path). path is the path to a directory
        that should contain subdirectories "common", "posix", "nt", each containing scripts destined
        for the bin directory in the environment. The contents of "common" and the directory
        corresponding to os.name are copied after some text replacement of placeholders."""
        path = self.scripts()

        class Planned(rvenv.EnvBuilder):
            scripts = str(path)

            @rvenv.planned
            def setup_scripts(self, context: rvenv.Context) -> None:
                super().setup_scripts(context)
                self.install_scripts(context, self.scripts)

        class After(rvenv.EnvBuilder):
            def post_setup(self, context: rvenv.Context) -> None:
                self.install_scripts(context, path)

        for kind in (Planned, After):
            for name in ("plain", "it's $HOME"):
                env = self.root / kind.__name__ / name
                kind(symlinks=True).create(env)
                self.check(env)
                self.assert_clean(env)

    def test_the_directories_may_exist(self) -> None:
        """The directories are allowed to exist (for when an existing environment is being
        upgraded)."""
        path = self.scripts()

        class After(rvenv.EnvBuilder):
            def post_setup(self, context: rvenv.Context) -> None:
                self.install_scripts(context, str(path))
                self.install_scripts(context, str(path))

        After(symlinks=True).create(self.env)
        After(symlinks=True).create(self.env)
        self.check(self.env)

    def test_replace_variables_can_be_overridden(self) -> None:
        """What venv calls for each script is a method as well."""
        path = self.scripts()

        class Loud(rvenv.EnvBuilder):
            def replace_variables(self, text: str, context: rvenv.Context) -> str:
                return super().replace_variables(text, context) + "# LOUD\n"

            def post_setup(self, context: rvenv.Context) -> None:
                self.install_scripts(context, path)

        Loud(symlinks=True).create(self.env)
        self.assertTrue((self.env / BIN / "here").read_text().endswith("# LOUD\n"))
        self.assertTrue((self.env / BIN / "activate").read_text().endswith("# LOUD\n"))


class TheModule(Scratch):
    def test_a_traceback_names_the_exceptions_of_the_module(self) -> None:
        """The name that a caller catches is the one that is shown."""
        import pickle

        with self.assertRaises(rvenv.RequestError) as caught:
            rvenv.create(self.root / f"a{os.pathsep}b")
        error = pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual(f"{type(error).__module__}.{type(error).__name__}", "rvenv.RequestError")
        self.assertEqual(str(error), str(caught.exception))

    def test_create(self) -> None:
        """There is also a module-level convenience function: Create an EnvBuilder with the given
        keyword arguments, and call its create() method with the env_dir argument."""
        import inspect

        own = inspect.signature(rvenv.create).parameters
        for name, parameter in inspect.signature(venv.create).parameters.items():
            self.assertEqual(
                (own[name].default, own[name].kind), (parameter.default, parameter.kind)
            )
        rvenv.create(self.env, False, False, True, False, "p")
        self.assertIn("prompt = 'p'", (self.env / "pyvenv.cfg").read_text())

    def test_the_command_is_in_the_wheel(self) -> None:
        """The executable needs no Python in front of it."""
        with open(RVENV, "rb") as file:
            self.assertEqual(file.read(4), b"\x7fELF") if sys.platform == "linux" else None
