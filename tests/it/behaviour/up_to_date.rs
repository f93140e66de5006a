//! A run that has nothing to do leaves an answer in the cache, and the next one does not work it
//! out again; nothing that the work would notice is missed because of that.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use super::locks::{Bench, bench, told};
use crate::machine::{Ended, ended};

const TWO: &[(&str, &str)] = &[("alpha", "1.0"), ("beta", "1.0")];
/// What changed in the last two seconds before a run began is too new for an answer.
const TOO_NEW: Duration = Duration::from_millis(2100);

impl Bench {
    fn locked(&self, words: &[&str], lock: &Path) -> Ended {
        self.scratch.rvenv(&self.words(words, lock))
    }

    fn words<'a>(&'a self, words: &[&'a str], lock: &'a Path) -> Vec<&'a str> {
        let (lock, house) = (lock.to_str().unwrap(), self.house.to_str().unwrap());
        let locked = ["-r", lock, "--wheelhouse", house, "--no-index"];
        [words, &locked].concat()
    }

    fn create_at(&self, env: &str, lock: &Path) {
        let python = self.python.to_str().unwrap();
        self.locked(&["create", env, "--python", python], lock).ok();
    }

    fn sync_at(&self, env: &str, lock: &Path) -> String {
        told(self.locked(&["sync", "--env", env], lock))
    }

    /// How many answers there are.
    fn answers(&self) -> usize {
        let dir = fs::read_dir(self.scratch.cache().join("up-to-date"));
        dir.map_or(0, Iterator::count)
    }

    /// How often a sync with nothing to do opens a file of this name.
    #[cfg(target_os = "linux")]
    fn reads(&self, env: &str, lock: &Path, name: &str) -> usize {
        let log = self.scratch.path("trace");
        let mut command = self.scratch.program(Path::new("strace"), "022");
        let traced = ["-f", "-qq", "-e", "trace=open,openat,openat2", "-o"];
        command.args(traced).arg(&log);
        command.arg(env!("CARGO_BIN_EXE_rvenv"));
        command.args(self.words(&["sync", "--env", env], lock));
        let said = told(ended(&mut command));
        assert!(said.contains("no changes"), "{said}");
        let opened = fs::read_to_string(&log).unwrap();
        opened.lines().filter(|line| line.contains(name)).count()
    }

    fn installed_by_another(&self, env: &str) {
        let dir = self.site_of(env).join("other-1.dist-info");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("METADATA"), "Name: other\nVersion: 1\n").unwrap();
        fs::write(dir.join("INSTALLER"), "pip\n").unwrap();
        fs::write(dir.join("RECORD"), "").unwrap();
    }

    /// The only answer.
    fn answer(&self) -> PathBuf {
        let dir = fs::read_dir(self.scratch.cache().join("up-to-date"));
        dir.unwrap().next().unwrap().unwrap().path()
    }

    fn site_of(&self, env: &str) -> PathBuf {
        let lib = fs::read_dir(self.scratch.path(env).join("lib")).unwrap();
        lib.last().unwrap().unwrap().path().join("site-packages")
    }
}

#[test]
fn an_answer_is_kept_once_everything_is_old_enough() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("two", TWO);
    bench.create_at("E", &lock);
    assert!(bench.sync_at("E", &lock).contains("no changes"));
    assert_eq!(bench.answers(), 0);
    sleep(TOO_NEW);
    assert!(bench.sync_at("E", &lock).contains("no changes"));
    assert_eq!(bench.answers(), 1);
    assert!(bench.sync_at("E", &lock).contains("no changes"));
    // The digest of a plan, in a report, is always worked out.
    let words = bench.words(&["sync", "--env", "E", "--json"], &lock);
    let report = bench.scratch.rvenv(&words).ok();
    assert!(
        report.contains("\"plan\": \"") || report.contains("\"plan\":\""),
        "{report}"
    );
    let kept = || {
        let told = bench.scratch.rvenv(&["cache", "prune", "--json"]).ok();
        assert!(told.contains("notes"), "{told}");
        bench.answers()
    };
    assert_eq!(kept(), 1);
    fs::remove_dir_all(bench.scratch.path("E")).unwrap();
    assert_eq!(kept(), 0);
}

/// Needs `strace`, to see which files are opened.
#[cfg(target_os = "linux")]
#[test]
fn with_an_answer_nothing_is_read_again() {
    let Some(bench) = bench() else { return };
    if !crate::strace::is_there() {
        return;
    }
    let lock = bench.lock("two", TWO);
    bench.create_at("E", &lock);
    sleep(TOO_NEW);
    let reads = |name: &str| bench.reads("E", &lock, name);
    assert!(reads("receipt.json") > 0);
    assert_eq!(reads("receipt.json"), 0);
    assert_eq!(reads("RECORD"), 0);
    // The lock itself is read, since another one may be in its place.
    assert_eq!(reads("pylock.two.toml"), 1);
    // As if a file of the interpreter had been shorter then.
    let answer = bench.answer();
    let text = fs::read_to_string(&answer).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    *value.pointer_mut("/witnesses/0/state/len").unwrap() = 1.into();
    fs::write(&answer, value.to_string()).unwrap();
    assert!(reads("receipt.json") > 0);
    assert_eq!(reads("receipt.json"), 0);
}

/// What may happen to an environment, or beside it; and whether the next sync changes something, or
/// ends in an error.
type Event = (&'static str, fn(&Bench, &str), Next);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Changes,
    /// It changes nothing, because it may not replace what it finds.
    Refuses,
    Recovers,
    /// It changes nothing, and names what another installer installed.
    Names,
}

fn edited_in_place(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, vec![b'#'; bytes.len()]).unwrap();
}

const EVENTS: &[Event] = &[
    (
        "a script of activation has other bytes of the same length, and its old time",
        |bench, env| {
            let path = bench.scratch.path(env).join("bin/activate");
            let time = fs::metadata(&path).unwrap().modified().unwrap();
            edited_in_place(&path);
            let file = fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
        },
        Next::Changes,
    ),
    (
        "a source is gone",
        |bench, env| fs::remove_file(bench.site_of(env).join("beta_alone.py")).unwrap(),
        Next::Changes,
    ),
    (
        "a script may not be executed",
        |bench, env| {
            let path = bench.scratch.path(env).join("bin/beta");
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        },
        Next::Changes,
    ),
    (
        "a directory is a link",
        |bench, env| {
            let site = bench.site_of(env);
            let dir = site.join("beta-1.0.dist-info");
            fs::rename(&dir, bench.scratch.path("elsewhere")).unwrap();
            symlink(bench.scratch.path("elsewhere"), dir).unwrap();
        },
        Next::Refuses,
    ),
    (
        "the interpreter is another link",
        |bench, env| {
            let python = bench.scratch.path(env).join("bin/python");
            fs::remove_file(&python).unwrap();
            symlink("/bin/false", python).unwrap();
        },
        Next::Changes,
    ),
    (
        "the configuration has another prompt",
        |bench, env| {
            let path = bench.scratch.path(env).join("pyvenv.cfg");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text + "prompt = other\n").unwrap();
        },
        Next::Changes,
    ),
    (
        "the receipt is gone",
        |bench, env| {
            fs::remove_file(bench.scratch.path(env).join(".rvenv/receipt.json")).unwrap();
        },
        Next::Changes,
    ),
    (
        "another installer installed something",
        Bench::installed_by_another,
        Next::Names,
    ),
    (
        "a run was killed and left its stage",
        |bench, env| {
            fs::create_dir(bench.scratch.path(&format!(".{env}.rvenv.new-abcdef"))).unwrap();
        },
        Next::Recovers,
    ),
    // The last one: the store shares the file with the other environments.
    (
        "a source has other bytes of the same length",
        |bench, env| edited_in_place(&bench.site_of(env).join("beta_alone.py")),
        Next::Changes,
    ),
];

#[test]
fn an_answer_does_not_count_once_something_has_changed() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("two", TWO);
    let envs: Vec<String> = (0..EVENTS.len())
        .map(|number| format!("E{number}"))
        .collect();
    for env in &envs {
        bench.create_at(env, &lock);
    }
    sleep(TOO_NEW);
    for env in &envs {
        bench.sync_at(env, &lock);
        // A new name for files that the store shares is no change.
        bench.sync_at(env, &lock);
    }
    assert_eq!(bench.answers(), EVENTS.len());
    for (env, (what, happens, next)) in envs.iter().zip(EVENTS) {
        happens(&bench, env);
        let ended = bench.locked(&["sync", "--env", env], &lock);
        match next {
            Next::Refuses => {
                ended.failed(3);
            }
            Next::Changes => {
                let said = told(ended);
                assert!(!said.contains("no changes"), "{what}: {said}");
                bench.scratch.rvenv(&["verify", env]).ok();
            }
            Next::Names => {
                let said = told(ended);
                assert!(said.contains("other"), "{what}: {said}");
            }
            Next::Recovers => {
                ended.ok();
                let stage = format!(".{env}.rvenv.new-abcdef");
                assert!(!bench.scratch.path(&stage).exists(), "{what}");
            }
        }
    }
}

#[test]
fn another_request_is_another_question() {
    let Some(bench) = bench() else { return };
    let (two, one) = (bench.lock("two", TWO), bench.lock("one", &TWO[..1]));
    bench.create_at("E", &two);
    sleep(TOO_NEW);
    assert!(bench.sync_at("E", &two).contains("no changes"));
    assert_eq!(bench.answers(), 1);
    let said = bench.sync_at("E", &one);
    assert!(said.contains("Removed what no lock names: beta"), "{said}");
    bench.sync_at("E", &two);
    sleep(TOO_NEW);
    assert!(bench.sync_at("E", &two).contains("no changes"));
    // The same name, with other bytes.
    fs::copy(&one, &two).unwrap();
    let said = bench.sync_at("E", &two);
    assert!(said.contains("Removed what no lock names: beta"), "{said}");
    sleep(TOO_NEW);
    assert!(bench.sync_at("E", &two).contains("no changes"));
    let python = bench.python.to_str().unwrap();
    let mut words = vec!["create", "E", "--python", python];
    told(bench.locked(&words, &two));
    words.extend(["--prompt", "mine"]);
    let said = told(bench.locked(&words, &two));
    assert!(!said.contains("no changes"), "{said}");
    sleep(TOO_NEW);
    assert!(told(bench.locked(&words, &two)).contains("no changes"));
    // Files that are generated get this time.
    let mut command = bench.scratch.command(&bench.words(&words, &two));
    let said = told(ended(command.env("SOURCE_DATE_EPOCH", "1700000000")));
    assert!(!said.contains("no changes"), "{said}");
}

/// What another installer installed is named every time, and so is a name that no journal owns.
#[test]
fn no_answer_keeps_a_message_from_the_user() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("two", TWO);
    for env in ["E", "F"] {
        bench.create_at(env, &lock);
    }
    bench.installed_by_another("E");
    let unowned = |env: &str| {
        let name = format!(".{env}.rvenv.journal.mine");
        fs::write(bench.scratch.path(&name), "mine").unwrap();
    };
    sleep(TOO_NEW);
    for _ in 0..2 {
        let said = bench.sync_at("E", &lock);
        assert!(
            said.contains("Another installer installed other 1"),
            "{said}"
        );
    }
    bench.sync_at("F", &lock);
    assert_eq!(bench.answers(), 1);
    unowned("F");
    for _ in 0..2 {
        let said = bench.sync_at("F", &lock);
        assert!(said.contains("no journal owns it"), "{said}");
    }
}

/// Every environment that links a file of the store adds a name to it.
#[test]
fn a_further_environment_from_the_same_store_is_no_change() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("two", TWO);
    bench.create_at("E", &lock);
    bench.create_at("F", &lock);
    sleep(TOO_NEW);
    bench.sync_at("E", &lock);
    assert_eq!(bench.answers(), 1);
    let written = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let answer = bench.answer();
    let then: SystemTime = written(&answer);
    bench.create_at("G", &lock);
    sleep(TOO_NEW);
    bench.sync_at("E", &lock);
    assert_eq!(written(&answer), then);
}
