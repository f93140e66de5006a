"""The command line of ``python -m rvenv``."""

from __future__ import annotations

import os
import sys
from typing import Any, Optional, Sequence

#: The commands of ``rvenv``; a directory of such a name is ``./create``.
COMMANDS = frozenset(
    "create upgrade clone sync install uninstall plan lock show apply push attach attached image "
    "list status verify repair rollback generations log remove recover python cache config "
    "explain completions man "
    "help".split()
)
#: The options that only ``rvenv`` has before a command.
_OPTIONS = frozenset(("-q", "--quiet", "-v", "--verbose", "-V", "--version", "--color"))


def _parser() -> Any:
    import argparse

    from rvenv import CORE_VENV_DEPS

    parser = argparse.ArgumentParser(
        prog="rvenv",
        description="Creates virtual Python environments in one or more target directories.",
        epilog="Once an environment has been created, you may wish to activate it, e.g. by "
        "sourcing an activate script in its bin directory. Each command of `rvenv` works too "
        "(`python -m rvenv rollback DIR`; `python -m rvenv help` lists them): a directory that "
        "has the name of a command is `./NAME`.",
    )
    parser.add_argument(
        "dirs", metavar="ENV_DIR", nargs="+", help="A directory to create the environment in."
    )
    parser.add_argument(
        "--system-site-packages",
        default=False,
        action="store_true",
        dest="system_site",
        help="Give the virtual environment access to the system site-packages dir.",
    )
    use_symlinks = os.name != "nt"
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--symlinks",
        default=use_symlinks,
        action="store_true",
        dest="symlinks",
        help="Try to use symlinks rather than copies, when symlinks are not the default for the "
        "platform.",
    )
    group.add_argument(
        "--copies",
        default=not use_symlinks,
        action="store_false",
        dest="symlinks",
        help="Try to use copies rather than symlinks, even when symlinks are the default for the "
        "platform.",
    )
    parser.add_argument(
        "--clear",
        default=False,
        action="store_true",
        dest="clear",
        help="Replace the environment in the directory if it already exists.",
    )
    parser.add_argument(
        "--upgrade",
        default=False,
        action="store_true",
        dest="upgrade",
        help="Upgrade the environment directory to use this version of Python; its packages stay.",
    )
    parser.add_argument(
        "--without-pip",
        dest="with_pip",
        default=True,
        action="store_false",
        help="Skips installing or upgrading pip in the virtual environment (pip is bootstrapped "
        "by default)",
    )
    parser.add_argument(
        "--prompt", help="Provides an alternative prompt prefix for this environment."
    )
    parser.add_argument(
        "--upgrade-deps",
        default=False,
        action="store_true",
        dest="upgrade_deps",
        help=f"Upgrade core dependencies ({', '.join(CORE_VENV_DEPS)}) to the latest version in "
        "PyPI",
    )
    if sys.version_info >= (3, 13):
        parser.add_argument(
            "--without-scm-ignore-files",
            dest="scm_ignore_files",
            action="store_const",
            const=frozenset(),
            default=frozenset(["git"]),
            help="Skips adding SCM ignore files to the environment directory (Git is supported by "
            "default).",
        )
    return parser


def main(args: Optional[Sequence[str]] = None) -> None:
    """Creates environments as ``python -m venv`` with these arguments would.

    Raises ``SystemExit`` for wrong arguments, and whatever ``EnvBuilder.create`` raises.
    """
    options = _parser().parse_args(args)
    if options.upgrade and options.clear:
        raise ValueError("you cannot supply --upgrade and --clear together.")
    from rvenv import EnvBuilder

    builder = EnvBuilder(
        system_site_packages=options.system_site,
        clear=options.clear,
        symlinks=options.symlinks,
        upgrade=options.upgrade,
        with_pip=options.with_pip,
        prompt=options.prompt,
        upgrade_deps=options.upgrade_deps,
        scm_ignore_files=getattr(options, "scm_ignore_files", frozenset(["git"])),
    )
    for env_dir in options.dirs:
        builder.create(env_dir)


def run(argv: Sequence[str]) -> int:
    """``python -m rvenv``: a command of ``rvenv``, or the command line of ``venv``."""
    if argv and (argv[0] in COMMANDS or argv[0].split("=")[0] in _OPTIONS):
        return _exec(argv)
    try:
        main(argv)
    except Exception as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _exec(argv: Sequence[str]) -> int:
    from rvenv._find import find_rvenv_bin

    try:
        program = find_rvenv_bin()
    except FileNotFoundError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    # The commands look for a Python; the one that runs this is meant.
    os.environ.setdefault("RVENV_PYTHON", sys.executable)
    if os.name == "nt":
        import subprocess

        return subprocess.call([program, *argv])
    os.execv(program, [program, *argv])
