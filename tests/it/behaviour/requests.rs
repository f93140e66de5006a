//! `EnvBuilder` requests environments as the command does: both turn a request into a run in the
//! same way.
//!
//! Without a supported Python the tests print a message and pass.
//! Read next: `src/front/request.rs`, `builders.rs`.

use std::fs;
use std::path::PathBuf;

use rvenv::EnvBuilder;
use rvenv::environment::Outcome;
use rvenv::hooks::Venv;
use rvenv::python::Request;

use super::builders::{Bench, bench};
use crate::packages;

/// The API's defaults with another prompt, so that an upgrade has something to do.
fn upgrade(bench: &Bench, prompt: &str) -> EnvBuilder {
    EnvBuilder {
        upgrade: true,
        symlinks: false,
        prompt: Some(prompt.to_owned()),
        ..bench.builder()
    }
}

fn config(bench: &Bench) -> String {
    fs::read_to_string(bench.path("E/pyvenv.cfg")).unwrap()
}

#[test]
fn an_upgrade_by_a_builder_keeps_what_the_environment_chose() {
    let Some(bench) = bench() else { return };
    let made = EnvBuilder {
        system_site_packages: true,
        prompt: Some("mine".to_owned()),
        ..bench.builder()
    };
    made.create_on(&bench.host, &Venv, "E").unwrap();
    let exe = bench.path("E/bin/python3");
    fs::remove_file(&exe).unwrap();
    let builder = EnvBuilder {
        prompt: None,
        ..upgrade(&bench, "")
    };
    let made = builder.create_on(&bench.host, &Venv, "E").unwrap();
    assert!(matches!(made.outcome, Outcome::Published(_)));
    let config = config(&bench);
    assert!(
        config.contains("include-system-site-packages = true\n"),
        "{config}"
    );
    assert!(
        config.contains("prompt = mine\n") || config.contains("prompt = 'mine'\n"),
        "{config}"
    );
    assert!(fs::symlink_metadata(&exe).unwrap().is_symlink());
    let python = PathBuf::from(made.context.env_exe());
    assert!(fs::symlink_metadata(&python).unwrap().is_symlink());
    // The builder's choice has priority.
    let said = upgrade(&bench, "new")
        .create_on(&bench.host, &Venv, "E")
        .unwrap();
    assert_eq!(said.context.prompt, "new");
    assert!(said.context.options.system_site_packages);
}

#[test]
fn a_builder_that_names_no_python_takes_the_one_of_rvenv_python() {
    let Some(bench) = bench() else { return };
    let mut host = bench.host.clone();
    host.python = Some(bench.python.path.clone().into());
    host.surroundings.search_path = None;
    let builder = EnvBuilder {
        python: Request::Default,
        ..bench.builder()
    };
    let made = builder.create_on(&host, &Venv, "E").unwrap();
    assert_eq!(made.context.interpreter.executable, bench.python.path);
    host.python = Some("no-python-of-this-name".into());
    let failed = builder.create_on(&host, &Venv, "F").unwrap_err();
    assert!(
        failed.to_string().contains("no-python-of-this-name"),
        "{failed}"
    );
}

#[test]
fn an_upgrade_by_a_builder_is_taken_back_when_the_environment_does_not_start() {
    let Some(bench) = bench() else { return };
    let made = bench.builder().create_on(&bench.host, &Venv, "E").unwrap();
    let site = PathBuf::from(made.context.lib_path());
    fs::write(site.join("sitecustomize.py"), "raise SystemExit(3)\n").unwrap();
    let before = config(&bench);
    let failed = upgrade(&bench, "new").create_on(&bench.host, &Venv, "E");
    let failed = failed.unwrap_err().to_string();
    assert!(failed.contains("health check"), "{failed}");
    assert_eq!(config(&bench), before);
}

#[test]
fn a_builder_plans_the_newest_pip_from_where_it_is() {
    let Some(bench) = bench() else { return };
    let wheels = [("pip", "99.0"), ("setuptools", "99.1")];
    let index = packages::index(&bench.scratch, &bench.python.path, &wheels);
    let mut host = bench.host.clone();
    let variables = [
        ("HOME", bench.path("").into_os_string()),
        ("PIP_NO_INDEX", "1".into()),
        ("PIP_FIND_LINKS", index.into_os_string()),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value));
    host.surroundings.environment.extend(variables);
    let builder = EnvBuilder {
        with_pip: true,
        upgrade_deps: true,
        ..bench.builder()
    };
    let plan = builder.plan_on(&host, &Venv, "E").unwrap();
    let wheel = bench.path("index/pip-99.0-py3-none-any.whl");
    let mut wheels = plan.inputs().iter().map(rvenv_journal::raw::Input::file);
    assert!(wheels.any(|found| std::path::Path::new(found) == wheel));
}

#[test]
fn a_builder_compiles_bytecode_where_it_is_wanted() {
    let Some(bench) = bench() else { return };
    let builder = EnvBuilder {
        with_pip: true,
        compile_bytecode: true,
        ..bench.builder()
    };
    let made = builder.create_on(&bench.host, &Venv, "E").unwrap();
    let cached = PathBuf::from(made.context.lib_path()).join("pip/__pycache__");
    let mut names = fs::read_dir(cached)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(names.any(|name| name.to_string_lossy().starts_with("__init__.")));
}
