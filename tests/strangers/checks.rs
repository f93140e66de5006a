//! Health checks: what another user has put into an environment is not run for whoever changes it.

use std::fs;
use std::os::unix::fs::{chown, lchown};

use rustix::process::geteuid;

use crate::desk::{Desk, NOBODY, desk};
use crate::refused::refused_by;

/// Plants a `.pth` that leaves a mark whenever the environment's interpreter starts with `site`.
fn plant(desk: &Desk, env: &str) {
    let mark = desk.path("mark").display().to_string();
    let text = format!("import sys; open({mark:?}, 'a').write(repr(sys.orig_argv) + chr(10))\n");
    desk.write(&format!("{}/planted.pth", desk.site_packages(env)), &text);
}

#[test]
fn the_health_check_of_an_environment_of_another_user_is_refused_or_allowed() {
    let Some(desk) = desk() else { return };
    if !geteuid().is_root() {
        println!("skipped: only root gives a file to another user");
        return;
    }
    let site = desk.site_packages("E");
    for part in [
        "",
        "bin",
        "pyvenv.cfg",
        "lib",
        site.trim_start_matches("E/"),
        &format!("{}/planted.pth", site.trim_start_matches("E/")),
    ] {
        desk.create(&["E"]).ok();
        plant(&desk, "E");
        let part = desk.path("E").join(part);
        chown(&part, Some(NOBODY), None).unwrap();
        for words in [
            &["upgrade", "E"][..],
            &["create", "E", "--prompt", "p", "--check", "true"],
        ] {
            let said = desk.refused(words, 3);
            assert!(said.contains("belongs to user 65534"), "{said}");
            assert!(said.contains("--allow-other-owner"), "{said}");
            assert!(!desk.path("mark").exists(), "{words:?}");
        }
        let mut repair = desk.scratch.command(&["repair", "E", "--check", "true"]);
        refused_by(&desk.scratch, &mut repair, 3);
        assert!(!desk.path("mark").exists());
        // Without a check nothing in it runs.
        desk.create(&["E", "--prompt", "q"]).ok();
        assert!(!desk.path("mark").exists());
        desk.verb("upgrade", &["E", "--allow-other-owner"]).ok();
        desk.create(&[
            "E",
            "--prompt",
            "r",
            "--check",
            "true",
            "--allow-other-owner",
        ])
        .ok();
        assert!(desk.path("mark").exists());
        fs::remove_file(desk.path("mark")).unwrap();
        fs::remove_dir_all(desk.path("E")).unwrap();
    }
}

#[test]
fn a_generation_of_another_user_that_comes_back_is_not_checked_for_whoever_brings_it_back() {
    let Some(desk) = desk() else { return };
    if !geteuid().is_root() {
        println!("skipped: only root gives a file to another user");
        return;
    }
    desk.create(&["E"]).ok();
    plant(&desk, "E");
    lchown(desk.path(&desk.site_packages("E")), Some(NOBODY), None).unwrap();
    desk.create(&["E", "--clear", "--keep"]).ok();
    let said = desk
        .scratch
        .rvenv(&["rollback", "E", "--check", "true"])
        .failed(1);
    assert!(said.contains("belongs to user 65534"), "{said}");
    assert!(!desk.path("mark").exists());
    desk.scratch
        .rvenv(&["rollback", "E", "--check", "true", "--allow-other-owner"])
        .ok();
    assert!(desk.path("mark").exists());
}

#[test]
fn what_site_runs_is_run_by_the_right_interpreter_alone() {
    let Some(desk) = desk() else { return };
    desk.create(&["--keep", "E"]).ok();
    plant(&desk, "E");
    // The version in the configuration is not that of the interpreter which the rollback brings back.
    let config = desk.read("E/pyvenv.cfg");
    let lines = config.lines().map(|line| match line.split_once(" = ") {
        Some(("version", _)) => "version = 3.1.2\n".to_owned(),
        _ => format!("{line}\n"),
    });
    desk.write("E/pyvenv.cfg", &lines.collect::<String>());
    desk.create(&["--keep", "--prompt", "b", "E"]).ok();
    let said = desk
        .scratch
        .rvenv(&["rollback", "--check", "true", "E"])
        .failed(1);
    assert!(said.contains("not 3.1"), "{said}");
    assert!(
        !desk.path("mark").exists(),
        "a planted file was run by another Python"
    );
    desk.create(&["--prompt", "c", "--check", "true", "E"]).ok();
    assert!(desk.path("mark").exists());
}
