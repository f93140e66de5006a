"""Calls one hook of a build backend; rvenv starts this in the environment of a build."""

import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback


def watch(parent):
    """Ends the whole process group once rvenv is gone: the next run uses the same directory."""
    while os.getppid() == parent:
        time.sleep(0.1)
    os.killpg(0, signal.SIGKILL)


def backend(job):
    """The object that the project names as its backend."""
    own = [os.path.realpath(path) for path in job["backend_path"]]
    sys.path[:0] = own
    module, _, attributes = job["backend"].partition(":")
    found = importlib.import_module(module)
    if own:
        # A backend of the project's own must come from there (PEP 517).
        file = os.path.realpath(getattr(found, "__file__", None) or "")
        if not any(file.startswith(os.path.join(path, "")) for path in own):
            raise ImportError("%s is not in backend-path" % module)
    for name in attributes.split(".") if attributes else ():
        found = getattr(found, name)
    return found


def main(path):
    with open(path, encoding="utf-8") as file:
        job = json.load(file)
    if hasattr(os, "killpg"):
        threading.Thread(target=watch, args=(job["parent"],), daemon=True).start()
    answer = {"state": "done", "value": None}
    try:
        found = backend(job)
    except Exception:
        traceback.print_exc()
        answer["state"] = "no backend"
    else:
        hook = getattr(found, job["hook"], None)
        if hook is None:
            answer["state"] = "no hook"
        else:
            answer["value"] = hook(*job["arguments"])
    with open(job["answer"], "w", encoding="utf-8") as file:
        json.dump(answer, file)


main(sys.argv[1])
