"""``EnvBuilder``: the class of ``venv``, whose ``create`` is a transaction."""

from __future__ import annotations

import os
import sys
from typing import Any, Iterable, Optional, Union

from rvenv import _context
from rvenv._context import Context, Recorder

_Path = Union[str, "os.PathLike[str]"]

#: The methods that an override of one of these changes.
_INNER = {
    "setup_python": ("symlink_or_copy",),
    "_setup_pip": ("_call_new_python",),
    "upgrade_dependencies": ("_call_new_python",),
    "setup_scripts": ("install_scripts", "replace_variables"),
}
#: Planned even if an override writes them again on the disk: an interpreter never exists without
#: its configuration, and a directory before what is in it.
_ALWAYS_PLANNED = ("ensure_directories", "create_configuration")


class _Run:
    """One ``create``: what was planned, and what is left to do on the disk."""

    def __init__(self, env_dir: str) -> None:
        self.env_dir = env_dir
        self.recorder: Optional[Recorder] = Recorder()
        self.later: list[tuple[str, bool]] = []
        self.context: Optional[Context] = None


class EnvBuilder:
    """Creates virtual environments; subclasses may override any method.

    The arguments are those of ``venv.EnvBuilder`` in the running Python:

    :param system_site_packages: whether the packages of the base installation are visible.
    :param clear: whether an existing environment is replaced, in one rename. A directory that is
        not an environment, or is more than one, is not cleared.
    :param symlinks: whether the interpreter is linked rather than copied.
    :param upgrade: whether an existing environment gets the running Python and keeps its packages.
    :param with_pip: whether pip is installed, from the wheels of ``ensurepip``; nothing is started.
    :param prompt: the prompt; ``None`` means the name of the directory, ``"."`` that of the
        working directory.
    :param upgrade_deps: whether pip (and setuptools before 3.12) is the newest of the index.
    :param scm_ignore_files: the version control systems that are to ignore the environment; each
        name needs a method ``create_NAME_ignore_file``.
    :param keep: whether what ``create`` replaces is kept for ``rvenv rollback``; not in ``venv``.
        An upgrade keeps it always.

    ``create`` calls the methods in the order of ``venv``. What the methods of this class do is
    planned, built beside the directory and published with one rename. An override that works on
    the disk runs after that, and before the change is final: an exception, Ctrl-C or a kill takes
    everything back. docs/python.md tells which override does.
    """

    _run: Optional[_Run] = None

    def __init__(
        self,
        system_site_packages: bool = False,
        clear: bool = False,
        symlinks: bool = False,
        upgrade: bool = False,
        with_pip: bool = False,
        prompt: Optional[str] = None,
        upgrade_deps: bool = False,
        *,
        scm_ignore_files: Iterable[str] = frozenset(),
        keep: bool = False,
    ) -> None:
        self.system_site_packages = system_site_packages
        self.clear = clear
        self.symlinks = symlinks
        self.upgrade = upgrade
        self.with_pip = with_pip
        self.orig_prompt = prompt
        if prompt == ".":
            prompt = os.path.basename(os.getcwd())
        self.prompt = prompt
        self.upgrade_deps = upgrade_deps
        self.scm_ignore_files = frozenset(map(str.lower, scm_ignore_files))
        self.keep = keep

    # -- the transaction ---------------------------------------------------------------------

    def create(self, env_dir: _Path) -> None:
        """Creates or changes the environment in a directory, wholly or not at all.

        :param env_dir: the directory, relative to the working directory or absolute.
        :raises ValueError: for a path, a prompt or a directory that cannot be
            (``RequestError``, ``TargetError``).
        :raises OSError: where the system refused something (``DiskError``), or another process
            held the lock for a minute (``BusyError``).
        :raises Error: for everything else. Whatever an override raises is raised unchanged, after
            the directory is as it was.

        A crash at any moment leaves the old state or the new one; the next change of the
        directory, or ``rvenv recover``, finishes or takes back what was under way.
        """
        from rvenv import _rvenv

        env_dir = self._checked(env_dir)
        if not self._overridden():
            _rvenv.create(self._request(env_dir))
            return
        run = self._plan(env_dir)
        try:
            steps = run.recorder
            assert steps is not None
            run.recorder = None
            request = self._request(env_dir, steps, as_whole=bool(run.later))
            if run.later:
                _rvenv.create(request, lambda: self._work_on_disk(run))
            else:
                _rvenv.create(request)
        finally:
            del self._run

    def plan(self, env_dir: _Path) -> Any:
        """Plans what ``create`` would do, without doing it.

        :returns: a ``Plan``, which can be printed, saved and applied.
        :raises PlanError: if an override works on the disk: no plan has what it would do.
        """
        from rvenv import _rvenv
        from rvenv._errors import PlanError

        env_dir = self._checked(env_dir)
        steps = None
        if self._overridden():
            run = self._plan(env_dir)
            del self._run
            if run.later:
                names = ", ".join(dict.fromkeys(hook for hook, _ in run.later))
                raise PlanError(f"{names} works on the disk, so that no plan can have it")
            steps = run.recorder
        return _rvenv.plan(self._request(env_dir, steps))

    def _checked(self, env_dir: _Path) -> str:
        from rvenv._errors import RequestError

        path = os.path.abspath(os.fspath(env_dir))
        if os.pathsep in path:
            raise RequestError(
                f"Refusing to create a venv in {path} because it contains the PATH separator "
                f"{os.pathsep}."
            )
        return path

    def _is_overridden(self, name: str) -> bool:
        if name in self.__dict__:
            return True
        return getattr(type(self), name, None) is not getattr(EnvBuilder, name, None)

    def _order(self) -> list[tuple[str, bool]]:
        """The hooks that a creation calls, in the order of venv, and ``system_site_packages``
        while each runs."""
        asked = bool(self.system_site_packages)
        order = [("ensure_directories", asked)]
        for scm in self.scm_ignore_files:
            # As in venv, a name without a method is an AttributeError.
            hook = f"create_{scm}_ignore_file"
            getattr(self, hook)
            order.append((hook, asked))
        order += [("create_configuration", False), ("setup_python", False)]
        if self.with_pip:
            order.append(("_setup_pip", False))
        if not self.upgrade:
            order += [("setup_scripts", False), ("post_setup", False)]
        if asked:
            order.append(("create_configuration", True))
        if self.upgrade_deps:
            order.append(("upgrade_dependencies", asked))
        return order

    def _differs(self, hook: str) -> list[str]:
        """The overridden methods by which a hook does something else than in this class."""
        methods = (hook, *_INNER.get(hook, ()))
        return [method for method in methods if self._is_overridden(method)]

    def _overridden(self) -> list[str]:
        return [hook for hook, _ in self._order() if self._differs(hook)]

    def _request(
        self, env_dir: str, steps: Optional[Recorder] = None, as_whole: bool = False
    ) -> dict[str, Any]:
        recorded = steps.steps if steps else {}
        deps = recorded.get("upgrade_dependencies", ["base"])
        return {
            "env_dir": env_dir,
            "python": sys.executable,
            "system_site_packages": bool(self.system_site_packages),
            "clear": bool(self.clear),
            "symlinks": bool(self.symlinks),
            "upgrade": bool(self.upgrade),
            "with_pip": bool(self.with_pip),
            "prompt": None if self.prompt is None else str(self.prompt),
            "orig_prompt": None if self.orig_prompt is None else str(self.orig_prompt),
            "upgrade_deps": bool(self.upgrade_deps),
            "downloads_deps": "base" in deps,
            "scm_ignore_files": set(self.scm_ignore_files),
            "steps": list(recorded.items()),
            "as_whole": as_whole,
            "wheels": steps.wheels if steps else [],
            "requirements": steps.requirements if steps else [],
            "force": False,
            "keep": bool(self.keep),
        }

    def _plan(self, env_dir: str) -> _Run:
        """Calls the overrides that plan, up to the first that works on the disk."""
        from rvenv._planned import plans

        run = _Run(env_dir)
        recorder = run.recorder
        assert recorder is not None
        context = None
        self._run = run
        asked = self.system_site_packages
        try:
            for hook, shown in self._order():
                method = getattr(self, hook)
                differing = self._differs(hook)
                self.system_site_packages = shown
                if hook == "create_configuration" and context is not None:
                    context.cfg_path = os.path.join(env_dir, "pyvenv.cfg")
                if not differing:
                    pass
                elif run.later or not all(plans(getattr(self, name)) for name in differing):
                    run.later.append((hook, shown))
                    recorder.steps[hook] = ["base"] if hook in _ALWAYS_PLANNED else []
                else:
                    recorder.enter(hook)
                    if hook == "ensure_directories":
                        context = method(env_dir)
                    else:
                        method(context)
                if context is None:
                    context = _context.make(self, env_dir)
                _context.record(context, recorder)
        finally:
            self.system_site_packages = asked
            if context is not None:
                _context.record(context, None)
        run.context = context
        return run

    def _work_on_disk(self, run: _Run) -> None:
        """Runs the overrides that work on the disk, in the published environment."""
        context = run.context
        assert context is not None
        asked = self.system_site_packages
        try:
            with _HiddenSystemPackages(bool(asked), context):
                for hook, shown in run.later:
                    self.system_site_packages = shown
                    if hook == "ensure_directories":
                        context = self.ensure_directories(run.env_dir)
                        context.cfg_path = os.path.join(run.env_dir, "pyvenv.cfg")
                    else:
                        getattr(self, hook)(context)
        finally:
            self.system_site_packages = asked

    def _recorder_of(self, context: Any) -> Optional[Recorder]:
        return _context._RECORDERS.get(id(context))

    # -- the hooks of venv -------------------------------------------------------------------

    def ensure_directories(self, env_dir: _Path) -> Context:
        """Creates the directories, and returns the context for the other methods.

        Within ``create`` they are planned; a call of its own creates them at once, and empties an
        existing directory first if ``clear`` is set.

        :raises ValueError: if a file or a link is where a directory has to be.
        """
        from rvenv import _disk

        path = self._checked(env_dir)
        run = self._run
        if run is not None and run.env_dir == path:
            if run.recorder is not None:
                run.recorder.add("base")
                context = _context.make(self, path)
                _context.record(context, run.recorder)
                return context
            return _disk.ensure_directories(self, path, clear=False)
        return _disk.ensure_directories(self, path, clear=bool(self.clear))

    def clear_directory(self, path: _Path) -> None:
        """Deletes everything in a directory, at once.

        ``create`` does not call it: it replaces the old environment by the new one.
        """
        from rvenv import _disk

        _disk.clear_directory(os.fspath(path))

    def create_git_ignore_file(self, context: Context) -> None:
        """Creates a ``.gitignore`` that makes git ignore the whole environment."""
        text = "# Made by rvenv: an environment is built, not versioned.\n*\n"
        context.add_file(".gitignore", text)

    def create_configuration(self, context: Context) -> None:
        """Creates ``pyvenv.cfg``, and sets ``context.cfg_path``.

        ``create`` calls it with ``system_site_packages`` unset first, so that what is installed in
        between does not take packages of the base installation for its own; if the option is set,
        it calls it again at the end.
        """
        from rvenv import _disk

        context.cfg_path = os.path.join(context.env_dir, "pyvenv.cfg")
        recorder = self._recorder_of(context)
        if recorder is not None:
            recorder.add("base")
        else:
            _disk.write_texts(self, context, "create_configuration")

    def symlink_or_copy(self, src: str, dst: str, relative_symlinks_ok: bool = False) -> None:
        """Links a file, or copies it if ``symlinks`` is unset or linking fails; at once."""
        from rvenv import _disk

        _disk.symlink_or_copy(self, src, dst, relative_symlinks_ok)

    def setup_python(self, context: Context) -> None:
        """Creates the interpreter and its other names, as links or as copies."""
        from rvenv import _disk

        recorder = self._recorder_of(context)
        if recorder is not None:
            recorder.add("base")
        else:
            _disk.setup_python(self, context)

    def _call_new_python(self, context: Context, *py_args: str, **kwargs: Any) -> None:
        """Runs the environment's interpreter; raises ``CalledProcessError`` if it fails."""
        from rvenv import _disk

        _disk.call_new_python(context, *py_args, **kwargs)

    def _setup_pip(self, context: Context) -> None:
        """Installs pip: planned from the wheels of ``ensurepip``, or by ``ensurepip`` itself."""
        from rvenv import _disk

        recorder = self._recorder_of(context)
        if recorder is not None:
            recorder.add("base")
        else:
            _disk.setup_pip(self, context)

    def setup_scripts(self, context: Context) -> None:
        """Creates the activation scripts."""
        from rvenv import _disk

        if self._differs("setup_scripts")[-1:] in (["install_scripts"], ["replace_variables"]):
            self.install_scripts(context, _disk.SCRIPTS)
            return
        recorder = self._recorder_of(context)
        if recorder is not None:
            recorder.add("base")
        else:
            _disk.write_texts(self, context, "setup_scripts")

    def post_setup(self, context: Context) -> None:
        """Does nothing; overrides install packages, add scripts, and whatever else is wanted.

        The environment is published by then, at its final path. What this raises takes it back.
        """

    def replace_variables(self, text: str, context: Context) -> str:
        """The text of a script with its placeholders replaced.

        ``__VENV_DIR__``, ``__VENV_NAME__``, ``__VENV_PROMPT__``, ``__VENV_BIN_NAME__`` and
        ``__VENV_PYTHON__`` become the values of the context, each quoted as one word.
        """
        from rvenv import _disk

        return _disk.replace_variables(text, context)

    def install_scripts(self, context: Context, path: _Path) -> None:
        """Adds the scripts of a directory, with their placeholders replaced.

        :param path: a directory with ``common`` and ``posix`` or ``nt``; their contents go into
            ``context.bin_path``.
        """
        from rvenv import _disk

        source = os.path.abspath(os.fspath(path))
        recorder = self._recorder_of(context)
        is_default = os.path.normpath(source) == _disk.SCRIPTS
        is_plain = not self._is_overridden("replace_variables")
        if recorder is None:
            if is_default and is_plain:
                _disk.write_texts(self, context, "setup_scripts")
            else:
                _disk.install_scripts(self, context, source)
        elif is_default and is_plain:
            recorder.add("base")
        else:
            for script, name in _disk.script_files(source):
                data, mode = _disk.filled(self, context, script)
                context.add_file(os.path.join(context.bin_path, name), data, mode=mode)

    def upgrade_dependencies(self, context: Context) -> None:
        """Installs the newest pip, and setuptools before Python 3.12, from the index."""
        from rvenv import _disk

        recorder = self._recorder_of(context)
        if recorder is not None:
            recorder.add("base")
        else:
            _disk.upgrade_dependencies(self, context)

    def _venv_path(self, env_dir: str, name: str) -> str:
        context = _context.make(self, env_dir)
        names = {"scripts": "bin_path", "include": "inc_path", "purelib": "lib_path"}
        return str(getattr(context, names.get(name, name)))

    @classmethod
    def _same_path(cls, path1: str, path2: str) -> bool:
        """Whether two paths look the same to a person."""
        if sys.platform == "win32":
            return os.path.normcase(path1) == os.path.normcase(path2)
        return path1 == path2


class _HiddenSystemPackages:
    """While overrides work on the disk, ``pyvenv.cfg`` hides the packages of the base.

    A pip in the environment would take those for installed.
    """

    _SHOWN = "include-system-site-packages = true"
    _HIDDEN = "include-system-site-packages = false"

    def __init__(self, is_needed: bool, context: Context) -> None:
        self.path = os.path.join(context.env_dir, "pyvenv.cfg")
        self.is_needed = is_needed

    def __enter__(self) -> None:
        if not self.is_needed:
            return
        self.times = os.stat(self.path)
        self.text = self._read()
        self.hidden = self.text.replace(self._SHOWN, self._HIDDEN, 1)
        self._write(self.hidden)

    def __exit__(self, *_: object) -> None:
        if not self.is_needed or not os.path.isfile(self.path):
            return
        now = self._read()
        if now == self.hidden:
            self._write(self.text)
            os.utime(self.path, ns=(self.times.st_atime_ns, self.times.st_mtime_ns))
        elif self._SHOWN not in now:
            self._write(now.replace(self._HIDDEN, self._SHOWN, 1))

    def _read(self) -> str:
        with open(self.path, encoding="utf-8", newline="") as file:
            return file.read()

    def _write(self, text: str) -> None:
        with open(self.path, "w", encoding="utf-8", newline="") as file:
            file.write(text)


def create(
    env_dir: _Path,
    system_site_packages: bool = False,
    clear: bool = False,
    symlinks: bool = False,
    with_pip: bool = False,
    prompt: Optional[str] = None,
    upgrade_deps: bool = False,
    *,
    scm_ignore_files: Iterable[str] = frozenset(),
    keep: bool = False,
) -> None:
    """Creates an environment in a directory; the arguments are those of ``EnvBuilder``."""
    builder = EnvBuilder(
        system_site_packages=system_site_packages,
        clear=clear,
        symlinks=symlinks,
        with_pip=with_pip,
        prompt=prompt,
        upgrade_deps=upgrade_deps,
        scm_ignore_files=scm_ignore_files,
        keep=keep,
    )
    builder.create(env_dir)


def plan(
    env_dir: _Path,
    system_site_packages: bool = False,
    clear: bool = False,
    symlinks: bool = False,
    with_pip: bool = False,
    prompt: Optional[str] = None,
    upgrade_deps: bool = False,
    *,
    scm_ignore_files: Iterable[str] = frozenset(),
) -> Any:
    """Plans what ``create`` with these arguments would do; see ``EnvBuilder.plan``."""
    builder = EnvBuilder(
        system_site_packages=system_site_packages,
        clear=clear,
        symlinks=symlinks,
        with_pip=with_pip,
        prompt=prompt,
        upgrade_deps=upgrade_deps,
        scm_ignore_files=scm_ignore_files,
    )
    return builder.plan(env_dir)
