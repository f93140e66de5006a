//! Breakages of clearing and of `--upgrade`: what Python's `venv` does wrong there, each as a test
//! of what is done right here.
//!
//! A test is named after what should happen; its comment says what `venv` does instead.
//! Read next: `breakages.rs`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::desk::{desk, desk_for_all, desk_of, fifo, minor_of};
use crate::machine::ended;
use crate::refused::refused_by;

/// `venv` refuses a link to a directory, after `--clear` has deleted everything that it leads to.
#[test]
fn clearing_through_a_link_replaces_the_directory_and_keeps_the_link() {
    let Some(desk) = desk() else { return };
    desk.write("real/thesis", "mine");
    symlink("real", desk.path("E")).unwrap();
    let said = desk.refused(&["create", "E", "--clear"], 3);
    assert!(said.contains("is not a virtual environment"), "{said}");
    desk.create(&["E", "--clear", "--force"]).ok();
    assert_eq!(fs::read_link(desk.path("E")).unwrap(), Path::new("real"));
    assert!(!desk.path("real/thesis").exists());
    desk.works("E");
}

/// `venv --clear` silently leaves FIFOs, sockets and devices behind.
#[test]
fn clearing_takes_a_fifo_away_with_the_rest() {
    let Some(desk) = desk() else { return };
    desk.create(&["E"]).ok();
    fifo(&desk.path("E/pipe"));
    desk.create(&["E", "--clear"]).ok();
    assert!(fs::symlink_metadata(desk.path("E/pipe")).is_err());
    desk.works("E");
}

/// `venv --clear` unlinks links and never follows them; so does rvenv.
#[test]
fn clearing_never_follows_a_link() {
    let Some(desk) = desk() else { return };
    desk.create(&["E"]).ok();
    desk.write("outside/thesis", "mine");
    symlink("../outside", desk.path("E/data")).unwrap();
    desk.create(&["E", "--clear"]).ok();
    assert!(fs::symlink_metadata(desk.path("E/data")).is_err());
    assert_eq!(desk.read("outside/thesis"), "mine");
}

/// `venv --clear` stops at the first thing that it cannot delete, when the rest is gone already.
#[test]
fn clearing_what_cannot_be_deleted_still_replaces_the_whole_tree_at_once() {
    let Some(desk) = desk_for_all() else { return };
    let mut nobody = desk.as_nobody(&["create", "nobody/E", "--clear"]);
    ended(&mut nobody).ok();
    let locked = desk.path("nobody/E/locked");
    desk.write("nobody/E/locked/file", "mine");
    // The user who runs the command may neither write there nor change the mode.
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    let told = ended(&mut nobody);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(!locked.exists());
    desk.works("nobody/E");
}

/// `venv --clear .` empties a project, sources and all.
#[test]
fn clearing_a_project_directory_is_refused() {
    let Some(desk) = desk() else { return };
    desk.write("src/main.py", "print(1)");
    let said = desk.refused(&["create", ".", "--clear"], 3);
    assert!(said.contains("--force"), "{said}");
}

/// Run again, `venv` rewrites edited scripts; with `--upgrade` it never restores missing ones.
#[test]
fn an_upgrade_keeps_edited_scripts_and_brings_missing_ones_back() {
    let Some(desk) = desk() else { return };
    desk.create(&["E"]).ok();
    let edited = desk.read("E/bin/activate") + "# mine\n";
    desk.write("E/bin/activate", &edited);
    fs::remove_file(desk.path("E/bin/activate.csh")).unwrap();
    desk.verb("upgrade", &["E"]).ok();
    assert_eq!(desk.read("E/bin/activate"), edited);
    assert!(desk.path("E/bin/activate.csh").is_file());
    // A run that writes them keeps the edited one as a generation.
    desk.create(&["E"]).ok();
    assert!(desk.read("E/bin/activate") != edited);
    desk.scratch.rvenv(&["rollback", "E"]).ok();
    assert_eq!(desk.read("E/bin/activate"), edited);
}

/// Where pip is installed, `venv` of 3.10 and later runs `ensurepip` from the environment's
/// directory if one is there.
#[test]
fn a_module_named_ensurepip_in_the_directory_is_not_run() {
    let Some(desk) = desk() else { return };
    let body = "import pathlib; pathlib.Path('evil').touch()\n";
    for name in ["ensurepip.py", "pip.py", "sitecustomize.py", "encodings.py"] {
        desk.write(&format!("E/{name}"), body);
        desk.write(name, body);
    }
    desk.scratch
        .rvenv(&["create", "E", "-p", desk.path_of_python()])
        .ok();
    assert!(!desk.path("evil").exists() && !desk.path("E/evil").exists());
    let pip = ["-I", "-m", "pip", "--version"];
    desk.scratch.run(&desk.path("E/bin/python"), &pip).ok();
}

/// `ensurepip` leaves a newer pip alone; so must an upgrade.
#[test]
fn an_upgrade_keeps_a_newer_pip() {
    let Some(desk) = desk() else { return };
    desk.scratch
        .rvenv(&["create", "E", "-p", desk.path_of_python()])
        .ok();
    let site = desk.site_packages("E");
    let old = fs::read_dir(desk.path(&site))
        .unwrap()
        .map(|name| name.unwrap().path());
    let info = old
        .into_iter()
        .find(|path| path.extension() == Some(OsStr::new("dist-info")))
        .unwrap();
    let newer = info.with_file_name("pip-99.0.dist-info");
    fs::rename(&info, &newer).unwrap();
    let metadata = fs::read_to_string(newer.join("METADATA")).unwrap();
    let version = metadata
        .lines()
        .find(|line| line.starts_with("Version: "))
        .unwrap();
    fs::write(
        newer.join("METADATA"),
        metadata.replacen(version, "Version: 99.0", 1),
    )
    .unwrap();
    desk.write(&format!("{site}/pip/mine.py"), "");
    desk.scratch.rvenv(&["upgrade", "E"]).ok();
    assert!(newer.join("METADATA").is_file() && !info.exists());
    assert!(desk.path(&site).join("pip/mine.py").is_file());
}

/// `venv --upgrade` forgets the prompt and whether the packages of the system are visible.
#[test]
fn an_upgrade_keeps_the_prompt_and_the_packages_of_the_system() {
    let Some(desk) = desk() else { return };
    desk.create(&["E", "--prompt", "mine", "--system-site-packages"])
        .ok();
    desk.verb("upgrade", &["E"]).ok();
    let config = desk.read("E/pyvenv.cfg");
    assert!(
        config.contains("include-system-site-packages = true\n"),
        "{config}"
    );
    assert!(config.contains("prompt = 'mine'\n"), "{config}");
}

/// `venv --upgrade` where nothing exists makes an environment without activation scripts.
#[test]
fn an_upgrade_of_nothing_is_refused() {
    let Some(desk) = desk() else { return };
    desk.refused(&["upgrade", "E"], 3);
    desk.refused(&["create", "--upgrade", "E"], 3);
    desk.write("project/notes", "mine");
    desk.refused(&["upgrade", "project"], 3);
}

/// `venv --upgrade` of another minor version writes the new version down and starts the old one.
#[test]
fn an_upgrade_to_another_minor_version_starts_that_version() {
    for (from, to) in [(8, 13), (13, 8), (11, 12)] {
        let (Some(old), Some(new)) = (minor_of(from), minor_of(to)) else {
            continue;
        };
        let desk = desk_of(old);
        desk.create(&["E"]).ok();
        let new = new.path.to_str().unwrap();
        desk.scratch
            .rvenv(&["upgrade", "E", "--without-pip", "-p", new])
            .ok();
        let asked = ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"];
        for name in [
            "python".to_owned(),
            "python3".to_owned(),
            format!("python3.{to}"),
        ] {
            let bin = desk.path("E/bin").join(&name);
            if to < 9 && name.contains('.') {
                continue;
            }
            assert_eq!(
                desk.scratch.run(&bin, &asked).ok().trim(),
                format!("3.{to}"),
                "{name}"
            );
        }
        assert!(!desk.path(&format!("E/bin/python3.{from}")).exists());
        assert!(
            desk.read("E/pyvenv.cfg")
                .contains(&format!("version = 3.{to}."))
        );
    }
}

/// `venv --upgrade` never moves packages, and never reports that the new Python cannot see them.
#[test]
fn packages_that_another_minor_version_would_lose_are_named_first() {
    let (Some(old), Some(new)) = (minor_of(11), minor_of(12)) else {
        return;
    };
    let desk = desk_of(old);
    desk.create(&["E"]).ok();
    let site = desk.site_packages("E");
    desk.write(&format!("{site}/demo.py"), "");
    desk.write(
        &format!("{site}/demo-1.0.dist-info/METADATA"),
        "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
    );
    desk.write(&format!("{site}/demo-1.0.dist-info/RECORD"), "demo.py,,\n");
    let new = new.path.to_str().unwrap();
    let upgrade = ["upgrade", "E", "--without-pip", "-p", new];
    let said = refused_by(&desk.scratch, &mut desk.scratch.command(&upgrade), 3);
    assert!(said.contains("demo 1.0"), "{said}");
    desk.scratch
        .rvenv(&[&upgrade[..], &["--allow-lost"]].concat())
        .ok();
    assert!(desk.path(&site).join("demo.py").is_file());
    let starts = desk.scratch.run(&desk.path("E/bin/python"), &["-c", ""]);
    starts.ok();
    let verified = desk.scratch.rvenv(&["verify", "E"]);
    assert!(verified.stdout.contains("demo 1.0"), "{verified:?}");
    assert!(
        verified
            .stdout
            .ends_with("\nstate: lost packages; changed by another installer\n"),
        "{verified:?}"
    );
    verified.failed(4);
}
