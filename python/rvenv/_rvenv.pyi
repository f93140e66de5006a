"""The native half; use the names of ``rvenv``."""

from os import PathLike
from typing import Any, Callable, Optional, Union, final

__version__: str

@final
class Plan:
    """What a creation would do, as a value that can be printed, saved and applied."""

    @property
    def env_dir(self) -> str:
        """The absolute path of the environment."""

    @property
    def digest(self) -> str:
        """SHA-256 of the plan: 64 hexadecimal digits."""

    @property
    def publication(self) -> str:
        """How it is published: ``nothing``, ``put``, ``replace``, ``merge`` or ``refill``."""

    @property
    def paths(self) -> list[str]:
        """The planned paths, relative to the environment, sorted."""

    def to_json(self) -> str:
        """The plan as JSON, which ``rvenv apply`` and ``rvenv.read_plan`` read."""

    def apply(self, *, force: bool = False, keep: bool = False) -> bool:
        """Carries the plan out, wholly or not at all.

        :param force: whether a directory that is not an environment may be replaced.
        :param keep: whether what is replaced is kept for ``rvenv rollback``.
        :returns: whether anything changed.
        :raises StaleError: if the directory is not as it was when the plan was made.
        :raises Error: for everything else; the directory is as it was.
        """

def create(request: dict[str, Any], check: Optional[Callable[[], object]] = None) -> dict[str, Any]: ...
def plan(request: dict[str, Any]) -> Plan: ...
def read_plan(text: bytes) -> Plan:
    """Reads the bytes of a plan that ``Plan.to_json`` or ``rvenv plan --json`` wrote.

    :raises PlanError: if it is not one.
    """

def texts(request: dict[str, Any], hook: str) -> list[tuple[str, bytes, int]]: ...
def publish_tree(
    request: dict[str, Any], check: Optional[Callable[[], object]] = None
) -> Optional[int]: ...
def rollback_tree(target: Union[str, PathLike[str]]) -> Optional[int]: ...
