# The words of `failures.rs`: what prepares a failure.
set -e
site=E/lib/python3.13/site-packages

# lock NAME...: a lock of these wheels, which are in `wheels`.
lock() {
    printf "lock-version = '1.0'\ncreated-by = 'hand'\n" > pylock.toml
    for name in "$@"; do
        wheel=wheels/$name-1.0-py3-none-any.whl
        hash=$(sha256sum "$wheel" | cut -d ' ' -f 1)
        printf "\n[[packages]]\nname = '%s'\nversion = '1.0'\n" "$name"
        printf "[[packages.wheels]]\npath = '%s'\nhashes = { sha256 = '%s' }\n" "$wheel" "$hash"
    done >> pylock.toml
}

# locked LINE: a lock of `demo` 1.0 that is had in this way.
locked() {
    printf "lock-version = '1.0'\ncreated-by = 'hand'\n" > pylock.toml
    printf "\n[[packages]]\nname = 'demo'\nversion = '1.0'\n%s\n" "$1" >> pylock.toml
}

lock_sources() {
    locked "sdist = { url = 'https://example.org/demo-1.0.tar.gz', hashes = { sha256 = '$(printf %064d 1)' } }"
}

lock_repository() {
    locked "vcs = { type = 'git', url = 'https://example.org/demo.git', commit-id = '$(printf %040d 1)' }"
}

# lay NAME [TAG]: a package in E, as pip lays it.
lay() {
    "$REAL" -c '
import base64, hashlib, os, sys
site, name, tag = sys.argv[1:]
info = "%s-1.0.dist-info/" % name
files = {
    name + ".py": "owner = \"%s\"\n" % name,
    info + "METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n" % name,
    info + "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: %s\n" % tag,
    info + "INSTALLER": "pip\n",
}
if name == "one":
    files["shared.py"] = "owner = \"one\"\n"
rows = ""
os.makedirs(os.path.join(site, info))
for path, text in files.items():
    with open(os.path.join(site, path), "w") as file:
        file.write(text)
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
    rows += "%s,sha256=%s,%d\n" % (path, digest, len(text))
with open(os.path.join(site, info, "RECORD"), "w") as file:
    file.write(rows + info + "RECORD,,\n")
' "$site" "$1" "${2:-py3-none-any}"
}

# play_uv BODY: a uv that does this.
play_uv() {
    printf '#!/bin/sh\n[ "$1" = --version ] && echo uv 9.0.0 && exit\n%s\n' "$1" > bin/uv
    chmod +x bin/uv
}

# A Python 3.12 beside the 3.13.
other_python() {
    sed 's|/python"|/python3.12"|g; s/3\.13/3.12/g; s/313/312/g; s/"minor":13/"minor":12/' python > python3.12
    chmod +x python3.12
}

# A project whose backend fails.
broken_project() {
    mkdir project
    cat > project/pyproject.toml <<'END'
[build-system]
requires = []
build-backend = "own"
backend-path = ["."]
[project]
name = "demo"
version = "1.0"
END
    echo 'def build_wheel(*_): raise SystemExit("no compiler")' > project/own.py
    locked "directory = { path = 'project' }"
}

# An archive that would write beside its directory.
hostile_archive() {
    "$REAL" -c '
import io, tarfile
with tarfile.open("demo-1.0.tar.gz", "w:gz") as archive:
    for name in ["demo-1.0/pyproject.toml", "demo-1.0/../../../escaped"]:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
'
    locked "sdist = { path = 'demo-1.0.tar.gz', hashes = { sha256 = '$(sha256sum demo-1.0.tar.gz | cut -d ' ' -f 1)' } }"
}
