"""The build backend: maturin, and beside its module the command `rvenv` as a real executable.

A crate of maturin is either a module or a program, so cargo builds the program here, and maturin
takes it from the directory `wheel-data` into the wheel's scripts.

`RVENV_PROFILE=dev` builds quickly, for tests.
"""

from __future__ import annotations

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
    # In the workspace of the module, which shares what is compiled.
    command = ["cargo", "build", "--manifest-path", str(_root() / "python" / "Cargo.toml")]
    command += ["--package", "rvenv", "--bin", "rvenv", "--profile", profile]
    command += ["--message-format", "json-render-diagnostics"]
    target = os.environ.get("CARGO_BUILD_TARGET")
    if target:
        command += ["--target", target]
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


def _profile(config_settings: dict | None) -> dict:
    settings = dict(config_settings or {})
    profile = os.environ.get("RVENV_PROFILE")
    if profile and "build-args" not in settings:
        settings["build-args"] = f"--profile {profile}"
    return settings


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    _executable()
    return maturin.build_wheel(wheel_directory, _profile(config_settings), metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    _executable()
    return maturin.build_editable(wheel_directory, _profile(config_settings), metadata_directory)
