//! Health checks: what another user has put into an environment is not run for the user who changes
//! it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};

use rustix::process::geteuid;

use crate::machine::script;
use crate::refused::refused_by;
use crate::sandbox::{OTHER_USER, Sandbox, sandbox};
use crate::strangers::users::{STRANGER, dir_of, give, is_root};

/// Plants a `.pth` that leaves a mark whenever the environment's interpreter starts with `site`.
fn plant(sandbox: &Sandbox, env: &str) {
    let mark = sandbox.path("mark").display().to_string();
    let text = format!("import sys; open({mark:?}, 'a').write(repr(sys.orig_argv) + chr(10))\n");
    sandbox.write(
        &format!("{}/planted.pth", sandbox.site_packages(env)),
        &text,
    );
    sandbox.write(
        &format!("{}/pip/__init__.py", sandbox.site_packages(env)),
        "",
    );
}

#[test]
fn the_health_check_of_an_environment_of_another_user_is_refused_or_allowed() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    if !geteuid().is_root() {
        println!("skipped: only root gives a file to another user");
        return;
    }
    let site = sandbox.site_packages("E");
    for part in [
        "",
        "bin",
        "pyvenv.cfg",
        "lib",
        site.trim_start_matches("E/"),
        &format!("{}/planted.pth", site.trim_start_matches("E/")),
        "bin/python3",
        &format!("{}/pip", site.trim_start_matches("E/")),
        &format!("{}/pip/__init__.py", site.trim_start_matches("E/")),
    ] {
        sandbox.create(&["E"]).ok();
        plant(&sandbox, "E");
        let part = sandbox.path("E").join(part);
        lchown(&part, Some(OTHER_USER), None).unwrap();
        for words in [
            &["upgrade", "E"][..],
            &["create", "E", "--prompt", "p", "--check", "true"],
        ] {
            let said = sandbox.refused(words, 3);
            assert!(said.contains("belongs to user 65534"), "{said}");
            assert!(said.contains("--allow-other-owner"), "{said}");
            assert!(!sandbox.path("mark").exists(), "{words:?}");
        }
        let mut repair = sandbox.scratch.command(&["repair", "E", "--check", "true"]);
        refused_by(&sandbox.scratch, &mut repair, 3);
        assert!(!sandbox.path("mark").exists());
        // Without a check nothing in it runs.
        sandbox.create(&["E", "--prompt", "q"]).ok();
        assert!(!sandbox.path("mark").exists());
        sandbox.verb("upgrade", &["E", "--allow-other-owner"]).ok();
        sandbox
            .create(&[
                "E",
                "--prompt",
                "r",
                "--check",
                "true",
                "--allow-other-owner",
            ])
            .ok();
        assert!(sandbox.path("mark").exists());
        fs::remove_file(sandbox.path("mark")).unwrap();
        fs::remove_dir_all(sandbox.path("E")).unwrap();
    }
}

#[test]
fn a_generation_of_another_user_that_comes_back_is_not_checked_for_the_caller() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    if !geteuid().is_root() {
        println!("skipped: only root gives a file to another user");
        return;
    }
    sandbox.create(&["E"]).ok();
    plant(&sandbox, "E");
    lchown(
        sandbox.path(&sandbox.site_packages("E")),
        Some(OTHER_USER),
        None,
    )
    .unwrap();
    sandbox.create(&["E", "--clear", "--keep"]).ok();
    let said = sandbox
        .scratch
        .rvenv(&["rollback", "E", "--check", "true"])
        .failed(1);
    assert!(said.contains("belongs to user 65534"), "{said}");
    assert!(!sandbox.path("mark").exists());
    sandbox
        .scratch
        .rvenv(&["rollback", "E", "--check", "true", "--allow-other-owner"])
        .ok();
    assert!(sandbox.path("mark").exists());
}

#[test]
fn what_site_runs_is_run_by_the_right_interpreter_alone() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    sandbox.create(&["--keep", "E"]).ok();
    plant(&sandbox, "E");
    // The version in the configuration is not that of the interpreter which the rollback brings
    // back.
    let config = sandbox.read("E/pyvenv.cfg");
    let lines = config.lines().map(|line| match line.split_once(" = ") {
        Some(("version", _)) => "version = 3.1.2\n".to_owned(),
        _ => format!("{line}\n"),
    });
    sandbox.write("E/pyvenv.cfg", &lines.collect::<String>());
    sandbox.create(&["--keep", "--prompt", "b", "E"]).ok();
    let said = sandbox
        .scratch
        .rvenv(&["rollback", "--check", "true", "E"])
        .failed(1);
    assert!(said.contains("not 3.1"), "{said}");
    assert!(
        !sandbox.path("mark").exists(),
        "a planted file was run by another Python"
    );
    sandbox
        .create(&["--prompt", "c", "--check", "true", "E"])
        .ok();
    assert!(sandbox.path("mark").exists());
}

/// A file that all users may write counts as another user's.
#[test]
fn an_environment_into_which_everyone_may_write_is_checked_only_if_that_is_allowed() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    let site = sandbox.site_packages("E");
    for part in ["E", "E/bin", "E/lib", &site, &format!("{site}/pip")] {
        sandbox.create(&["E"]).ok();
        plant(&sandbox, "E");
        let part = sandbox.path(part);
        fs::set_permissions(&part, fs::Permissions::from_mode(0o777)).unwrap();
        let said = sandbox.refused(&["upgrade", "E"], 3);
        assert!(said.contains("everyone can write to `[work]/E"), "{said}");
        assert!(said.contains("hint: run `chmod o-w [work]/E"), "{said}");
        assert!(said.contains("--allow-other-owner"), "{said}");
        assert!(!sandbox.path("mark").exists());
        // A user who shares it with a group trusts the group.
        fs::set_permissions(&part, fs::Permissions::from_mode(0o775)).unwrap();
        sandbox
            .create(&["E", "--prompt", "b", "--check", "true"])
            .ok();
        fs::remove_file(sandbox.path("mark")).unwrap();
        fs::remove_dir_all(sandbox.path("E")).unwrap();
    }
}

/// Between the change and its check, a user who may rename the environment replaces it with another
/// one.
#[test]
fn what_another_user_puts_in_the_place_of_an_environment_is_not_checked() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    if !is_root() {
        return;
    }
    let theirs = sandbox.path("theirs");
    dir_of(&theirs, STRANGER, 0o755);
    let mark = sandbox.path("mark").display().to_string();
    let planted = theirs.join("planted/bin");
    fs::create_dir_all(&planted).unwrap();
    for name in ["python", "python3"] {
        script(&planted.join(name), &format!(": >> '{mark}'"));
    }
    give(&theirs, STRANGER);
    // Root plays the stranger's racer here, which wins at the best moment.
    let there = theirs.display();
    let race = format!(
        "setpriv --reuid={STRANGER} --regid={STRANGER} --clear-groups sh -c 'mv {there}/E {there}/old; mv {there}/planted {there}/E'"
    );
    let words = [
        "theirs/E",
        "--check",
        &race,
        "--check",
        "python",
        "--without-pip",
    ];
    for clear in [&[][..], &["--clear"]] {
        let run = sandbox.scratch.rvenv(
            &["create", "-p", sandbox.path_of_python()]
                .iter()
                .chain(&words)
                .chain(clear)
                .collect::<Vec<_>>(),
        );
        let said = run.failed(3);
        assert!(!sandbox.path("mark").exists(), "{said}");
        assert!(!theirs.join("E").exists(), "{said}");
        let why = format!("`{there}` belongs to user {STRANGER}, who could put another");
        assert!(said.contains(&why), "{said}");
        assert!(said.contains("--allow-other-owner"), "{said}");
    }
    // The same by a link of theirs, and in a directory that everyone may write.
    let open = sandbox.path("open");
    dir_of(&open, 0, 0o777);
    let link = sandbox.path("link");
    symlink("work", &link).unwrap();
    dir_of(&sandbox.path("work"), 0, 0o755);
    lchown(&link, Some(STRANGER), None).unwrap();
    for (env, why) in [
        (
            "open/E",
            format!("everyone can write to `{}`", open.display()),
        ),
        ("link/E", format!("`{}` belongs to", link.display())),
    ] {
        let said = sandbox.create(&[env, "--check", "true"]).failed(3);
        assert!(said.contains(&why), "{said}");
        sandbox.create(&[env]).ok();
        let said = sandbox.verb("upgrade", &[env]).failed(3);
        assert!(said.contains(&why), "{said}");
        sandbox
            .create(&[env, "--check", "true", "--allow-other-owner"])
            .ok();
    }
    // In a sticky directory, each user controls only their own entries.
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
    sandbox.verb("upgrade", &["open/E"]).ok();
}
