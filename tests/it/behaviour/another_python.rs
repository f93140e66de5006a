//! `create` over an environment of another Python: the command reports it, can be rolled back, and
//! loses no package without permission.
//!
//! `create`, a saved plan and the library follow the same rule as `upgrade`. The tests use real
//! interpreters of two minor versions. Read next: `upgrade.rs`; `clear.rs`.

use std::fs;

use crate::machine::{Python, ended};
use crate::refused::refused_by;
use crate::sandbox::{Sandbox, minor_of, sandbox_of};
use crate::trees::{Sameness, compare, look};
use rvenv::EnvBuilder;
use rvenv::host::Host;
use rvenv::python::Request;

/// A sandbox with an environment `E` of 3.11, and a 3.12; the text of both versions.
struct Two {
    sandbox: Sandbox,
    new: Python,
    from: String,
    to: String,
}

fn version(sandbox: &Sandbox, python: &Python) -> String {
    let code = "import sys; print('%d.%d.%d' % sys.version_info[:3])";
    let said = sandbox.scratch.run(&python.path, &["-c", code]).ok();
    said.trim().to_owned()
}

fn two() -> Option<Two> {
    let (old, new) = (minor_of(11)?, minor_of(12)?);
    let sandbox = sandbox_of(old);
    sandbox.create(&["E"]).ok();
    let from = version(&sandbox, &sandbox.python);
    let to = version(&sandbox, &new);
    Some(Two {
        sandbox,
        new,
        from,
        to,
    })
}

impl Two {
    /// Installs a package that works for no other minor version.
    fn install(&self, name: &str) {
        let site = self.sandbox.site_packages("E");
        let metadata = "Metadata-Version: 2.1\nRequires-Python: ==3.11.*\n";
        self.sandbox
            .write(&format!("{site}/{name}.dist-info/METADATA"), metadata);
        self.sandbox
            .write(&format!("{site}/{name}.dist-info/RECORD"), "");
    }

    /// A command with the newer interpreter.
    fn words<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let python = self.new.path.to_str().unwrap();
        [words, &["--without-pip", "-p", python]].concat()
    }

    fn plan_file(&self) -> String {
        self.sandbox.path("../plan.json").display().to_string()
    }

    fn change(&self) -> String {
        format!("from Python {} to Python {}", self.from, self.to)
    }
}

#[test]
fn the_plan_and_the_success_name_both_versions_and_a_generation_is_kept() {
    let Some(two) = two() else { return };
    let sandbox = &two.sandbox;
    let before = look(&sandbox.path("E"));
    let shown = sandbox.scratch.rvenv(&two.words(&["plan", "E"])).ok();
    assert!(shown.contains(&two.change()), "{shown}");
    let made = sandbox.scratch.rvenv(&two.words(&["create", "E"]));
    made.clone().ok();
    assert!(made.stderr.contains(&two.change()), "{}", made.stderr);
    assert!(
        made.stderr
            .contains("Bring it back with `rvenv rollback E`"),
        "{}",
        made.stderr
    );
    sandbox.works("E");
    // The same again is no change, and nothing is kept.
    let again = sandbox.scratch.rvenv(&two.words(&["create", "E"]));
    assert!(again.stderr.contains("no changes"), "{again:?}");
    sandbox.scratch.rvenv(&["rollback", "E"]).ok();
    compare(&before, &look(&sandbox.path("E")), Sameness::Restored).unwrap();
    sandbox.works("E");
}

#[test]
fn a_change_for_the_same_python_says_nothing_of_versions_and_keeps_nothing() {
    let Some(two) = two() else { return };
    let shown = two.sandbox.verb("plan", &["E", "--prompt", "p"]).ok();
    assert!(!shown.contains("from Python"), "{shown}");
    let said = two.sandbox.create(&["E", "--prompt", "p"]).stderr;
    assert!(
        said.contains(&format!("with Python {}", two.from)),
        "{said}"
    );
    assert!(!said.contains("rollback"), "{said}");
}

#[test]
fn nothing_is_kept_where_that_is_asked() {
    let Some(two) = two() else { return };
    let words = two.words(&["create", "E", "--no-keep"]);
    let said = two.sandbox.scratch.rvenv(&words);
    said.clone().ok();
    assert!(!said.stderr.contains("rollback"), "{}", said.stderr);
    two.sandbox.scratch.rvenv(&["rollback", "E"]).failed(3);
}

/// I8: the same for each command.
#[test]
fn packages_that_would_be_lost_are_named_by_create_plan_and_apply() {
    let Some(two) = two() else { return };
    let sandbox = &two.sandbox;
    two.install("six-1.16.0");
    let plan = two.plan_file();
    let allowed = two.words(&["plan", "E", "--allow-lost", "-o", &plan]);
    sandbox.scratch.rvenv(&allowed).ok();
    let told = |said: String| {
        assert!(said.contains("--allow-lost"), "{said}");
        let line = said.lines().find(|line| line.starts_with("error["));
        let work = sandbox.path("").display().to_string();
        line.unwrap().replace(work.trim_end_matches('/'), "[work]")
    };
    let refused = |words: &[&str]| {
        let said = refused_by(&sandbox.scratch, &mut sandbox.scratch.command(words), 3);
        assert!(
            said.contains("  the target is as it was before\n"),
            "{said}"
        );
        told(said)
    };
    // Only a command that writes could have changed the state of its target.
    let shown = sandbox.scratch.rvenv(&two.words(&["plan", "E"])).failed(3);
    assert!(!shown.contains("the target is as it was"), "{shown}");
    let mut said = vec![
        told(shown),
        refused(&two.words(&["upgrade", "E"])),
        refused(&two.words(&["create", "E"])),
        refused(&["apply", &plan]),
    ];
    assert!(said[0].contains("six 1.16.0"), "{said:?}");
    said.dedup();
    assert_eq!(said.len(), 1, "one rule, one message: {said:?}");
    let mut apply = sandbox.scratch.command(&["apply", &plan, "--allow-lost"]);
    let made = ended(&mut apply);
    made.clone().ok();
    assert!(made.stderr.contains(&two.change()), "{}", made.stderr);
    assert!(made.stderr.contains("rvenv rollback"), "{}", made.stderr);
    assert!(made.stderr.contains("six 1.16.0"), "{}", made.stderr);
}

/// A plan that was made before the package was installed does not permit its loss.
#[test]
fn a_package_that_came_after_the_plan_is_not_lost_by_it() {
    let Some(two) = two() else { return };
    let plan = two.plan_file();
    let scratch = &two.sandbox.scratch;
    scratch.rvenv(&two.words(&["plan", "E", "-o", &plan])).ok();
    two.install("late-1.0");
    let said = refused_by(scratch, &mut scratch.command(&["apply", &plan]), 3);
    assert!(said.contains("late 1.0"), "{said}");
}

#[test]
fn pip_that_the_plan_installs_anew_is_not_lost() {
    let Some(two) = two() else { return };
    let sandbox = &two.sandbox;
    let python = two.new.path.to_str().unwrap();
    sandbox
        .scratch
        .rvenv(&["create", "E", "-p", sandbox.path_of_python()])
        .ok();
    let plan = two.plan_file();
    sandbox
        .scratch
        .rvenv(&["plan", "E", "-p", python, "-o", &plan])
        .ok();
    sandbox.scratch.rvenv(&["apply", &plan]).ok();
    let code = "import pip, sys; print(sys.version_info[1])";
    let said = sandbox
        .scratch
        .run(&sandbox.path("E/bin/python"), &["-c", code]);
    assert_eq!(said.ok().trim(), "12");
}

#[test]
fn a_library_obeys_the_same_rule_and_keeps_a_generation() {
    let Some(two) = two() else { return };
    two.install("six-1.16.0");
    let sandbox = &two.sandbox;
    let builder = EnvBuilder {
        symlinks: true,
        python: Request::Path(two.new.path.clone()),
        ..EnvBuilder::default()
    };
    let host = Host {
        cache: Some(rvenv::cache::Cache::at(sandbox.scratch.cache())),
        ..Host::read().unwrap()
    };
    let create = || builder.create_on(&host, &rvenv::hooks::Venv, sandbox.path("E"));
    let refused = create().unwrap_err().to_string();
    assert!(refused.contains("six 1.16.0"), "{refused}");
    let site = sandbox.path(&sandbox.site_packages("E"));
    fs::remove_dir_all(site.join("six-1.16.0.dist-info")).unwrap();
    create().unwrap();
    let said = sandbox.scratch.rvenv(&["rollback", "E"]);
    said.ok();
    sandbox.works("E");
}

#[test]
fn a_clear_says_which_python_goes() {
    let Some(two) = two() else { return };
    let words = two.words(&["create", "E", "--clear", "--dry-run"]);
    let shown = two.sandbox.scratch.rvenv(&words).ok();
    for version in [&two.from, &two.to] {
        assert!(shown.contains(&format!("Python {version}")), "{shown}");
    }
}
