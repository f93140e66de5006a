"""Transactions for trees that are not Python: the engine of ``rvenv``."""

from __future__ import annotations

import os
from typing import Any, Callable, Optional, Union

from rvenv import _context
from rvenv._errors import RequestError

_Path = Union[str, "os.PathLike[str]"]


class Transaction:
    """What one change of a tree does; ``rvenv.transaction`` makes it.

    Used as a context manager: the methods only collect, the end of the block publishes everything
    in one step, and an exception in the block drops it. All paths are relative to the tree.
    """

    #: The number of the generation that has what was replaced, if it was kept.
    kept: Optional[int] = None

    def __init__(
        self,
        target: _Path,
        replace: bool,
        keep: bool,
        durable: bool,
        check: Optional[Callable[[], object]],
    ) -> None:
        self.target = os.path.abspath(os.fspath(target))
        self._replace = replace
        self._keep = keep
        self._durable = durable
        self._check = check
        self._steps: dict[str, Any] = {}
        self._removed: set[str] = set()

    def _below(self, path: _Path) -> str:
        given = os.fspath(path)
        below = os.path.normpath(given).replace(os.sep, "/")
        if os.path.isabs(given) or below == "." or below.split("/")[0] == "..":
            raise RequestError(f"{given!r} is not a path below the tree")
        self._removed.discard(below)
        return below

    def write(self, path: _Path, data: Union[str, bytes], *, mode: Optional[int] = None) -> None:
        """Writes a file, with the directories above it.

        :param data: its content; a text is written as UTF-8.
        :param mode: permission bits up to 0o777; ``None`` means 0o666 without those of the umask.
        :raises RequestError: for a path outside the tree, or a mode with other bits.
        """
        if mode is not None and not 0 <= mode <= 0o777:
            raise RequestError(f"{mode:#o} is not a mode up to 0o777")
        if isinstance(data, str):
            data = data.encode("utf-8")
        below = self._below(path)
        self._steps[below] = ("file", below, bytes(data), mode)

    def link(self, path: _Path, target: _Path) -> None:
        """Makes a symbolic link with the text ``target``.

        :raises RequestError: for a path outside the tree.
        """
        below = self._below(path)
        self._steps[below] = ("link", below, os.fspath(target))

    def mkdir(self, path: _Path) -> None:
        """Makes a directory, with those above it; one that exists stays.

        :raises RequestError: for a path outside the tree.
        """
        below = self._below(path)
        self._steps[below] = ("dir", below)

    def remove(self, path: _Path) -> None:
        """Removes a file, a link, or a directory with everything in it; nothing there is no error.

        :raises RequestError: for a path outside the tree.
        """
        below = self._below(path)
        for planned in [one for one in self._steps if one == below or one.startswith(below + "/")]:
            del self._steps[planned]
        self._removed.add(below)
        full = os.path.join(self.target, below)
        if os.path.isdir(full) and not os.path.islink(full):
            for root, dirs, files in os.walk(full):
                for name in dirs + files:
                    inner = os.path.relpath(os.path.join(root, name), self.target)
                    self._removed.add(inner.replace(os.sep, "/"))

    def __enter__(self) -> "Transaction":
        return self

    def __exit__(self, kind: Optional[type], *_: object) -> None:
        if kind is not None:
            return
        from rvenv import _rvenv

        request = {
            "target": self.target,
            "steps": list(self._steps.values()),
            "removed": sorted(self._removed),
            "replace": self._replace,
            "keep": self._keep,
            "durable": self._durable,
            "umask": _context._umask(),
        }
        self.kept = _rvenv.publish_tree(request, self._check)


def transaction(
    target: _Path,
    *,
    replace: bool = False,
    keep: bool = False,
    durable: bool = True,
    check: Optional[Callable[[], object]] = None,
) -> Transaction:
    """Begins a change of a tree: a context manager that collects, and publishes at its end.

    ::

        with rvenv.transaction("site", keep=True) as tree:
            tree.write("index.html", page)
            tree.remove("old.html")

    :param target: the directory, which may be absent.
    :param replace: whether the tree gets nothing but what is collected; otherwise everything else
        stays.
    :param keep: whether what is replaced is kept as a generation, for ``rollback``.
    :param durable: whether the result survives a power cut.
    :param check: called when readers already see the new tree; an exception takes it back.
    :raises Error: at the end of the block; the tree is as it was. What ``check`` raises is raised
        unchanged.

    A crash at any moment leaves the old tree or the new one; the next transaction on it, or
    ``rvenv recover``, finishes or takes back what was under way.
    """
    return Transaction(target, replace, keep, durable, check)


def rollback(target: _Path) -> Optional[int]:
    """Brings back what the last change that was kept replaced; a second call goes forward again.

    For environments use the command ``rvenv rollback``, which knows their packages.

    :returns: the number of the generation that has the state before the call.
    :raises TargetError: if there is no generation.
    """
    from rvenv import _rvenv

    return _rvenv.rollback_tree(os.path.abspath(os.fspath(target)))
