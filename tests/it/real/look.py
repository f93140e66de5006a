# Whether the packages of an environment work, as JSON: `python look.py`, with its interpreter.
#
# Imports each top level that a RECORD lists, and starts each script with `--help`. Those of pip and
# setuptools are left out: each Python brings its own.
import concurrent.futures, csv, glob, importlib, importlib.machinery, json, os, re, subprocess
import sys, warnings

SITE = next(path for path in sys.path if path.endswith("site-packages"))
SUFFIXES = sorted(importlib.machinery.all_suffixes(), key=len, reverse=True)
SEEDS = ("pip", "setuptools")


def stem(path):
    return next((path[:-len(end)] for end in SUFFIXES if path.endswith(end)), None)


def listed():
    """The names of top levels, and those of scripts."""
    tops, scripts = set(), set()
    for record in glob.glob(os.path.join(SITE, "*.dist-info", "RECORD")):
        if os.path.basename(os.path.dirname(record)).split("-")[0] in SEEDS:
            continue
        with open(record, newline="") as rows:
            for path in (row[0] for row in csv.reader(rows)):
                full = os.path.normpath(os.path.join(SITE, path))
                first = path.split("/")[0]
                if os.path.dirname(full) == os.path.join(sys.prefix, "bin"):
                    scripts.add(os.path.basename(full))
                elif stem(path) and first not in ("..", "__pycache__"):
                    tops.add(stem(first) or first)
    return sorted(top for top in tops if top.isidentifier()), sorted(scripts)


def imported(name):
    try:
        importlib.import_module(name)
    except BaseException as error:
        return "%s: %s" % (type(error).__name__, error)


def started(name):
    command = [os.path.join(sys.prefix, "bin", name), "--help"]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=120)
    said = ended.stdout.decode(errors="replace")
    # What takes no `--help` shows how it is used.
    if ended.returncode == 0 or (ended.returncode == 1 and re.search("(?i)^ *usage:", said, re.M)):
        return "Traceback (most recent call last)" in said and said or None
    return "%s: %s" % (ended.returncode, said)


warnings.simplefilter("ignore")
tops, scripts = listed()
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    starts = dict(zip(scripts, pool.map(started, scripts)))
imports = {top: imported(top) for top in tops}
print(json.dumps({"imports": imports, "scripts": starts}))
