"""The build backend: maturin, and beside its module the command `rvenv` as a real executable.

A crate of maturin is either a module or a program, so cargo builds the program here, and maturin
takes it from the directory `wheel-data` into the wheel's scripts.

`RVENV_PROFILE=dev` builds quickly, for tests. `RVENV_WHEEL_TAG`, with `CARGO_BUILD_TARGET`, is the
tag of a wheel for an index, `manylinux_2_17` or `musllinux_1_2`; `python/wheels` sets both.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import maturin
from maturin import (  # noqa: F401 (these are hooks of the backend)
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HERE = Path(__file__).resolve().parent


def _root() -> Path:
    """The directory above all crates, in the repository and in an sdist."""
    return HERE if (HERE / "journal" / "Cargo.toml").is_file() else HERE.parent


def _data() -> Path:
    """Where maturin takes scripts from; it refuses to do anything while that is absent.

    A backend runs in the directory of `pyproject.toml`.
    """
    scripts = Path.cwd() / "wheel-data" / "scripts"
    scripts.mkdir(parents=True, exist_ok=True)
    return scripts


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    _data()
    return maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def prepare_metadata_for_build_editable(metadata_directory, config_settings=None):
    _data()
    return maturin.prepare_metadata_for_build_editable(metadata_directory, config_settings)


def build_sdist(sdist_directory, config_settings=None):
    _data()
    return maturin.build_sdist(sdist_directory, config_settings)


def _executable() -> None:
    """Builds the command and puts it where maturin takes it from."""
    profile = os.environ.get("RVENV_PROFILE", "release")
    target = os.environ.get("CARGO_BUILD_TARGET")
    tag = os.environ.get("RVENV_WHEEL_TAG")
    command = ["cargo", "zigbuild" if tag else "build"]
    # In the workspace of the module, which shares what is compiled.
    command += ["--manifest-path", str(_root() / "python" / "Cargo.toml")]
    command += ["--package", "rvenv", "--bin", "rvenv", "--profile", profile]
    command += ["--message-format", "json-render-diagnostics"]
    if target:
        # cargo-zigbuild takes the version of glibc after the target; musl is linked statically.
        kind, *version = (tag or "").split("_")
        glibc = [target, *version] if kind == "manylinux" else [target]
        command += ["--target", ".".join(glibc)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = None
    for line in ended.stdout.splitlines():
        found = json.loads(line).get("executable") or found
    if found is None:
        raise RuntimeError("cargo built no executable")
    scripts = _data()
    for former in scripts.iterdir():
        former.unlink()
    shutil.copy(found, scripts)


def _settings(config_settings: dict | None) -> dict:
    settings = dict(config_settings or {})
    profile = os.environ.get("RVENV_PROFILE")
    tag = os.environ.get("RVENV_WHEEL_TAG")
    arguments = []
    if profile:
        arguments += ["--profile", profile]
    if tag:
        arguments += ["--compatibility", tag, "--zig"]
    if arguments and "build-args" not in settings:
        settings["build-args"] = arguments
    return settings


@contextlib.contextmanager
def _alone():
    """One build after the other: each has its executable where maturin takes it from."""
    with open(HERE / "pyproject.toml", encoding="utf-8") as held:
        if fcntl is not None:
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with _alone():
        _executable()
        return maturin.build_wheel(wheel_directory, _settings(config_settings), metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    with _alone():
        _executable()
        settings = _settings(config_settings)
        return maturin.build_editable(wheel_directory, settings, metadata_directory)
