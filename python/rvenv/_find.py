"""Where the command ``rvenv`` is."""

from __future__ import annotations

import os
import sys


def find_rvenv_bin() -> str:
    """The path of the executable ``rvenv`` that was installed with this module.

    Looks in the directory of scripts of the running Python, then in that of the user's own
    packages, then beside the module (``pip install --target``).

    Raises ``FileNotFoundError`` if it is in none of them. ``PATH`` is not searched: a program of
    the same name there may be another one.
    """
    import sysconfig

    name = "rvenv.exe" if os.name == "nt" else "rvenv"
    places = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable)]
    user = "nt_user" if os.name == "nt" else "posix_user"
    places.append(sysconfig.get_path("scripts", scheme=user))
    above = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places.append(os.path.join(above, "bin"))
    # `pip install --prefix P` puts the module into P/lib/pythonX.Y/site-packages.
    places.append(os.path.join(above, "..", "..", "..", "bin"))
    for place in places:
        found = os.path.join(place, name)
        if os.path.isfile(found):
            return os.path.normpath(found)
    shown = ", ".join(dict.fromkeys(map(os.path.normpath, places)))
    raise FileNotFoundError(f"the executable `{name}` is in none of {shown}; install pyrvenv again")
