"""The context that the hooks of a builder share."""

from __future__ import annotations

import os
import sys
import types
from typing import Any, Optional, Union

from rvenv._errors import PlanError, RequestError


class Recorder:
    """What the hooks planned, in their order."""

    def __init__(self) -> None:
        self.steps: dict[str, list[Any]] = {}
        self.hook = ""
        self.wheels: list[str] = []
        self.requirements: list[str] = []

    def enter(self, hook: str) -> None:
        """The steps that follow belong to this hook; an earlier call of it no longer counts."""
        self.hook = hook
        self.steps[hook] = []

    def add(self, step: Any) -> None:
        self.steps[self.hook].append(step)


class Context(types.SimpleNamespace):
    """What ``venv`` tells its hooks about the environment, and what adds to it.

    Each attribute is the one of ``venv`` in the running Python; all paths are absolute and final:

    ``env_dir``, ``env_name``, ``prompt``
        the directory, its last part, and the prompt (with parentheses before Python 3.13)
    ``executable``, ``python_dir``, ``python_exe``
        the base interpreter, its directory and its name
    ``bin_path``, ``bin_name``, ``env_exe``, ``env_exec_cmd``
        the directory of executables, its name, the environment's interpreter, and what starts it
    ``inc_path``, ``lib_path`` (3.12), ``platlib_path`` (3.15)
        the directories of headers and of packages
    ``cfg_path``
        ``pyvenv.cfg``; ``create_configuration`` sets it

    A path that is given to a method is relative to ``env_dir``, or absolute and below it.
    """

    env_dir: str
    env_name: str
    prompt: str
    executable: str
    python_dir: str
    python_exe: str
    inc_path: str
    lib_path: str
    bin_path: str
    bin_name: str
    env_exe: str
    env_exec_cmd: str
    cfg_path: str

    def _below(self, path: Union[str, os.PathLike[str]]) -> str:
        given = os.fspath(path)
        full = os.path.normpath(os.path.join(self.env_dir, given))
        below = os.path.relpath(full, self.env_dir)
        if below == os.curdir or below.split(os.sep)[0] == os.pardir:
            raise RequestError(f"{given!r} is not below {self.env_dir!r}")
        return below.replace(os.sep, "/")

    @property
    def _recorder(self) -> Optional[Recorder]:
        return _RECORDERS.get(id(self))

    def add_file(
        self,
        path: Union[str, os.PathLike[str]],
        data: Union[str, bytes],
        *,
        mode: Optional[int] = None,
        executable: bool = False,
    ) -> None:
        """Adds a file, with the directories above it.

        :param path: where; a file that is already there is replaced.
        :param data: its content; a text is written as UTF-8.
        :param mode: permission bits up to 0o777, whatever the umask; ``None`` means 0o666 (0o777
            if ``executable``) without the bits of the umask.
        :raises RequestError: if the path is not below the environment, or ``mode`` has other bits.
        """
        below = self._below(path)
        if isinstance(data, str):
            data = data.encode("utf-8")
        if mode is not None and not 0 <= mode <= 0o777:
            raise RequestError(f"{mode:#o} is not a mode up to 0o777")
        if mode is None and executable:
            mode = 0o777 & ~_umask()
        recorder = self._recorder
        if recorder is not None:
            recorder.add(("file", below, bytes(data), mode))
            return
        write_file(os.path.join(self.env_dir, below), bytes(data), mode)

    def add_dir(self, path: Union[str, os.PathLike[str]]) -> None:
        """Adds a directory, with those above it; one that exists stays.

        :raises RequestError: if the path is not below the environment.
        """
        below = self._below(path)
        recorder = self._recorder
        if recorder is not None:
            recorder.add(("dir", below))
            return
        os.makedirs(os.path.join(self.env_dir, below), exist_ok=True)

    def add_link(
        self, path: Union[str, os.PathLike[str]], target: Union[str, os.PathLike[str]]
    ) -> None:
        """Adds a symbolic link.

        :param path: where the link is; a file that is already there is replaced.
        :param target: the text of the link: absolute, or relative to the link's directory.
        :raises RequestError: if the path is not below the environment.
        """
        below = self._below(path)
        recorder = self._recorder
        if recorder is not None:
            recorder.add(("link", below, os.fspath(target)))
            return
        full = os.path.join(self.env_dir, below)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        temporary = f"{full}.{os.getpid()}.new"
        os.symlink(os.fspath(target), temporary)
        os.replace(temporary, full)

    def install(self, what: Union[str, os.PathLike[str]]) -> None:
        """Installs a wheel, or what a requirement needs.

        :param what: the path of a ``.whl`` file, which is installed without its dependencies; or
            a requirement (``"rich>=13"``), which is resolved with them. While an environment is
            planned the wheels become part of the plan; afterwards pip is started.
        :raises PlanError: if there is no such wheel; ``CalledProcessError`` if pip fails.
        """
        given = os.fspath(what)
        recorder = self._recorder
        is_wheel = given.endswith(".whl")
        if is_wheel and not os.path.isfile(given):
            raise PlanError(f"there is no wheel {given!r}")
        if recorder is None:
            import subprocess

            words = [self.env_exec_cmd, "-Im", "pip", "install", "--disable-pip-version-check"]
            words += ["--no-deps", "--no-index"] if is_wheel else []
            subprocess.run([*words, given], check=True, stdout=subprocess.DEVNULL)
        elif is_wheel:
            given = os.path.abspath(given)
            recorder.wheels.append(given)
            recorder.add(("wheel", given))
        else:
            recorder.requirements.append(given)


#: The recorders of contexts that are being planned; not an attribute, so that `vars(context)` has
#: what venv's has.
_RECORDERS: dict[int, Recorder] = {}


def record(context: Context, recorder: Optional[Recorder]) -> None:
    """Makes the methods of a context record, or work on the disk again."""
    if recorder is None:
        _RECORDERS.pop(id(context), None)
    else:
        _RECORDERS[id(context)] = recorder


def _umask() -> int:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def write_file(path: str, data: bytes, mode: Optional[int]) -> None:
    """Writes a file of a published environment: whole, by a rename."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}.new"
    with open(temporary, "wb") as file:
        file.write(data)
    if mode is not None:
        os.chmod(temporary, mode)
    os.replace(temporary, path)


def make(builder: Any, env_dir: str) -> Context:
    """The context of an environment, as the running Python's ``venv`` would fill it in."""
    executable = getattr(sys, "_base_executable", sys.executable)
    if not executable:
        raise RequestError(
            "Unable to determine path to the running Python interpreter. Provide an explicit "
            "path or check that your PATH environment variable is correctly set."
        )
    minor = sys.version_info[1]
    context = Context()
    context.env_dir = env_dir
    context.env_name = os.path.split(env_dir)[1]
    prompt = builder.prompt if builder.prompt is not None else context.env_name
    context.prompt = prompt if minor >= 13 else f"({prompt}) "
    dirname, exename = os.path.split(os.path.abspath(executable))
    if os.name == "nt":
        stem = os.path.splitext(exename)[0]
        exename = "python_d.exe" if stem.endswith("_d") else "python.exe"
    context.executable = executable
    context.python_dir = dirname
    context.python_exe = exename
    free = "t" if getattr(sys, "abiflags", "").startswith("t") else ""
    name = f"python{sys.version_info[0]}.{minor}{free}"
    if os.name == "nt":
        bin_name, include, lib = "Scripts", "Include", os.path.join("Lib", "site-packages")
    else:
        bin_name, include = "bin", "include"
        if 11 <= minor <= 13:
            abi = getattr(sys, "abiflags", "")
            include = os.path.join("include", f"python{sys.version_info[0]}.{minor}{abi}")
        lib = os.path.join("lib", name, "site-packages")
    context.inc_path = os.path.join(env_dir, include)
    context.lib_path = os.path.join(env_dir, lib)
    if minor >= 15:
        platlib = os.path.join(getattr(sys, "platlibdir", "lib"), name, "site-packages")
        context.platlib_path = os.path.join(env_dir, platlib)
    context.bin_path = os.path.join(env_dir, bin_name)
    context.bin_name = bin_name
    context.env_exe = os.path.join(context.bin_path, exename)
    context.env_exec_cmd = context.env_exe
    return context
