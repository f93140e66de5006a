# Makes a wheelhouse: `wheels.py DIRECTORY PLATFORM PYTHON...`, Pythons as 311.
import base64, hashlib, sys, zipfile

directory, platform, pythons = sys.argv[1], sys.argv[2], sys.argv[3:]
PURE, ABI = ("py3-none-any",), ("cp36-abi3-" + platform,)
OWN = tuple("cp%s-cp%s-%s" % (python, python, platform) for python in pythons)
REQUIRES = {"birch": "Requires-Dist: alder\n"}
TAGS = {"alder": PURE, "birch": PURE, "cedar": ABI, "dogwood": OWN, "hazel": OWN[:1]}


def package(name, version, tag):
    info = "%s-%s.dist-info/" % (name, version)
    needs = ""
    if tag in OWN:
        minor = tag.split("-")[0][len("cp3"):]
        needs = "import sys\nassert sys.version_info[:2] == (3, %s), 'another ABI'\n" % minor
    number = "version = '%s'\n" % version
    files = {
        name + "/__init__.py": needs + number,
        name + "/inner.py": number + "def main():\n    print('%s %s')\n" % (name, version),
        name + "/table.txt": version + "\n",
        name + "_alone.py": number,
        "%s-%s.data/data/share/%s.txt" % (name, version, name): version + "\n",
        # Every version has it, and two packages have the other one.
        name + "_same.py": "x = 1\n",
        "common/%s.txt" % ("part" if name in ("alder", "birch") else name): "of all\n",
        info + "METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version)
        + REQUIRES.get(name, ""),
        info + "WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: %s\nTag: %s\n"
        % ("true" if tag in PURE else "false", tag),
        info + "entry_points.txt": "[console_scripts]\n%s = %s.inner:main\n" % (name, name),
    }
    return info, files


def row(path, text):
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return "%s,sha256=%s,%d\n" % (path, digest.rstrip("="), len(text))


def member(path):
    found = zipfile.ZipInfo(path, (2020, 2, 2, 0, 0, 0))
    found.external_attr = 0o644 << 16
    return found


for name, tags in TAGS.items():
    for version in ("1.0", "2.0"):
        for tag in tags:
            info, files = package(name, version, tag)
            path = "%s/%s-%s-%s.whl" % (directory, name, version, tag)
            rows = ""
            with zipfile.ZipFile(path, "w") as wheel:
                for inside, text in sorted(files.items()):
                    wheel.writestr(member(inside), text)
                    rows += row(inside, text)
                wheel.writestr(member(info + "RECORD"), rows + info + "RECORD,,\n")
