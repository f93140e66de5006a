//! Filesystems in one file: the same bytes twice, and an environment where the kernel mounts them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{TWO, bytes, ground, stranger};
use crate::machine::ended;
use crate::mounts::{has, is_among_mounts};
use crate::trees::{Sameness, compare, look};

/// The forms, and the programs that write them.
const FORMS: &[(&str, &str)] = &[("squashfs", "mksquashfs"), ("erofs", "mkfs.erofs")];

#[test]
fn a_filesystem_is_the_environment_where_it_is_mounted() {
    let test = "a_filesystem_is_the_environment_where_it_is_mounted";
    if !is_among_mounts(module_path!(), test) {
        return;
    }
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let scratch = &ground.bench.scratch;
    ground.rvenv(&["apply", "p.json"]).ok();
    let target = scratch.path("E");
    let published = look(&target);
    for (form, program) in FORMS {
        let known = fs::read_to_string("/proc/filesystems").unwrap();
        if !has(program) || !known.contains(form) {
            println!("skipped: {form} cannot be made or mounted here");
            continue;
        }
        let made = ground.image(&["p.json", "-o", form, "--format", form]);
        assert_eq!(made["target"], target.to_str().unwrap());
        fs::remove_dir_all(&target).unwrap();
        fs::create_dir(&target).unwrap();
        let mount = ["-t", form, "-o", "loop,ro", form];
        stranger(
            Command::new("mount")
                .args(mount)
                .arg(&target)
                .current_dir(scratch.path("")),
        );
        compare(&published, &look(&target), Sameness::Alike).unwrap();
        // 1980-01-01: a time of this run would make another image of each.
        for (path, entry) in look(&target).unwrap() {
            let is_file = entry.mode & 0o170_000 == 0o100_000;
            assert!(
                is_file || entry.mtime == (315_532_800, 0),
                "{path:?} {entry:?}"
            );
        }
        let code = "import alpha, beta, sys; print(sys.prefix)";
        let said = scratch.run(&target.join("bin/python"), &["-c", code]).ok();
        assert_eq!(Path::new(said.trim()), target, "{form}");
        ground.rvenv(&["verify", "E"]).ok();
        stranger(Command::new("umount").arg(&target));
    }
}

#[test]
fn the_same_plan_has_the_same_filesystem_twice() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let scratch = &ground.bench.scratch;
    for (form, program) in FORMS {
        if !has(program) {
            continue;
        }
        let first = ground.image(&["p.json", "-o", form, "--format", form]);
        // On another filesystem, whose directories list their names in another order.
        let other = tempfile::tempdir().unwrap();
        let out = other.path().join("image");
        let words = [
            "image",
            "p.json",
            "--format",
            form,
            "-o",
            out.to_str().unwrap(),
        ];
        let mut command = scratch.program(Path::new(env!("CARGO_BIN_EXE_rvenv")), "077");
        command
            .args(words)
            .env("HOME", other.path())
            .env("TZ", "Asia/Tokyo");
        command.env("RVENV_CACHE_DIR", other.path().join("cache"));
        let said = ended(&mut command).ok();
        let digest = first["sha256"].as_str().unwrap();
        assert_eq!(said, format!("sha256:{digest}\n"), "{form}");
        assert!(bytes(&scratch.path(form)) == bytes(&out), "{form}");
        ground.image(&["p.json", "-o", form, "--format", form, "--force"]);
        assert!(bytes(&scratch.path(form)) == bytes(&out), "{form}");
        // A time that the user gives is that of every file without one.
        let mut command = scratch.command(&["image", "p.json", "--format", form, "-o", "timed"]);
        let timed = ended(command.env("SOURCE_DATE_EPOCH", "1700000000")).ok();
        assert_ne!(said, timed, "{form}");
        fs::remove_file(scratch.path("timed")).unwrap();
    }
    assert_eq!(ground.litter(), Vec::<String>::new());
}

#[test]
fn a_program_that_is_absent_or_fails_is_named() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let scratch = &ground.bench.scratch;
    let tool = scratch.path("bin/mksquashfs");
    fs::create_dir(scratch.path("bin")).unwrap();
    let words = ["image", "p.json", "-o", "img", "--format", "squashfs"];
    let mut command = scratch.command(&words);
    let said = ended(command.env("PATH", scratch.path("bin"))).failed(3);
    assert!(
        said.contains("install the package `squashfs-tools`"),
        "{said}"
    );
    fs::write(
        &tool,
        "#!/bin/sh\necho half > \"$2\"\necho no room left >&2\nexit 3\n",
    )
    .unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", scratch.path("bin").display());
    let said = ended(scratch.command(&words).env("PATH", path)).failed(1);
    assert!(
        said.contains("exit code 3") && said.contains("no room left"),
        "{said}"
    );
    assert!(!scratch.path("img").exists());
    let words = [&words[..], &["--base", "base"]].concat();
    let said = ground.rvenv(&words).failed(2);
    assert!(said.contains("only an OCI layout has a base"), "{said}");
    assert_eq!(ground.litter(), Vec::<String>::new());
}
