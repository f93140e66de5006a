"""The creator ``rvenv`` of virtualenv: ``VIRTUALENV_CREATOR=rvenv``, or ``--creator rvenv``.

virtualenv makes an environment in four steps: the creator makes the interpreter, the seeder
installs pip, the activators write their scripts, and ``pyvenv.cfg`` is written last. This creator
does the work of all four in one transaction of rvenv. The seeder of virtualenv is switched off
then, and what the activators and the configuration write afterwards goes to a scratch directory,
since it is published already.

Promises that a kill leaves the old environment, the new one, or leftovers that the next run of this
creator (or ``rvenv recover``) turns into one of both.
Does not promise anything about what other programs do before and after it: tox, nox and pre-commit
delete the old environment themselves, file by file, before they ask for a new one, and install
packages by pip afterwards. The redirect file ``.venv`` of virtualenv 21 is written after the
transaction, and so are the packages of a seeder other than ``app-data``, or of
``--symlink-app-data``. A kill can leave scratch directories ``rvenv-*`` where temporary files are.

Nothing here is imported by ``import rvenv``: virtualenv loads it by the entry point.
"""

# virtualenv need not be installed where types are checked; its classes are `Any` then.
# mypy: disable-error-code="import-not-found, misc, has-type"

from __future__ import annotations

import copy
import logging
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

from virtualenv.create.pyenv_cfg import PyEnvCfg
from virtualenv.create.via_global_ref.api import ViaGlobalRefApi, ViaGlobalRefMeta

import rvenv

_LOG = logging.getLogger(__name__)
_OLDEST = (3, 6)


class _Aside(type(Path())):
    """A scratch directory that activators take for the environment's ``bin``."""

    def relative_to(self, *_: Any, **__: Any) -> Path:
        """The scripts name their directory by this."""
        return Path("bin")


class _Written(PyEnvCfg):
    """The configuration of a published environment: virtualenv need not write it again."""

    is_published = False
    done: Any = None

    def write(self) -> None:
        """Ends the work of virtualenv; writes only what differs from the published file."""
        if self.done is not None:
            self.done()
        if not self.is_published:
            super().write()


class _Builder(rvenv.EnvBuilder):
    """Plans what virtualenv asks for, with an interpreter that need not be the running one."""

    def __init__(self, python: str, files: dict[str, bytes], wheels: list[Path], **options: Any):
        super().__init__(**options)
        self.python = python
        self.files = files
        self.wheels = wheels

    def _request(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        request = super()._request(*args, **kwargs)
        # virtualenv's --clear deletes whatever is there.
        request.update(python=self.python, force=bool(self.clear))
        return request

    @rvenv.planned
    def setup_scripts(self, context: rvenv.Context) -> None:
        for wheel in self.wheels:
            context.install(wheel)
        for path, data in self.files.items():
            context.add_file(path, data)


def _refusal(interpreter: Any) -> Optional[str]:
    """Why the creator makes no environment for an interpreter, if it does not."""
    if interpreter.os != "posix":
        return "it works on Linux and macOS only"
    if interpreter.implementation != "CPython":
        return f"it makes environments of CPython only, not of {interpreter.implementation}"
    if tuple(interpreter.version_info[:2]) < _OLDEST:
        return "it makes environments of Python 3.6 and later only"
    return None


def _is_asked_for() -> bool:
    from virtualenv.config.ini import IniConfig

    words = " ".join(sys.argv).replace("=", " ")
    if os.environ.get("VIRTUALENV_CREATOR") == "rvenv" or "--creator rvenv" in words:
        return True
    parser: Any = IniConfig().config_parser
    return bool(parser.get(IniConfig.section, "creator", fallback=None) == "rvenv")


class Rvenv(ViaGlobalRefApi):
    """Makes environments by rvenv.

    The paths of the environment (``exe``, ``bin_dir``, ``purelib`` …) are those of the class by
    which virtualenv describes the interpreter.
    """

    def __init__(self, options: Any, interpreter: Any) -> None:
        self.describe = options.describe
        self._aside: Optional[tempfile.TemporaryDirectory[str]] = None
        self._seeded: list[str] = []
        super().__init__(options, interpreter)
        self._options = copy.copy(options)
        self._seeds_itself = self._can_seed(options)
        if self._seeds_itself:
            # The seeder is constructed from the same options after this.
            options.no_seed = True

    def __getattr__(self, name: str) -> Any:
        if name == "describe":
            raise AttributeError(name)
        return getattr(self.describe, name)

    def _args(self) -> list[tuple[str, Any]]:
        """What virtualenv prints of a creator; it names packages only for its own seeder."""
        shown: list[tuple[str, Any]] = super()._args()
        return [*shown, ("packages", ", ".join(self._seeded))] if self._seeds_itself else shown

    @property
    def bin_dir(self) -> Path:
        """The directory of executables; while the activators run, the scratch directory."""
        aside = self._aside
        found: Path = self.describe.bin_dir if aside is None else _Aside(aside.name)
        return found

    @classmethod
    def can_create(cls, interpreter: Any) -> Any:
        """Says why, if rvenv makes no environment for this interpreter; other creators remain."""
        meta: Any = ViaGlobalRefMeta()
        meta.error = _refusal(interpreter)
        if meta.error:
            level = logging.WARNING if _is_asked_for() else logging.DEBUG
            _LOG.log(level, "the creator rvenv is not available: %s", meta.error)
        return meta

    def _can_seed(self, options: Any) -> bool:
        from virtualenv.seed.embed.via_app_data.via_app_data import FromAppData

        if options.no_seed or getattr(options, "seeder", None) != "app-data":
            return False
        cannot = getattr(FromAppData, "cannot_seed", lambda _: None)
        return not options.symlink_app_data and not cannot(self.interpreter)

    def _wheels(self) -> list[Path]:
        """The wheels that virtualenv's own seeder would install."""
        from virtualenv.seed.embed.via_app_data.via_app_data import FromAppData
        from virtualenv.seed.wheels import get_wheel

        if not self._seeds_itself:
            return []
        seeder = FromAppData(self._options)
        found = []
        for name, version in seeder.distribution_to_versions().items():
            # What is not bundled is downloaded.
            for download in [True] if seeder.download else [False, True]:
                wheel = get_wheel(
                    distribution=name,
                    version=version,
                    for_py_version=self.interpreter.version_release_str,
                    search_dirs=seeder.extra_search_dir,
                    download=download,
                    app_data=self.app_data,
                    do_periodic_update=seeder.periodic_update,
                    env=self.env,
                )
                if wheel is not None:
                    break
            else:
                raise RuntimeError(f"there is no wheel of {name} {version or ''}".rstrip())
            found.append(wheel.path)
            self._seeded.append(f"{name}=={wheel.version}")
        return found

    def _activators(self) -> list[Any]:
        from virtualenv.run.plugin.activators import ActivationSelector

        known: Any = ActivationSelector.options("virtualenv.activate")
        names = self._options.activators
        if isinstance(names, str):
            names = names.split(",")
        classes = [known[name] for name in known if name in names]
        return [each(self._options) for each in classes if each.supports(self.interpreter)]

    def _files(self, scratch: Path) -> dict[str, bytes]:
        """What virtualenv writes besides the interpreter, by the paths in the environment."""
        bin_dir = self.bin_dir
        for activator in self._activators():
            activator.generate(self)
        files = {f"bin/{path.name}": path.read_bytes() for path in Path(bin_dir).iterdir()}
        # These write below `dest` and use nothing else.
        marks: Any = SimpleNamespace(dest=scratch)
        if hasattr(ViaGlobalRefApi, "add_cachedir_tag"):  # Not in virtualenv 20.25.
            ViaGlobalRefApi.add_cachedir_tag(marks)
        if not self.no_vcs_ignore:
            ViaGlobalRefApi.setup_ignore_vcs(marks)
        PyEnvCfg(self.pyenv_cfg.content, scratch / "pyvenv.cfg").write()
        for path in scratch.iterdir():
            if path.name == "pyvenv.cfg" or self.clear or not (self.dest / path.name).exists():
                files[path.name] = path.read_bytes()
        if tuple(self.interpreter.version_info[:2]) < (3, 10):
            packages = os.path.relpath(self.purelib, self.dest)
            files[f"{packages}/_virtualenv.pth"] = b"import _virtualenv"
            files[f"{packages}/_virtualenv.py"] = self.env_patch_text().encode()
        return files

    def set_pyenv_cfg(self) -> None:
        """Adds the base, as the default creator does; nox and pre-commit compare it."""
        super().set_pyenv_cfg()
        base: Any = self.interpreter
        self.pyenv_cfg["base-prefix"] = base.system_prefix
        self.pyenv_cfg["base-exec-prefix"] = base.system_exec_prefix
        self.pyenv_cfg["base-executable"] = base.system_executable

    def run(self) -> None:
        """Makes the environment with its packages, scripts and configuration, or changes nothing.

        What the activators write until ``pyenv_cfg.write()`` is published already.
        """
        self._aside = tempfile.TemporaryDirectory(prefix="rvenv-")
        try:
            self.create()
        except BaseException:
            self._end()
            raise
        if getattr(self, "venv_redirect", False) is not False:
            self.point_venv_redirect()

    def create(self) -> None:
        """Publishes the environment in one transaction."""
        cfg = _Written(self.pyenv_cfg.content, self.dest / "pyvenv.cfg")
        cfg.done = self._end
        self.pyenv_cfg = cfg
        self.set_pyenv_cfg()
        with tempfile.TemporaryDirectory(prefix="rvenv-") as scratch:
            files = self._files(Path(scratch))
        builder = _Builder(
            self.interpreter.system_executable or self.interpreter.executable,
            files,
            self._wheels(),
            system_site_packages=self.enable_system_site_package,
            clear=self.clear,
            symlinks=self.symlinks,
        )
        _LOG.info("create %s by rvenv", self.dest)
        builder.create(self.dest)
        cfg.is_published = True

    def _end(self) -> None:
        """Gives ``bin_dir`` its meaning back."""
        if self._aside is not None:
            self._aside.cleanup()
            self._aside = None
