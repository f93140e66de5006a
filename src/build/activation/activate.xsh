"""Activates this virtual environment in xonsh:

    source /path/to/environment/bin/activate.xsh

`deactivate` undoes it. The prompt is xonsh's own affair: it shows `$VIRTUAL_ENV_PROMPT` in place of its `{env_name}`,
and obeys `$VIRTUAL_ENV_DISABLE_PROMPT`.
"""


def _rvenv_activate():
    # Names stay inside this function, because a sourced file shares the namespace of the shell.
    import os

    env = ${...}
    if "VIRTUAL_ENV" in env and "deactivate" in aliases:
        # An active environment is left first, by its own rules.
        ![deactivate]

    names = ("PATH", "PYTHONHOME", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT")
    before = {}
    for name in names:
        if name in env:
            before[name] = list(env[name]) if name == "PATH" else env[name]

    def deactivate(args, stdin=None):
        for name in names:
            if name in before:
                env[name] = before[name]
            elif name in env:
                del env[name]
        del aliases["deactivate"]

    env_dir = __RVENV_DIR__
    env["VIRTUAL_ENV"] = env_dir
    env["VIRTUAL_ENV_PROMPT"] = __RVENV_PROMPT__
    env["PATH"] = [os.path.join(env_dir, __RVENV_BIN__)] + before.get("PATH", [])
    if "PYTHONHOME" in env:
        del env["PYTHONHOME"]
    aliases["deactivate"] = deactivate


_rvenv_activate()
del _rvenv_activate
