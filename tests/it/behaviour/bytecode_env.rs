//! Environments with bytecode: compiled once, linked afterwards, and never an obstacle.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use crate::machine::{Ended, Entry, Kind, Python, Scratch, any_python, ended, supported, tree};
use crate::{packages, trees, warm};

const FLAG: &str = "--compile-bytecode";

struct Bench {
    scratch: Scratch,
    python: Python,
}

fn bench() -> Option<Bench> {
    any_python().map(bench_of)
}

fn bench_of(python: Python) -> Bench {
    Bench {
        scratch: Scratch::in_memory(),
        python,
    }
}

/// The same with a cache in which the bytecode is already: for tests that are not about how it gets
/// there.
fn filled_bench() -> Option<Bench> {
    static FILLED: OnceLock<PathBuf> = OnceLock::new();
    let bench = bench()?;
    let filled = FILLED.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bytecode-cache");
        bench.make(&["create", FLAG, "E"]);
        trees::copy(&bench.scratch.cache(), &dir);
        fs::remove_dir_all(bench.path("E")).unwrap();
        dir
    });
    trees::copy(filled, &bench.scratch.cache());
    Some(bench)
}

impl Bench {
    fn command(&self, words: &[&str]) -> Command {
        let (verb, rest) = words.split_first().unwrap();
        let python = self.python.path.to_str().unwrap();
        let all = [&[*verb, "-p", python], rest].concat();
        self.scratch.command(&all)
    }

    #[track_caller]
    fn make(&self, words: &[&str]) -> String {
        ended(&mut self.command(words)).ok()
    }

    fn path(&self, below: &str) -> PathBuf {
        self.scratch.path(below)
    }

    fn bytecode(&self, env: &str) -> BTreeMap<String, Entry> {
        let mut found = tree(&self.path(env));
        let is_kept = |path: &str| path.starts_with(".rvenv/");
        let is_compiled = |path: &str| Path::new(path).extension() == Some("pyc".as_ref());
        found.retain(|path, _| is_compiled(path) && !is_kept(path));
        found
    }

    fn verify(&self, env: &str) -> Ended {
        self.scratch.rvenv(&["verify", env])
    }

    /// Python in an environment, as users start it: it may write bytecode.
    fn python(&self, env: &str, code: &str) -> String {
        let python = self.path(env).join("bin/python");
        let output = Command::new(python)
            .args(["-v", "-c", code])
            .env_clear()
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    /// The packages that the cache keeps, by the names of their directories.
    fn packs(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.scratch.cache().join("packs")).unwrap();
        all.map(|pack| pack.unwrap().path()).collect()
    }

    /// A module of pip, and its bytecode.
    fn module(&self, env: &str) -> (PathBuf, PathBuf) {
        let found = self.bytecode(env);
        let is_meant = |path: &&String| path.contains("/pip/_internal/__pycache__/__init__.");
        let bytecode = found.keys().find(is_meant).unwrap();
        let bytecode = self.path(env).join(bytecode);
        let source = bytecode.parent().unwrap().with_file_name("__init__.py");
        (source, bytecode)
    }
}

fn contents(found: &BTreeMap<String, Entry>) -> Vec<(&str, &Kind)> {
    let found = found.iter();
    found.map(|(path, at)| (path.as_str(), &at.kind)).collect()
}

fn touch(path: &Path, time: SystemTime) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn every_python_takes_the_bytecode_of_its_environment_and_shows_the_final_path() {
    for python in supported() {
        let bench = bench_of(python);
        let made = ended(&mut bench.command(&["create", FLAG, "one", "two"]));
        if made.code != Some(0) && made.stderr.contains("cannot install pip") {
            println!("skipped: {:?} brings no pip", bench.python);
            continue;
        }
        made.ok();
        let (one, two) = (bench.bytecode("one"), bench.bytecode("two"));
        assert!(one.len() > 200, "{:?}: {}", bench.python, one.len());
        assert_eq!(contents(&one), contents(&two));
        for env in ["one", "two"] {
            let path = bench.path(env);
            let code = format!(
                "import pip._internal as p\n\
                 f = p.main.__code__.co_filename\n\
                 assert f.startswith({:?}), f\n\
                 assert p.main.__code__.co_filename == p.__file__, f",
                path.to_str().unwrap()
            );
            let said = bench.python(env, &code);
            let is_of_pip = |line: &&str| line.contains("site-packages/pip");
            let wrote = said.lines().filter(is_of_pip);
            let wrote: Vec<&str> = wrote.filter(|line| line.starts_with("# wrote")).collect();
            assert!(wrote.is_empty(), "{:?}: {wrote:?}", bench.python);
            let after: Vec<String> = bench.bytecode(env).into_keys().collect();
            assert!(after.iter().eq(one.keys()), "{:?}", bench.python);
            bench.verify(env).ok();
        }
    }
}

#[test]
fn the_files_and_the_rows_of_record_are_those_of_ensurepip() {
    let Some(bench) = bench() else { return };
    bench.make(&["create", FLAG, "ours"]);
    warm::venv(&bench.scratch, &bench.python, "theirs");
    let listed = |env: &str| {
        let found = bench.bytecode(env);
        found.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(listed("ours"), listed("theirs"));
    let rows = |env: &str| {
        let all = tree(&bench.path(env));
        let is_record = |path: &&String| path.contains("/pip-") && path.ends_with("/RECORD");
        let record = all.keys().find(is_record).unwrap();
        let text = fs::read_to_string(bench.path(env).join(record)).unwrap();
        let rows = text.lines().filter(|row| row.contains(".pyc,"));
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(rows("ours"), rows("theirs"));
    assert!(rows("ours").len() > 200);
}

#[test]
fn two_stores_hold_the_same_bytes_and_a_store_is_filled_once() {
    let Some(bench) = bench() else { return };
    let Some(other) = self::bench() else { return };
    bench.make(&["create", FLAG, "E"]);
    other.make(&["create", FLAG, "E"]);
    let (one, two) = (bench.bytecode("E"), other.bytecode("E"));
    assert_eq!(contents(&one), contents(&two));

    let packs = bench.packs();
    let said = ended(&mut bench.command(&["-v", "create", FLAG, "F"]));
    assert!(!said.stderr.contains("asking"), "{}", said.stderr);
    assert_eq!(bench.packs(), packs);
    // The same files as in the store, unless the filesystem shares blocks instead.
    if said.stderr.contains(" 0 shared, 0 copied") {
        let later = bench.bytecode("F");
        let same = |(path, at): (&String, &Entry)| later[path].inode == at.inode;
        assert!(one.iter().all(same));
    }
}

#[test]
fn who_finds_the_bytecode_in_the_store_starts_no_process() {
    let Some(bench) = filled_bench() else {
        return;
    };
    bench.make(&["create", FLAG, "E"]);
    let log = bench.path("trace");
    let mut traced = Command::new("strace");
    let made = bench.command(&["create", FLAG, "F"]);
    let arguments = ["-f", "-qq", "-e", "trace=execve,execveat", "-o"];
    traced.args(arguments).arg(&log).arg(made.get_program());
    traced.args(made.get_args());
    traced.env_clear();
    for (name, value) in made.get_envs() {
        traced.env(name, value.unwrap_or_default());
    }
    traced.current_dir(bench.path(""));
    match traced.output() {
        Ok(output) if output.status.success() => {}
        _ => return println!("skipped: there is no strace, or it may not trace"),
    }
    let log = fs::read_to_string(log).unwrap();
    // The shell that sets the umask, and the command.
    assert_eq!(log.matches("execve").count(), 2, "{log}");
    assert!(!bench.bytecode("F").is_empty());
}

#[test]
fn without_a_store_the_same_bytes_come_from_memory() {
    let Some(bench) = filled_bench() else {
        return;
    };
    bench.make(&["create", FLAG, "E"]);
    let mut command = bench.command(&["create", FLAG, "F"]);
    command.env("RVENV_CACHE_DIR", "/proc/nowhere/cache");
    ended(&mut command).ok();
    let (one, two) = (bench.bytecode("E"), bench.bytecode("F"));
    assert_eq!(contents(&one), contents(&two));
}

#[test]
fn what_is_damaged_in_the_store_is_compiled_again() {
    let Some(bench) = filled_bench() else {
        return;
    };
    bench.make(&["create", FLAG, "E"]);
    let whole = bench.bytecode("E");
    let index = fs::read_dir(bench.scratch.cache().join("bytecode")).unwrap();
    let index: Vec<PathBuf> = index.map(|file| file.unwrap().path()).collect();
    for file in &index {
        fs::write(file, "").unwrap();
    }
    bench.make(&["create", FLAG, "F"]);
    assert_eq!(contents(&bench.bytecode("F")), contents(&whole));
    assert!(
        index
            .iter()
            .all(|file| fs::read(file).unwrap().len() > 1000)
    );

    // A user edits a file in one environment in place: it is a file of the store.
    let (_, bytecode) = bench.module("F");
    fs::write(&bytecode, "edited").unwrap();
    bench.make(&["create", FLAG, "G"]);
    assert_eq!(contents(&bench.bytecode("G")), contents(&whole));
    bench.make(&["create", FLAG, "H"]);
    assert_eq!(contents(&bench.bytecode("H")), contents(&whole));
}

#[test]
fn a_saved_plan_gets_its_bytecode_again_from_the_interpreter_it_names_if_it_may() {
    let Some(bench) = bench() else { return };
    bench.make(&["plan", FLAG, "-o", "plan.json", "E"]);
    fs::remove_dir_all(bench.scratch.cache()).unwrap();
    let refused = bench.scratch.rvenv(&["apply", "plan.json"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let reason = "the cache no longer has it, and this run may not start an interpreter";
    assert!(refused.stderr.contains(reason), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("hint: with `--compile-bytecode`"),
        "{}",
        refused.stderr
    );
    assert!(!bench.path("E").exists());
    bench.scratch.rvenv(&["apply", FLAG, "plan.json"]).ok();
    bench.make(&["create", FLAG, "F"]);
    let (one, two) = (bench.bytecode("E"), bench.bytecode("F"));
    assert!(one.len() > 200);
    assert_eq!(contents(&one), contents(&two));

    // Bytecode that the store has needs no permission.
    bench.make(&["plan", FLAG, "-o", "plan.json", "G"]);
    bench.scratch.rvenv(&["apply", "plan.json"]).ok();
    assert_eq!(contents(&bench.bytecode("G")), contents(&one));
}

#[test]
fn bytecode_that_python_wrote_anew_or_does_without_is_no_drift() {
    let Some(bench) = filled_bench() else {
        return;
    };
    bench.make(&["create", FLAG, "E"]);
    let (source, bytecode) = bench.module("E");
    // As an editor or a copy leaves the source: its inode is shared with the store, so the test
    // replaces it by a copy. Newer versions of pip have this file executable.
    let (text, meta) = (fs::read(&source).unwrap(), fs::metadata(&source).unwrap());
    fs::remove_file(&source).unwrap();
    fs::write(&source, text).unwrap();
    fs::set_permissions(&source, meta.permissions()).unwrap();
    let published = fs::read(&bytecode).unwrap();
    bench.python("E", "import pip._internal");
    assert_ne!(fs::read(&bytecode).unwrap(), published);
    bench.verify("E").ok();

    fs::remove_dir_all(bytecode.parent().unwrap()).unwrap();
    bench.verify("E").ok();
    bench.python("E", "import pip._internal");
    bench.verify("E").ok();
    bench.scratch.rvenv(&["repair", "E"]).ok();
    assert_eq!(fs::read(&bytecode).unwrap(), published);
}

#[test]
fn torn_bytecode_that_no_interpreter_rewrote_is_drift_and_is_repaired() {
    let Some(bench) = filled_bench() else {
        return;
    };
    bench.make(&["create", FLAG, "E"]);
    let (_, bytecode) = bench.module("E");
    let whole = fs::read(&bytecode).unwrap();
    let time = fs::metadata(&bytecode).unwrap().modified().unwrap();
    let mut torn = whole.clone();
    let last = torn.len() - 1;
    torn[last] ^= 1;
    fs::remove_file(&bytecode).unwrap();
    fs::write(&bytecode, &torn).unwrap();
    touch(&bytecode, time);
    let said = bench.verify("E");
    assert_eq!(said.code, Some(4), "{}", said.stdout);
    assert!(
        said.stdout.contains("__pycache__/__init__."),
        "{}",
        said.stdout
    );
    bench.scratch.rvenv(&["repair", "E"]).ok();
    assert_eq!(fs::read(&bytecode).unwrap(), whole);
    bench.verify("E").ok();
}

#[test]
fn a_change_takes_the_bytecode_away_or_adds_it_as_it_is_asked_for() {
    let Some(bench) = filled_bench() else {
        return;
    };
    bench.make(&["create", "E"]);
    let plain = tree(&bench.path("E"));
    bench.make(&["create", FLAG, "E"]);
    let whole = bench.bytecode("E");
    assert!(whole.len() > 200);
    bench.verify("E").ok();
    let said = bench.make(&["create", FLAG, "E"]);
    assert!(said.is_empty(), "{said}");
    bench.make(&["create", "E"]);
    assert!(tree(&bench.path("E")).keys().eq(plain.keys()));
    bench.verify("E").ok();

    ended(&mut bench.scratch.command(&["upgrade", FLAG, "E"])).ok();
    assert_eq!(contents(&bench.bytecode("E")), contents(&whole));
    bench.verify("E").ok();
    // Python rewrites some of it, which is not a change that a rollback has to keep.
    let (source, _) = bench.module("E");
    let text = fs::read(&source).unwrap();
    fs::remove_file(&source).unwrap();
    fs::write(&source, text).unwrap();
    touch(
        &source,
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
    );
    bench.python("E", "import pip._internal");
    bench.scratch.rvenv(&["rollback", "E"]).ok();
    assert!(bench.bytecode("E").is_empty());
    bench.verify("E").ok();
}

#[test]
fn what_was_downloaded_gets_bytecode_too() {
    let Some(bench) = bench() else { return };
    let wheels = [("pip", "99.0"), ("setuptools", "99.1")];
    let index = packages::index(&bench.scratch, &bench.python.path, &wheels);
    let newest = |env: &str| {
        let mut command = bench.command(&["create", FLAG, "--upgrade-deps", env]);
        command
            .env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", &index);
        ended(&mut command).ok();
        bench.bytecode(env)
    };
    let made = newest("E");
    let is_new = |path: &&String| path.contains("/pip/__pycache__/inner.");
    assert!(made.keys().any(|path| is_new(&path)), "{made:?}");
    assert!(
        made.keys()
            .any(|path| path.contains("__pycache__/pip_alone."))
    );
    assert!(made.keys().all(|path| !path.contains("/pip/_internal/")));
    assert_eq!(contents(&newest("F")), contents(&made));
    bench.verify("F").ok();
}
