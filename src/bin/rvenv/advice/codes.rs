//! The codes of the errors: one for each situation in which a user does something else next.
//!
//! Promises that a code keeps its name, its meaning and its exit code, that a row without an
//! explanation does not compile, and that `rvenv explain` and `docs/errors.md` show these rows.
//! Read next: `../advice.rs`, which gives each failure its code; `tests/it/catalogue/`, which makes
//! each of them happen.

/// How the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Precondition = 3,
    Pending = 4,
    NeedsPerson = 5,
    InDoubt = 6,
    Interrupted = 130,
    Terminated = 143,
}

/// What a code means, in sentences.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Explanation {
    /// What happened.
    pub(crate) meaning: &'static str,
    /// The state in which the target, the cache or the file is.
    pub(crate) state: &'static str,
    /// What to do next.
    pub(crate) way_out: &'static str,
}

macro_rules! codes {
    ($(
        $variant:ident, $name:literal, $exit:ident,
        $meaning:literal, $state:expr, $way_out:literal;
    )*) => {
        /// The code of an error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code {
            $(
                #[doc = $meaning]
                $variant,
            )*
        }

        impl Code {
            /// Every code, in the order of the catalogue.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name, which users and programs see.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The exit code of a command that fails so.
            pub(crate) fn exit(self) -> Exit {
                match self {
                    $(Self::$variant => Exit::$exit,)*
                }
            }

            /// What it means, what state it leaves, and what to do.
            pub(crate) fn explanation(self) -> Explanation {
                match self {
                    $(Self::$variant => Explanation {
                        meaning: $meaning,
                        state: $state,
                        way_out: $way_out,
                    },)*
                }
            }
        }
    };
}

const AS_BEFORE: &str =
    "The target is as it was before, or as the recovery of an earlier run left it.";
const NOTHING_BEGUN: &str = "Nothing was begun.";
const TO_RECOVER: &str = "A step may be taken and not yet be final; a journal beside the target \
    says which, and the old tree is not deleted.";

codes! {
    Usage, "usage", Usage,
        "The command line has an option, a word or a combination that the command does not take.",
        NOTHING_BEGUN,
        "Read `rvenv help COMMAND`, and correct the command line.";
    BadText, "bad-text", Usage,
        "A path, a prompt or the name of a file has a character that an environment, or the file, \
         cannot have: a `:` would end an entry of PATH, a line break would forge a line of \
         `pyvenv.cfg`.",
        NOTHING_BEGUN,
        "Choose another path or prompt.";
    BadSetting, "bad-setting", Usage,
        "An environment variable, a configuration file or an option that names a place has a value \
         that cannot be used.",
        NOTHING_BEGUN,
        "Correct the setting that the message names, or unset it.";
    OutputLost, "output-lost", Failed,
        "What was to be printed on standard output could not be written.",
        "A command that only reads changed nothing; for others the message says what was done.",
        "Send standard output elsewhere, and run the command again.";
    Disk, "disk", Failed,
        "The operating system refused to read or write something; the causes name the path and the \
         system's reason.",
        AS_BEFORE,
        "Mend the cause (permissions, an immutable entry, a failing disk), and run the command \
         again.";
    NoSpace, "no-space", Failed,
        "A filesystem, a quota or the limit on inodes has too little room for the change.",
        AS_BEFORE,
        "Make room, for example with `rvenv cache prune`, and run the command again.";
    Interrupted, "interrupted", Interrupted,
        "SIGINT arrived, usually from Ctrl-C.",
        AS_BEFORE,
        "Run the command again if you still want the change.";
    Terminated, "terminated", Terminated,
        "SIGTERM arrived, for example from a CI system that ran out of patience.",
        AS_BEFORE,
        "Run the command again if you still want the change.";

    BadTarget, "bad-target", Precondition,
        "The target's path leads to nothing that can become an environment: a file, a link to \
         nowhere, or a directory whose parent does not exist.",
        NOTHING_BEGUN,
        "Name another directory, or move away what is in the way.";
    TargetBusy, "target-busy", Failed,
        "Another process is changing the same target, and did not end within `--wait` seconds.",
        "This command changed nothing; the other process has its own outcome.",
        "Wait for the other process, or wait longer with `--wait SECONDS`.";
    TargetLock, "target-lock", Failed,
        "The lock file beside the target cannot be created, opened or trusted.",
        NOTHING_BEGUN,
        "Make the directory above the target writable for you; delete a lock file that belongs to \
         another user or is a link, if no process uses it.";
    NoEnvironment, "no-environment", Precondition,
        "The command works on an environment, and there is none at that path, or none was named \
         and none is active or near.",
        NOTHING_BEGUN,
        "Name an environment, or make one with `rvenv create`.";
    BadEnvironment, "bad-environment", Precondition,
        "The directory has a `pyvenv.cfg`, but what it says cannot be read or makes no sense.",
        NOTHING_BEGUN,
        "Replace it with `rvenv create --clear`, or name another environment.";
    UnsafeClear, "unsafe-clear", Precondition,
        "`--clear` or `remove` would delete something that is not, or not only, an environment.",
        NOTHING_BEGUN,
        "Name the right directory, delete by hand what may go, or add `--force` if all of it may \
         be deleted.";
    Occupied, "occupied", Precondition,
        "A path that the change needs exists as something else, which rvenv did not make.",
        AS_BEFORE,
        "Move it away, name another directory, or replace the environment with `--clear`.";
    Mounted, "mounted", Precondition,
        "Something is mounted in the tree that is to be replaced, and a rename cannot take it \
         along.",
        AS_BEFORE,
        "Unmount it, or name another directory.";
    OtherOwner, "other-owner", Precondition,
        "A health check would run files that another user owns or can change.",
        NOTHING_BEGUN,
        "Run as that user, close the directory for others, or add `--allow-other-owner` if you \
         trust them.";
    StalePlan, "stale-plan", Precondition,
        "Something that the plan depends on has changed since it was made.",
        AS_BEFORE,
        "Make a new plan with `rvenv plan`, and review it.";
    BadPlanFile, "bad-plan-file", Failed,
        "The file, the pipe or standard input does not hold a plan that this rvenv can apply.",
        NOTHING_BEGUN,
        "Make a new plan with `rvenv plan -o FILE`.";
    UnsuitedPlan, "unsuited-plan", Precondition,
        "The saved plan is whole, but not for this machine or this path: it needs an interpreter \
         or a wheel that is not here, or an environment that does not exist. Or a registry has \
         several environments under one name, and not exactly one of them is for this machine.",
        AS_BEFORE,
        "Provide what the message names, or make a plan on this machine. Of several, choose one \
         with `--python`, or by its digest.";
    PlanDigest, "plan-digest", Precondition,
        "The plan is not the one that `--digest` names.",
        NOTHING_BEGUN,
        "Review the plan again before you apply it.";
    NotSaved, "not-saved", Failed,
        "The plan, the lock or the image could not be written to the file.",
        "A file of that name is as it was before; the target was not touched.",
        "Name a file in an existing, writable directory.";
    ImageExists, "image-exists", Precondition,
        "Something has the path of the image.",
        "Nothing was written; what is there stays.",
        "Name another path. `--force` replaces an image of the same form, and nothing else.";
    NoImageTool, "no-image-tool", Precondition,
        "A program of the system makes this form of image, and it is not there.",
        NOTHING_BEGUN,
        "Install the package that the message names.";
    ImageFailed, "image-failed", Failed,
        "The program that makes this form of image failed.",
        "No image was written; one of that name is as it was before.",
        "The message ends with what the program printed; mend that, and run the command again.";
    BadBase, "bad-base", Precondition,
        "The base image cannot be read, is damaged, is for other processors than the environment, \
         or does not have its interpreter.",
        "No image was written; one of that name is as it was before.",
        "Write a layout of the right image with `skopeo copy`, and name it with `--base`.";
    ChangedMeanwhile, "changed-meanwhile", Precondition,
        "Another process changed the target while this command ran.",
        AS_BEFORE,
        "Run the same command again.";

    BadPythonRequest, "bad-python-request", Usage,
        "The request for a Python is neither a version, a name nor a path.",
        NOTHING_BEGUN,
        "Write a version such as `3.12`, a name such as `python3.12`, or a path.";
    BadPythonPin, "bad-python-pin", Failed,
        "A `.python-version` or `pyproject.toml` asks for a Python in words that rvenv cannot \
         read.",
        NOTHING_BEGUN,
        "Correct the line that the message names, or name an interpreter with `--python`.";
    NoPython, "no-python", Failed,
        "No usable interpreter of this machine fits the request.",
        NOTHING_BEGUN,
        "Install one, or name one by its path; `rvenv python list` shows those that exist.";
    BrokenPython, "broken-python", Failed,
        "The interpreter was started, and did not answer as a supported Python does.",
        NOTHING_BEGUN,
        "Run it by hand to see what is wrong, or name another with `--python`.";
    UntrustedPython, "untrusted-python", Precondition,
        "Only the environment itself names this interpreter. Its files may come from a checkout, \
         whose author would choose the program that runs.",
        NOTHING_BEGUN,
        "If you trust it, name it with `--python`; else use one that is installed.";
    BaseGone, "base-gone", Failed,
        "The interpreter that the environment was made from is gone, or cannot be found from the \
         environment's files.",
        NOTHING_BEGUN,
        "Name an interpreter with `--python`.";

    BadRequirement, "bad-requirement", Usage,
        "A requirement, or another word that names a package, cannot be read.",
        NOTHING_BEGUN,
        "Write it as pip does: `name`, `name>=1.2`, `name @ URL` or a path.";
    BadLock, "bad-lock", Usage,
        "The file is not a lock that rvenv reads, or it contradicts itself.",
        NOTHING_BEGUN,
        "Lock again, for example with `rvenv lock`.";
    UnsuitedLock, "unsuited-lock", Precondition,
        "The lock has nothing to install for this interpreter, or does not have what was asked \
         for.",
        NOTHING_BEGUN,
        "Lock for this interpreter too, or name another with `--python`.";
    NeedsBuild, "needs-build", Precondition,
        "A package exists only as sources here, and the command may not build it.",
        NOTHING_BEGUN,
        "Allow it with `--build`, leave out `--no-build`, or ask for a version that has a wheel.";
    BuildFailed, "build-failed", Failed,
        "Sources could not be made into a wheel; the message ends with what the build printed.",
        "The target is as it was before; the attempt's directory is deleted.",
        "Install what the build needs, or use a version that has a wheel.";
    BadArchive, "bad-archive", Failed,
        "An archive of sources holds something that would be written outside of its own \
         directory, or changed while it was read.",
        "The target is as it was before, and nothing of the archive stays.",
        "Do not trust this archive; ask for another version.";
    NoGit, "no-git", Precondition,
        "The requirement names a repository, and there is no git on PATH.",
        NOTHING_BEGUN,
        "Install git, or ask for a release.";
    BadProject, "bad-project", Precondition,
        "The `pyproject.toml` is absent, cannot be read, or does not say what was asked for.",
        NOTHING_BEGUN,
        "Correct the file, or name requirements.";
    NoWheel, "no-wheel", Failed,
        "No place that was asked has a wheel that fits.",
        NOTHING_BEGUN,
        "Name another place with `--find-links`, `--wheelhouse` or `--index-url`.";
    FetchFailed, "fetch-failed", Failed,
        "A page or a file could not be fetched, or what came is not what its digest says.",
        "The target is as it was before. What arrived whole stays in the cache.",
        "Check the network, the index and its credentials, and run the command again.";
    BadReference, "bad-reference", Usage,
        "What names a repository of a registry, or something in it, is malformed.",
        NOTHING_BEGUN,
        "Write `oci://HOST/REPOSITORY:TAG` or `oci://HOST/REPOSITORY@sha256:DIGEST`, or `oci:DIR` \
         in place of `oci://HOST/REPOSITORY`.";
    PushFailed, "push-failed", Failed,
        "The registry did not take what was to be pushed.",
        "The registry may have some of the files. The tag names what it named before.",
        "Check the registry and the credentials in Docker's configuration, and push again: what \
         is there is not sent again.";
    NoCache, "no-cache", Failed,
        "The command needs a cache directory, and there is none.",
        NOTHING_BEGUN,
        "Set `RVENV_CACHE_DIR` to a directory of your own.";
    NoResolver, "no-resolver", Precondition,
        "The requirements must be resolved, and there is neither a uv nor a pip that can.",
        NOTHING_BEGUN,
        "Install uv, or choose another interpreter or `--resolver`.";
    Unresolvable, "unresolvable", Failed,
        "The resolver answered that no set of versions meets all requirements.",
        NOTHING_BEGUN,
        "Loosen the requirements, or name another index or interpreter.";
    ResolverFailed, "resolver-failed", Failed,
        "The resolver did not start, or did not answer with a lock.",
        NOTHING_BEGUN,
        "Run it by hand to see what is wrong, or choose another with `--resolver`.";
    NoPip, "no-pip", Failed,
        "The interpreter has no bundled wheels to install pip from.",
        NOTHING_BEGUN,
        "Install them (on Debian: `apt install python3-venv`), or use `--without-pip`.";
    BadWheel, "bad-wheel", Failed,
        "A wheel cannot be read, or cannot be installed as it is.",
        NOTHING_BEGUN,
        "Use another version of the package, and report it to its authors.";
    Collision, "collision", Failed,
        "Two parts of a plan need the same path: usually two packages of one lock, which have the \
         same file with different contents.",
        NOTHING_BEGUN,
        "Only one of the two can be installed: lock without the other.";
    Overlap, "overlap", Precondition,
        "A package that is to be installed has a file of an installed package, with other \
         contents.",
        AS_BEFORE,
        "Only one of the two can be installed: uninstall the other first.";
    NotInstalled, "not-installed", Precondition,
        "A package that is to be uninstalled is not installed.",
        NOTHING_BEGUN,
        "`rvenv status -v` lists what is installed.";
    NoRecord, "no-record", Precondition,
        "A package that is to be uninstalled does not list its files, so that nothing says what \
         would go.",
        NOTHING_BEGUN,
        "Install it again with pip; then it lists its files.";
    LostPackages, "lost-packages", Precondition,
        "Packages that are installed would be lost: with another Python they cannot be imported and \
         no wheel fits, or a clone cannot copy them.",
        AS_BEFORE,
        "Name a source of their wheels, or allow the loss with `--allow-lost`.";
    CompileFailed, "compile-failed", Failed,
        "Bytecode could not be compiled, or is no longer there for a saved plan.",
        AS_BEFORE,
        "Leave out `--compile-bytecode`: Python compiles what it imports.";
    Content, "content", Failed,
        "Bytes that the plan names by their digest are not there, or are others.",
        AS_BEFORE,
        "Run the command again; `rvenv cache verify` deletes damaged files of the cache.";

    ImportFailed, "import-failed", Failed,
        "After a change to another Python, packages could not be imported, and the change was \
         undone.",
        AS_BEFORE,
        "Install other versions of these packages, or uninstall them, and upgrade again.";
    CheckFailed, "check-failed", Failed,
        "A health check of the new environment failed, and the change was undone.",
        AS_BEFORE,
        "The message ends with what the check printed; mend that, and run the command again.";
    ChangedWhileChecked, "changed-while-checked", NeedsPerson,
        "A health check failed, and another process changed the new files meanwhile.",
        "The target is as it was before; the new files are kept as a generation.",
        "Look at that generation with `rvenv generations`, and delete it if nothing in it is \
         needed.";
    PublishFailed, "publish-failed", Failed,
        "A step of the publication failed, and all steps were undone.",
        AS_BEFORE,
        "Mend the cause that the message names, and run the command again.";
    PublishUnfinished, "publish-unfinished", NeedsPerson,
        "A step of the publication failed, and not every step could be undone.",
        TO_RECOVER,
        "Mend the cause, then run `rvenv recover` on the target.";
    CleanupUnfinished, "cleanup-unfinished", NeedsPerson,
        "The change is published, but could not be made final.",
        TO_RECOVER,
        "Mend the cause, then run `rvenv recover` on the target.";
    UndoUnfinished, "undo-unfinished", NeedsPerson,
        "A health check failed, and the publication could not be undone.",
        TO_RECOVER,
        "Mend the cause, then run `rvenv recover` on the target.";
    InDoubt, "in-doubt", InDoubt,
        "An fsync failed, so that the system does not say what is on the disk.",
        "The target is as it was before or as planned; which one is known after a reboot.",
        "Check the disk, reboot, then run `rvenv recover` on the target.";
    RecoveryUnfinished, "recovery-unfinished", NeedsPerson,
        "The recovery of an earlier run began and could not end.",
        TO_RECOVER,
        "Mend the cause, then run `rvenv recover` on the target again.";
    RecoveryRefused, "recovery-refused", NeedsPerson,
        "What exists beside the target is nothing that a crash of rvenv can leave.",
        "Nothing was touched.",
        "Look at what the message names, move it away, then run `rvenv recover` on the target \
         again.";
    NoGeneration, "no-generation", Precondition,
        "There is no generation to bring back or to delete.",
        NOTHING_BEGUN,
        "`--keep` makes a change keep what it replaces; upgrades, installs, uninstalls and syncs \
         keep it by default.";
    BadGeneration, "bad-generation", NeedsPerson,
        "A generation is not as rvenv left it.",
        "Nothing was touched.",
        "Look at what the message names, and move it away if it is not needed.";

    Unpublished, "unpublished", Precondition,
        "The command needs the receipt of the environment, and rvenv has published nothing there.",
        NOTHING_BEGUN,
        "Bring it under management with `rvenv upgrade`, or replace it with `rvenv create \
         --clear`.";
    NoSource, "no-source", Failed,
        "What is damaged cannot be mended from the receipt, the cache and the base Python.",
        AS_BEFORE,
        "The message says which command writes it again; `rvenv verify` names all that is damaged.";
    NoReplacement, "no-replacement", Precondition,
        "A damaged package can only be replaced by a wheel of the same version, and none was \
         found.",
        AS_BEFORE,
        "Name where wheels are with `--find-links` or `--index-url`, or install it again with pip.";
    OtherPython, "other-python", Precondition,
        "A repair or a clone keeps the version of Python, and another one was asked for.",
        NOTHING_BEGUN,
        "`rvenv upgrade` changes the version.";
    ClosedDirectories, "closed-directories", Failed,
        "Directories of the environment have modes with which they cannot be searched or written.",
        AS_BEFORE,
        "Give them their modes with `chmod`, then repair again.";
    Differs, "differs", Pending,
        "The environment differs from what was published, so that it has no digest.",
        "Nothing was touched.",
        "`rvenv verify` lists the differences.";

    UnusableCache, "unusable-cache", Precondition,
        "The cache is not used: another user can write to it, and could put files into your \
         environments, or it is no directory that can be opened.",
        NOTHING_BEGUN,
        "Run the `chmod` that the message shows, or set `RVENV_CACHE_DIR` to a directory of your \
         own.";
    CacheLeftovers, "cache-leftovers", Failed,
        "Some entries of the cache could not be deleted.",
        "Everything else that was to be deleted is deleted.",
        "Check the owner of these entries, and whether something is mounted there.";
}

impl Code {
    /// The code with this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own_in_kebab_case() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for name in names {
            let is_plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(name.chars().all(is_plain), "{name}");
            assert_eq!(Code::of(name).map(Code::name), Some(name));
        }
    }

    #[test]
    fn every_explanation_is_of_whole_sentences() {
        for code in Code::ALL {
            let Explanation {
                meaning,
                state,
                way_out,
            } = code.explanation();
            for text in [meaning, state, way_out] {
                assert!(
                    text.ends_with('.') && !text.contains("  "),
                    "{code:?}: {text}"
                );
            }
        }
    }
}
