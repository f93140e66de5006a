"""The exceptions of ``rvenv``.

All derive from ``Error``. Where ``venv`` raises ``ValueError`` or ``OSError``, so does ``rvenv``:
the classes derive from both. After each of them the directory is as it was before, unless the
class says otherwise.
"""

from __future__ import annotations

from typing import Optional


class Error(Exception):
    """Base class of the exceptions of ``rvenv``."""


class RequestError(Error, ValueError):
    """What was asked for cannot be: a path with ``:``, a prompt with a line break, …"""


class TargetError(Error, ValueError):
    """The directory is not what the change needs: a file, a link, not an environment, …"""


class InterpreterError(Error, ValueError):
    """There is no such interpreter, or it does not answer."""


class PlanError(Error, ValueError):
    """The parts of a plan contradict each other, or a wheel cannot be installed."""


class StaleError(PlanError):
    """A saved plan no longer fits its directory."""


class DiskError(Error, OSError):
    """The system refused something; ``errno`` and ``filename`` say what."""


class BusyError(Error, TimeoutError):
    """Another process held the lock of the directory for a minute."""


class CheckError(Error):
    """The published environment failed its health check; it was taken back."""


class UndoError(Error):
    """What failed could not be taken back completely; ``rvenv status`` shows the state.

    ``__cause__`` is the exception that was to be taken back, if there is one.
    """


_CLASSES = {
    kind.__name__: kind
    for kind in (
        Error,
        RequestError,
        TargetError,
        InterpreterError,
        PlanError,
        StaleError,
        DiskError,
        BusyError,
        CheckError,
        UndoError,
    )
}
# A traceback names the class as a caller does.
for _kind in _CLASSES.values():
    _kind.__module__ = "rvenv"


def make(kind: str, text: str, errno: Optional[int], path: Optional[str]) -> Error:
    """The exception for an error of the native half."""
    if kind == "ParentError":
        from errno import ENOTDIR

        return DiskError(ENOTDIR, text, path)
    cls = _CLASSES[kind]
    if errno is not None and (cls in (Error, TargetError) or issubclass(cls, DiskError)):
        return DiskError(errno, text, path)
    return cls(text)
