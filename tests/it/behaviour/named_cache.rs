//! The cache that `RVENV_CACHE_DIR` names: every command refuses the same values, and a cache that
//! can be read is enough.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use super::help;
use crate::machine::{Ended, Scratch, any_python, ended, lay_gone, player, resolver};
use crate::sandbox::{fifo, sandbox_for_all};

/// A scratch directory with an environment `E`, a plan of it, and an interpreter that answers as a
/// script does.
struct Named {
    scratch: Scratch,
    python: String,
}

impl Named {
    fn new() -> Self {
        let scratch = Scratch::cold();
        let python = player(&scratch, "python3");
        let python = python.to_str().unwrap().to_owned();
        let named = Self { scratch, python };
        let lock = "lock-version = '1.0'\ncreated-by = 'hand'\npackages = []\n";
        fs::write(named.scratch.path("pylock.toml"), lock).unwrap();
        fs::create_dir(named.scratch.path("tools")).unwrap();
        resolver(&named.scratch.path("tools/uv"));
        let made = ["create", "-p", &named.python, "--without-pip"];
        named.scratch.rvenv(&[&made[..], &["E"]].concat()).ok();
        lay_gone(&named.scratch.path("E"));
        let plan = ["plan", "-p", &named.python, "--without-pip", "-o", "plan"];
        named.scratch.rvenv(&[&plan[..], &["F"]].concat()).ok();
        named
    }

    /// At least one line for each command.
    fn commands(&self) -> Vec<Vec<&str>> {
        let python = &self.python;
        let lines = [
            &["create", "-p", python, "--without-pip", "G"][..],
            &["create", "-p", python, "--without-pip", "--dry-run", "G"],
            &["plan", "-p", python, "--without-pip", "G"],
            &["clone", "-p", python, "E", "H", "--dry-run"],
            &["show", "plan"],
            &["image", "plan", "-o", "image", "--force"],
            &["apply", "plan"],
            &["upgrade", "-p", python, "--without-pip", "E"],
            &["sync", "-p", python, "--env", "E", "-r", "pylock.toml"],
            &["install", "-p", python, "--env", "E", "something"],
            &["uninstall", "-p", python, "--dry-run", "--env", "E", "gone"],
            &["lock", "-p", python, "something", "-o", "-"],
            &["repair", "-p", python, "E"],
            &["rollback", "E"],
            &["generations", "E"],
            &["remove", "--dry-run", "E"],
            &["log", "E"],
            &["recover", "E"],
            &["list"],
            &["status", "E"],
            &["verify", "E"],
            &["python", "list"],
            &["python", "find", python],
            &["cache", "dir"],
            &["cache", "verify"],
            &["cache", "prune"],
            &["cache", "clear"],
            &["config"],
        ];
        lines.map(<[&str]>::to_vec).to_vec()
    }

    fn with_cache(&self, words: &[&str], cache: &str) -> Ended {
        let mut command = self.scratch.command(words);
        let path = format!("{}:/usr/bin:/bin", self.scratch.path("tools").display());
        ended(command.env("PATH", path).env("RVENV_CACHE_DIR", cache))
    }

    /// A path as text.
    fn shown(&self, below: &str) -> String {
        self.scratch.path(below).to_str().unwrap().to_owned()
    }

    fn names(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.scratch.path("")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }

    /// Every command refuses the cache, says why and how to go on, and makes nothing.
    fn refused(&self, cache: &str, why: &str) {
        let before = self.names();
        for words in self.commands() {
            let ended = self.with_cache(&words, cache);
            let what = format!("{words:?} with {cache}: {ended:?}");
            assert_eq!(ended.code, Some(2), "{what}");
            assert_eq!(ended.stdout, "", "{what}");
            let fact = format!("RVENV_CACHE_DIR is `{cache}`, which {why}");
            assert!(ended.stderr.contains(&fact), "{what}");
            assert!(ended.stderr.contains("hint"), "{what}");
            assert_eq!(self.names(), before, "{what}");
        }
    }
}

#[test]
fn no_command_is_left_out_here() {
    let named = Named::new();
    // What the command line itself means is known wherever an error occurs.
    let free = ["explain", "completions", "man"];
    let with_registry = ["push", "attach", "attached", "cache push", "cache pull"];
    help::assert_all_are_in(&named.commands(), &[&free[..], &with_registry].concat());
}

#[test]
fn every_command_refuses_a_relative_cache() {
    let named = Named::new();
    for cache in ["relative", "./cache", "~/cache", "../cache"] {
        named.refused(cache, "is not an absolute path");
    }
}

#[test]
fn every_command_refuses_a_cache_that_is_not_a_directory() {
    let named = Named::new();
    fs::write(named.scratch.path("file"), "mine").unwrap();
    fifo(&named.scratch.path("fifo"));
    symlink("nowhere", named.scratch.path("dangling")).unwrap();
    symlink("loop", named.scratch.path("loop")).unwrap();
    named.refused(&named.shown("file"), "is not a directory");
    named.refused(&named.shown("file/below"), "is below a file");
    named.refused(&named.shown("fifo"), "is not a directory");
    named.refused(&named.shown("dangling"), "is a dangling symbolic link");
    named.refused(&named.shown("loop"), "cannot be opened: ");
    assert_eq!(fs::read(named.scratch.path("file")).unwrap(), b"mine");
}

/// An empty variable is one that is not set; a cache that is absent or that cannot be made costs
/// time alone.
#[test]
fn a_cache_that_is_absent_or_a_link_is_one() {
    let named = Named::new();
    fs::create_dir(named.scratch.path("real")).unwrap();
    symlink("real", named.scratch.path("link")).unwrap();
    let absent = named.shown("absent/deep");
    let link = named.shown("link");
    for cache in ["", "/proc/nowhere/cache", &absent, &link] {
        for words in named.commands() {
            let ended = named.with_cache(&words, cache);
            let fails = words == ["rollback", "E"];
            let expected = if fails { Some(3) } else { Some(0) };
            assert_eq!(ended.code, expected, "{words:?} with {cache}: {ended:?}");
        }
        for env in ["F", "G"] {
            fs::remove_dir_all(named.scratch.path(env)).unwrap();
        }
    }
}

/// Its content is used, and nothing is added.
#[test]
fn a_cache_that_cannot_be_written_still_works() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let python = python.path.to_str().unwrap();
    scratch.rvenv(&["create", "-p", python, "A"]).ok();
    let dirs = [scratch.cache(), scratch.cache().join("packs")];
    for dir in &dirs {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o555)).unwrap();
    }
    scratch.rvenv(&["create", "-p", python, "B"]).ok();
    scratch.rvenv(&["verify", "B"]).ok();
    for dir in &dirs {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// As the specification of these directories has it: what is relative there is as if it were not
/// set.
#[test]
fn a_relative_directory_of_the_desktop_is_ignored() {
    let scratch = Scratch::cold();
    let mut command = scratch.command(&["cache", "dir"]);
    let command = command
        .env_remove("RVENV_CACHE_DIR")
        .env("XDG_CACHE_HOME", "relative");
    let said = ended(command).ok();
    let usual = scratch.cache().with_file_name("home/.cache/rvenv");
    assert_eq!(said.trim_end(), usual.to_str().unwrap());
}

/// Where no cache was asked for, only the commands about it fail.
#[test]
fn a_file_in_place_of_the_usual_cache_costs_no_environment() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::cold();
    let home = scratch.cache().with_file_name("home");
    fs::create_dir(home.join(".cache")).unwrap();
    let usual = home.join(".cache/rvenv");
    fs::write(&usual, "mine").unwrap();
    let run = |words: &[&str]| ended(scratch.command(words).env_remove("RVENV_CACHE_DIR"));
    let python = python.path.to_str().unwrap();
    run(&["create", "-p", python, "E"]).ok();
    run(&["verify", "E"]).ok();
    assert!(scratch.path("E/bin/pip").is_file());
    let said = run(&["cache", "clear"]).failed(3);
    assert!(said.contains("cannot open the cache"), "{said}");
    assert_eq!(fs::read(&usual).unwrap(), b"mine");
}

/// Without a word about it, each environment would be made without a cache, and so slowly.
#[test]
fn a_named_cache_that_cannot_be_opened_is_named() {
    let Some(sandbox) = sandbox_for_all() else {
        return;
    };
    drop(sandbox.as_other_user(&["status"]));
    let closed = sandbox.path("../closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let closed = closed.canonicalize().unwrap();
    let said = |words: &[&str]| {
        let mut reader = sandbox.scratch.program("setpriv".as_ref(), "022");
        reader
            .env("RVENV_CACHE_DIR", &closed)
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(sandbox.path("../tools/rvenv"))
            .args(words);
        let said = ended(&mut reader);
        assert_eq!(said.code, Some(0), "{words:?}: {said:?}");
        said.stderr
    };
    let python = sandbox.path_of_python();
    let warning = format!(
        "warning: no cache is used: cannot open the cache `{}`: Permission denied",
        closed.display()
    );
    for words in [
        &["cache", "dir"][..],
        &["create", "other/E", "--without-pip", "-p", python],
    ] {
        let said = said(words);
        assert!(said.starts_with(&warning), "{words:?}: {said}");
    }
}
