//! Environments by rvenv and by other tools: what rvenv reads from them, and which interpreter an
//! upgrade takes.
//!
//! The reference is the interpreter itself. Missing tools and interpreters are skipped with a
//! message.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::machine::{self, Python, Scratch, any_python, player, supported, tool};
use crate::warm;
use rvenv::cache::Cache;
use rvenv::existing::{BaseError, Existing, PythonFile};
use rvenv::layout::Layout;
use rvenv::options::{Options, Prompt};
use rvenv::python::{self, Checkout, Control, Interpreter, Purpose, Request, Surroundings};
use rvenv_journal::Fs as _;
use rvenv_journal::fs::real::RealFs;

fn read(env: &Path) -> Existing {
    let disk = RealFs::new();
    let root = disk.open_path(env).unwrap();
    Existing::read(&disk, &root, env).unwrap_or_else(|error| panic!("{}: {error}", env.display()))
}

fn around(scratch: &Scratch) -> Surroundings {
    Surroundings {
        cwd: scratch.path(""),
        cache_dir: Some(Cache::at(scratch.cache())),
        ..Surroundings::default()
    }
}

fn ask(python: &Path, around: &Surroundings) -> Interpreter {
    let request = Request::Path(python.to_owned());
    python::find(&request, around, &Control::default()).unwrap()
}

/// The interpreter for an upgrade.
fn base_of(found: &Existing, around: &Surroundings) -> Result<Interpreter, BaseError> {
    let checkout = Checkout::of(&[&found.path], around);
    found.base(&checkout, Purpose::Change, around, &Control::default())
}

/// Checks what holds for an environment of `python`, whichever tool made it.
fn check(env: &Path, python: &Python, scratch: &Scratch) -> Existing {
    let found = read(env);
    let at = env.display();
    let flavour = found
        .flavour()
        .unwrap_or_else(|| panic!("{at}: no version"));
    assert_eq!((3, flavour.minor), python.version, "{at}");
    assert!(!found.frame.python.is_dangling(), "{at}");
    assert!(found.frame.python.pythons.contains_key("python"), "{at}");
    assert!(!found.frame.config.system_site_packages, "{at}");
    let around = around(scratch);
    let base = ask(&python.path, &around);
    let layout = Layout::of(&base).unwrap();
    let own = found.libs.iter().filter(|lib| lib.path == layout.lib_path);
    assert_eq!(own.count(), 1, "{at}: {:?}", found.libs);
    let again = base_of(&found, &around).unwrap();
    assert_eq!(again.real_executable, base.real_executable, "{at}");
    assert_eq!(found.lost(&layout, &[]), [], "{at}");
    assert_eq!(found.frame.python.stale(&layout).unwrap(), [], "{at}");
    found
}

#[test]
fn environments_of_every_interpreters_own_venv_are_understood() {
    for python in supported() {
        let scratch = Scratch::in_memory();
        // Copying, the venv of a PyPy copies the whole directory that holds its library:
        // `/usr/lib`, perhaps.
        let pypy = python.path.ends_with("pypy3");
        for copies in [false, true].into_iter().take(if pypy { 1 } else { 2 }) {
            let env = scratch.path(if copies { "copies" } else { "links" });
            let kind = if copies { "--copies" } else { "--symlinks" };
            let mut arguments = ["-m", "venv", "--without-pip", "--prompt=it's", kind].to_vec();
            arguments.push(env.to_str().unwrap());
            scratch.run(&python.path, &arguments).ok();
            let found = check(&env, &python, &scratch);
            assert_eq!(found.choices().symlinks, Some(!copies));
            let copied = found.frame.python.main() == Some(&PythonFile::Copied);
            assert_eq!(copied, copies, "{}", env.display());
            if python.at_least(8) {
                assert_eq!(found.frame.config.prompt.as_deref(), Some("it's"));
            }
        }
    }
}

#[test]
fn pip_and_the_packages_that_another_version_would_lose_are_known() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let env = scratch.path("E");
    warm::venv(&scratch, &python, "E");
    let layout = Layout::of(&ask(&python.path, &around(&scratch))).unwrap();
    fs::create_dir(env.join(layout.lib_path.as_str()).join("six-1.0.dist-info")).unwrap();
    let found = check(&env, &python, &scratch);
    let names = |found: Vec<rvenv::distributions::Distribution>| -> Vec<String> {
        found.into_iter().map(|one| one.name).collect()
    };
    assert_eq!(names(found.installed(&layout)), ["pip", "six"]);
    let other = player(&scratch, "python3.x");
    let text = fs::read_to_string(&other).unwrap();
    fs::write(&other, text.replace("3.13", "3.99")).unwrap();
    let other = Layout::of(&ask(&other, &around(&scratch))).unwrap();
    assert_eq!(names(found.lost(&other, &["pip", "setuptools"])), ["six"]);
    assert_eq!(names(found.installed(&other)), [""; 0]);
}

#[test]
fn environments_of_rvenv_are_understood() {
    for python in supported() {
        let scratch = Scratch::in_memory();
        let env = scratch.path("E");
        let (path, text) = (env.to_str().unwrap(), python.path.to_str().unwrap());
        let arguments = ["create", path, "--without-pip", "--python", text];
        scratch.rvenv(&arguments).ok();
        let found = check(&env, &python, &scratch);
        assert_eq!(found.choices().symlinks, Some(true));
    }
}

/// With every option on, by the library, because the command line would need a network for the
/// newest pip.
const EVERYTHING: &str = "
import sys, venv
class Builder(venv.EnvBuilder):
    def upgrade_dependencies(self, context):
        pass
builder = Builder(True, True, False, True, False, 'a prompt', True)
builder.create(sys.argv[1])
";

#[test]
fn the_command_of_an_upgrade_is_spelled_as_venv_spells_it() {
    let Some(python) = any_python().filter(|python| python.at_least(11)) else {
        return;
    };
    let scratch = Scratch::in_memory();
    let env = scratch.path("E");
    let path = env.to_str().unwrap();
    scratch.run(&python.path, &["-c", EVERYTHING, path]).ok();
    let config = fs::read_to_string(env.join("pyvenv.cfg")).unwrap();
    let prompt = Prompt {
        asked: "a prompt".to_owned(),
        cwd_name: String::new(),
    };
    let options = Options {
        system_site_packages: true,
        clear: true,
        upgrade: true,
        upgrade_deps: true,
        symlinks: false,
        with_pip: false,
        prompt: Some(prompt),
        scm_ignore_files: BTreeSet::new(),
        ..Options::default()
    };
    let base = ask(&python.path, &around(&scratch));
    let ours = rvenv::pyvenv_cfg::command(&base, &options, path);
    assert!(ours.contains("--clear --upgrade --upgrade-deps"), "{ours}");
    assert!(
        config.contains(&format!("command = {ours}\n")),
        "{ours}\n{config}"
    );
}

#[test]
fn environments_of_other_tools_are_understood() {
    let Some(python) = any_python() else { return };
    let text = python.path.to_str().unwrap();
    let scratch = Scratch::in_memory();
    let env = scratch.path("E");
    let env = env.to_str().unwrap();
    let commands: [(&str, &[&str]); 2] = [
        (
            "uv",
            &["venv", "--offline", "--prompt", "it's", "-p", text, env],
        ),
        ("virtualenv", &["--prompt", "it's", "-p", text, env]),
    ];
    for (name, arguments) in commands {
        let Some(tool) = tool(name) else { continue };
        scratch.run(&tool, arguments).ok();
        let found = check(Path::new(env), &python, &scratch);
        assert_eq!(found.frame.config.prompt.as_deref(), Some("it's"), "{name}");
        fs::remove_dir_all(env).unwrap();
    }
}

/// What `virtualenv` and `uv` write, for machines that have neither.
#[test]
fn configurations_of_other_tools_are_understood() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let env = scratch.path("E");
    let arguments = ["-m", "venv", "--without-pip", env.to_str().unwrap()];
    scratch.run(&python.path, &arguments).ok();
    let base = ask(&python.path, &around(&scratch));
    let home = base.executable.parent().unwrap().display().to_string();
    let version = format!("{}.{}.0", python.version.0, python.version.1);
    let real = base.real_executable.display();
    let texts = [
        format!(
            "home = {home}\nimplementation = CPython\nversion_info = {version}.final.0\nversion = {version}\n\
             virtualenv = 21.15.8\nprompt = \"it's\"\ninclude-system-site-packages = false\n\
             base-executable = {real}\n"
        ),
        format!(
            "home = {home}\nimplementation = CPython\nuv = 0.13.9\nversion_info = {version}\n\
             include-system-site-packages = false\nprompt = it's\n"
        ),
    ];
    for text in texts {
        fs::write(env.join("pyvenv.cfg"), &text).unwrap();
        let found = check(&env, &python, &scratch);
        assert_eq!(found.frame.config.prompt.as_deref(), Some("it's"), "{text}");
    }
}

#[test]
fn the_base_is_the_same_version_from_elsewhere_when_the_old_one_is_gone() {
    let scratch = Scratch::new();
    // Outside the directory of the environment.
    let elsewhere = Scratch::new();
    fs::create_dir(elsewhere.path("old")).unwrap();
    fs::create_dir(scratch.path("new")).unwrap();
    let python = player(&elsewhere, "old/python3");
    let env = scratch.path("project/E");
    let text = env.to_str().unwrap();
    let arguments = ["create", text, "--without-pip", "--python"];
    let mut command = scratch.command(&arguments);
    machine::ended(command.arg(&python)).ok();
    let mut around = around(&scratch);
    let base = |around: &Surroundings| base_of(&read(&env), around);
    assert_eq!(base(&around).unwrap().executable, python);

    // The base is replaced by another minor version: the packages would be lost, so it does not
    // count.
    let own = fs::read_to_string(&python).unwrap();
    let upgraded = own
        .replace("3.13", "3.14")
        .replace("\"minor\":13", "\"minor\":14");
    assert_ne!(upgraded, own);
    fs::write(&python, upgraded).unwrap();
    let error = base(&around).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("it is cpython 3.14.0"), "{cause}");

    // The base is gone.
    fs::remove_file(&python).unwrap();
    assert!(read(&env).frame.python.is_dangling());
    let error = base(&around).unwrap_err().to_string();
    assert!(error.contains("--python"), "{error}");
    assert!(error.contains("python3.13 in `"), "{error}");
    assert!(
        error.contains(elsewhere.path("old").to_str().unwrap()),
        "{error}"
    );

    // The same version is found by the usual search.
    let new = player(&scratch, "new/python3.13");
    around.search_path = Some(scratch.path("new").into());
    assert_eq!(base(&around).unwrap().executable, new);
}
