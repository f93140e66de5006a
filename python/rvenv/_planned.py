"""Whether an override plans or works on the disk.

An override is called when the environment is planned if nothing that it does needs a disk;
otherwise after the publication. Its code decides: the names that it loads. Each name that is not
known to only plan counts as work on the disk, so that a subclass written for ``venv`` finds the
directory that it expects. ``@rvenv.planned`` and ``@rvenv.on_disk`` decide it explicitly.
"""

from __future__ import annotations

from typing import Any, Callable, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

#: The builtins that an override which plans may call.
_BUILTINS = frozenset(
    "super self context str bytes int bool len repr format sorted list tuple dict set "
    "print enumerate range zip min max isinstance getattr __class__ True False None".split()
)
#: The attributes and methods that it may use: those of the context and of texts, the hooks, and
#: what adds to the plan.
_ATTRIBUTES = frozenset(
    "env_dir env_name prompt executable python_dir python_exe inc_path lib_path platlib_path "
    "bin_path bin_name env_exe env_exec_cmd cfg_path "
    "system_site_packages clear symlinks upgrade with_pip orig_prompt upgrade_deps "
    "scm_ignore_files "
    "add_file add_dir add_link install install_scripts "
    "ensure_directories create_configuration setup_python _setup_pip setup_scripts post_setup "
    "upgrade_dependencies create_git_ignore_file replace_variables "
    "format join encode strip replace upper lower append items keys values".split()
)


def planned(method: _F) -> _F:
    """Marks an override that only plans: it is called before anything is on the disk."""
    method.__rvenv_planned__ = True  # type: ignore[attr-defined]
    return method


def on_disk(method: _F) -> _F:
    """Marks an override that works on the disk: it is called after the publication."""
    method.__rvenv_planned__ = False  # type: ignore[attr-defined]
    return method


def plans(method: Any) -> bool:
    """Whether an override only plans."""
    function = getattr(method, "__func__", method)
    mark = getattr(function, "__dict__", {}).get("__rvenv_planned__")
    if mark is not None:
        return bool(mark)
    code = getattr(function, "__code__", None)
    if code is None or code.co_consts is None:
        return False
    if function.__name__ == "post_setup":
        # Whoever wrote it expects a finished environment.
        return False
    names = getattr(function, "__globals__", {})
    return _only_plans(code, names, getattr(method, "__self__", None))


def _is_data(builder: Any, name: str) -> bool:
    """Whether a name is an attribute of the builder that does nothing when it is read."""
    if isinstance(getattr(type(builder), name, None), property):
        return False
    return hasattr(builder, name) and not callable(getattr(builder, name))


def _only_plans(code: Any, module: dict[str, Any], builder: Any) -> bool:
    import dis

    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            if name not in _BUILTINS or name in module:
                return False
        elif instruction.opname == "LOAD_DEREF" and name != "__class__":
            return False
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"):
            if name not in _ATTRIBUTES and not _is_data(builder, name):
                return False
        elif instruction.opname.startswith(("IMPORT_", "STORE_GLOBAL", "DELETE_")):
            return False
        elif instruction.opname == "LOAD_CONST" and hasattr(name, "co_code"):
            if not _only_plans(name, module, builder):
                return False
    return True
