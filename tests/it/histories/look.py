# What is installed in an environment, as JSON: `look.py ENV SITE NAME-OF-LIB [import]`.
import base64, csv, hashlib, importlib, json, os, sys

env, lib, imports = sys.argv[1], sys.argv[2], "import" in sys.argv[3:]
MADE = ("alder", "birch", "cedar", "dogwood", "hazel")


def digest(path):
    with open(path, "rb") as file:
        found = hashlib.sha256(file.read()).digest()
    return "sha256=" + base64.urlsafe_b64encode(found).decode().rstrip("=")


def interpreter(path):
    """The program that a script names, through sh or not; None for what is no script."""
    with open(path, "rb") as file:
        lines = file.read(2000).split(b"\n")
    if not lines[0].startswith(b"#!"):
        return None
    if lines[0] == b"#!/bin/sh" and len(lines) > 1 and lines[1].startswith(b"'''exec' "):
        return lines[1][len("'''exec' "):].rsplit(b" \"$0\"", 1)[0].strip(b"\"'").decode()
    return lines[0][2:].strip().decode()


def text(path):
    if not os.path.exists(path):
        return ""
    with open(path) as file:
        return file.read().strip()


def files(site, info):
    """What differs from the RECORD, and which scripts start no interpreter of this environment."""
    differs, dead = [], []
    record = os.path.join(site, info, "RECORD")
    if not os.path.exists(record):
        return ["RECORD"], dead
    with open(record, newline="") as rows:
        for path, wanted, _ in csv.reader(rows):
            full = os.path.normpath(os.path.join(site, path))
            if path.endswith(".pyc") or "__pycache__" in path:
                continue
            if not os.path.exists(full):
                if wanted:
                    differs.append(path)
                continue
            if wanted and digest(full) != wanted:
                differs.append(path)
            if os.path.dirname(full) == os.path.join(env, "bin"):
                program = interpreter(full)
                if program and not (os.path.dirname(program) == os.path.join(env, "bin")
                                    and os.path.exists(program)):
                    dead.append(path)
    return differs, dead


def works(name, version):
    """Why a distribution does not import in this version; None where it does."""
    try:
        module = importlib.import_module(name)
        if name in MADE:
            found = [module.version]
            importlib.import_module("%s_same" % name)
            for part in ("%s.inner" % name, "%s_alone" % name):
                found.append(importlib.import_module(part).version)
            for path in (os.path.join(os.path.dirname(module.__file__), "table.txt"),
                         os.path.join(sys.prefix, "share", name + ".txt")):
                with open(path) as table:
                    found.append(table.read().strip())
        elif name == "pip":
            importlib.import_module("pip._internal")
            found = [module.__version__]
        else:
            found = [version]
        return None if set(found) == {version} else "mixed: %s" % found
    except Exception as error:
        return "%s: %s" % (type(error).__name__, error)


seen = {"prefix": os.path.realpath(sys.prefix) if imports else None, "here": [], "lost": []}
libs = os.path.join(env, "lib")
for other in sorted(os.listdir(libs)) if os.path.isdir(libs) else []:
    site = os.path.join(libs, other, "site-packages")
    for info in sorted(os.listdir(site)) if os.path.isdir(site) else []:
        if not info.endswith(".dist-info") or info.startswith(("~", ".")):
            continue
        name, version = info[:-len(".dist-info")].split("-", 1)
        if other != lib:
            seen["lost"].append([name, version])
            continue
        differs, dead = files(site, info)
        record = os.path.join(site, info, "RECORD")
        seen["here"].append({
            "name": name, "version": version, "differs": differs, "dead": dead,
            "fails": works(name, version) if imports else "not tried",
            "record": digest(record) if os.path.exists(record) else "",
            "installer": text(os.path.join(site, info, "INSTALLER")),
        })
print(json.dumps(seen))
