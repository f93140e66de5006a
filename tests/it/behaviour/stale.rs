//! Stale plans: whatever changes after a plan was saved, `apply` exits with 3, names the path and
//! touches nothing.
//!
//! I4: a saved plan is applied only if the target's identity and every path that the plan touches,
//! and every file that it was made from, are as it expects.

use std::fs;
use std::path::Path;

use super::locks::bench;
use crate::machine::{Scratch, any_python, lay_gone, player, stand_in, tree};

/// Saves a plan with `flags`, lets `change` happen, and returns why the plan is refused.
#[track_caller]
fn refused(scratch: &Scratch, flags: &[&str], change: impl FnOnce()) -> String {
    let start = [
        "plan",
        "-p",
        "./python",
        "--without-pip",
        "E",
        "-o",
        "p.json",
    ];
    scratch.rvenv(&[&start, flags].concat()).ok();
    change();
    refuse(scratch)
}

#[track_caller]
fn refuse(scratch: &Scratch) -> String {
    let before = tree(&scratch.path(""));
    let said = scratch.rvenv(&["apply", "p.json"]).failed(3);
    let mut after = tree(&scratch.path(""));
    // The lock comes and goes beside the target.
    after.insert(String::new(), before[""].clone());
    assert!(before == after, "something was touched: {said}");
    said.replace(scratch.path("").to_str().unwrap(), "[work]/")
}

/// A scratch directory with an environment in `E`.
fn with_environment() -> Scratch {
    let scratch = Scratch::in_memory();
    player(&scratch, "python");
    let create = ["create", "-p", "./python", "--without-pip", "E"];
    scratch.rvenv(&create).ok();
    scratch
}

fn append(path: &Path, text: &str) {
    let mut bytes = fs::read(path).unwrap();
    bytes.extend_from_slice(text.as_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_target_that_appeared_is_not_replaced() {
    let scratch = Scratch::in_memory();
    player(&scratch, "python");
    let env = scratch.path("E");
    let said = refused(&scratch, &[], || fs::create_dir(&env).unwrap());
    insta::assert_snapshot!(said, @r#"
    error[stale-plan]: the plan no longer fits `[work]/E`
      `[work]/E` did not exist, and exists now
      the target is as it was before
    hint: make a new plan with `rvenv plan`
    "#);
}

#[test]
fn a_target_that_vanished_is_not_made_again() {
    let scratch = with_environment();
    let env = scratch.path("E");
    let said = refused(&scratch, &["--clear"], || fs::remove_dir_all(&env).unwrap());
    insta::assert_snapshot!(said, @r#"
    error[stale-plan]: the plan no longer fits `[work]/E`
      `[work]/E` existed, and is gone now
      the target is as it was before
    hint: make a new plan with `rvenv plan`
    "#);
}

#[test]
fn a_file_that_vanished_is_not_written_again() {
    let scratch = with_environment();
    let script = scratch.path("E/bin/activate");
    let said = refused(&scratch, &["--prompt", "other"], || {
        fs::remove_file(&script).unwrap();
    });
    insta::assert_snapshot!(said, @r#"
    error[stale-plan]: the plan no longer fits `[work]/E`
      `bin/activate` vanished since the plan was made
      the target is as it was before
    hint: make a new plan with `rvenv plan`
    "#);
}

#[test]
fn a_changed_file_keeps_its_environment() {
    let scratch = with_environment();
    let config = scratch.path("E/pyvenv.cfg");
    let said = refused(&scratch, &["--clear"], || append(&config, "more = true\n"));
    insta::assert_snapshot!(said, @r#"
    error[stale-plan]: the plan no longer fits `[work]/E`
      `pyvenv.cfg` changed since the plan was made
      the target is as it was before
    hint: make a new plan with `rvenv plan`
    "#);
}

#[test]
fn a_new_file_beside_the_planned_ones_is_not_lost() {
    let scratch = with_environment();
    let notes = scratch.path("E/notes");
    let said = refused(&scratch, &["--clear"], || {
        fs::write(&notes, "mine").unwrap();
    });
    insta::assert_snapshot!(said, @r#"
    error[stale-plan]: the plan no longer fits `[work]/E`
      `notes` appeared since the plan was made
      the target is as it was before
    hint: make a new plan with `rvenv plan`
    "#);
}

#[test]
fn another_directory_under_the_same_name_is_not_replaced() {
    let scratch = with_environment();
    let env = scratch.path("E");
    let said = refused(&scratch, &["--clear"], || {
        fs::rename(&env, scratch.path("moved")).unwrap();
        let create = ["create", "-p", "./python", "--without-pip", "E"];
        scratch.rvenv(&create).ok();
    });
    assert!(
        said.starts_with("error[stale-plan]: the plan no longer fits `[work]/E`\n"),
        "{said}"
    );
    assert!(said.contains("`[work]/E` "), "{said}");
}

#[test]
fn an_interpreter_that_changed_is_not_built_upon() {
    let scratch = Scratch::in_memory();
    let python = player(&scratch, "python");
    let said = refused(&scratch, &[], || append(&python, "# upgraded\n"));
    assert_eq!(
        said,
        "error[unsuited-plan]: the plan is for the interpreter `[work]/python` (Python 3.13.0), and the file at \
         this path is another one\n  the target is as it was before\nhint: install that Python at \
         this path, or make a plan for one of this machine with `rvenv plan -o FILE`\n"
    );
    let said = refused(&scratch, &["--copies"], || {
        fs::remove_file(&python).unwrap();
    });
    assert!(said.contains("[work]/python"), "{said}");
}

#[test]
fn a_wheel_that_changed_is_not_installed() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let (python, wheels) = stand_in(&scratch, &python);
    let plan = ["plan", "-p", python.to_str().unwrap(), "E", "-o", "p.json"];
    for wheel in wheels {
        scratch.rvenv(&plan).ok();
        let good = fs::read(&wheel).unwrap();
        append(&wheel, "more");
        let said = refuse(&scratch);
        let name = wheel.file_name().unwrap().to_str().unwrap();
        let named = format!("; the file `[work]/wheels/{name}` is another one");
        assert!(said.contains(&named), "{said}");
        fs::write(&wheel, good).unwrap();
    }
    scratch.rvenv(&["apply", "p.json"]).ok();
}

/// Applies the plan again; nothing is touched.
#[track_caller]
fn applied_already(scratch: &Scratch) {
    let before = tree(&scratch.path(""));
    let said = scratch.rvenv(&["apply", "p.json", "--dry-run"]);
    assert!(
        said.stderr.contains("is as planned: nothing to apply"),
        "{said:?}"
    );
    said.ok();
    let said = scratch.rvenv(&["apply", "p.json"]);
    let env = scratch.path("E").display().to_string();
    let expected = format!("The plan is applied to `{env}` already: no changes\n");
    assert_eq!((said.code, &*said.stderr), (Some(0), &*expected));
    let said = scratch.rvenv(&["apply", "p.json", "--json"]).ok();
    assert!(said.contains("\"outcome\": \"unchanged\""), "{said}");
    let mut after = tree(&scratch.path(""));
    after.insert(String::new(), before[""].clone());
    assert!(before == after, "something was touched");
}

#[test]
fn a_plan_that_is_applied_already_is_no_failure_until_something_changes() {
    let scratch = with_environment();
    let plan = [
        "plan",
        "-p",
        "./python",
        "--without-pip",
        "E",
        "-o",
        "p.json",
    ];
    for (flags, is_whole) in [
        (&["--prompt", "p"][..], false),
        (&["--clear", "--prompt", "q"], true),
    ] {
        scratch.rvenv(&[&plan, flags].concat()).ok();
        scratch.rvenv(&["apply", "p.json"]).ok();
        applied_already(&scratch);
        // A file that no plan has is a difference from a whole tree, and none from entries.
        fs::write(scratch.path("E/notes"), "").unwrap();
        if is_whole {
            refuse(&scratch);
        } else {
            applied_already(&scratch);
        }
        fs::remove_file(scratch.path("E/notes")).unwrap();
        applied_already(&scratch);
        lay_gone(&scratch.path("E"));
        let said = refuse(&scratch);
        assert!(
            is_whole || said.contains("`gone 1.0` was installed since"),
            "{said}"
        );
        let site = scratch.path("E/lib/python3.13/site-packages");
        fs::remove_dir_all(site.join("gone-1.0.dist-info")).unwrap();
        applied_already(&scratch);
        append(&scratch.path("E/bin/activate"), "# mine\n");
        refuse(&scratch);
        scratch
            .rvenv(&["create", "E", "-p", "./python", "--without-pip", "--clear"])
            .ok();
    }
}

#[test]
fn a_plan_of_packages_that_is_applied_already_is_no_failure_until_another_is_installed() {
    let Some(bench) = bench() else { return };
    bench
        .create(&bench.lock("a", &[("alpha", "1.0"), ("beta", "1.0")]), &[])
        .ok();
    bench.pip_install("gamma");
    let lock = bench.lock("b", &[("alpha", "2.0")]);
    bench.sync(&lock, &["--dry-run", "-o", "p.json"]).ok();
    bench.scratch.rvenv(&["apply", "p.json"]).ok();
    applied_already(&bench.scratch);
    bench.pip_install("delta");
    let said = refuse(&bench.scratch);
    assert!(said.contains("`delta 1.0` was installed since"), "{said}");
    bench.pip(&["uninstall", "-q", "-y", "delta"]);
    applied_already(&bench.scratch);
    bench.pip_install("beta");
    refuse(&bench.scratch);
}
