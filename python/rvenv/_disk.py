"""What the methods of a builder do on the disk: venv's steps, one after the other.

Used after the publication, and when a method is called without ``create``. Everything here acts at
once; ``create`` alone is a transaction.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

from rvenv import _context
from rvenv._context import Context

#: The templates of the running Python's own ``venv``; ``setup_scripts`` passes this directory.
SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(os.__file__)), "venv", "scripts")

_MINOR = sys.version_info[1]


def warn(message: str, *arguments: Any) -> None:
    import logging

    logging.getLogger("rvenv").warning(message, *arguments)


def _create_if_needed(path: str) -> None:
    from rvenv._errors import TargetError

    if not os.path.exists(path):
        os.makedirs(path)
    elif os.path.islink(path) or os.path.isfile(path):
        raise TargetError(f"Unable to create directory {path!r}")


def ensure_directories(builder: Any, env_dir: str, *, clear: bool) -> Context:
    if clear and os.path.exists(env_dir):
        builder.clear_directory(env_dir)
    context = _context.make(builder, env_dir)
    _create_if_needed(env_dir)
    _create_if_needed(context.inc_path)
    _create_if_needed(context.lib_path)
    if _MINOR < 15 and sys.maxsize > 2**32 and os.name == "posix" and sys.platform != "darwin":
        link = os.path.join(env_dir, "lib64")
        if not os.path.exists(link):
            os.symlink("lib", link)
    _create_if_needed(context.bin_path)
    return context


def write_texts(builder: Any, context: Context, hook: str) -> None:
    """Writes the files that the native half has for a hook."""
    from rvenv import _rvenv

    for path, data, mode in _rvenv.texts(builder._request(context.env_dir), hook):
        full = os.path.join(context.env_dir, path)
        _context.write_file(full, data, mode)


def symlink_or_copy(builder: Any, src: str, dst: str, relative_symlinks_ok: bool = False) -> None:
    force_copy = not builder.symlinks
    if not force_copy:
        try:
            if not os.path.islink(dst):
                if relative_symlinks_ok:
                    assert os.path.dirname(src) == os.path.dirname(dst)
                    os.symlink(os.path.basename(src), dst)
                else:
                    os.symlink(src, dst)
        except Exception:
            warn("Unable to symlink %r to %r", src, dst)
            force_copy = True
    if force_copy:
        shutil.copyfile(src, dst)


def setup_python(builder: Any, context: Context) -> None:
    copier = builder.symlink_or_copy
    path = context.env_exe
    copier(context.executable, path)
    if not os.path.islink(path):
        os.chmod(path, 0o755)
    names = ["python", "python3", f"python3.{_MINOR}"]
    if _MINOR == 14 and sys.getfilesystemencoding() == "utf-8":
        names.append("𝜋thon")
    for name in names:
        path = os.path.join(context.bin_path, name)
        if not os.path.exists(path):
            copier(context.env_exe, path, relative_symlinks_ok=True)
            if not os.path.islink(path):
                os.chmod(path, 0o755)


def call_new_python(context: Context, *arguments: str, **kwargs: Any) -> None:
    import subprocess

    env = os.environ.copy()
    env["VIRTUAL_ENV"] = context.env_dir
    env.pop("PYTHONHOME", None)
    env.pop("PYTHONPATH", None)
    kwargs.update(env=env, cwd=context.env_dir, executable=context.env_exec_cmd)
    subprocess.check_output([context.env_exec_cmd, *arguments], **kwargs)


def setup_pip(builder: Any, context: Context) -> None:
    import subprocess

    words = ("ensurepip", "--upgrade", "--default-pip")
    if _MINOR < 10:
        command = [context.env_exec_cmd, "-Im", *words]
        subprocess.check_output(command, stderr=subprocess.STDOUT)
        return
    builder._call_new_python(context, "-m", *words, stderr=subprocess.STDOUT)


def upgrade_dependencies(builder: Any, context: Context) -> None:
    from rvenv import CORE_VENV_DEPS

    if _MINOR < 10:
        import subprocess

        command = [context.env_exec_cmd, "-m", "pip", "install", "--upgrade", *CORE_VENV_DEPS]
        subprocess.check_call(command)
        return
    builder._call_new_python(context, "-m", "pip", "install", "--upgrade", *CORE_VENV_DEPS)


def script_files(path: str) -> list[tuple[str, str]]:
    """The scripts below ``common`` and the platform's directory: source, and path in ``bin``."""
    found: dict[str, str] = {}
    for top in ("common", os.name):
        start = os.path.join(path, top)
        if os.path.islink(start):
            continue
        for root, _dirs, files in os.walk(start):
            below = os.path.relpath(root, start)
            for name in files:
                if os.name == "nt" and _is_launcher(name):
                    continue
                found[os.path.normpath(os.path.join(below, name))] = os.path.join(root, name)
    return [(source, name) for name, source in found.items()]


def _is_launcher(name: str) -> bool:
    name = os.path.normcase(name)
    return name.startswith(("python", "venv")) and name.endswith((".exe", ".pdb"))


def filled(builder: Any, context: Context, source: str) -> tuple[bytes, int]:
    """A script with its placeholders replaced, and its permissions."""
    with open(source, "rb") as file:
        data = file.read()
    context.script_path = source
    try:
        data = builder.replace_variables(data.decode("utf-8"), context).encode("utf-8")
    except UnicodeError:
        # Not a text: copied as it is.
        pass
    finally:
        del context.script_path
    return data, os.stat(source).st_mode & 0o777


def install_scripts(builder: Any, context: Context, path: str) -> None:
    for source, name in script_files(path):
        data, mode = filled(builder, context, source)
        _context.write_file(os.path.join(context.bin_path, name), data, mode)


def clear_directory(path: str) -> None:
    for name in os.listdir(path):
        full = os.path.join(path, name)
        if os.path.islink(full) or os.path.isfile(full):
            os.remove(full)
        elif os.path.isdir(full):
            shutil.rmtree(full)


def replace_variables(text: str, context: Context) -> str:
    """One pass, so that a value which looks like a placeholder stays; quoted as one word."""
    import re

    values = {
        "__VENV_DIR__": context.env_dir,
        "__VENV_NAME__": context.env_name,
        "__VENV_PROMPT__": context.prompt,
        "__VENV_BIN_NAME__": context.bin_name,
        "__VENV_PYTHON__": context.env_exe,
    }
    source = getattr(context, "script_path", "")

    def value(match: Any) -> str:
        return quoted(values[match.group()], source)

    return re.sub("|".join(values), value, text)


def quoted(value: str, script: str) -> str:
    """A value as one word of the language of a script, as venv quotes it since 3.13.1."""
    if script.endswith(".ps1"):
        return "'" + value.replace("'", "''") + "'"
    if script.endswith(".bat"):
        return value
    import shlex

    return shlex.quote(value)
