//! Queries real interpreters: every Python of this machine, and small scripts that play one.
//!
//! The reference is the interpreter itself: what its own `-m venv` makes, what its own `ensurepip`
//! says. Missing interpreters are skipped with a message.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rvenv::cache::Cache;
use rvenv::layout::Layout;
use rvenv::python::{Control, Interpreter, InterpreterError, Request, Surroundings, find};
use rvenv_journal::{Digest, RelPath};

/// The wheel that scripts which play an interpreter have bundled.
pub(super) const WHEEL: &str = "wheels/pip-1.0-py3-none-any.whl";

/// A directory of its own, with a cache, a `bin` on PATH and a record of the processes started.
pub(super) struct Lab {
    pub(super) root: tempfile::TempDir,
    pub(super) around: Surroundings,
    pub(super) started: RefCell<Vec<PathBuf>>,
    pub(super) timeout: Duration,
}

impl Lab {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().canonicalize().unwrap();
        fs::create_dir(path.join("bin")).unwrap();
        let around = Surroundings {
            search_path: Some(path.join("bin").into()),
            cwd: path.clone(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            cache_dir: Some(Cache::at(path.join("cache"))),
            ..Surroundings::default()
        };
        let lab = Self {
            root,
            around,
            started: RefCell::default(),
            timeout: Control::TIMEOUT,
        };
        lab.write(WHEEL, "one");
        lab
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(below)
    }

    pub(super) fn write(&self, below: &str, text: &str) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// An executable shell script.
    pub(super) fn script(&self, below: &str, body: &str) -> PathBuf {
        let path = self.write(below, &format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A script that answers like an interpreter of this version.
    pub(super) fn fake(&self, below: &str, version: &str) -> PathBuf {
        let answer = self.answer(below, version);
        self.script(below, &format!("printf '%s\\n' '{answer}'"))
    }

    pub(super) fn answer(&self, below: &str, version: &str) -> String {
        let executable = self.path(below);
        let pip = self.path(WHEEL);
        let flag = version.ends_with('t');
        let plain = version.trim_end_matches('t');
        let numbers: Vec<u32> = plain.split('.').map(|n| n.parse().unwrap()).collect();
        let answer = serde_json::json!({
            "version": { "major": numbers[0], "minor": numbers[1], "micro": numbers[2], "text": plain },
            "executable": executable, "base_executable": executable, "real_executable": executable,
            "platform": {
                "implementation": if below.contains("pypy") { "pypy" } else { "cpython" },
                "free_threaded": flag, "abiflags": if flag { "t" } else { "" },
                "is_64bit": true, "os_name": "posix", "sys_platform": "linux",
                "filesystem_encoding": "utf-8",
                "implementation_version": "3.13.0",
                "extension_suffix": ".cpython-313-x86_64-linux-gnu.so",
                "built_for": "linux-x86_64", "machine": "x86_64", "system": "glibc 2.36",
            },
            "scheme": ["include", "lib/site", "lib/site", "bin"],
            "caching": ["t-39", "a70d"],
            "bundled": { "wheels": [pip] },
            "watched": [pip, pip.parent().unwrap()],
        });
        format!("rvenv-probe-3:{answer}")
    }

    pub(super) fn find(&self, request: &Request) -> Result<Interpreter, InterpreterError> {
        let control = Control {
            timeout: self.timeout,
            interrupted: &|| false,
            starting: &|path| self.started.borrow_mut().push(path.to_owned()),
        };
        find(request, &self.around, &control)
    }

    pub(super) fn ask(&self, text: impl Into<OsString>) -> Result<Interpreter, InterpreterError> {
        self.find(&Request::parse(&text.into(), &self.around.cwd)?)
    }

    pub(super) fn error(&self, text: impl Into<OsString>) -> String {
        self.ask(text).unwrap_err().to_string()
    }

    /// The processes started since the last look.
    pub(super) fn starts(&self) -> usize {
        self.started.take().len()
    }

    pub(super) fn cached(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("cache/interpreters"));
        let entries = entries.into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

fn pyenv_versions() -> Vec<PathBuf> {
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    let entries = root.and_then(|root| fs::read_dir(root.join("versions")).ok());
    let mut found: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    found.sort();
    found
}

/// Every supported interpreter of this machine, as `…/bin/python3` or so.
pub(super) fn interpreters() -> Vec<PathBuf> {
    let mut all: Vec<_> = pyenv_versions()
        .into_iter()
        .filter(|version| {
            !version
                .file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with('2')
        })
        .map(|version| version.join("bin/python3"))
        .collect();
    all.extend(["/usr/bin/python3", "/usr/bin/pypy3"].map(PathBuf::from));
    all.retain(|path| path.is_file());
    if all.is_empty() {
        println!("skipped: no Python on this machine");
    }
    all
}

pub(super) fn output(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}: {output:?}", program.display());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(super) fn make_venv(python: &Path, env: &Path, flags: &[&str]) {
    let env = env.to_str().unwrap();
    output(
        python,
        &[&["-m", "venv", "--without-pip"], flags, &[env]].concat(),
    );
}

/// A value of a `pyvenv.cfg`.
fn config(env: &Path, key: &str) -> Option<String> {
    let text = fs::read_to_string(env.join("pyvenv.cfg")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{key} = ")));
    line.map(str::to_owned)
}

fn list(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|e| e.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// Checks that the environment that `venv` makes equals the predicted layout.
fn check_against_venv(lab: &Lab, python: &Path, env: &Path) {
    make_venv(python, env, &[]);
    let found = lab.ask(python).unwrap();
    let layout = Layout::of(&found).unwrap();
    let shown = python.display();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    assert_eq!(
        config(env, "home"),
        Some(text(&layout.python_dir)),
        "{shown}"
    );
    if let Some(executable) = config(env, "executable") {
        assert_eq!(executable, text(&found.real_executable), "{shown}");
        let command = config(env, "command").unwrap();
        let start = format!("{} -m venv", text(&found.invoked));
        assert!(command.starts_with(&start), "{command}");
    }
    let version = config(env, "version").unwrap();
    assert!(found.version.text.starts_with(&version), "{shown}");

    let link = fs::read_link(env.join(layout.env_exe.as_str())).unwrap();
    assert_eq!(link, found.executable);
    let mut names: Vec<_> = layout
        .names
        .iter()
        .chain([&layout.env_exe])
        .map(RelPath::name)
        .collect();
    names.sort_unstable();
    let mut made = list(&env.join(layout.bin_name.as_str()));
    made.retain(|name| !name.to_lowercase().contains("activate"));
    assert_eq!(made, names, "{shown}");

    for directory in &layout.directories {
        assert!(
            env.join(directory.as_str()).is_dir(),
            "{shown}: {directory}"
        );
        let empty = *directory != layout.bin_name;
        assert!(
            !empty || list(&env.join(directory.as_str())).is_empty(),
            "{shown}: {directory}"
        );
    }
    let include_is_deep = layout.inc_path.parent().is_some();
    assert_eq!(
        list(&env.join("include")).is_empty(),
        !include_is_deep,
        "{shown}"
    );
    assert_eq!(env.join("lib64").is_symlink(), layout.lib64_link, "{shown}");
}

#[test]
fn what_is_foreseen_is_what_venv_makes_for_every_interpreter_under_every_name() {
    let lab = Lab::new();
    for (number, python) in interpreters().iter().enumerate() {
        let foreign = lab.path(&format!("bin/mypy{number}"));
        symlink(python, &foreign).unwrap();
        let real = python.canonicalize().unwrap();
        for (way, python) in [python.clone(), real, foreign].iter().enumerate() {
            check_against_venv(&lab, python, &lab.path(&format!("env-{number}-{way}")));
        }
    }
}

#[test]
fn the_facts_are_those_that_the_interpreter_reports_itself() {
    let lab = Lab::new();
    let code = "import sys, os; print(sys.executable, '%d.%d.%d' % sys.version_info[:3], \
                sys.implementation.name, getattr(sys, 'abiflags', '') or '-', sys.maxsize > 2**32, \
                os.name, sys.platform, sys.getfilesystemencoding())";
    for python in interpreters() {
        let found = lab.ask(&python).unwrap();
        let told = Command::new(&python)
            .args(["-c", code])
            .env_clear()
            .envs(lab.around.environment.iter().cloned())
            .output()
            .unwrap();
        let version = &found.version;
        let expect = format!(
            "{} {}.{}.{} {} {} {} {} {} {}",
            found.executable.display(),
            version.major,
            version.minor,
            version.micro,
            found.platform.implementation,
            if found.platform.abiflags.is_empty() {
                "-"
            } else {
                &found.platform.abiflags
            },
            if found.platform.is_64bit {
                "True"
            } else {
                "False"
            },
            found.platform.os_name,
            found.platform.sys_platform,
            found.platform.filesystem_encoding
        );
        assert_eq!(String::from_utf8(told.stdout).unwrap().trim(), expect);
        let bytes = fs::read(&python).unwrap();
        assert_eq!(found.executable_digest, Digest::of(&bytes));
        assert_eq!(found.executable_len, bytes.len() as u64);
        assert_eq!(found.real_executable, python.canonicalize().unwrap());
        let library = output(&python, &["-c", "import os; print(os.__file__)"]);
        let watched = |path: &str| found.witnesses.iter().any(|w| w.path == Path::new(path));
        assert!(watched(&library), "{library}");
        assert!(watched(python.to_str().unwrap()));
    }
}

#[test]
fn the_wheels_are_those_that_ensurepip_installs() {
    let lab = Lab::new();
    // What a wheel in the working directory is called must not matter, as it does to 3.13 alone.
    lab.write("pip-99.0-py3-none-any.whl", "");
    for python in interpreters() {
        let found = lab.ask(&python).unwrap();
        let code = "import ensurepip; print(ensurepip.version())";
        let Ok(told) = Command::new(&python)
            .args(["-c", code])
            .current_dir("/")
            .output()
        else {
            continue;
        };
        if !told.status.success() {
            println!("skipped: {} has no ensurepip", python.display());
            continue;
        }
        let told = String::from_utf8(told.stdout).unwrap();
        let wheels = found.bundled.wheels();
        let names: Vec<_> = wheels
            .iter()
            .map(|w| w.file_name().unwrap().to_str().unwrap())
            .collect();
        let shown = python.display();
        assert!(
            wheels.iter().all(|wheel| wheel.is_file()),
            "{shown}: {names:?}"
        );
        let expect = if found.version.at_least(3, 12) { 1 } else { 2 };
        assert_eq!(names.len(), expect, "{shown}: {names:?}");
        let pip = format!("pip-{}-", told.trim());
        assert!(
            names.last().unwrap().starts_with(&pip),
            "{shown}: {names:?}"
        );
        let first = if expect == 2 { "setuptools-" } else { "pip-" };
        assert!(names[0].starts_with(first), "{shown}: {names:?}");
        let parents = wheels.iter().map(|wheel| wheel.parent().unwrap());
        for path in wheels.iter().map(PathBuf::as_path).chain(parents) {
            let watched =
                |w: &rvenv::fingerprint::Fingerprint| w.path.components().eq(path.components());
            assert!(found.witnesses.iter().any(watched), "{}", path.display());
        }
    }
}

#[test]
fn an_environment_leads_to_its_base_through_links_copies_and_other_environments() {
    let lab = Lab::new();
    for (number, python) in interpreters().iter().enumerate() {
        let base = lab.ask(python).unwrap();
        let envs = ["linked", "copied", "nested"].map(|kind| lab.path(&format!("{kind}-{number}")));
        let [linked, copied, nested] = &envs;
        make_venv(python, linked, &[]);
        // PyPy copies the whole directory of libraries beside it, which may be that of the system.
        let flags: &[&str] = match base.platform.implementation.as_str() {
            "pypy" => &[],
            _ => &["--copies"],
        };
        make_venv(python, copied, flags);
        make_venv(&linked.join("bin/python"), nested, &[]);
        for env in &envs {
            let name = python.file_name().unwrap();
            let asked = env.join("bin").join(name);
            let Ok(found) = lab.ask(&asked) else {
                panic!("{}: {}", asked.display(), lab.error(&asked));
            };
            assert_eq!(found.invoked, asked);
            assert_eq!(
                found.real_executable,
                base.real_executable,
                "{}",
                asked.display()
            );
            assert_eq!(
                found.executable.parent(),
                python.parent(),
                "{}",
                asked.display()
            );
            assert_eq!(found.version, base.version);
            assert_eq!(found.bundled, base.bundled);
        }
    }
}

#[test]
fn an_environment_that_calls_itself_its_home_still_leads_to_its_base() {
    let lab = Lab::new();
    let Some(python) = interpreters().into_iter().next() else {
        return;
    };
    let env = lab.path("env");
    make_venv(&python, &env, &[]);
    // What an upgrade with its own interpreter writes, up to 3.10.
    lab.write(
        "env/pyvenv.cfg",
        &format!("home = {}\n", env.join("bin").display()),
    );
    let found = lab.ask(env.join("bin/python")).unwrap();
    assert_eq!(found.executable, python.canonicalize().unwrap());
    // One process for the environment, one for the base: none for the environment's other names.
    assert_eq!(lab.starts(), 2);
}

#[test]
fn an_environment_without_its_base_is_refused_with_the_reason() {
    let lab = Lab::new();
    let python = lab.fake("env/bin/python", "3.8.1");
    lab.write("env/pyvenv.cfg", "home = /nowhere/bin\n");
    let error = lab.error(&python);
    assert!(
        error.contains("names `/nowhere/bin` as its home, where there is no"),
        "{error}"
    );
    // A cycle of environments is detected.
    lab.fake("a/bin/python", "3.8.1");
    lab.fake("b/bin/python", "3.8.1");
    lab.write(
        "a/pyvenv.cfg",
        &format!("home = {}\n", lab.path("b/bin").display()),
    );
    lab.write(
        "b/pyvenv.cfg",
        &format!("home = {}\n", lab.path("a/bin").display()),
    );
    let error = lab.error(lab.path("a/bin/python"));
    assert!(error.contains("a chain of more than 8"), "{error}");
}

#[test]
fn python_2_is_refused_by_its_version() {
    let lab = Lab::new();
    let two = pyenv_versions()
        .into_iter()
        .find(|v| v.join("bin/python2.7").is_file());
    if let Some(two) = two {
        let error = lab.error(two.join("bin/python2.7"));
        assert!(error.contains("is Python 2.7."), "{error}");
        assert!(
            error.ends_with("too old: rvenv needs 3.6 or newer"),
            "{error}"
        );
    } else {
        println!("skipped: no Python 2.7");
    }
    let python = lab.script(
        "old",
        r#"echo 'rvenv-probe-3:{"version":{"major":3,"minor":5,"micro":2,"text":"3.5.2"}}'"#,
    );
    assert!(matches!(
        lab.ask(python),
        Err(InterpreterError::TooOld { .. })
    ));
}

#[test]
fn the_working_directory_and_the_variables_have_no_say() {
    let mut lab = Lab::new();
    for module in ["json.py", "os.py", "sysconfig.py", "ensurepip.py"] {
        lab.write(
            module,
            "raise SystemExit('taken from the working directory')",
        );
    }
    for (name, value) in [
        ("PYTHONHOME", "/nowhere"),
        ("PYTHONPATH", "."),
        ("PYTHONSTARTUP", "json.py"),
    ] {
        lab.around.environment.push((name.into(), value.into()));
    }
    for python in interpreters() {
        assert_eq!(lab.ask(&python).unwrap().executable, python);
    }
    lab.around
        .environment
        .push(("__PYVENV_LAUNCHER__".into(), "/x".into()));
    lab.around
        .environment
        .push(("PYENV_VERSION".into(), "kept".into()));
    let python = lab.fake("python", "3.9.1");
    let wrapper = lab.script(
        "wrapper",
        &format!(
            "[ -z \"$PYTHONHOME$PYTHONPATH$__PYVENV_LAUNCHER__\" ] || exit 7\n\
             [ \"$PYENV_VERSION $PWD\" = \"kept {}\" ] || exit 8\n\
             exec {}",
            lab.path("").to_str().unwrap().trim_end_matches('/'),
            python.display()
        ),
    );
    assert_eq!(lab.ask(wrapper).unwrap().executable, python);
}

#[test]
fn the_default_is_the_first_usable_python_on_path() {
    let mut lab = Lab::new();
    let error = lab.find(&Request::Default).unwrap_err().to_string();
    assert_eq!(
        error,
        "found no usable interpreter for `python3` or `python`; no file with such a name is in any place that was \
         searched\n  searched: 1 directory of PATH"
    );
    lab.script(
        "bin/python3",
        r#"echo 'rvenv-probe-3:{"version":{"major":2,"minor":7,"micro":18,"text":"2.7.18"}}'"#,
    );
    let error = lab.find(&Request::Default).unwrap_err().to_string();
    assert!(error.contains("bin/python3`: `"), "{error}");
    assert!(
        error.contains("is Python 2.7.18, which is too old"),
        "{error}"
    );
    let last = lab.fake("other/python3", "3.9.1");
    lab.around.search_path = std::env::join_paths([lab.path("bin"), lab.path("other")]).ok();
    assert_eq!(lab.find(&Request::Default).unwrap().executable, last);
}

#[test]
fn a_version_is_looked_for_under_all_its_names_in_all_places() {
    let mut lab = Lab::new();
    lab.fake("bin/python3", "3.9.1");
    lab.fake("bin/pypy3", "3.9.16");
    let twelve = lab.fake("pyenv/versions/3.12.9/bin/python3.12", "3.12.9");
    let newer = lab.fake("pyenv/versions/3.12.10/bin/python3.12", "3.12.10");
    let threads = lab.fake(
        "uv/cpython-3.13.0+freethreaded-linux/bin/python3.13t",
        "3.13.0t",
    );
    let ordinary = lab.fake("uv/cpython-3.13.0-linux/bin/python3.13", "3.13.0");
    lab.around.pyenv_root = Some(lab.path("pyenv"));
    lab.around.installations = vec![lab.path("uv")];
    let check = |request: &str, expect: &Path| {
        let found = lab
            .ask(request)
            .unwrap_or_else(|error| panic!("{request}: {error}"));
        assert_eq!(found.executable, expect, "{request}");
    };
    check("3", &lab.path("bin/python3"));
    check("3.9", &lab.path("bin/python3"));
    check("3.12", &newer);
    check("3.12.9", &twelve);
    check("python3.12", &newer);
    check("3.13", &ordinary);
    check("3.13t", &threads);
    check("pypy3", &lab.path("bin/pypy3"));
    check("pypy3.9", &lab.path("bin/pypy3"));
    let error = lab.error("3.9.2");
    assert!(
        error.starts_with("found no usable interpreter for `Python 3.9.2`; tried:\n"),
        "{error}"
    );
    assert!(
        error.contains("bin/python3`: it is cpython 3.9.1"),
        "{error}"
    );
    assert!(lab.error("pypy3.10").contains("it is pypy 3.9.16"));
    // Another name of a file that did not match is not worth another process.
    symlink(lab.path("bin/python3"), lab.path("bin/python")).unwrap();
    assert!(!lab.error("3.9.2").contains("bin/python`"));
}
