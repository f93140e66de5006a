"""Python virtual environments as filesystem transactions.

``EnvBuilder``, ``create`` and ``main`` have the interface of the standard module ``venv``. An
environment is planned, built beside its path and published with one rename: after an exception,
Ctrl-C, a kill or a power cut the directory is as it was, or as it was to become.

Nothing is imported before it is used, so that ``import rvenv`` costs almost nothing.
"""

from __future__ import annotations

import sys

# `typing` takes longer to import than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess as subprocess
    from typing import Any

    from rvenv._builder import EnvBuilder as EnvBuilder
    from rvenv._builder import create as create
    from rvenv._builder import plan as plan
    from rvenv._context import Context as Context
    from rvenv._errors import BusyError as BusyError
    from rvenv._errors import CheckError as CheckError
    from rvenv._errors import DiskError as DiskError
    from rvenv._errors import Error as Error
    from rvenv._errors import InterpreterError as InterpreterError
    from rvenv._errors import PlanError as PlanError
    from rvenv._errors import RequestError as RequestError
    from rvenv._errors import StaleError as StaleError
    from rvenv._errors import TargetError as TargetError
    from rvenv._errors import UndoError as UndoError
    from rvenv._find import find_rvenv_bin as find_rvenv_bin
    from rvenv._main import main as main
    from rvenv._planned import on_disk as on_disk
    from rvenv._planned import planned as planned
    from rvenv._rvenv import Plan as Plan
    from rvenv._rvenv import __version__ as __version__
    from rvenv._rvenv import read_plan as read_plan
    from rvenv._transaction import Transaction as Transaction
    from rvenv._transaction import rollback as rollback
    from rvenv._transaction import transaction as transaction

#: What ``upgrade_dependencies`` upgrades, as in ``venv``.
CORE_VENV_DEPS = ("pip",) if sys.version_info >= (3, 12) else ("pip", "setuptools")

__all__ = [
    "BusyError",
    "CORE_VENV_DEPS",
    "CheckError",
    "Context",
    "DiskError",
    "EnvBuilder",
    "Error",
    "InterpreterError",
    "Plan",
    "PlanError",
    "RequestError",
    "StaleError",
    "TargetError",
    "Transaction",
    "UndoError",
    "create",
    "find_rvenv_bin",
    "main",
    "on_disk",
    "plan",
    "planned",
    "read_plan",
    "rollback",
    "transaction",
]

#: Where each public name is defined.
_HOMES = {
    "BusyError": "_errors",
    "CheckError": "_errors",
    "Context": "_context",
    "DiskError": "_errors",
    "EnvBuilder": "_builder",
    "Error": "_errors",
    "InterpreterError": "_errors",
    "Plan": "_rvenv",
    "PlanError": "_errors",
    "RequestError": "_errors",
    "StaleError": "_errors",
    "TargetError": "_errors",
    "Transaction": "_transaction",
    "UndoError": "_errors",
    "__version__": "_rvenv",
    "create": "_builder",
    "find_rvenv_bin": "_find",
    "main": "_main",
    "on_disk": "_planned",
    "plan": "_builder",
    "planned": "_planned",
    "read_plan": "_rvenv",
    "rollback": "_transaction",
    "transaction": "_transaction",
}
#: What users of ``venv`` find in it besides.
_MODULES = ("logging", "os", "shutil", "subprocess", "sysconfig", "types")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    home = _HOMES.get(name)
    if home is not None:
        found = getattr(import_module(f"rvenv.{home}"), name)
    elif name in _MODULES:
        found = import_module(name)
    elif name == "logger":
        found = import_module("logging").getLogger("rvenv")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
