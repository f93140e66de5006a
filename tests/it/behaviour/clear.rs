//! `--clear`: the command counts and names what it deletes, and clears more than an environment
//! only with `--force`.
//!
//! Each case is tried by `create`, by `plan` and by `apply` of a plan that was made with the
//! permission. Read next: `policies.rs` for directories that are no environment at all;
//! `another_python.rs`.

use std::fs;
use std::os::unix::fs::symlink;

use crate::desk::{Desk, desk};
use crate::machine::ended;
use crate::refused::refused_by;
use crate::trees::{Sameness, compare, look};

/// `create --clear`, `plan --clear` and `apply` refuse, touch nothing, and name what they found.
#[track_caller]
fn refused_without_force(desk: &Desk, target: &str, found: &str) {
    let plan = desk.path("../plan.json").display().to_string();
    let saved = desk.verb("plan", &["--clear", "--force", "-o", &plan, target]);
    saved.ok();
    let apply = || desk.scratch.command(&["apply", &plan]);
    for said in [
        desk.refused(&["create", "--clear", target], 3),
        desk.refused(&["create", "--clear", "--dry-run", target], 3),
        desk.refused(&["plan", "--clear", target], 3),
        refused_by(&desk.scratch, &mut apply(), 3),
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
    let Some(desk) = desk() else { return };
    desk.write("main.py", "print(1)\n");
    desk.create(&["."]).ok();
    // No later change and no rollback forgets how the environment began.
    desk.create(&[".", "--prompt", "p", "--keep"]).ok();
    desk.verb("upgrade", &[".", "--prompt", "q"]).ok();
    desk.scratch.rvenv(&["rollback", "."]).ok();
    fs::remove_file(desk.path("bin/activate")).unwrap();
    desk.scratch.rvenv(&["repair", "."]).ok();
    refused_without_force(&desk, ".", "`main.py`");
    assert!(!desk.path("main.py").exists());
    // After a forced clear it is only an environment.
    desk.create(&[".", "--clear"]).ok();
}

#[test]
fn an_empty_directory_that_was_filled_is_an_environment_and_no_more() {
    let Some(desk) = desk() else { return };
    fs::create_dir(desk.path("E")).unwrap();
    desk.create(&["E"]).ok();
    desk.create(&["E", "--clear"]).ok();
    desk.works("E");
}

#[test]
fn an_environment_that_lost_its_configuration_is_still_no_project() {
    let Some(desk) = desk() else { return };
    desk.create(&["E"]).ok();
    fs::remove_file(desk.path("E/pyvenv.cfg")).unwrap();
    desk.create(&["E"]).ok();
    desk.create(&["E", "--clear"]).ok();
}

#[test]
fn a_checkout_or_a_project_beside_the_configuration_is_cleared_by_force_only() {
    let Some(desk) = desk() else { return };
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
        desk.create(&["E"]).ok();
        fs::create_dir(desk.path("E").join(name)).unwrap();
        refused_without_force(&desk, "E", name);
    }
    for name in projects {
        desk.create(&["E"]).ok();
        desk.write(&format!("E/{name}"), "");
        refused_without_force(&desk, "E", name);
    }
    // The `.git` of a worktree or a submodule is a file.
    desk.create(&["E"]).ok();
    desk.write("E/.git", "gitdir: /elsewhere\n");
    refused_without_force(&desk, "E", "`.git`");
}

#[test]
fn an_environment_in_another_is_not_cleared_with_it() {
    let Some(desk) = desk() else { return };
    desk.create(&["E"]).ok();
    desk.create(&["E/inner"]).ok();
    refused_without_force(&desk, "E", "another environment in `inner`");
    assert!(!desk.path("E/inner").exists());
}

#[test]
fn what_people_put_into_an_environment_is_named_and_goes() {
    let Some(desk) = desk() else { return };
    desk.create(&["E"]).ok();
    desk.write("E/notes.txt", "mine");
    desk.write("E/share/doc/a.txt", "");
    symlink("/", desk.path("E/root")).unwrap();
    let site = desk.site_packages("E");
    for name in ["six-1.16.0", "Other_Thing-2.0"] {
        desk.write(&format!("{site}/{name}.dist-info/RECORD"), "");
    }
    desk.write(&format!("{site}/old.egg-info"), "");
    let shown = desk.verb("plan", &["--clear", "E"]).ok();
    for line in [
        "    - notes.txt\n",
        "    - root\n",
        "    - share\n",
        "    - 3 packages: old, other-thing 2.0, six 1.16.0\n",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }
    // notes.txt, root, share with doc and a.txt, two directories with a file in each, and the egg.
    assert!(shown.contains(", 10 to remove"), "{shown}");
    let said = desk.create(&["--clear", "E"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for gone in ["old, other-thing 2.0, six 1.16.0", "notes.txt"] {
        assert!(said.stderr.contains(gone), "{gone}: {}", said.stderr);
    }
}

#[test]
fn what_goes_is_counted_and_the_count_has_an_end() {
    let Some(desk) = desk() else { return };
    desk.create(&["E"]).ok();
    let site = desk.path(&desk.site_packages("E"));
    let more = |from: usize, to: usize| {
        let dir = site.join(format!("data{from}"));
        fs::create_dir(&dir).unwrap();
        for number in from..to {
            fs::write(dir.join(number.to_string()), "").unwrap();
        }
    };
    more(0, 4_000);
    let shown = || desk.verb("plan", &["--clear", "E"]).ok();
    assert!(shown().contains(", 4001 to remove"), "{}", shown());
    more(4_000, 12_000);
    let shown = shown();
    assert!(shown.contains(", more than 10000 to remove"), "{shown}");
}

/// I4: the counts are for users; a plan does not depend on what exists below the top-level names.
#[test]
fn a_saved_plan_does_not_hold_what_was_counted() {
    let Some(desk) = desk() else { return };
    desk.create(&["E"]).ok();
    let plan = || desk.verb("plan", &["--clear", "--json", "E"]).ok();
    let before = plan();
    desk.write(&format!("{}/six.py", desk.site_packages("E")), "");
    assert_eq!(before, plan());
}

#[test]
fn a_saved_plan_keeps_the_note_and_no_other_can_lose_it() {
    let Some(desk) = desk() else { return };
    desk.write("E/main.py", "print(1)\n");
    let plan = desk.path("../plan.json").display().to_string();
    desk.verb("plan", &["E", "-o", &plan]).ok();
    desk.scratch.rvenv(&["apply", &plan]).ok();
    let said = desk.refused(&["create", "--clear", "E"], 3);
    assert!(said.contains("`main.py`"), "{said}");
    // A plan for an empty directory would publish a receipt without the entries that came since.
    fs::create_dir(desk.path("F")).unwrap();
    desk.verb("plan", &["F", "-o", &plan]).ok();
    desk.write("F/main.py", "print(1)\n");
    let mut apply = desk.scratch.command(&["apply", &plan]);
    let said = refused_by(&desk.scratch, &mut apply, 3);
    assert!(said.contains("make a new plan"), "{said}");
}

#[test]
fn a_forced_clear_comes_back_with_all_that_it_was() {
    let Some(desk) = desk() else { return };
    desk.write("E/main.py", "print(1)\n");
    desk.create(&["E"]).ok();
    let before = look(&desk.path("E"));
    desk.create(&["E", "--clear", "--force", "--keep"]).ok();
    assert!(!desk.path("E/main.py").exists());
    desk.scratch.rvenv(&["rollback", "E"]).ok();
    compare(&before, &look(&desk.path("E")), Sameness::Exact).unwrap();
    desk.refused(&["create", "--clear", "E"], 3);
}
