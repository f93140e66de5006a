"""Python virtual environments as filesystem transactions.

Nothing is imported before it is used, so that ``import rvenv`` costs almost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rvenv._find import find_rvenv_bin as find_rvenv_bin

__all__ = ["find_rvenv_bin"]

#: Where each public name is defined.
_HOMES = {
    "__version__": "rvenv._rvenv",
    "find_rvenv_bin": "rvenv._find",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
