//! Programs that only a checkout names: no command starts one unless the user names it too (I6).
//!
//! Each of them leaves a mark when it is started, and works as an interpreter does, so that
//! starting it would succeed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::machine::{Ended, Scratch, ended, player, script};
use crate::sandbox::{OTHER_USER, Sandbox, sandbox};
use crate::strangers::users::{STRANGER, at_home, dir_of, give, gives_acl, is_root};

/// The commands that look for the interpreter of an environment; the first four only read.
const COMMANDS: [&[&str]; 8] = [
    &["plan", "--upgrade", "--without-pip"],
    &["upgrade", "--dry-run", "--without-pip"],
    &["create", "--upgrade", "--dry-run", "--without-pip"],
    &["repair", "--dry-run"],
    &["upgrade", "--without-pip"],
    &["create", "--upgrade", "--without-pip"],
    &["repair"],
    &["upgrade", "--compile-bytecode", "--upgrade-deps"],
];
/// How many of them only read.
const READING: usize = 4;

/// A project with an environment, as in a checkout of another author.
struct Project {
    sandbox: Sandbox,
    /// Another place, which contains `opt`.
    elsewhere: Scratch,
}

impl Project {
    fn new() -> Option<Self> {
        let elsewhere = Scratch::cold();
        let project = Self {
            sandbox: sandbox()?.cold(),
            elsewhere,
        };
        fs::create_dir_all(project.sandbox.path("project/.git")).unwrap();
        project.sandbox.create(&["project/.venv"]).ok();
        Some(project)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.place(below).path(below)
    }

    fn place(&self, below: &str) -> &Scratch {
        if below.starts_with("opt") {
            &self.elsewhere
        } else {
            &self.sandbox.scratch
        }
    }

    /// A program that works as the sandbox's interpreter does, and leaves a mark.
    fn evil(&self, below: &str) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mark = self.path("mark").display().to_string();
        script(
            &path,
            &format!(
                ": >> '{mark}'\nexec '{}' \"$@\"",
                self.sandbox.path_of_python()
            ),
        );
        path
    }

    /// The same, which answers in its own name, so that its answer is remembered.
    fn remembered(&self, below: &str) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        player(self.place(below), below);
        let mark = self.path("mark").display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen('\n', &format!("\n: >> '{mark}'\n"), 1)).unwrap();
        path
    }

    /// Whether something was started since the last time.
    fn started(&self) -> bool {
        fs::remove_file(self.path("mark")).is_ok()
    }

    fn run<S: AsRef<OsStr>>(&self, words: &[S], env: &str) -> Ended {
        let words = words.iter().map(AsRef::as_ref);
        let words: Vec<&OsStr> = words.chain([OsStr::new(env)]).collect();
        self.sandbox.scratch.rvenv(&words)
    }

    /// Makes the environment's link lead to a file.
    fn link(&self, env: &str, to: &Path) {
        let link = self.path(env).join("bin/python");
        fs::remove_file(&link).unwrap();
        symlink(to, link).unwrap();
    }

    /// Makes the environment's `pyvenv.cfg` name this directory as that of its interpreter.
    fn home(&self, env: &str, home: &Path) {
        let config = self.path(env).join("pyvenv.cfg");
        let text = fs::read_to_string(&config).unwrap();
        let lines = text.lines().filter(|line| {
            !["home", "executable", "command"]
                .iter()
                .any(|key| line.starts_with(key))
        });
        let rest: Vec<&str> = lines.collect();
        let home = home.display();
        let text = format!(
            "home = {home}\nexecutable = {home}/python3\n{}\n",
            rest.join("\n")
        );
        fs::write(config, text).unwrap();
    }

    /// Every command refuses, starts nothing, and says which `--python` to give.
    #[track_caller]
    fn nothing_is_started(&self, env: &str, why: &str) {
        for words in COMMANDS {
            let said = self.run(words, env).failed(3);
            assert!(!self.started(), "{words:?} started it: {said}");
            assert!(said.contains("--python"), "{words:?}: {said}");
            let is_shown = COMMANDS
                .iter()
                .take(READING)
                .any(|reading| reading == &words);
            assert!(
                said.contains(why) || (is_shown && said.contains("does not start it")),
                "{words:?}: {said}"
            );
        }
        for words in [["status"], ["verify"]] {
            let _either = self.run(&words, env);
            assert!(!self.started(), "{words:?} started it");
        }
    }
}

#[test]
fn a_program_in_the_checkout_is_started_only_if_the_user_names_it() {
    let Some(project) = Project::new() else {
        return;
    };
    let evil = project.evil("project/tools/python3");
    project.link("project/.venv", Path::new("../../tools/python3"));
    project.home("project/.venv", &project.path("project/tools"));
    project.nothing_is_started("project/.venv", "with the environment");
    for words in [["plan", "--upgrade"], ["upgrade", "--dry-run"]] {
        let named = [
            words[0],
            words[1],
            "--without-pip",
            "--python",
            evil.to_str().unwrap(),
        ];
        project.run(&named, "project/.venv").ok();
        assert!(project.started(), "{named:?}");
    }
    let named = [
        "upgrade",
        "--without-pip",
        "--python",
        evil.to_str().unwrap(),
    ];
    project.run(&named, "project/.venv").ok();
    assert!(project.started());
    project.sandbox.works("project/.venv");
}

#[test]
fn a_link_that_was_bent_does_not_hide_the_interpreter_that_is_named_beside_it() {
    let Some(project) = Project::new() else {
        return;
    };
    project.evil("project/evil.sh");
    for words in [&["repair"][..], &["upgrade", "--without-pip"]] {
        project.link("project/.venv", Path::new("../../evil.sh"));
        project.run(words, "project/.venv").ok();
        assert!(!project.started(), "{words:?}");
        project.sandbox.works("project/.venv");
    }
}

#[test]
fn a_repository_within_the_checkout_does_not_make_it_smaller() {
    let Some(project) = Project::new() else {
        return;
    };
    fs::create_dir_all(project.path("project/app/.hg")).unwrap();
    project.sandbox.create(&["project/app/.venv"]).ok();
    let evil = project.evil("project/python3");
    project.link("project/app/.venv", &evil);
    project.home("project/app/.venv", &project.path("project"));
    project.nothing_is_started("project/app/.venv", "with the environment");
}

/// An archive has no repository, and another checkout of the same author is beside the first one.
#[test]
fn a_program_that_lies_in_one_place_with_the_checkout_is_not_started() {
    let Some(project) = Project::new() else {
        return;
    };
    fs::create_dir_all(project.path("archive/app")).unwrap();
    fs::create_dir_all(project.path("second/.git")).unwrap();
    for (env, evil) in [
        ("archive/app/.venv", "archive/tools/python3"),
        ("project/.venv", "second/python3"),
    ] {
        project.sandbox.create(&["--clear", env]).ok();
        let evil = project.evil(evil);
        project.link(env, &evil);
        project.home(env, evil.parent().unwrap());
        project.nothing_is_started(env, "with the environment");
    }
}

#[test]
fn a_program_that_only_the_receipt_names_is_not_started() {
    let Some(project) = Project::new() else {
        return;
    };
    let evil = project.evil("project/python3");
    let receipt = project.path("project/.venv/.rvenv/receipt.json");
    let text = fs::read_to_string(&receipt).unwrap();
    let own = project.sandbox.path_of_python();
    let planted = text.replace(own, evil.to_str().unwrap());
    assert_ne!(planted, text);
    fs::write(&receipt, planted).unwrap();
    fs::remove_file(project.path("project/.venv/pyvenv.cfg")).unwrap();
    for words in [&["repair"][..], &["repair", "--dry-run"]] {
        let said = project.run(words, "project/.venv").failed(3);
        assert!(!project.started(), "{said}");
        assert!(said.contains("--python"), "{said}");
    }
    let _either = project.run(
        &["repair", "--python", evil.to_str().unwrap()],
        "project/.venv",
    );
    assert!(project.started());
}

#[test]
fn a_check_after_a_repair_does_not_start_what_the_receipt_leads_to() {
    let Some(project) = Project::new() else {
        return;
    };
    let evil = project.evil("project/python3");
    let receipt = project.path("project/.venv/.rvenv/receipt.json");
    let text = fs::read_to_string(&receipt).unwrap();
    let own = project.sandbox.path_of_python();
    fs::write(&receipt, text.replace(own, evil.to_str().unwrap())).unwrap();
    // The configuration leads to an interpreter that may be started.
    let check = ["repair", "--check", "true"];
    let said = project.run(&check, "project/.venv").failed(1);
    assert!(!project.started(), "{said}");
    assert!(said.contains("which is not the Python in"), "{said}");
    for copies in ["--symlinks", "--copies"] {
        let clear = ["--clear", copies, "project/.venv"];
        project.sandbox.create(&clear).ok();
        fs::remove_file(project.path("project/.venv/bin/activate")).unwrap();
        project.run(&check, "project/.venv").ok();
    }
}

#[test]
fn an_interpreter_outside_the_checkout_is_started_by_what_changes_and_by_nothing_else() {
    let Some(project) = Project::new() else {
        return;
    };
    let python = project.remembered("opt/bin/python3");
    let create = [
        "create",
        "--without-pip",
        "--clear",
        "--python",
        python.to_str().unwrap(),
    ];
    project.run(&create, "project/.venv").ok();
    assert!(project.started());
    // What it answered once is enough to show what would be done.
    for words in COMMANDS.iter().take(READING) {
        project.run(words, "project/.venv").ok();
        assert!(!project.started(), "{words:?}");
    }
    // It is not enough to build what would be installed.
    let sources = project.path("sources");
    fs::create_dir(&sources).unwrap();
    let table = "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['.']\n";
    fs::write(sources.join("pyproject.toml"), table).unwrap();
    fs::write(sources.join("own.py"), "").unwrap();
    let lock = "lock-version = '1.0'\ncreated-by = 'hand'\n[[packages]]\nname = 'demo'\n\
                directory = { path = 'sources' }\n";
    fs::write(project.path("pylock.toml"), lock).unwrap();
    let words = ["sync", "--dry-run", "--build", "-r", "pylock.toml", "--env"];
    let said = project.run(&words, "project/.venv").failed(3);
    assert!(!project.started(), "{said}");
    assert!(said.contains("do not start it"), "{said}");
    fs::remove_dir_all(project.sandbox.scratch.cache().join("interpreters")).unwrap();
    for words in COMMANDS.iter().take(READING) {
        let said = project.run(words, "project/.venv").failed(3);
        assert!(!project.started(), "{words:?}: {said}");
        assert!(said.contains("does not start it"), "{said}");
    }
    project
        .run(&["upgrade", "--without-pip"], "project/.venv")
        .ok();
    assert!(project.started());
}

#[test]
fn an_interpreter_that_others_can_change_is_not_started() {
    let Some(project) = Project::new() else {
        return;
    };
    let evil = project.evil("opt/bin/python3");
    project.link("project/.venv", &evil);
    project.home("project/.venv", evil.parent().unwrap());
    for below in ["opt", "opt/bin", "opt/bin/python3"] {
        let set = |mode| fs::set_permissions(project.path(below), fs::Permissions::from_mode(mode));
        for mode in [0o757, 0o775 | 0o002] {
            set(mode).unwrap();
            project.nothing_is_started("project/.venv", "other users can write to");
        }
        set(0o755).unwrap();
    }
    if geteuid().is_root() && gives_acl(&project.path("opt/bin")) {
        project.nothing_is_started("project/.venv", "other users can write to");
        fs::remove_file(project.path("opt/bin/python3")).unwrap();
        fs::remove_dir(project.path("opt/bin")).unwrap();
        project.evil("opt/bin/python3");
    } else {
        println!("skipped: no ACL can be set here");
    }
    if geteuid().is_root() {
        chown(project.path("opt"), Some(OTHER_USER), None).unwrap();
        project.nothing_is_started("project/.venv", "belongs to user 65534");
        chown(project.path("opt"), Some(0), None).unwrap();
    } else {
        println!("skipped: only root gives a directory to another user");
    }
    let _either = project.run(&["upgrade", "--without-pip"], "project/.venv");
    assert!(project.started(), "now no one else can change it");
}

#[test]
fn a_program_that_is_not_called_as_interpreters_are_is_not_started() {
    let Some(project) = Project::new() else {
        return;
    };
    let evil = project.evil("opt/bin/reboot");
    symlink(&evil, project.path("opt/bin/python3")).unwrap();
    project.link("project/.venv", &project.path("opt/bin/python3"));
    project.home("project/.venv", &project.path("opt/bin"));
    project.nothing_is_started("project/.venv", "does not have the name of an interpreter");
}

#[test]
fn what_the_ordinary_search_knows_is_started_by_every_command() {
    let Some(project) = Project::new() else {
        return;
    };
    let evil = project.evil("project/tools/python3");
    project.link("project/.venv", &evil);
    project.home("project/.venv", &project.path("project/tools"));
    let found = |name: &str, value: &Path| {
        let mut command = project.sandbox.scratch.command(&[
            "plan",
            "--upgrade",
            "--without-pip",
            "project/.venv",
        ]);
        command.env(name, value);
        ended(&mut command).ok();
        assert!(project.started(), "{name}");
    };
    found("PATH", &project.path("project/tools"));
    // Activating an environment permits to start what is in it.
    found("VIRTUAL_ENV", &project.path("project/.venv"));
}

#[test]
fn places_that_depend_on_the_working_directory_are_not_searched() {
    let Some(project) = Project::new() else {
        return;
    };
    for below in [
        "python3",
        "bin/python3",
        "versions/3.9.0/bin/python3",
        "uv/cpython-3.9.0/bin/python3",
    ] {
        project.evil(below);
    }
    let run = |words: &[&str], (name, value): (&str, &str)| {
        let mut command = project.sandbox.scratch.command(words);
        ended(command.env(name, value))
    };
    let place = project.path("").display().to_string();
    for (name, value, absolute) in [
        ("PATH", ":/usr/bin:/bin", format!("{place}:/usr/bin")),
        ("PATH", "/usr/bin:/bin:", format!("{place}:/usr/bin")),
        ("PATH", ".:/usr/bin:/bin", format!("{place}:/usr/bin")),
        ("PATH", "bin:/usr/bin:/bin", format!("{place}bin:/usr/bin")),
        ("PYENV_ROOT", ".", place.clone()),
        ("UV_PYTHON_INSTALL_DIR", "uv", format!("{place}uv")),
    ] {
        let list = run(&["python", "list", "-v"], (name, value));
        assert!(!project.started(), "{name}={value}");
        assert!(list.stderr.contains("ignoring `"), "{}", list.stderr);
        assert!(
            list.stderr.contains(&format!("in {name}")),
            "{}",
            list.stderr
        );
        for request in ["3", "python3", ">=3.6", "3.9"] {
            let _either = run(&["python", "find", request], (name, value));
            assert!(!project.started(), "{name}={value} {request}");
        }
        let _either = run(&["plan", "--without-pip", "E"], (name, value));
        assert!(!project.started(), "{name}={value}");
        run(&["python", "list"], (name, &absolute)).ok();
        assert!(project.started(), "{name}={absolute}");
    }
}

/// As `sudo` with a preserved HOME.
#[test]
fn root_starts_no_interpreter_out_of_the_home_of_another_user() {
    let Some(project) = Project::new() else {
        return;
    };
    if !is_root() {
        return;
    }
    let home = project.path("stranger");
    dir_of(&home, STRANGER, 0o755);
    for below in [
        "stranger/.pyenv/versions/3.9.0/bin/python3",
        "stranger/.local/share/uv/python/cpython-3.9.0-linux/bin/python3",
    ] {
        project.evil(below);
    }
    give(&home, STRANGER);
    for words in [
        &["python", "list", "-v"][..],
        &["python", "find", "-v", "3.5.99"],
        &["create", "--without-pip", "-v", "-p", "3.5.99", "F"],
    ] {
        let run = ended(&mut at_home(&project.sandbox.scratch, &home, words));
        assert!(!project.started(), "{words:?}: {}", run.stderr);
        let why = format!(
            "ignoring the interpreters in the home directory `{}`: it belongs to user {STRANGER}",
            home.display()
        );
        assert!(run.stderr.contains(&why), "{words:?}: {}", run.stderr);
    }
    // They are found where the home is root's own.
    chown(&home, Some(0), Some(0)).unwrap();
    let list = ["python", "list"];
    ended(&mut at_home(&project.sandbox.scratch, &home, &list)).ok();
    assert!(project.started());
}

/// The user who types the command does not name what a generation or a plan leads to.
#[test]
fn no_check_of_a_rollback_or_of_a_plan_starts_a_program_of_the_checkout() {
    let Some(project) = Project::new() else {
        return;
    };
    let env = "project/.venv";
    let create = |words: &[&str]| {
        let words = [&["create", "--without-pip", "--clear", "--keep"], words].concat();
        project.run(&words, env).ok();
    };
    let python = project.sandbox.path_of_python();
    let rollback = ["rollback", "--check", "true"];
    let evil = project.evil("project/tools/python3");
    // The link, and the installation out of which the interpreter takes its library.
    project.link(env, Path::new("../../tools/python3"));
    create(&["-p", python]);
    let said = project.run(&rollback, env).failed(1);
    assert!(!project.started(), "{said}");
    assert!(said.contains("no health check starts"), "{said}");
    project.sandbox.works(env);
    project.run(&["rollback"], env).ok();
    assert!(!project.started());
    create(&["-p", python]);
    project.home(env, &project.path("project/tools"));
    create(&["-p", python]);
    let said = project.run(&rollback, env).failed(1);
    assert!(!project.started(), "{said}");
    assert!(said.contains("no health check starts"), "{said}");
    // A plan that was made for it, as it says.
    fs::remove_file(&evil).unwrap();
    let evil = project.remembered("project/tools/python3");
    let plan = project.path("plan.json");
    let words = [
        "plan",
        "--without-pip",
        "--clear",
        "-p",
        evil.to_str().unwrap(),
        "-o",
    ];
    project
        .run(&[&words[..], &[plan.to_str().unwrap()]].concat(), env)
        .ok();
    assert!(project.started());
    let plan = plan.to_str().unwrap();
    let apply = ["apply", plan, "--check", "true"];
    let said = project.sandbox.scratch.rvenv(&apply).failed(1);
    assert!(!project.started(), "{said}");
    assert!(said.contains("with the environment"), "{said}");
    project.sandbox.works(env);
    // An allowed interpreter is started, as a link and as a copy.
    for copies in ["--symlinks", "--copies"] {
        create(&["-p", python, copies]);
        create(&["-p", python]);
        project.run(&rollback, env).ok();
    }
}
