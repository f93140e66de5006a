//! Sources: archives, directories and repositories are built by their own backends, and installed
//! in the same transaction.
//!
//! The backends are in the projects themselves; no network. Locks name the sources where no
//! resolver is needed.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use rvenv_journal::Digest;

use crate::machine::{Ended, Scratch, ended, tool};
use crate::packages::{builds, index};
use crate::trees::{Sameness, compare, look};

const PROJECT: &str = "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['.']\n\
                       [project]\nname = 'demo'\nversion = '1.0'\n";

/// A backend that writes a line for each build, and whose name, version and requirements can be
/// changed.
const BACKEND: &str = r#"
import base64, hashlib, os, zipfile
NAME, VERSION, LOG, NEEDS = "demo", "1.0", "@LOG@", ""
def wheel(directory, files):
    with open(LOG, "a") as log:
        log.write("built\n")
    info, files = "%s-%s.dist-info/" % (NAME, VERSION), dict(files)
    files[info + "METADATA"] = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n%s" % (NAME, VERSION, NEEDS)
    files[info + "WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    name, rows = "%s-%s-py3-none-any.whl" % (NAME, VERSION), ""
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 2, 2, 0, 0, 0)), text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            rows += "%s,sha256=%s,%d\n" % (path, digest.decode().rstrip("="), len(text))
        archive.writestr(zipfile.ZipInfo(info + "RECORD", (2020, 2, 2, 0, 0, 0)), rows + info + "RECORD,,\n")
    return name
def build_wheel(directory, config_settings=None, metadata_directory=None):
    print("a line that is no answer")
    with open("src/demo.py") as source:
        return wheel(directory, {"demo.py": source.read()})
def build_editable(directory, config_settings=None, metadata_directory=None):
    return wheel(directory, {"demo.pth": os.path.abspath("src") + "\n"})
"#;

const SYNC: [&str; 6] = ["sync", "-r", "pylock.toml", "--env", "E", "--build"];

pub(super) struct Yard {
    pub(super) scratch: Scratch,
    python: PathBuf,
    minor: u32,
}

/// An environment `E` without packages, and a project `demo` in the directory `project`.
pub(super) fn yard() -> Option<Yard> {
    let python = builds(13, 1).or_else(|| builds(12, 1))?.remove(0);
    let yard = Yard {
        scratch: Scratch::new(),
        minor: python.version.1,
        python: python.path,
    };
    yard.project("");
    let path = yard.python.to_str().unwrap();
    let create = ["create", "E", "--without-pip", "--python", path];
    yard.scratch.rvenv(&create).ok();
    Some(yard)
}

/// The bytes of a `.tar.gz` with these files.
fn archive(files: &[(&str, String)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_mtime(1_600_000_000);
        header.set_size(text.len() as u64);
        builder
            .append_data(&mut header, name, text.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

impl Yard {
    pub(super) fn backend(&self, more: &str) -> String {
        let log = self.scratch.path("built.log");
        BACKEND.replace("@LOG@", log.to_str().unwrap()) + more
    }

    /// Writes the project, with more code in its backend.
    pub(super) fn project(&self, more: &str) {
        let dir = self.scratch.path("project");
        fs::create_dir_all(dir.join("src")).unwrap();
        fs::write(dir.join("pyproject.toml"), PROJECT).unwrap();
        fs::write(dir.join("own.py"), self.backend(more)).unwrap();
        fs::write(dir.join("src/demo.py"), "value = 1\n").unwrap();
    }

    /// Writes a source distribution of the project with more code in its backend, and a lock that
    /// names it.
    pub(super) fn sdist(&self, more: &str) {
        let files = [
            ("demo-1.0/pyproject.toml", PROJECT.to_owned()),
            ("demo-1.0/own.py", self.backend(more)),
            ("demo-1.0/src/demo.py", "value = 1\n".to_owned()),
        ];
        self.lock_archive(&archive(&files));
    }

    pub(super) fn lock_archive(&self, bytes: &[u8]) {
        fs::write(self.scratch.path("demo-1.0.tar.gz"), bytes).unwrap();
        let digest = Digest::of(bytes);
        self.lock(&format!(
            "version = '1.0'\nsdist = {{ path = 'demo-1.0.tar.gz', hashes = {{ sha256 = \
             '{digest}' }} }}\n"
        ));
    }

    pub(super) fn lock(&self, source: &str) {
        let head = "lock-version = '1.0'\ncreated-by = 'hand'\n[[packages]]\nname = 'demo'\n";
        fs::write(self.scratch.path("pylock.toml"), format!("{head}{source}")).unwrap();
    }

    pub(super) fn sync(&self, more: &[&str]) -> Ended {
        let words = ["sync", "-r", "pylock.toml", "--env", "E"];
        self.scratch.rvenv(&[&words, more].concat())
    }

    #[cfg(target_os = "linux")]
    pub(super) fn python(&self) -> &Path {
        &self.python
    }

    /// How often a backend was asked for a wheel.
    pub(super) fn built(&self) -> usize {
        let log = fs::read_to_string(self.scratch.path("built.log"));
        log.unwrap_or_default().lines().count()
    }

    pub(super) fn info(&self, name: &str) -> String {
        let info = format!(
            "lib/python3.{}/site-packages/demo-1.0.dist-info",
            self.minor
        );
        fs::read_to_string(self.scratch.path("E").join(info).join(name)).unwrap()
    }

    pub(super) fn value(&self) -> String {
        let python = self.scratch.path("E/bin/python");
        let said = self
            .scratch
            .run(&python, &["-B", "-c", "import demo; print(demo.value)"]);
        said.ok().trim().to_owned()
    }

    /// What builds left in the cache.
    pub(super) fn workshops(&self) -> Vec<String> {
        let names = fs::read_dir(self.scratch.cache().join("building"))
            .into_iter()
            .flatten();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[track_caller]
    pub(super) fn is_clean(&self) {
        let said = self.scratch.rvenv(&["verify", "--json", "E"]).ok();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["state"], "clean", "{said}");
    }
}

#[test]
fn sources_of_a_lock_are_built_once_if_that_is_allowed() {
    let Some(yard) = yard() else { return };
    yard.sdist("");
    let before = look(&yard.scratch.path("E"));
    let said = yard.sync(&[]).failed(3);
    assert!(said.contains("`demo` 1.0 has to be built"), "{said}");
    assert!(said.contains("--build"), "{said}");
    assert_eq!(yard.built(), 0);
    compare(&before, &look(&yard.scratch.path("E")), Sameness::Exact).unwrap();
    let done = yard.sync(&["--build"]);
    assert!(
        done.stderr.contains("Building `demo` 1.0"),
        "{}",
        done.stderr
    );
    done.ok();
    assert_eq!((yard.value().as_str(), yard.built()), ("1", 1));
    let info = format!(
        "E/lib/python3.{}/site-packages/demo-1.0.dist-info",
        yard.minor
    );
    assert!(!yard.scratch.path(&info).join("direct_url.json").exists());
    assert_eq!(yard.info("INSTALLER"), "rvenv\n");
    yard.is_clean();
    // The same sources need no second build, and a plan names the wheel by its digest.
    yard.scratch
        .rvenv(&["uninstall", "demo", "--env", "E"])
        .ok();
    let python = yard.python.to_str().unwrap();
    let dry = [
        "--build",
        "--dry-run",
        "-o",
        "plan.json",
        "--python",
        python,
    ];
    yard.sync(&dry).ok();
    assert_eq!((yard.built(), yard.workshops()), (1, Vec::new()));
    let plan = fs::read_to_string(yard.scratch.path("plan.json")).unwrap();
    assert!(plan.contains("demo-1.0-py3-none-any.whl"), "{plan}");
    yard.scratch.rvenv(&["apply", "plan.json"]).ok();
    assert_eq!((yard.value().as_str(), yard.built()), ("1", 1));
    let pruned = yard.scratch.rvenv(&["cache", "prune", "--json"]).ok();
    let pruned: serde_json::Value = serde_json::from_str(&pruned).unwrap();
    assert_eq!(pruned["strangers"], serde_json::json!([]));
    // Without the wheel, it is built again.
    fs::remove_dir_all(yard.scratch.cache().join("fetched")).unwrap();
    yard.scratch
        .rvenv(&["uninstall", "demo", "--env", "E"])
        .ok();
    yard.sync(&["--build"]).ok();
    assert_eq!(yard.built(), 2);
}

#[test]
fn a_directory_is_built_each_time_and_says_where_it_came_from() {
    let Some(yard) = yard() else { return };
    yard.lock("directory = { path = 'project' }\n");
    yard.sync(&["--build"]).ok();
    let url = format!("file://{}", yard.scratch.path("project").display());
    let expected = format!(r#"{{"dir_info": {{}}, "url": "{url}"}}"#);
    assert_eq!(yard.info("direct_url.json"), expected);
    fs::write(yard.scratch.path("project/src/demo.py"), "value = 2\n").unwrap();
    assert_eq!(yard.value(), "1");
    yard.sync(&["--build"]).ok();
    assert_eq!((yard.value().as_str(), yard.built()), ("2", 2));
    yard.is_clean();
}

#[test]
fn a_commit_is_checked_out_and_built() {
    let (Some(yard), Some(git)) = (yard(), tool("git")) else {
        return;
    };
    let git = |words: &[&str]| -> String {
        let mut command = yard.scratch.program(&git, "022");
        for (name, value) in [("AUTHOR", "a"), ("COMMITTER", "c")] {
            command.env(format!("GIT_{name}_NAME"), value);
            command.env(format!("GIT_{name}_EMAIL"), "a@example.invalid");
        }
        let dir = yard.scratch.path("project");
        ended(command.current_dir(dir).args(words))
            .ok()
            .trim()
            .to_owned()
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    let commit = git(&["rev-parse", "HEAD"]);
    fs::write(yard.scratch.path("project/src/demo.py"), "value = 2\n").unwrap();
    git(&["commit", "--quiet", "-am", "two"]);
    let url = format!("file://{}", yard.scratch.path("project").display());
    let lock = |commit: &str| {
        yard.lock(&format!(
            "vcs = {{ type = 'git', url = '{url}', requested-revision = 'v1', commit-id = \
             '{commit}' }}\n"
        ));
    };
    lock(&commit);
    yard.sync(&["--build"]).ok();
    assert_eq!(yard.value(), "1");
    let expected = format!(
        r#"{{"url": "{url}", "vcs_info": {{"commit_id": "{commit}", "requested_revision": "v1", "vcs": "git"}}}}"#
    );
    assert_eq!(yard.info("direct_url.json"), expected);
    yard.is_clean();
    // A commit never changes.
    yard.sync(&["--build"]).ok();
    assert_eq!((yard.built(), yard.workshops()), (1, Vec::new()));
    for (text, why) in [
        ("main", "is not the hash of a commit"),
        (&"0".repeat(40), "git cannot check out commit"),
    ] {
        lock(text);
        let said = yard.sync(&["--build"]).failed(1);
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(yard.workshops(), [""; 0]);
}

/// By pip, which asks the backend for metadata first, and by uv if there is one.
#[test]
fn an_editable_project_is_imported_from_its_sources() {
    let Some(yard) = yard() else { return };
    let uv = tool("uv");
    fs::write(yard.scratch.path("plain.txt"), "-e ./project\n").unwrap();
    let resolvers = ["pip"].into_iter().chain(uv.is_some().then_some("uv"));
    let before = look(&yard.scratch.path("E")).unwrap().into_keys();
    let before: Vec<PathBuf> = before.filter(|path| !path.starts_with(".rvenv")).collect();
    for resolver in resolvers {
        let mut install = yard
            .scratch
            .command(&["install", "-e", "project", "--env", "E"]);
        install.args(["--resolver", resolver]);
        if let Some(uv) = &uv {
            let above = uv.parent().unwrap().display();
            install.env("PATH", format!("{above}:/usr/bin:/bin"));
        }
        let said = ended(&mut install);
        assert!(
            said.stderr.contains("Installed 1 package: demo 1.0"),
            "{}",
            said.stderr
        );
        said.ok();
        let url = format!("file://{}", yard.scratch.path("project").display());
        let expected = format!(r#"{{"dir_info": {{"editable": true}}, "url": "{url}"}}"#);
        assert_eq!(yard.info("direct_url.json"), expected, "{resolver}");
        assert_eq!(yard.info("REQUESTED"), "", "{resolver}");
        for value in ["5", "6"] {
            let text = format!("value = {value}\n");
            fs::write(yard.scratch.path("project/src/demo.py"), text).unwrap();
            assert_eq!(yard.value(), value, "{resolver}");
        }
        yard.is_clean();
        yard.scratch.rvenv(&["status", "E"]).ok();
        yard.scratch
            .rvenv(&["uninstall", "demo", "--env", "E"])
            .ok();
        let after = look(&yard.scratch.path("E")).unwrap().into_keys();
        let after: Vec<PathBuf> = after.filter(|path| !path.starts_with(".rvenv")).collect();
        assert_eq!(after, before, "{resolver}");
    }
    assert_eq!(yard.workshops(), [""; 0]);
}

/// Code of a backend that tells the test that it is at work, and waits until it is killed; the pipe
/// is open as long as it lives.
fn hanging(yard: &Yard) -> (String, PathBuf) {
    let pipe = yard.scratch.path("here");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let code = format!(
        "\nif os.path.exists('{0}'):\n    here = open('{0}', 'w')\n    here.write('.')\n    \
         here.flush()\n    import signal\n    signal.pause()\n",
        pipe.display()
    );
    (code, pipe)
}

/// Waits until the backend is at work.
fn at_work(pipe: &Path) -> File {
    let mut here = File::open(pipe).unwrap();
    here.read_exact(&mut [0]).unwrap();
    here
}

#[test]
fn an_interrupted_build_ends_and_leaves_nothing() {
    let Some(yard) = yard() else { return };
    let (code, pipe) = hanging(&yard);
    yard.sdist(&code);
    let before = look(&yard.scratch.path("E"));
    let mut command = yard.scratch.command(&SYNC);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut here = at_work(&pipe);
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    here.read_to_end(&mut Vec::new()).unwrap();
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert_eq!((yard.built(), yard.workshops()), (0, Vec::new()), "{said}");
    compare(&before, &look(&yard.scratch.path("E")), Sameness::Exact).unwrap();
}

#[test]
fn after_a_killed_build_the_next_one_begins_again() {
    let Some(yard) = yard() else { return };
    let (code, pipe) = hanging(&yard);
    yard.sdist(&code);
    let kill = || {
        let mut command = yard.scratch.command(&SYNC);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut here = at_work(&pipe);
        child.kill().unwrap();
        child.wait().unwrap();
        // The backend ends by itself.
        here.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(yard.workshops().len(), 2);
    };
    kill();
    let pruned = yard.scratch.rvenv(&["cache", "prune", "--json"]).ok();
    let pruned: serde_json::Value = serde_json::from_str(&pruned).unwrap();
    assert_eq!(pruned["downloads"], 1, "{pruned}");
    assert_eq!(yard.workshops(), [""; 0]);
    kill();
    fs::remove_file(&pipe).unwrap();
    yard.sync(&["--build"]).ok();
    assert_eq!((yard.value().as_str(), yard.workshops()), ("1", Vec::new()));
    yard.is_clean();
}

/// What a backend needs, by its project and by its own hook, is in the environment of the build
/// alone, and comes from the same directories as everything else.
#[test]
fn what_a_backend_needs_is_installed_for_the_build_alone() {
    let Some(yard) = yard() else { return };
    let wheels = [("alpha", "1.0"), ("beta", "1.0")];
    index(&yard.scratch, &yard.python, &wheels);
    let more = "\nimport alpha\ndef get_requires_for_build_wheel(*_):\n    return ['beta']\nold = \
                build_wheel\ndef build_wheel(*all):\n    import beta\n    return old(*all)\n";
    let table = PROJECT.replace("requires = []", "requires = ['alpha']");
    yard.lock_archive(&archive(&[
        ("demo-1.0/pyproject.toml", table),
        ("demo-1.0/own.py", yard.backend(more)),
        ("demo-1.0/src/demo.py", "value = 1\n".to_owned()),
    ]));
    let uv = tool("uv");
    let mut command = yard.scratch.command(&SYNC);
    command.args(["--wheelhouse", "index"]);
    if let Some(uv) = &uv {
        let above = uv.parent().unwrap().display();
        command.env("PATH", format!("{above}:/usr/bin:/bin"));
    }
    ended(&mut command).ok();
    assert_eq!(yard.value(), "1");
    let site = format!("E/lib/python3.{}/site-packages", yard.minor);
    assert!(!yard.scratch.path(&site).join("alpha").exists());
    assert_eq!(yard.workshops(), [""; 0]);
    // The note says what was needed.
    let notes = fs::read_dir(yard.scratch.cache().join("built")).unwrap();
    let notes: Vec<_> = notes
        .map(|note| fs::read_to_string(note.unwrap().path()).unwrap())
        .collect();
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].contains(r#"["alpha==1.0","beta==1.0"]"#),
        "{}",
        notes[0]
    );
}

/// A wheel of a setuptools that needs nothing else, from where `RVENV_WHEELS` says, or where a
/// system has it for its own environments.
fn setuptools() -> Option<PathBuf> {
    let places = ["/usr/share/python-wheels", "/usr/share/python3-wheels"];
    let named = std::env::var_os("RVENV_WHEELS").map(PathBuf::from);
    let mut found = named
        .into_iter()
        .chain(places.map(PathBuf::from))
        .flat_map(|place| fs::read_dir(place).into_iter().flatten());
    let wheel = found.find_map(|entry| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?.to_owned();
        let version = name.strip_prefix("setuptools-")?.split('.').next()?;
        let is_new = version.parse::<u32>().is_ok_and(|major| major > 70);
        is_new.then_some(path)
    });
    if wheel.is_none() {
        println!("skipped: no wheel of setuptools 71 or newer on this machine");
    }
    wheel
}

#[test]
fn setuptools_builds_a_project_without_a_backend() {
    let Some(wheel) = setuptools() else { return };
    let Some(python) = builds(11, 1).map(|mut all| all.remove(0)) else {
        return;
    };
    let yard = Yard {
        scratch: Scratch::new(),
        minor: python.version.1,
        python: python.path,
    };
    let path = yard.python.to_str().unwrap();
    yard.scratch
        .rvenv(&["create", "E", "--without-pip", "--python", path])
        .ok();
    let house = yard.scratch.path("house");
    fs::create_dir(&house).unwrap();
    fs::copy(&wheel, house.join(wheel.file_name().unwrap())).unwrap();
    let setup = "from setuptools import setup\n\
                 setup(name='demo', version='1.0', py_modules=['demo'])\n";
    let files = [
        ("demo-1.0/setup.py", setup.to_owned()),
        ("demo-1.0/demo.py", "value = 'by setuptools'\n".to_owned()),
    ];
    yard.lock_archive(&archive(&files));
    let said = yard.sync(&[
        "--build",
        "--wheelhouse",
        "house",
        "--no-index",
        "--resolver",
        "pip",
    ]);
    said.ok();
    assert_eq!(yard.value(), "by setuptools");
    yard.is_clean();
}

/// A wheelhouse does not help, since the lock has no hash of any wheel.
#[test]
fn what_was_built_is_not_provable_and_no_wheelhouse_is_advised() {
    let Some(yard) = yard() else { return };
    yard.sdist("");
    yard.sync(&["--build"]).ok();
    let words = ["verify", "E", "--lock", "pylock.toml"];
    let ended = yard.scratch.rvenv(&words);
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let expect = "demo 1.0 is not provable: the lock names its sources, and has no hash";
    assert!(ended.stdout.contains(expect), "{ended:?}");
    assert!(!ended.stderr.contains("--wheelhouse"), "{ended:?}");
    let expect = "is noted in `built` below `rvenv cache dir`";
    assert!(ended.stderr.contains(expect), "{ended:?}");
    let notes = yard.scratch.cache().join("built");
    assert!(fs::read_dir(notes).unwrap().next().is_some());
}
