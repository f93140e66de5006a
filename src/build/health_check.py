# Checks an environment: its directory, its version or the beginning of that, and the modules that
# must be importable from it. The modules after `--` must be importable from anywhere; the last line
# names those that are not.
#
# Every Python from 3.6 on can run this. It runs with `-I -S -B -c`: no environment variables, and
# nothing written. `site`, which runs code of the environment such as a `.pth`, comes only after the
# interpreter proved to be the right one.
import sys

directory, version = sys.argv[1:3]
found = "%d.%d.%d" % sys.version_info[:3]
if version and not (found + ".").startswith(version + "."):
    sys.exit("%s is Python %s, not %s" % (sys.executable, found, version))

import importlib
import os
import site

# Before 3.14, `site` finds the environment.
site.main()
if os.path.realpath(sys.prefix) != os.path.realpath(directory):
    sys.exit("%s belongs to %s, not to %s" % (sys.executable, sys.prefix, directory))
if sys.prefix == sys.base_prefix:
    sys.exit("%s is a base installation" % sys.prefix)
split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
for name in sys.argv[3:split]:
    module = importlib.import_module(name)
    place = getattr(module, "__file__", None) or ""
    if not place.startswith(os.path.join(sys.prefix, "")):
        sys.exit("%s is imported from %s" % (name, place or "nowhere"))
failed = []
for name in sys.argv[split + 1:]:
    try:
        importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    # A program without a guard may even call `sys.exit` when it is imported.
    except BaseException as error:
        failed.append(name)
        print("%s: %s: %s" % (name, type(error).__name__, error), file=sys.stderr)
if failed:
    print("cannot import: " + " ".join(failed), file=sys.stderr)
if sys.argv[split + 1:]:
    # Threads that a module started would go on, and what it does at the end is not wanted.
    sys.stderr.flush()
    os._exit(1 if failed else 0)
