"""What the tests share: scratch directories, pictures of trees, kills, and a small wheel."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile
from pathlib import Path
from typing import Callable, Iterator, Optional, Sequence
from unittest import mock

import rvenv

RVENV = rvenv.find_rvenv_bin()


def picture(root: Path) -> Optional[dict[str, tuple[str, ...]]]:
    """What is at a path: kinds, modes, contents and link texts. Bytecode is left out: what a
    started interpreter writes there has times in it. So is the log of an environment."""
    if not os.path.lexists(root):
        return None
    found: dict[str, tuple[str, ...]] = {}
    for path in [root, *sorted(root.rglob("*"))]:
        if "__pycache__" in path.parts or "/.rvenv/log" in str(path):
            continue
        meta = path.lstat()
        name = str(path.relative_to(root))
        mode = oct(stat.S_IMODE(meta.st_mode))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("dir", mode)
        else:
            found[name] = ("file", mode, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def base_executable() -> str:
    """The Python that an environment of this one is made with.

    On POSIX, Python before 3.11 takes the environment in which it runs itself for that.
    """
    path = getattr(sys, "_base_executable", sys.executable)
    while sys.prefix != sys.base_prefix and Path(path).parent == Path(sys.prefix, "bin"):
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return path


def leftovers(root: Path) -> list[str]:
    """The names beside a directory that a change of it reserves."""
    return sorted(
        name for name in os.listdir(root.parent) if name.startswith(f".{root.name}.rvenv")
    )


def command(*words: str, cwd: Optional[Path] = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([RVENV, *words], cwd=cwd, capture_output=True, text=True)


def wheel(
    directory: Path, name: str = "speck", version: str = "1.0", requires: Optional[str] = None
) -> Path:
    """A wheel with one module and one script."""
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{name}.py": f"VERSION = {version!r}\ndef main():\n    print(VERSION)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    _write_wheel(path, info, {name: text.encode() for name, text in files.items()})
    return path


def renamed(wheel: Path, version: str, directory: Path) -> Path:
    """A copy of a wheel that is of another version."""
    name, former, tags = wheel.name.split("-", 2)
    old, new = f"{name}-{former}.dist-info", f"{name}-{version}.dist-info"
    files = {}
    with zipfile.ZipFile(wheel) as archive:
        for at in archive.namelist():
            if not at.endswith(("/", f"{old}/RECORD")):
                files[at.replace(old, new)] = archive.read(at)
    said = files[f"{new}/METADATA"]
    files[f"{new}/METADATA"] = said.replace(
        f"\nVersion: {former}\n".encode(), f"\nVersion: {version}\n".encode(), 1
    )
    path = directory / f"{name}-{version}-{tags}"
    _write_wheel(path, new, files)
    return path


def _write_wheel(path: Path, info: str, files: dict[str, bytes]) -> None:
    import base64

    rows = []
    with zipfile.ZipFile(path, "w") as archive:
        for at, data in files.items():
            archive.writestr(zipfile.ZipInfo(at, (2020, 1, 1, 0, 0, 0)), data)
            digest = hashlib.sha256(data).digest()
            shown = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            rows.append(f"{at},sha256={shown},{len(data)}")
        rows.append(f"{info}/RECORD,,")
        archive.writestr(
            zipfile.ZipInfo(f"{info}/RECORD", (2020, 1, 1, 0, 0, 0)), "\n".join(rows) + "\n"
        )


class Scratch(unittest.TestCase):
    """A test in a directory of its own, which is the working directory."""

    def setUp(self) -> None:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.root = Path(os.path.realpath(tempfile.mkdtemp(prefix="rvenv-", dir=memory)))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        former = os.getcwd()
        os.chdir(self.root)
        self.addCleanup(os.chdir, former)
        self.env = self.root / "E"

    def local_index(self) -> None:
        """Two versions of one distribution, and another that needs it, where pip looks."""
        wheels = self.root / "wheels"
        wheels.mkdir()
        wheel(wheels, version="1.0")
        wheel(wheels, version="2.0")
        wheel(wheels, "needy", "3.0", requires="speck<2")
        settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
        patched = mock.patch.dict(os.environ, settings)
        patched.start()
        self.addCleanup(patched.stop)

    def says(self, *words: object) -> str:
        """What a program prints; it has to succeed."""
        ended = subprocess.run([str(word) for word in words], capture_output=True, text=True)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return ended.stdout.strip()

    def assert_clean(self, env: Optional[Path] = None) -> None:
        ended = command("verify", str(env or self.env))
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def assert_whole(self, env: Path, states: Sequence[object], why: object) -> None:
        """After a crash and a recovery the environment is one of these states, and nothing of the
        change is left but what recovery keeps."""
        ended = command("recover", str(env))
        # 3: there is nothing, not even a directory above. 5: what the killed builder had changed is
        # kept as a generation, for a person to look at.
        self.assertIn(ended.returncode, (0, 3, 5), ended.stderr)
        if ended.returncode == 5:
            self.assertIn("which was changed after it was published", ended.stderr)
        self.assertIn(picture(env), states, f"{why}: neither old nor new")
        still = [name for name in leftovers(env) if ".rvenv.old-" not in name]
        self.assertEqual(still, [], why)


def killed_at(moments: int, start: Callable[[], "subprocess.Popen[bytes]"]) -> Iterator[int]:
    """Starts a program again and again, and kills it and its children a bit later each time.

    The first run is not killed: its time is divided. The caller looks, and puts everything back,
    between two runs.
    """
    moments = int(os.environ.get("RVENV_KILLS", moments))
    since = time.monotonic()
    whole = start()
    whole.wait()
    lasts = time.monotonic() - since
    yield -1
    for moment in range(moments):
        child = start()
        time.sleep(lasts * moment / moments)
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
        yield moment


def forget(env: Path) -> None:
    """Deletes an environment and everything beside it that has its name."""
    for path in env.parent.iterdir():
        if path.name == env.name or path.name.startswith(f".{env.name}.rvenv"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def started(program: Sequence[str], cwd: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        list(program),
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


PYTHON = sys.executable
