//! Health checks against real environments, good ones and broken ones.
//!
//! Missing interpreters are skipped with a message.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::machine::{Python, Scratch, any_python, script, supported, tree};
use rvenv::checks::{Check, CheckFailed, EnvAt, Expectation, Expected, run};
use rvenv::layout::Layout;
use rvenv::python::{self, Control, PythonVersion, Request, Surroundings};

struct Lab {
    scratch: Scratch,
    at: EnvAt,
    around: Surroundings,
    version: PythonVersion,
}

impl Lab {
    /// An environment by rvenv.
    fn new(python: &Python, flags: &[&str]) -> Self {
        let scratch = Scratch::cold();
        let env = scratch.path("E");
        let mut arguments = vec!["create", env.to_str().unwrap()];
        arguments.extend(["--python", python.path.to_str().unwrap()]);
        arguments.extend(flags);
        scratch.rvenv(&arguments).ok();
        let variable = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let around = Surroundings {
            cwd: scratch.path(""),
            search_path: Some("/usr/bin:/bin".into()),
            environment: vec![
                variable("PATH", "/usr/bin:/bin"),
                variable("PYTHONHOME", "/nowhere"),
                variable("VIRTUAL_ENV", "/another"),
                variable("MINE", "kept"),
            ],
            ..Surroundings::default()
        };
        let request = Request::Path(python.path.clone());
        let base = python::find(&request, &around, &Control::default()).unwrap();
        let layout = Layout::of(&base).unwrap();
        Self {
            at: EnvAt::of(&env, &layout),
            scratch,
            around,
            version: base.version,
        }
    }

    fn builtin(&self, modules: &[&str]) -> Result<(), CheckFailed> {
        let check = Check::Builtin(Expectation {
            version: Expected::Version(self.version.clone()),
            modules: modules.iter().map(|name| (*name).to_owned()).collect(),
            imports: Vec::new(),
        });
        run(&self.at, &check, &self.around, &Control::default())
    }

    #[track_caller]
    fn builtin_fails(&self, expect: &str) {
        let error = self.builtin(&["pip"]).unwrap_err().to_string();
        assert!(
            error.starts_with("the built-in health check failed: "),
            "{error}"
        );
        assert!(error.contains(expect), "{error}");
    }

    fn command(&self, command: &str) -> Result<(), CheckFailed> {
        self.command_with(command, &Control::default())
    }

    fn command_with(&self, command: &str, control: &Control<'_>) -> Result<(), CheckFailed> {
        let check = Check::Command(command.to_owned());
        run(&self.at, &check, &self.around, control)
    }
}

#[test]
fn a_good_environment_of_every_interpreter_passes_and_stays_as_it_was() {
    for python in supported() {
        let lab = Lab::new(&python, &["--without-pip"]);
        let before = tree(&lab.at.dir);
        let at = python.path.display();
        lab.builtin(&[])
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        assert!(lab.builtin(&["pip"]).is_err(), "{at}");
        assert!(tree(&lab.at.dir) == before, "{at}: something was written");
    }
}

#[test]
fn the_built_in_check_sees_what_is_broken() {
    let Some(python) = any_python() else { return };
    let mut lab = Lab::new(&python, &[]);
    let before = tree(&lab.at.dir);
    lab.builtin(&["pip"]).unwrap();
    assert!(tree(&lab.at.dir) == before, "something was written");

    lab.version.micro += 1;
    lab.builtin_fails(" is Python 3.");
    lab.version.micro -= 1;

    let config = lab.at.dir.join("pyvenv.cfg");
    let text = fs::read(&config).unwrap();
    fs::remove_file(&config).unwrap();
    lab.builtin_fails("belongs to ");
    fs::write(&config, text).unwrap();

    let packages = lab.at.dir.join("lib").read_dir().unwrap().next().unwrap();
    let pip = packages.unwrap().path().join("site-packages/pip");
    fs::write(pip.join("__init__.py"), "raise ValueError('broken')").unwrap();
    lab.builtin_fails("ValueError: broken");
    fs::remove_dir_all(&pip).unwrap();
    lab.builtin_fails("No module named 'pip'");

    fs::remove_file(&lab.at.python).unwrap();
    symlink("/bin/false", &lab.at.python).unwrap();
    lab.builtin_fails("exit code 1");
    fs::remove_file(&lab.at.python).unwrap();
    let error = lab.builtin(&[]).unwrap_err();
    assert!(matches!(error, CheckFailed::NotStarted { .. }), "{error}");
}

#[test]
fn a_command_runs_with_the_environment_active_and_its_end_is_reported() {
    let Some(python) = any_python() else { return };
    let lab = Lab::new(&python, &["--without-pip"]);
    // A program in the environment must not replace the shell.
    symlink("/bin/false", lab.at.bin.join("sh")).unwrap();
    let env = lab.at.dir.display();
    let cwd = lab.scratch.path("");
    for expected in [
        format!("test \"$VIRTUAL_ENV\" = {env}"),
        format!("test \"$(command -v python)\" = {env}/bin/python"),
        format!("test \"$PATH\" = {env}/bin:/usr/bin:/bin"),
        format!("test \"$(python -c 'import sys; print(sys.prefix)')\" = {env}"),
        format!("test \"$(pwd -P)/\" = {}", cwd.display()),
        "test -z \"${PYTHONHOME+set}\" && test \"$MINE\" = kept".to_owned(),
        "test \"$PYTHONDONTWRITEBYTECODE\" = 1".to_owned(),
    ] {
        lab.command(&expected).unwrap();
    }
    let command = "echo one; echo two >&2; printf '\\033[2J\\n'; exit 7";
    let error = lab.command(command).unwrap_err().to_string();
    assert!(error.starts_with("the health check `echo one;"), "{error}");
    assert!(error.contains("failed: exit code 7\n  "), "{error}");
    for said in ["\n  one", "\n  two", "\n  \\u{1b}[2J"] {
        assert!(error.contains(said), "{said} {error}");
    }
    let error = lab.command("kill -9 $$").unwrap_err().to_string();
    assert!(
        error.ends_with("failed: killed by signal 9 (SIGKILL)"),
        "{error}"
    );
}

/// A command may run longer than a probe, and a signal ends it and its children.
#[test]
fn a_command_that_is_interrupted_is_killed_with_all_that_it_started() {
    let Some(python) = any_python() else { return };
    let lab = Lab::new(&python, &["--without-pip"]);
    let marker = lab.scratch.path("started");
    let started = Instant::now();
    let control = Control {
        timeout: Duration::ZERO,
        interrupted: &|| marker.exists(),
        ..Control::default()
    };
    let error = lab
        .command_with("sleep 300 & echo $! > pid; mv pid started; wait", &control)
        .unwrap_err();
    assert!(matches!(error, CheckFailed::Interrupted { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_mins(1));
    let sleeper = fs::read_to_string(&marker).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    // Its new parent may not have reaped it yet.
    let gone = || {
        let status = Path::new("/proc").join(sleeper.trim()).join("stat");
        fs::read_to_string(status).map_or(true, |stat| stat.contains(") Z "))
    };
    while !gone() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(gone());
}

/// The shell skips what it cannot start, and continues along PATH.
#[test]
fn a_command_fails_where_a_name_of_python_leads_out_of_the_environment() {
    let Some(python) = any_python() else { return };
    let mut lab = Lab::new(&python, &["--without-pip", "--copies"]);
    let decoys = lab.scratch.path("decoys");
    fs::create_dir(&decoys).unwrap();
    let minor = format!("python3.{}", python.version.1);
    let path = format!("{}:/usr/bin:/bin", decoys.display());
    lab.around.search_path = Some(path.into());
    lab.command("true").unwrap();
    for name in ["python", "python3", &minor] {
        script(&decoys.join(name), "true");
        let own = lab.at.bin.join(name);
        let kept = lab.at.bin.join("kept");
        fs::rename(&own, &kept).unwrap();
        // A dangling link, and a file that is not executable.
        symlink("nothing", &own).unwrap();
        outside(&lab, name, &decoys);
        fs::remove_file(&own).unwrap();
        fs::write(&own, "").unwrap();
        outside(&lab, name, &decoys);
        fs::remove_file(&own).unwrap();
        fs::rename(&kept, &own).unwrap();
        fs::remove_file(decoys.join(name)).unwrap();
    }
}

fn outside(lab: &Lab, name: &str, decoys: &Path) {
    let ran = lab.scratch.path("ran");
    let error = lab.command("touch ran").unwrap_err();
    assert!(matches!(error, CheckFailed::Outside { .. }), "{error}");
    let expected = format!(
        "`{name}` in the health check `touch ran` is `{}`, outside the environment",
        decoys.join(name).display()
    );
    assert_eq!(error.to_string(), expected);
    assert!(!ran.exists());
}
