"""Activates this virtual environment inside a running Python 3.6 or later, which keeps its own interpreter:

    path = "/path/to/environment/bin/activate_this.py"
    exec(open(path).read(), {"__file__": path})

There is no way back: it is meant for programs that embed Python.
"""


def _activate():
    # Names stay inside this function, because `exec` may put them into the caller's namespace.
    import os
    import site
    import sys

    def native(text):
        # The bytes on disk are UTF-8, whatever the encoding of this process.
        return os.fsdecode(text.encode("utf-8"))

    env_dir = native(__RVENV_DIR__)
    path = os.environ.get("PATH")
    bin_dir = os.path.join(env_dir, native(__RVENV_BIN__))
    os.environ["PATH"] = os.pathsep.join([bin_dir, path] if path else [bin_dir])
    os.environ["VIRTUAL_ENV"] = env_dir
    os.environ["VIRTUAL_ENV_PROMPT"] = native(__RVENV_PROMPT__)
    os.environ.pop("PYTHONHOME", None)

    before = list(sys.path)
    packages = []
    for relative in __RVENV_SITE_PACKAGES__:
        directory = os.path.abspath(os.path.join(env_dir, *native(relative).split("/")))
        site.addsitedir(directory)
        packages.append(directory)
    # What the environment adds comes first: its directories and what their .pth files name.
    first = []
    for entry in sys.path:
        if (entry in packages or entry not in before) and entry not in first:
            first.append(entry)
    sys.path[:] = first + [entry for entry in sys.path if entry not in first]

    if not hasattr(sys, "real_prefix"):
        sys.real_prefix = sys.prefix
    sys.prefix = env_dir


_activate()
del _activate
