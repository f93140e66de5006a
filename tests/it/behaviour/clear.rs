//! `--clear`: the command counts and names what it deletes, and clears more than an environment
//! only with `--force`.
//!
//! Each case is tried by `create`, by `plan` and by `apply` of a plan that was made with the
//! permission. Read next: `policies.rs` for directories that are no environment at all;
//! `another_python.rs`.

use std::fs;
use std::os::unix::fs::symlink;

use crate::machine::ended;
use crate::refused::refused_by;
use crate::sandbox::{Sandbox, sandbox};
use crate::trees::{Sameness, compare, look};

/// `create --clear`, `plan --clear` and `apply` refuse, touch nothing, and name what they found.
#[track_caller]
fn refused_without_force(sandbox: &Sandbox, target: &str, found: &str) {
    let plan = sandbox.path("../plan.json").display().to_string();
    let saved = sandbox.verb("plan", &["--clear", "--force", "-o", &plan, target]);
    saved.ok();
    let apply = || sandbox.scratch.command(&["apply", &plan]);
    for said in [
        sandbox.refused(&["create", "--clear", target], 3),
        sandbox.refused(&["create", "--clear", "--dry-run", target], 3),
        sandbox.refused(&["plan", "--clear", target], 3),
        refused_by(&sandbox.scratch, &mut apply(), 3),
    ] {
        assert!(
            said.contains("is more than a virtual environment"),
            "{said}"
        );
        assert!(said.contains(found), "{found}: {said}");
        assert!(said.contains("hint: use `--force`"), "{said}");
    }
    let mut forced = apply();
    forced.arg("--force");
    ended(&mut forced).ok();
}

#[test]
fn a_project_that_holds_its_environment_is_cleared_by_force_only() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("main.py", "print(1)\n");
    sandbox.create(&["."]).ok();
    // No later change and no rollback forgets how the environment began.
    sandbox.create(&[".", "--prompt", "p", "--keep"]).ok();
    sandbox.verb("upgrade", &[".", "--prompt", "q"]).ok();
    sandbox.scratch.rvenv(&["rollback", "."]).ok();
    fs::remove_file(sandbox.path("bin/activate")).unwrap();
    sandbox.scratch.rvenv(&["repair", "."]).ok();
    refused_without_force(&sandbox, ".", "`main.py`");
    assert!(!sandbox.path("main.py").exists());
    // After a forced clear it is only an environment.
    sandbox.create(&[".", "--clear"]).ok();
}

#[test]
fn an_empty_directory_that_was_filled_is_an_environment_and_no_more() {
    let Some(sandbox) = sandbox() else { return };
    fs::create_dir(sandbox.path("E")).unwrap();
    sandbox.create(&["E"]).ok();
    sandbox.create(&["E", "--clear"]).ok();
    sandbox.works("E");
}

#[test]
fn an_environment_that_lost_its_configuration_is_still_no_project() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    fs::remove_file(sandbox.path("E/pyvenv.cfg")).unwrap();
    sandbox.create(&["E"]).ok();
    sandbox.create(&["E", "--clear"]).ok();
}

#[test]
fn a_checkout_or_a_project_beside_the_configuration_is_cleared_by_force_only() {
    let Some(sandbox) = sandbox() else { return };
    let checkouts = [".git", ".hg", ".svn", ".jj", ".bzr", "_darcs"];
    let projects = [
        "pyproject.toml",
        "setup.py",
        "setup.cfg",
        "requirements.txt",
        "requirements-dev.txt",
        "Pipfile",
        "package.json",
        "Cargo.toml",
        "Makefile",
    ];
    for name in checkouts {
        sandbox.create(&["E"]).ok();
        fs::create_dir(sandbox.path("E").join(name)).unwrap();
        refused_without_force(&sandbox, "E", name);
    }
    for name in projects {
        sandbox.create(&["E"]).ok();
        sandbox.write(&format!("E/{name}"), "");
        refused_without_force(&sandbox, "E", name);
    }
    // The `.git` of a worktree or a submodule is a file.
    sandbox.create(&["E"]).ok();
    sandbox.write("E/.git", "gitdir: /elsewhere\n");
    refused_without_force(&sandbox, "E", "`.git`");
}

#[test]
fn an_environment_in_another_is_not_cleared_with_it() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    sandbox.create(&["E/inner"]).ok();
    refused_without_force(&sandbox, "E", "another environment in `inner`");
    assert!(!sandbox.path("E/inner").exists());
}

#[test]
fn what_people_put_into_an_environment_is_named_and_goes() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    sandbox.write("E/notes.txt", "mine");
    sandbox.write("E/share/doc/a.txt", "");
    symlink("/", sandbox.path("E/root")).unwrap();
    let site = sandbox.site_packages("E");
    for name in ["six-1.16.0", "Other_Thing-2.0"] {
        sandbox.write(&format!("{site}/{name}.dist-info/RECORD"), "");
    }
    sandbox.write(&format!("{site}/old.egg-info"), "");
    let shown = sandbox.verb("plan", &["--clear", "E"]).ok();
    for line in [
        "    - notes.txt\n",
        "    - root\n",
        "    - share\n",
        "  packages: 3 removed\n",
        "    - old\n",
        "    - other-thing 2.0\n",
        "    - six         1.16.0\n",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }
    // notes.txt, root, share with doc and a.txt, two directories with a file in each, and the egg.
    assert!(shown.contains(", 10 to remove"), "{shown}");
    let said = sandbox.create(&["--clear", "E"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for gone in ["old, other-thing 2.0, six 1.16.0", "notes.txt"] {
        assert!(said.stderr.contains(gone), "{gone}: {}", said.stderr);
    }
}

#[test]
fn what_goes_is_counted_and_the_count_has_an_end() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    let site = sandbox.path(&sandbox.site_packages("E"));
    let more = |from: usize, to: usize| {
        let dir = site.join(format!("data{from}"));
        fs::create_dir(&dir).unwrap();
        for number in from..to {
            fs::write(dir.join(number.to_string()), "").unwrap();
        }
    };
    more(0, 4_000);
    let shown = || sandbox.verb("plan", &["--clear", "E"]).ok();
    assert!(shown().contains(", 4001 to remove"), "{}", shown());
    more(4_000, 12_000);
    let shown = shown();
    assert!(shown.contains(", more than 10000 to remove"), "{shown}");
}

/// I4: the counts are for users; a plan does not depend on what exists below the top-level names.
#[test]
fn a_saved_plan_does_not_hold_what_was_counted() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    let plan = || sandbox.verb("plan", &["--clear", "--json", "E"]).ok();
    let before = plan();
    sandbox.write(&format!("{}/six.py", sandbox.site_packages("E")), "");
    assert_eq!(before, plan());
}

#[test]
fn a_saved_plan_keeps_the_note_and_no_other_can_lose_it() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("E/main.py", "print(1)\n");
    let plan = sandbox.path("../plan.json").display().to_string();
    sandbox.verb("plan", &["E", "-o", &plan]).ok();
    sandbox.scratch.rvenv(&["apply", &plan]).ok();
    let said = sandbox.refused(&["create", "--clear", "E"], 3);
    assert!(said.contains("`main.py`"), "{said}");
    // A plan for an empty directory would publish a receipt without the entries that came since.
    fs::create_dir(sandbox.path("F")).unwrap();
    sandbox.verb("plan", &["F", "-o", &plan]).ok();
    sandbox.write("F/main.py", "print(1)\n");
    let mut apply = sandbox.scratch.command(&["apply", &plan]);
    let said = refused_by(&sandbox.scratch, &mut apply, 3);
    assert!(said.contains("make a new plan"), "{said}");
}

#[test]
fn a_forced_clear_comes_back_with_all_that_it_was() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("E/main.py", "print(1)\n");
    sandbox.create(&["E"]).ok();
    let before = look(&sandbox.path("E"));
    sandbox.create(&["E", "--clear", "--force", "--keep"]).ok();
    assert!(!sandbox.path("E/main.py").exists());
    sandbox.scratch.rvenv(&["rollback", "E"]).ok();
    compare(&before, &look(&sandbox.path("E")), Sameness::Exact).unwrap();
    sandbox.refused(&["create", "--clear", "E"], 3);
}
