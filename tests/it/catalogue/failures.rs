//! Every failure of the catalogue as shell text: what is prepared, and the command that fails.
//!
//! The commands of [`super`] are on PATH: `rvenv`, `lock` (a lock of wheels), `lay` (an installed
//! package), and `./python`, which plays a Python 3.13 that starts nothing.
//! Read next: `mod.rs`, which runs them.

/// What a row needs besides a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    /// Mounts, or other owners.
    Root,
    /// Errors in place of system calls.
    Strace,
}

/// How the failure of a code is made.
pub(super) struct Failure {
    pub(super) code: &'static str,
    pub(super) needs: Needs,
    /// What is prepared.
    pub(super) before: &'static str,
    /// What the command is run by, in words before it.
    pub(super) through: &'static str,
    /// What a user types.
    pub(super) typed: &'static str,
    /// What ends other processes.
    pub(super) after: &'static str,
}

/// A code whose failure no test can make, and why not.
pub(super) struct Unmade {
    pub(super) code: &'static str,
    pub(super) reason: &'static str,
}

const fn typed(code: &'static str, before: &'static str, typed: &'static str) -> Failure {
    through(code, before, "", typed)
}

const fn through(
    code: &'static str,
    before: &'static str,
    through: &'static str,
    typed: &'static str,
) -> Failure {
    Failure {
        code,
        needs: Needs::Nothing,
        before,
        through,
        typed,
        after: "",
    }
}

impl Failure {
    const fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    const fn after(self, after: &'static str) -> Self {
        Self { after, ..self }
    }
}

const CREATED: &str = "rvenv create --without-pip E";
pub(super) const UNMADE: &[Unmade] = &[
    Unmade {
        code: "changed-meanwhile",
        reason: "another process has to change the target after this one looked at it, and before \
                 it has the lock or takes its first step.",
    },
    Unmade {
        code: "content",
        reason: "a wheel has to vanish after it was found, and before it is unpacked.",
    },
];

pub(super) const FAILURES: &[Failure] = &[
    typed("usage", "", "rvenv create --bogus E"),
    typed("bad-text", "", "rvenv create a:b"),
    through(
        "bad-setting",
        "",
        "env RVENV_CACHE_DIR=cache",
        "rvenv create E",
    ),
    typed(
        "output-lost",
        "rvenv create --without-pip E; touch file",
        "rvenv status E 1< file",
    ),
    typed("disk", "", "rvenv status \"$(printf %0300d)\""),
    through("no-space", "", "strace -qq -o trace -e trace=symlinkat -e inject=symlinkat:error=ENOSPC", "rvenv create --without-pip E").needs(Needs::Strace),
    typed(
        "interrupted",
        "",
        "rvenv create --without-pip --check 'kill -INT $PPID; sleep 20' E",
    ),
    typed(
        "terminated",
        "",
        "rvenv create --without-pip --check 'kill -TERM $PPID; sleep 20' E",
    ),
    typed("bad-target", "touch file", "rvenv create file"),
    typed(
        "target-busy",
        "rvenv create --without-pip --check 'touch on; until [ -e off ]; do sleep 0.05; done' E \
         >out 2>&1 & until [ -e on ]; do sleep 0.05; done",
        "rvenv upgrade --without-pip --wait 0 E",
    )
    .after("touch off; until rvenv status E | grep -q 'nothing is open'; do sleep 0.05; done"),
    typed(
        "target-lock",
        "ln -s elsewhere .E.rvenv.lock",
        "rvenv create --without-pip E",
    ),
    typed("no-environment", "", "rvenv upgrade E"),
    typed(
        "bad-environment",
        "mkdir E; echo home > E/pyvenv.cfg",
        "rvenv upgrade E",
    ),
    typed(
        "unsafe-clear",
        "mkdir project; touch project/notes",
        "rvenv create --without-pip --clear project",
    ),
    typed(
        "occupied",
        "mkdir project; touch project/bin",
        "rvenv create --without-pip project",
    ),
    through(
        "mounted",
        "rvenv create --without-pip E; mkdir E/data",
        "unshare -m sh -c 'mount -t tmpfs none E/data && exec \"$@\"' sh",
        "rvenv create --without-pip --clear E",
    )
    .needs(Needs::Root),
    typed(
        "other-owner",
        "rvenv create --without-pip E; chmod o+w E",
        "rvenv upgrade --without-pip E",
    ),
    typed(
        "stale-plan",
        "rvenv plan --without-pip -o plan.json E; mkdir E; touch E/bin",
        "rvenv apply plan.json",
    ),
    typed(
        "bad-plan-file",
        "echo '{}' > plan.json",
        "rvenv apply plan.json",
    ),
    typed(
        "unsuited-plan",
        "cp python other; sed -i 's|/python\"|/other\"|g' other; rvenv plan -p ./other --without-pip -o plan.json E; rm other",
        "rvenv apply plan.json",
    ),
    typed(
        "plan-digest",
        "rvenv plan --without-pip -o plan.json E",
        "rvenv apply plan.json --digest 0000000000000000000000000000000000000000000000000000000000000000",
    ),
    typed(
        "not-saved",
        "",
        "rvenv plan --without-pip -o nowhere/plan.json E",
    ),
    typed("bad-python-request", "", "rvenv create -p '>=x' E"),
    through(
        "bad-python-pin",
        "echo '3.x!' > .python-version",
        "env -u RVENV_PYTHON",
        "rvenv create E",
    ),
    typed("no-python", "", "rvenv create -p 3.99 E"),
    typed(
        "broken-python",
        "printf '#!/bin/sh\\necho hello\\n' > hello; chmod +x hello",
        "rvenv create -p ./hello E",
    ),
    through(
        "untrusted-python",
        CREATED,
        "env -u RVENV_PYTHON",
        "rvenv upgrade E",
    ),
    through("base-gone", "rvenv create --without-pip E; rm python E/bin/python; sed -i 's|work|gone|g' E/pyvenv.cfg", "env -u RVENV_PYTHON PATH=\"$WORK/bin\"", "rvenv upgrade E"),
    typed(
        "bad-requirement",
        "",
        "rvenv create --without-pip --with 'demo=' E",
    ),
    typed(
        "bad-lock",
        "echo 'packages = 1' > pylock.toml",
        "rvenv create --without-pip -r pylock.toml E",
    ),
    typed(
        "unsuited-lock",
        "lock demo; sed -i \"1i requires-python = '>=3.99'\" pylock.toml",
        "rvenv create --without-pip -r pylock.toml E",
    ),
    typed(
        "needs-build",
        "lock_sources",
        "rvenv create --without-pip -r pylock.toml E",
    ),
    typed(
        "build-failed",
        "broken_project",
        "rvenv create -p \"$REAL\" --without-pip -r pylock.toml --build E",
    ),
    typed(
        "bad-archive",
        "hostile_archive",
        "rvenv create -p \"$REAL\" --without-pip -r pylock.toml --build E",
    ),
    through(
        "no-git",
        "lock_repository",
        "env PATH=\"$WORK/bin\"",
        "rvenv create -p \"$REAL\" --without-pip -r pylock.toml --build E",
    ),
    typed("bad-project", "", "rvenv lock"),
    typed(
        "no-wheel",
        "lock demo; rm wheels/demo-1.0-py3-none-any.whl",
        "rvenv create --without-pip --no-index -r pylock.toml E",
    ),
    typed(
        "fetch-failed",
        "lock demo; sed -i \"s|path = 'wheels/|url = 'http://127.0.0.1:1/|\" pylock.toml",
        "rvenv create --without-pip --allow-host 127.0.0.1 -r pylock.toml E",
    ),
    typed("bad-reference", "", "rvenv push E registry.example/team/app:v1"),
    through(
        "push-failed",
        "rvenv plan --without-pip E -o app.json",
        "env PIP_RETRIES=0",
        "rvenv push app.json oci://127.0.0.1:1/team/app:v1",
    ),
    typed(
        "image-exists",
        "rvenv plan --without-pip E -o app.json; mkdir image",
        "rvenv image app.json -o image",
    ),
    through(
        "no-image-tool",
        "rvenv plan --without-pip E -o app.json; ! [ -e /usr/sbin/mksquashfs ]",
        "env PATH=\"$WORK/bin\"",
        "rvenv image app.json --format squashfs -o app.squashfs",
    ),
    typed(
        "image-failed",
        "rvenv plan --without-pip E -o app.json; printf '#!/bin/sh\\necho bad option >&2; exit 2\\n' \
         > bin/mksquashfs; chmod +x bin/mksquashfs",
        "rvenv image app.json --format squashfs -o app.squashfs",
    ),
    typed(
        "bad-base",
        "rvenv plan --without-pip E -o app.json",
        "rvenv image app.json --base base -o image",
    ),
    through("no-cache", "", "env -u RVENV_CACHE_DIR -u HOME setpriv --reuid 54321 --clear-groups", "rvenv cache dir").needs(Needs::Root),
    typed("no-resolver", "", "rvenv lock demo --resolver uv"),
    typed(
        "unresolvable",
        "play_uv 'echo no such package: demo >&2; exit 1'",
        "rvenv lock demo",
    ),
    typed("resolver-failed", "play_uv 'while [ $# -gt 1 ]; do [ \"$1\" = --output-file ] && out=$2; shift; done; echo nonsense > \"$out\"'", "rvenv lock demo"),
    typed("no-pip", "", "rvenv create E"),
    typed(
        "bad-wheel",
        "lock hostile",
        "rvenv create --without-pip -r pylock.toml E",
    ),
    typed(
        "collision",
        "lock one two",
        "rvenv create --without-pip -r pylock.toml E",
    ),
    typed(
        "overlap",
        "rvenv create --without-pip E; lay one; lock two",
        "rvenv sync --env E -r pylock.toml",
    ),
    typed("not-installed", CREATED, "rvenv uninstall --env E demo"),
    typed(
        "no-record",
        "rvenv create --without-pip E; lay demo; rm E/lib/python3.13/site-packages/demo-1.0.dist-info/RECORD",
        "rvenv uninstall --env E demo",
    ),
    typed("lost-packages", "rvenv create --without-pip E; lay native cp313-cp313-linux_x86_64; other_python", "rvenv upgrade -p ./python3.12 --without-pip --no-index E"),
    typed(
        "check-failed",
        "",
        "rvenv create --without-pip --check 'exit 3' E",
    ),
    typed(
        "changed-while-checked",
        "",
        "rvenv create --without-pip --check 'echo >> E/pyvenv.cfg; exit 3' E",
    ),
    through("publish-failed", CREATED, "strace -qq -o trace -e trace=renameat2 -e inject=renameat2:error=EIO:when=2", "rvenv create --without-pip --prompt p E").needs(Needs::Strace),
    typed(
        "undo-unfinished",
        CREATED,
        "rvenv create --without-pip --clear --prompt p --check 'mv .E.rvenv.new-* stolen; exit 3' E",
    ),
    typed("no-generation", CREATED, "rvenv rollback E"),
    typed(
        "bad-generation",
        "rvenv create --without-pip E; rvenv create --without-pip E --clear --keep --prompt p; rm .E.rvenv.old-1.journal",
        "rvenv rollback E",
    ),
    typed("unpublished", "\"$REAL\" -m venv --without-pip E", "rvenv verify --digest E"),
    typed("no-replacement", "rvenv create --without-pip E; lay demo; echo >> E/lib/python3.13/site-packages/demo.py", "rvenv repair -p ./python --no-index E"),
    typed(
        "other-python",
        "rvenv create --without-pip E; other_python",
        "rvenv repair -p ./python3.12 E",
    ),
    typed(
        "differs",
        "rvenv create --without-pip E; rm E/bin/activate",
        "rvenv verify --digest E",
    ),
    through(
        "unusable-cache",
        "mkdir -p ../home/.cache/rvenv; chmod o+w ../home/.cache/rvenv",
        "env -u RVENV_CACHE_DIR",
        "rvenv cache prune",
    ),
    through("publish-unfinished", CREATED, "strace -qq -o trace -e trace=renameat2 -e inject=renameat2:error=EIO:when=3+", "rvenv create --without-pip --prompt p E").needs(Needs::Strace),
    through("cleanup-unfinished", CREATED, "strace -qq -o trace -e trace=renameat -e inject=renameat:error=EIO:when=3+", "rvenv create --without-pip --prompt p E").needs(Needs::Strace),
    through("in-doubt", CREATED, "strace -qq -o trace -e trace=fsync,syncfs,fdatasync -e inject=fsync:error=EIO:when=4+", "rvenv create --without-pip --prompt p E").needs(Needs::Strace),
    through("recovery-unfinished", "rvenv create --without-pip E; rvenv create --without-pip --prompt p --check 'kill -9 $PPID' E || true", "strace -qq -o trace -e trace=renameat2 -e inject=renameat2:error=EIO", "rvenv recover E").needs(Needs::Strace),
    typed("recovery-refused", "rvenv create --without-pip --check 'kill -9 $PPID' E || true; rm -r E; mkdir E; touch E/notes", "rvenv recover E"),
    typed("import-failed", "rvenv create --without-pip E; lay demo; other_python; sed -i '2i case \"$*\" in *demo*) echo \"cannot import: demo\" >\\&2; exit 1;; esac' python3.12", "rvenv upgrade -p ./python3.12 --without-pip --no-index E"),
    typed("compile-failed", "lock demo", "rvenv create --without-pip --compile-bytecode -r pylock.toml E"),
    typed("no-source", "rvenv create --without-pip --prompt p E; echo > E/pyvenv.cfg; rm E/bin/activate", "rvenv repair -p ./python E"),
    typed("closed-directories", "rvenv create --without-pip E; chmod 0700 E/bin", "rvenv repair -p ./python E"),
    through("cache-leftovers", "lock demo; rvenv create --without-pip -r pylock.toml E", "unshare -m sh -c 'mount -t tmpfs none \"$(ls -d ../cache/packs/*/ | head -1)\" && exec \"$@\"' sh", "rvenv cache clear").needs(Needs::Root),
];
