//! Breakages of clearing and of `--upgrade`: what Python's `venv` does wrong there, each as a test
//! of what is done right here.
//!
//! A test is named after what should happen; its comment says what `venv` does instead.
//! Read next: `breakages.rs`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::machine::ended;
use crate::refused::refused_by;
use crate::sandbox::{fifo, minor_of, sandbox, sandbox_for_all, sandbox_of};

/// `venv` refuses a link to a directory, after `--clear` has deleted everything that it leads to.
#[test]
fn clearing_through_a_link_replaces_the_directory_and_keeps_the_link() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("real/thesis", "mine");
    symlink("real", sandbox.path("E")).unwrap();
    let said = sandbox.refused(&["create", "E", "--clear"], 3);
    assert!(said.contains("is not a virtual environment"), "{said}");
    sandbox.create(&["E", "--clear", "--force"]).ok();
    assert_eq!(fs::read_link(sandbox.path("E")).unwrap(), Path::new("real"));
    assert!(!sandbox.path("real/thesis").exists());
    sandbox.works("E");
}

/// `venv --clear` silently leaves FIFOs, sockets and devices behind.
#[test]
fn clearing_takes_a_fifo_away_with_the_rest() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    fifo(&sandbox.path("E/pipe"));
    sandbox.create(&["E", "--clear"]).ok();
    assert!(fs::symlink_metadata(sandbox.path("E/pipe")).is_err());
    sandbox.works("E");
}

/// `venv --clear` unlinks links and never follows them; so does rvenv.
#[test]
fn clearing_never_follows_a_link() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    sandbox.write("outside/thesis", "mine");
    symlink("../outside", sandbox.path("E/data")).unwrap();
    sandbox.create(&["E", "--clear"]).ok();
    assert!(fs::symlink_metadata(sandbox.path("E/data")).is_err());
    assert_eq!(sandbox.read("outside/thesis"), "mine");
}

/// `venv --clear` stops at the first thing that it cannot delete, when the rest is gone already.
#[test]
fn clearing_what_cannot_be_deleted_still_replaces_the_whole_tree_at_once() {
    let Some(sandbox) = sandbox_for_all() else {
        return;
    };
    let mut other = sandbox.as_other_user(&["create", "other/E", "--clear"]);
    ended(&mut other).ok();
    let locked = sandbox.path("other/E/locked");
    sandbox.write("other/E/locked/file", "mine");
    // The user who runs the command may neither write there nor change the mode.
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    let told = ended(&mut other);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(!locked.exists());
    sandbox.works("other/E");
}

/// `venv --clear .` empties a project, sources and all.
#[test]
fn clearing_a_project_directory_is_refused() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("src/main.py", "print(1)");
    let said = sandbox.refused(&["create", ".", "--clear"], 3);
    assert!(said.contains("--force"), "{said}");
}

/// Run again, `venv` rewrites edited scripts; with `--upgrade` it never restores missing ones.
#[test]
fn an_upgrade_keeps_edited_scripts_and_brings_missing_ones_back() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    let edited = sandbox.read("E/bin/activate") + "# mine\n";
    sandbox.write("E/bin/activate", &edited);
    fs::remove_file(sandbox.path("E/bin/activate.csh")).unwrap();
    sandbox.verb("upgrade", &["E"]).ok();
    assert_eq!(sandbox.read("E/bin/activate"), edited);
    assert!(sandbox.path("E/bin/activate.csh").is_file());
    // A run that writes them keeps the edited one as a generation.
    sandbox.create(&["E"]).ok();
    assert!(sandbox.read("E/bin/activate") != edited);
    sandbox.scratch.rvenv(&["rollback", "E"]).ok();
    assert_eq!(sandbox.read("E/bin/activate"), edited);
}

/// Where pip is installed, `venv` of 3.10 and later runs `ensurepip` from the environment's
/// directory if one is there.
#[test]
fn a_module_named_ensurepip_in_the_directory_is_not_run() {
    let Some(sandbox) = sandbox() else { return };
    let body = "import pathlib; pathlib.Path('evil').touch()\n";
    for name in ["ensurepip.py", "pip.py", "sitecustomize.py", "encodings.py"] {
        sandbox.write(&format!("E/{name}"), body);
        sandbox.write(name, body);
    }
    sandbox
        .scratch
        .rvenv(&["create", "E", "-p", sandbox.path_of_python()])
        .ok();
    assert!(!sandbox.path("evil").exists() && !sandbox.path("E/evil").exists());
    let pip = ["-I", "-m", "pip", "--version"];
    sandbox
        .scratch
        .run(&sandbox.path("E/bin/python"), &pip)
        .ok();
}

/// `ensurepip` leaves a newer pip alone; so must an upgrade.
#[test]
fn an_upgrade_keeps_a_newer_pip() {
    let Some(sandbox) = sandbox() else { return };
    sandbox
        .scratch
        .rvenv(&["create", "E", "-p", sandbox.path_of_python()])
        .ok();
    let site = sandbox.site_packages("E");
    let old = fs::read_dir(sandbox.path(&site))
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
    sandbox.write(&format!("{site}/pip/mine.py"), "");
    sandbox.scratch.rvenv(&["upgrade", "E"]).ok();
    assert!(newer.join("METADATA").is_file() && !info.exists());
    assert!(sandbox.path(&site).join("pip/mine.py").is_file());
}

/// `venv --upgrade` forgets the prompt and whether the packages of the system are visible.
#[test]
fn an_upgrade_keeps_the_prompt_and_the_packages_of_the_system() {
    let Some(sandbox) = sandbox() else { return };
    sandbox
        .create(&["E", "--prompt", "mine", "--system-site-packages"])
        .ok();
    sandbox.verb("upgrade", &["E"]).ok();
    let config = sandbox.read("E/pyvenv.cfg");
    assert!(
        config.contains("include-system-site-packages = true\n"),
        "{config}"
    );
    assert!(config.contains("prompt = 'mine'\n"), "{config}");
}

/// `venv --upgrade` where nothing exists makes an environment without activation scripts.
#[test]
fn an_upgrade_of_nothing_is_refused() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.refused(&["upgrade", "E"], 3);
    sandbox.refused(&["create", "--upgrade", "E"], 3);
    sandbox.write("project/notes", "mine");
    sandbox.refused(&["upgrade", "project"], 3);
}

/// `venv --upgrade` of another minor version writes the new version down and starts the old one.
#[test]
fn an_upgrade_to_another_minor_version_starts_that_version() {
    for (from, to) in [(8, 13), (13, 8), (11, 12)] {
        let (Some(old), Some(new)) = (minor_of(from), minor_of(to)) else {
            continue;
        };
        let sandbox = sandbox_of(old);
        sandbox.create(&["E"]).ok();
        let new = new.path.to_str().unwrap();
        sandbox
            .scratch
            .rvenv(&["upgrade", "E", "--without-pip", "-p", new])
            .ok();
        let asked = ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"];
        for name in [
            "python".to_owned(),
            "python3".to_owned(),
            format!("python3.{to}"),
        ] {
            let bin = sandbox.path("E/bin").join(&name);
            if to < 9 && name.contains('.') {
                continue;
            }
            assert_eq!(
                sandbox.scratch.run(&bin, &asked).ok().trim(),
                format!("3.{to}"),
                "{name}"
            );
        }
        assert!(!sandbox.path(&format!("E/bin/python3.{from}")).exists());
        assert!(
            sandbox
                .read("E/pyvenv.cfg")
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
    let sandbox = sandbox_of(old);
    sandbox.create(&["E"]).ok();
    let site = sandbox.site_packages("E");
    sandbox.write(&format!("{site}/demo.py"), "");
    sandbox.write(
        &format!("{site}/demo-1.0.dist-info/METADATA"),
        "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
    );
    sandbox.write(&format!("{site}/demo-1.0.dist-info/RECORD"), "demo.py,,\n");
    let new = new.path.to_str().unwrap();
    let upgrade = ["upgrade", "E", "--without-pip", "-p", new];
    let said = refused_by(&sandbox.scratch, &mut sandbox.scratch.command(&upgrade), 3);
    assert!(said.contains("demo 1.0"), "{said}");
    sandbox
        .scratch
        .rvenv(&[&upgrade[..], &["--allow-lost"]].concat())
        .ok();
    assert!(sandbox.path(&site).join("demo.py").is_file());
    let starts = sandbox
        .scratch
        .run(&sandbox.path("E/bin/python"), &["-c", ""]);
    starts.ok();
    let verified = sandbox.scratch.rvenv(&["verify", "E"]);
    assert!(verified.stdout.contains("demo 1.0"), "{verified:?}");
    assert!(
        verified
            .stdout
            .ends_with("\nstate: lost packages; changed by another installer\n"),
        "{verified:?}"
    );
    verified.failed(4);
}
