# Reports facts about this interpreter as one line of JSON with a marker.
#
# Every Python from 2.6 on can parse this program, so that an old one is refused for its version and
# not for a syntax error. It runs with `-E -s -S -B -c`: no environment variables, no site, and it
# writes nothing.
import sys

# With `-c` the first entry is the working directory, whose files must not replace the library's.
sys.path[:] = [entry for entry in sys.path if entry]

import json
import os


def report(answer):
    sys.stdout.write("\nrvenv-probe-3:" + json.dumps(answer, sort_keys=True) + "\n")
    sys.stdout.flush()


version = dict(zip(("major", "minor", "micro"), sys.version_info))
version["text"] = sys.version.split()[0]
head = {"version": version}
if sys.version_info < (3, 6):
    report(head)
    sys.exit(0)

import importlib.util
import sysconfig

PYPY = sys.implementation.name == "pypy"
WINDOWS = os.name == "nt"


def plain(path):
    return os.fsencode(path).decode("utf-8")


def scheme():
    short = "%d.%d" % sys.version_info[:2]
    if sys.version_info >= (3, 11) and "venv" in sysconfig.get_scheme_names():
        root = os.path.abspath(os.sep + "rvenv-root")
        names = ("base", "platbase", "installed_base", "installed_platbase")
        variables = dict.fromkeys(names, root)
        paths = {}
        for name in ("include", "purelib", "platlib", "scripts"):
            path = sysconfig.get_path(name, scheme="venv", vars=variables)
            paths[name] = os.path.relpath(path, root).replace(os.sep, "/")
    elif WINDOWS:
        packages = "Lib/site-packages"
        paths = {"include": "Include", "purelib": packages, "platlib": packages, "scripts": "Scripts"}
    else:
        if PYPY and sys.version_info < (3, 8):
            packages = "site-packages"
        else:
            packages = "lib/%s%s/site-packages" % ("pypy" if PYPY else "python", short)
        paths = {"include": "include", "purelib": packages, "platlib": packages, "scripts": "bin"}
    if sys.version_info >= (3, 14):
        paths["include"] = "Include" if WINDOWS else "include"
    return [paths[name] for name in ("include", "purelib", "platlib", "scripts")]


def caching():
    tag = sys.implementation.cache_tag
    return None if tag is None else [tag, importlib.util.MAGIC_NUMBER.hex()]


def existing(path):
    # A library inside an archive changes with the archive.
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def last_wheel(directories, name):
    for directory in directories:
        try:
            files = sorted(os.listdir(directory))
        except OSError:
            continue
        found = [f for f in files if f.startswith(name + "-") and f.endswith(".whl")]
        if found:
            return os.path.join(directory, found[-1])
    return os.path.join(directories[0], name + "-*.whl")


def wheels_of(ensurepip, directories):
    bundled = os.path.join(os.path.dirname(os.path.abspath(ensurepip.__file__)), "_bundled")
    directories.append(bundled)
    if not sysconfig.get_config_var("WHEEL_PKG_DIR"):
        # Since 3.13 an empty setting means the working directory, whose wheels would be used.
        ensurepip._WHEEL_PKG_DIR = None
    system = getattr(ensurepip, "_WHEEL_PKG_DIR", None)
    if system:
        directories.append(str(system))
    if hasattr(ensurepip, "_get_packages"):
        packages = ensurepip._get_packages()
        names = [n for n in ensurepip._PACKAGE_NAMES if n in packages]
        found = [packages[n] for n in names]
        return [p.wheel_path or os.path.join(bundled, p.wheel_name) for p in found]
    if hasattr(ensurepip, "_get_pip_whl_path_ctx"):
        with ensurepip._get_pip_whl_path_ctx() as wheel:
            return [str(wheel)]
    wheels = []
    for project in ensurepip._PROJECTS:
        if isinstance(project, str):
            # Debian removes the versions, since its wheels are separate packages.
            if "/usr/share/python-wheels" not in directories:
                directories.append("/usr/share/python-wheels")
            wheels.append(last_wheel(directories, project))
        else:
            tag = project[2] if len(project) > 2 else "py2.py3"
            named = os.path.join(bundled, "%s-%s-%s-none-any.whl" % (project[0], project[1], tag))
            if not os.path.isfile(named):
                named = last_wheel([bundled], "%s-%s" % (project[0], project[1]))
            wheels.append(named)
    return wheels


def bundled():
    library = sysconfig.get_path("stdlib")
    watched = [os.path.join(library, "ensurepip", "__init__.py")]
    wheels = []
    reason = None
    try:
        import ensurepip

        watched[0] = os.path.abspath(ensurepip.__file__)
        wheels = [os.path.abspath(wheel) for wheel in wheels_of(ensurepip, watched)]
        missing = [wheel for wheel in wheels if not os.path.isfile(wheel)]
        if missing:
            reason = "%s is missing" % plain(missing[0])
        elif not wheels:
            reason = "ensurepip names no wheels"
    except ImportError as error:
        reason = str(error)
    except Exception as error:
        reason = "ensurepip cannot be asked: %s: %s" % (type(error).__name__, error)
    return wheels, reason, watched + wheels


def libraries():
    variable = sysconfig.get_config_var
    found = []
    if WINDOWS:
        name = "python%d%d.dll" % sys.version_info[:2]
        found.append(os.path.join(os.path.dirname(sys.executable), name))
    if variable("Py_ENABLE_SHARED") or PYPY:
        name = variable("INSTSONAME") or variable("LDLIBRARY")
        for directory in (variable("LIBDIR"), os.path.join(sys.base_prefix, "lib")):
            if name and directory:
                found.append(os.path.join(directory, name))
    if variable("PYTHONFRAMEWORK") and variable("INSTSONAME"):
        found.append(os.path.join(variable("PYTHONFRAMEWORKPREFIX") or "", variable("INSTSONAME")))
    return found


def c_library():
    try:
        with open("/proc/self/maps", errors="surrogateescape") as maps:
            paths = [line[line.index("/"):].rstrip() for line in maps if "/" in line]
    except OSError:
        return []
    starts = ("libc.so.", "libc-", "ld-musl-")
    return [existing(path) for path in paths if os.path.basename(path).startswith(starts)][:1]


def loader(program):
    """The loader that an ELF program names: musl may be anywhere."""
    import struct

    with open(program, "rb") as file:
        def number(kind, at):
            file.seek(at)
            return struct.unpack(order + kind, file.read(struct.calcsize(order + kind)))[0]

        ident = file.read(6)
        if ident[:4] != b"\x7fELF":
            return b""
        wide, order = ident[4:5] == b"\2", "<" if ident[5:] == b"\1" else ">"
        word = "Q" if wide else "I"
        table = number(word, 32 if wide else 28)
        size, count = [number("H", at) for at in ((54, 56) if wide else (42, 44))]
        for at in [table + size * index for index in range(count)]:
            if number("I", at) == 3:
                start, length = [number(word, at + of) for of in ((8, 32) if wide else (4, 16))]
                file.seek(start)
                return file.read(length).rstrip(b"\0")
    return b""


def musl():
    path = loader(sys.executable)
    if not os.path.basename(path).startswith(b"ld-musl-"):
        return ""
    import subprocess

    # Without arguments, the loader prints what it is, and fails.
    said = subprocess.run([path], stderr=subprocess.PIPE).stderr.decode("ascii", "replace")
    lines = [line for line in said.splitlines() if line.startswith("Version ")]
    return "musl " + lines[0].split()[1] if lines else ""


def system():
    # Importing `platform` takes longer than the rest of the probe.
    if sys.platform == "darwin":
        import platform

        return "macos " + platform.mac_ver()[0]
    if not sys.platform.startswith("linux"):
        return ""
    try:
        found = os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, OSError, ValueError):
        found = None
    try:
        return found or musl()
    except (OSError, ValueError):
        return ""


def machine():
    if hasattr(os, "uname"):
        return os.uname()[4]
    import platform

    return platform.machine()


def implementation_version():
    info = sys.implementation.version
    version = "%d.%d.%d" % tuple(info[:3])
    return version if info[3] == "final" else "%s%s%d" % (version, info[3][0], info[4])


wheels, reason, watched = bundled()
watched.extend(libraries())
watched.extend(c_library())
watched.append(existing(os.path.join(sysconfig.get_path("stdlib"), "os.py")))
watched.append(existing(os.path.abspath(sysconfig.__file__)))

try:
    head.update(
        executable=plain(sys.executable),
        base_executable=plain(getattr(sys, "_base_executable", None) or sys.executable),
        real_executable=plain(os.path.realpath(sys.executable)),
        platform=dict(
            implementation=sys.implementation.name,
            free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            abiflags=getattr(sys, "abiflags", ""),
            is_64bit=sys.maxsize > 2**32,
            os_name=os.name,
            sys_platform=sys.platform,
            filesystem_encoding=sys.getfilesystemencoding(),
            implementation_version=implementation_version(),
            extension_suffix=sysconfig.get_config_var("EXT_SUFFIX") or "",
            built_for=sysconfig.get_platform(),
            machine=machine(),
            system=system(),
        ),
        scheme=scheme(),
        caching=caching(),
        bundled={"missing": {"reason": reason}} if reason else {"wheels": list(map(plain, wheels))},
        watched=sorted(set(plain(path) for path in watched)),
    )
except UnicodeError:
    head.update(unusable="a path of it is not valid UTF-8")
report(head)
