//! A change as one tree: what code of the caller does to the published environment is taken back
//! with it.
//!
//! Read next: `src/change/whole.rs`; `python/tests/test_overrides.py`, which does the same from
//! Python.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::behaviour::builders::{Bench, bench};
use crate::machine::tree;
use rvenv::caller::{Caller, RunTerms, Silent};
use rvenv::checks::CheckFailed;
use rvenv::environment::{self, Outcome, RunFailed};
use rvenv::hooks::Venv;
use rvenv::locked::LockRequest;
use rvenv::options::{Choices, Options};
use rvenv::python::{Purpose, Request};
use rvenv::removal::Removal;
use rvenv::request::{AskedPython, EnvRequest, Intent, Unchanged};
use rvenv::wheel::Sources;
use rvenv_journal::fs::real::RealFs;

/// Creates or changes the environment `E` as one tree, with a check of the caller.
fn change(
    bench: &Bench,
    check: &dyn Fn() -> Result<(), CheckFailed>,
) -> Result<Outcome, RunFailed> {
    let fs = RealFs::new();
    let caller = Caller {
        fs: &fs,
        host: &bench.host,
        listener: &Silent,
    };
    let request = EnvRequest {
        env_dir: bench.scratch.path("E").to_str().unwrap().to_owned(),
        intent: Intent::Create,
        python: AskedPython::of(Request::Path(bench.python.path.clone()), &bench.host).unwrap(),
        options: Options {
            with_pip: false,
            ..Options::default()
        },
        said: Choices::default(),
        packages: Vec::new(),
        locks: LockRequest::default(),
        removal: Removal::default(),
        sources: Sources::default(),
        purpose: Purpose::Change,
        unchanged: Unchanged::Planned,
    };
    let mut answer = caller.prepare(&request).unwrap();
    answer.context.as_whole = true;
    let terms = RunTerms {
        check: Some(check),
        ..RunTerms::default()
    };
    caller.run(&terms, |run| {
        environment::create(run, &Venv, &answer.context)
    })
}

#[test]
fn what_a_check_changed_in_an_existing_environment_is_taken_back_with_it() {
    let Some(bench) = bench() else { return };
    let env = bench.scratch.path("E");
    change(&bench, &|| Ok(())).unwrap();
    fs::create_dir(env.join("own")).unwrap();
    fs::write(env.join("own/file"), "text").unwrap();
    fs::set_permissions(env.join("own/file"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("file", env.join("own/link")).unwrap();
    let before = tree(&env);
    let failed = change(&bench, &|| {
        fs::write(env.join("bin/activate"), "broken").unwrap();
        fs::write(env.join("own/file"), "broken").unwrap();
        fs::write(env.join("new"), "broken").unwrap();
        Err(CheckFailed::Caller("no".into()))
    });
    assert!(matches!(failed, Err(RunFailed::Check { .. })), "{failed:?}");
    assert_eq!(tree(&env), before);
    // What failed is kept, since another process may have written to it; it is no way back.
    let said = bench.scratch.rvenv(&["rollback", "E"]).failed(3);
    assert!(
        said.contains("generation 1 is what an undone change had put there"),
        "{said}"
    );
    assert_eq!(tree(&env), before);
    let listed = bench.scratch.rvenv(&["generations", "E"]).ok();
    assert!(listed.contains("what an undone change had put there"));
    assert!(!listed.contains("brings back the last"), "{listed}");
    // If it passes, everything is carried, and what it wrote stays.
    change(&bench, &|| {
        fs::write(env.join("new"), "whole").unwrap();
        Ok(())
    })
    .unwrap();
    assert_eq!(fs::read_to_string(env.join("own/link")).unwrap(), "text");
    assert_eq!(fs::read_to_string(env.join("new")).unwrap(), "whole");
    let mode = fs::metadata(env.join("own/file")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o640);
}

#[test]
fn a_directory_that_is_more_than_an_environment_is_not_changed_as_one_tree() {
    let Some(bench) = bench() else { return };
    let env = bench.scratch.path("E");
    fs::create_dir(&env).unwrap();
    fs::write(env.join("project.txt"), "a project's").unwrap();
    let failed = change(&bench, &|| Ok(())).unwrap_err().to_string();
    assert!(failed.contains("older than its environment"), "{failed}");
    assert_eq!(fs::read_dir(&env).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_carried_is_named() {
    let Some(bench) = bench() else { return };
    let env = bench.scratch.path("E");
    change(&bench, &|| Ok(())).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(env.join("socket")).unwrap();
    let failed = change(&bench, &|| Ok(())).unwrap_err().to_string();
    assert!(failed.contains("is a special file"), "{failed}");
    drop(socket);
}
