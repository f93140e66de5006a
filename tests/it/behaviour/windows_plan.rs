//! Environments on Windows, as plans: what each version's `venv` would make, planned on any
//! machine.
//!
//! The interpreters are descriptions; nothing is started and nothing is written.
//! Read next: `src/build/windows_programs.rs`, `src/build/hooks/windows_python.rs`.

use std::fs;
use std::path::PathBuf;

use crate::machine::{Scratch, bundles_pip, stand_in, supported};
use insta::assert_snapshot;
use rvenv::hooks::{Context, Venv, build};
use rvenv::options::Options;
use rvenv::python::{Bundled, Interpreter, Platform, PythonVersion, Scheme};
use rvenv::windows_programs::{Program, ProgramDir};
use rvenv_journal::{Content, Digest, Node, RelPath};

const BASE: &str = "C:/Python/";

/// A Python on Windows, as a probe would describe it.
fn interpreter(minor: u32, name: &str) -> Interpreter {
    let path = |text: &str| RelPath::new(text).unwrap();
    let executable = PathBuf::from(format!("{BASE}{name}"));
    Interpreter {
        executable: executable.clone(),
        invoked: executable.clone(),
        real_executable: executable,
        executable_digest: Digest::of(b""),
        executable_len: 0,
        version: PythonVersion {
            major: 3,
            minor,
            micro: 1,
            text: format!("3.{minor}.1"),
        },
        platform: Platform {
            implementation: "cpython".to_owned(),
            free_threaded: false,
            abiflags: String::new(),
            is_64bit: true,
            os_name: "nt".to_owned(),
            sys_platform: "win32".to_owned(),
            filesystem_encoding: "utf-8".to_owned(),
            implementation_version: format!("3.{minor}.1"),
            extension_suffix: format!(".cp3{minor}-win_amd64.pyd"),
            built_for: "win-amd64".to_owned(),
            machine: "AMD64".to_owned(),
            system: String::new(),
        },
        scheme: Scheme {
            include: path("Include"),
            purelib: path("Lib/site-packages"),
            platlib: path("Lib/site-packages"),
            scripts: path("Scripts"),
        },
        caching: None,
        bundled: Bundled::Wheels(Vec::new()),
        witnesses: Vec::new(),
    }
}

/// What an installation has; more than any single version.
fn programs() -> Vec<Program> {
    let program = |place, dir: &str, name: &str| Program {
        place,
        name: name.to_owned(),
        path: format!("{BASE}{dir}{name}").into(),
        digest: Digest::of(name.as_bytes()),
        len: 1,
    };
    let base = [
        "python.exe",
        "pythonw.exe",
        "python3.dll",
        "vcruntime140.dll",
        "other.exe",
    ];
    let base = base.map(|name| program(ProgramDir::Base, "", name));
    let libraries = [program(ProgramDir::Libraries, "DLLs/", "_ssl.pyd")];
    let launchers = [
        "python.exe",
        "pythonw.exe",
        "venvlauncher.exe",
        "venvwlauncher.exe",
        "venvlaunchert.exe",
        "venvwlaunchert.exe",
    ];
    let launchers =
        launchers.map(|name| program(ProgramDir::Launchers, "Lib/venv/scripts/nt/", name));
    base.into_iter().chain(libraries).chain(launchers).collect()
}

fn context(interpreter: Interpreter, symlinks: bool) -> Context {
    let options = Options {
        with_pip: false,
        symlinks,
        ..Options::default()
    };
    let mut context = Context::new("/srv/E", interpreter, options).unwrap();
    context.programs = programs();
    context
}

/// Every operation in a line, the texts of files left out but for `pyvenv.cfg`.
fn shown(context: &Context) -> String {
    let plan = build(&Venv, context).unwrap();
    let mut lines = Vec::new();
    for (path, operation) in plan.operations() {
        let what = match &operation.node {
            Node::Dir { .. } => "/".to_owned(),
            Node::Symlink { target } => format!(" -> {target}"),
            Node::File {
                content: Content::Local { path, .. },
                ..
            } => format!(" = {path}"),
            Node::File {
                content: Content::Inline(bytes),
                ..
            } if path.as_str() == "pyvenv.cfg" => {
                format!(" {:?}", String::from_utf8(bytes.clone()).unwrap())
            }
            Node::File { .. } => String::new(),
        };
        lines.push(format!("{path}{what}"));
    }
    lines
        .join("\n")
        .replace(env!("CARGO_PKG_VERSION"), "[version]")
}

/// The programs alone, in one line.
fn programs_of(interpreter: Interpreter, symlinks: bool) -> String {
    let text = shown(&context(interpreter, symlinks)).replace(BASE, "");
    let lines = text.lines().filter_map(|line| {
        let is_program = line.contains(" = ") || line.contains(" -> ");
        line.strip_prefix("Scripts/").filter(|_| is_program)
    });
    lines.collect::<Vec<_>>().join(", ")
}

#[test]
fn an_environment_on_windows_has_scripts_lib_and_launchers() {
    let context = context(interpreter(13, "python3.13.exe"), false);
    assert_eq!(context.env_exe(), r"/srv/E\Scripts\python.exe");
    assert_eq!(context.lib_path(), r"/srv/E\Lib\site-packages");
    assert_snapshot!(shown(&context), @r#"
    .gitignore
    Include/
    Lib/
    Lib/site-packages/
    Scripts/
    Scripts/Activate.ps1
    Scripts/activate
    Scripts/activate.bat
    Scripts/activate.fish
    Scripts/activate.nu
    Scripts/activate.xsh
    Scripts/activate_this.py
    Scripts/deactivate.bat
    Scripts/python.exe = C:/Python/Lib/venv/scripts/nt/venvlauncher.exe
    Scripts/pythonw.exe = C:/Python/Lib/venv/scripts/nt/venvwlauncher.exe
    pyvenv.cfg "home = C:/Python\r\ninclude-system-site-packages = false\r\nversion = 3.13.1\r\nexecutable = C:/Python/python3.13.exe\r\ncommand = C:/Python/python3.13.exe -m venv --without-pip /srv/E\r\nrvenv = [version]\r\n"
    "#);
}

#[test]
fn each_version_takes_the_programs_that_its_venv_takes() {
    let copies = |minor| programs_of(interpreter(minor, "python.exe"), false);
    assert_eq!(
        copies(6),
        "_ssl.pyd = DLLs/_ssl.pyd, python.exe = python.exe, python3.dll = python3.dll, \
         pythonw.exe = pythonw.exe, vcruntime140.dll = vcruntime140.dll"
    );
    let redirectors = "python.exe = Lib/venv/scripts/nt/python.exe, pythonw.exe = Lib/venv/scripts/nt/pythonw.exe";
    assert_eq!(copies(7), redirectors);
    assert_eq!(copies(12), redirectors);
    let launchers = "python.exe = Lib/venv/scripts/nt/venvlauncher.exe, \
                     pythonw.exe = Lib/venv/scripts/nt/venvwlauncher.exe";
    assert_eq!(copies(13), launchers);
    let mut threaded = interpreter(14, "python3.14t.exe");
    threaded.platform.free_threaded = true;
    assert_eq!(
        programs_of(threaded, false),
        "python.exe = Lib/venv/scripts/nt/venvlaunchert.exe, \
         python3.14t.exe = Lib/venv/scripts/nt/venvlaunchert.exe, \
         pythonw.exe = Lib/venv/scripts/nt/venvwlaunchert.exe, \
         pythonw3.14t.exe = Lib/venv/scripts/nt/venvwlaunchert.exe"
    );
}

#[test]
fn links_lead_to_the_installation_itself() {
    let links = |minor| programs_of(interpreter(minor, "python.exe"), true);
    assert_eq!(
        links(12),
        "other.exe -> other.exe, python.exe -> python.exe, python3.dll -> python3.dll, \
         pythonw.exe -> pythonw.exe, vcruntime140.dll -> vcruntime140.dll"
    );
    assert_eq!(
        links(13),
        "python.exe -> python.exe, python3.dll -> python3.dll, pythonw.exe -> pythonw.exe, \
         vcruntime140.dll -> vcruntime140.dll"
    );
}

#[test]
fn an_installation_that_was_never_inspected_gives_no_environment() {
    let mut context = context(interpreter(13, "python.exe"), false);
    context.programs.clear();
    let error = build(&Venv, &context).unwrap_err().to_string();
    assert_eq!(
        error,
        "the installation of `C:/Python/python.exe` has no program to copy into an environment"
    );
}

/// The wheels of an interpreter of this machine whose pip has the launchers for Windows, as it has
/// everywhere but in Debian.
fn wheels_with_launchers(scratch: &Scratch) -> Option<Vec<PathBuf>> {
    let has_launchers = |wheel: &PathBuf| {
        let name = b"pip/_vendor/distlib/t64.exe";
        let bytes = fs::read(wheel).unwrap();
        bytes.windows(name.len()).any(|window| window == name)
    };
    let pythons = supported().into_iter().rev();
    let found = pythons.filter(bundles_pip).find_map(|python| {
        let (_, wheels) = stand_in(scratch, &python);
        if wheels.iter().any(has_launchers) {
            return Some(wheels);
        }
        fs::remove_dir_all(scratch.path("wheels")).unwrap();
        None
    });
    if found.is_none() {
        println!("skipped: no Python whose pip has launchers for Windows on this machine");
    }
    found
}

#[test]
fn the_programs_of_packages_are_launchers_with_the_script_behind_them() {
    let scratch = Scratch::cold();
    let Some(wheels) = wheels_with_launchers(&scratch) else {
        return;
    };
    let mut interpreter = interpreter(13, "python.exe");
    interpreter.bundled = Bundled::Wheels(wheels);
    let mut context = context(interpreter, false);
    context.options.with_pip = true;
    let plan = build(&Venv, &context).unwrap();
    let mut programs = Vec::new();
    for (path, operation) in plan.operations() {
        let Node::File {
            content: Content::Inline(bytes),
            ..
        } = &operation.node
        else {
            continue;
        };
        let is_program = bytes.starts_with(b"MZ");
        let extension = path.name().rsplit_once('.').map(|(_, extension)| extension);
        assert_eq!(is_program, extension == Some("exe"), "{path}");
        if is_program {
            let line = b"#!/srv/E\\Scripts\\python.exe\r\nPK\x03\x04";
            assert!(bytes.windows(line.len()).any(|part| part == line), "{path}");
            let call = b"from pip._internal.cli.main import main\n";
            assert!(bytes.windows(call.len()).any(|part| part == call), "{path}");
            programs.push(path.name());
        }
    }
    assert_eq!(programs, ["pip.exe", "pip3.13.exe", "pip3.exe"]);
    let record = plan
        .operations()
        .iter()
        .find(|(path, _)| path.as_str().ends_with("/RECORD"));
    let Node::File {
        content: Content::Inline(bytes),
        ..
    } = &record.unwrap().1.node
    else {
        panic!("RECORD is written for the environment");
    };
    let record = String::from_utf8(bytes.clone()).unwrap();
    assert!(
        record.starts_with("../../Scripts/pip.exe,sha256="),
        "{record}"
    );
}
