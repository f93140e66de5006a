//! What a project and the surroundings say about the Python: `.python-version`, `requires-python`
//! and `RVENV_PYTHON`.
//!
//! Interpreters are scripts that answer as one of a version does, so that every machine has the
//! same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{Ended, Scratch, ended, player, script};

/// A scratch directory with a project in it, and a PATH on which `python3` is 3.11, beside 3.9,
/// 3.10, 3.12 and 3.13.
struct Project(Scratch);

impl Project {
    fn new() -> Self {
        let project = Self(Scratch::in_memory());
        fs::create_dir(project.path("bin")).unwrap();
        for minor in [9, 10, 11, 12, 13] {
            project.python(&format!("bin/python3.{minor}"), minor);
        }
        project.python("bin/python3", 11);
        project
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path(below)
    }

    /// A script that answers as 3.`minor`.0 does.
    fn python(&self, name: &str, minor: u32) {
        let path = player(&self.0, name);
        let mut text = fs::read_to_string(&path).unwrap();
        for [before, after] in ["\"minor\":", "\"3.", "lib/python3.", "include/python3."]
            .map(|start| [format!("{start}13"), format!("{start}{minor}")])
        {
            text = text.replace(&before, &after);
        }
        fs::write(&path, text).unwrap();
    }

    fn says(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.0.command(arguments);
        let path = std::env::join_paths([self.path("bin"), PathBuf::from("/usr/sbin")]).unwrap();
        command.env("PATH", path);
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.command(arguments))
    }

    /// The version of the interpreter that `create` takes, which `find` names too, and what is
    /// said.
    #[track_caller]
    fn takes(&self, arguments: &[&str], variable: &str) -> (String, String) {
        let create = [&["create", "--without-pip", "--dry-run", "E"], arguments].concat();
        let created = ended(self.command(&create).env("RVENV_PYTHON", variable));
        assert_eq!(created.code, Some(0), "{}", created.stderr);
        let request = arguments.get(1).copied();
        let find = ["python", "find"].into_iter().chain(request);
        let found = ended(
            self.command(&find.collect::<Vec<_>>())
                .env("RVENV_PYTHON", variable),
        );
        assert_eq!(found.stderr, created.stderr);
        let path = found.stdout.trim_end().to_owned();
        let link = format!(" -> {path}\n");
        assert!(created.stdout.contains(&link), "{path}: {}", created.stdout);
        let name = Path::new(&path).file_name().unwrap().to_str().unwrap();
        (name.to_owned(), created.stderr)
    }

    fn in_words(&self, said: &str) -> String {
        said.replace(self.path("").to_str().unwrap(), "[work]/")
    }
}

#[test]
fn a_python_version_is_read_as_pyenv_and_uv_read_it() {
    let project = Project::new();
    for (text, expect) in [
        ("v3.12.0\n", "python3.12"),
        ("3.13-dev\n", "python3.13"),
        ("python3.12\n", "python3.12"),
        ("python-3.10.0\n", "python3.10"),
        ("cpython-3.9.0\n", "python3.9"),
        ("3.9.0/envs/foo\n", "python3.9"),
        ("# ours\r\n\r\n3.10 3.12\r\n", "python3.10"),
        (">=3.12, <3.13\n", "python3.12"),
        ("system\n", "python3"),
        ("", "python3"),
    ] {
        project.says(".python-version", text);
        let (taken, said) = project.takes(&[], "");
        assert_eq!((taken.as_str(), said.as_str()), (expect, ""), "{text}");
    }
}

/// The nearest file with nothing readable in it, and what is done about it.
#[test]
fn a_python_version_that_means_no_python_is_an_error_unless_something_else_was_asked_for() {
    let project = Project::new();
    for text in [
        "~3.12",
        "myenv",
        "/usr/bin/python3",
        "./bin/python3.12",
        "2.7.18",
    ] {
        project.says(".python-version", &format!("# ours\n{text}\n"));
        let said = project.run(&["create", "--without-pip", "E"]).failed(1);
        let start = format!(
            "error[bad-python-pin]: cannot read `{text}` in line 2 of `[work]/.python-version`: "
        );
        let said = project.in_words(&said);
        assert!(said.starts_with(&start), "{said}");
        assert!(said.contains("`--python`"), "{said}");
        assert!(!project.path("E").exists());
        assert_eq!(project.run(&["python", "find"]).code, Some(1));
    }
    project.says(".python-version", "myenv\n3.12\n");
    let (taken, said) = project.takes(&[], "");
    assert_eq!(taken, "python3.12");
    assert_eq!(
        project.in_words(&said),
        "warning: cannot read `myenv` in line 1 of `[work]/.python-version`: it names no version of Python; \
         `Python 3.12` in line 2 is used instead\n"
    );
    project.says(".python-version", "myenv\n");
    for (arguments, variable) in [(&["-p", "3.12"][..], ""), (&[], "3.12")] {
        let (taken, said) = project.takes(arguments, variable);
        assert_eq!(taken, "python3.12");
        assert_eq!(
            project.in_words(&said),
            "warning: cannot read `myenv` in line 1 of `[work]/.python-version`: it names no version of Python; \
             `Python 3.12`, which was asked for, is used instead\n"
        );
    }
    let quiet = ["create", "-q", "--without-pip", "-p", "3.12", "E"];
    assert_eq!(project.run(&quiet).stderr, "");
}

/// A name that the user gave to an environment of their own pyenv is one that pyenv would start,
/// too.
#[test]
fn a_name_of_pyenv_means_what_pyenv_has_under_it() {
    let project = Project::new();
    fs::create_dir_all(project.path("pyenv/versions/tools/bin")).unwrap();
    project.python("pyenv/versions/tools/bin/python3", 12);
    project.says(".python-version", "tools\n");
    let mut find = project.command(&["python", "find"]);
    let found = ended(find.env("PYENV_ROOT", project.path("pyenv"))).ok();
    assert_eq!(
        project.in_words(&found),
        "[work]/pyenv/versions/tools/bin/python3\n"
    );
    project.run(&["python", "find"]).failed(1);
}

#[test]
fn a_version_that_the_project_requires_is_taken_where_none_is_asked_for() {
    let project = Project::new();
    let requires = |range: &str| format!("[project]\nrequires-python = \"{range}\"\n");
    for (range, expect) in [
        (">=3.8", "python3"),
        (">=3.12", "python3.13"),
        (">=3.9,<3.11", "python3.10"),
        ("==3.9.*", "python3.9"),
        ("", "python3"),
    ] {
        project.says("pyproject.toml", &requires(range));
        let (taken, said) = project.takes(&[], "");
        assert_eq!((taken.as_str(), said.as_str()), (expect, ""), "{range}");
    }
    // The nearest one above the target counts, wherever the command runs.
    project.says("pyproject.toml", &requires("==3.12.*"));
    fs::create_dir_all(project.path("inner/deep")).unwrap();
    let create = |target: &str| {
        let run = project.run(&["create", "--without-pip", target]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stderr
    };
    assert!(create("inner/deep/E").contains("with Python 3.12.0"));
    project.says("inner/pyproject.toml", &requires("==3.10.*"));
    assert!(create("inner/deep/F").contains("with Python 3.10.0"));
    // Directories above the top of a repository do not count.
    fs::create_dir_all(project.path("inner/deep/.git")).unwrap();
    assert!(create("inner/deep/G").contains("with Python 3.11.0"));
}

#[test]
fn a_request_against_what_the_project_requires_is_a_warning() {
    let project = Project::new();
    project.says(
        "pyproject.toml",
        "[project]\nrequires-python = \">=3.12\"\n",
    );
    let warned = |arguments: &[&str], variable: &str, why: &str| {
        let (taken, said) = project.takes(arguments, variable);
        assert_eq!(taken, "python3.9");
        let expect = format!(
            "warning: cpython 3.9.0 does not satisfy `>=3.12`, the `requires-python` of `[work]/pyproject.toml`; \
             it is used because {why}\n"
        );
        assert_eq!(project.in_words(&said), expect);
    };
    warned(&["-p", "3.9"], "", "it was asked for");
    warned(&["-p", "python3.9"], "", "it was asked for");
    warned(&[], "3.9", "`RVENV_PYTHON` asks for it");
    project.says(".python-version", "3.9\n");
    warned(&[], "", "`[work]/.python-version` asks for it");
    project.says(".python-version", "3.12\n");
    assert_eq!(
        project.takes(&[], ""),
        ("python3.12".to_owned(), String::new())
    );
}

#[test]
fn a_version_that_is_required_and_absent_fails_in_three_lines() {
    let project = Project::new();
    project.says(
        "pyproject.toml",
        "[project]\nrequires-python = \">=3.15\"\n",
    );
    for arguments in [&["create", "E"][..], &["python", "find"]] {
        let said = project.run(arguments).failed(1);
        let said = project.in_words(&said);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 3, "{said}");
        assert_eq!(
            lines[0],
            "error[no-python]: found no usable interpreter for `>=3.15`, the `requires-python` of `[work]/pyproject.toml`"
        );
    }
}

#[test]
fn a_pyproject_that_cannot_be_read_is_a_warning_with_its_line() {
    let project = Project::new();
    for (text, start) in [
        (
            "[project]\nname =\n",
            "cannot read line 2 of `[work]/pyproject.toml`: ",
        ),
        (
            "[project]\n\nrequires-python = \"^3.12\"\n",
            "cannot read `^3.12` in line 3 of `[work]/pyproject.toml`: ",
        ),
    ] {
        project.says("pyproject.toml", text);
        let (taken, said) = project.takes(&[], "");
        assert_eq!(taken, "python3");
        let said = project.in_words(&said);
        assert!(said.starts_with(&format!("warning: {start}")), "{said}");
        assert!(
            said.ends_with("; its `requires-python` is ignored\n"),
            "{said}"
        );
    }
    // A FIFO does not block the command.
    fs::remove_file(project.path("pyproject.toml")).unwrap();
    let pipe = project.path("pyproject.toml");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    assert_eq!(project.takes(&[], "").0, "python3");
}

/// `RVENV_PYTHON` is the default of `--python`: of `create`, `plan`, `upgrade` and `python find`,
/// and of nothing else.
#[test]
fn rvenv_python_is_the_default_of_the_option() {
    let project = Project::new();
    project.says(".python-version", "3.10\n");
    project.says("pyproject.toml", "[project]\nrequires-python = \">=3.9\"\n");
    assert_eq!(project.takes(&[], "").0, "python3.10");
    assert_eq!(project.takes(&[], "3.12").0, "python3.12");
    assert_eq!(project.takes(&[], "./bin/python3.13").0, "python3.13");
    assert_eq!(project.takes(&["-p", "3.9"], "3.12").0, "python3.9");
    let with = |arguments: &[&str], variable: &str| {
        ended(project.command(arguments).env("RVENV_PYTHON", variable))
    };
    with(&["create", "--without-pip", "E"], "3.12").ok();
    // An upgrade stays with its base, unless the option or its default says otherwise.
    with(&["upgrade", "--without-pip", "--dry-run", "E"], "").ok();
    let moved = with(&["upgrade", "--without-pip", "--dry-run", "E"], "3.13").ok();
    assert!(moved.contains("bin/python3.13"), "{moved}");
    let listed = |variable: &str| with(&["python", "list"], variable).ok();
    assert_eq!(listed("3.9"), listed(""));
    let said = with(&["create", "F"], ">=").failed(2);
    assert!(
        said.contains("hint: correct or unset `RVENV_PYTHON`"),
        "{said}"
    );
    let said = with(&["create", "F"], "3.99").failed(1);
    assert!(
        said.starts_with(
            "error[no-python]: found no usable interpreter for `Python 3.99`, which `RVENV_PYTHON` asks for\n"
        ),
        "{said}"
    );
}

/// A directory of another user never decides which program is started.
#[test]
fn a_file_alone_starts_nothing() {
    let project = Project::new();
    let trap = "touch \"${0%/*}/sprung\"";
    script(&project.path("evil"), trap);
    fs::create_dir_all(project.path("versions/evil/bin")).unwrap();
    script(&project.path("versions/evil/bin/python3"), trap);
    for text in ["evil", "./evil", "versions/evil", "../other/evil"] {
        project.says(".python-version", text);
        project.run(&["create", "E"]).failed(1);
    }
    let absolute = project.path("evil").to_str().unwrap().to_owned();
    project.says(".python-version", &absolute);
    project.run(&["create", "E"]).failed(1);
    assert!(!project.path("sprung").exists());
    assert!(!project.path("versions/evil/bin/sprung").exists());
}
