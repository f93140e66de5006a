//! `rvenv verify` of environments in unusual forms: directories of packages behind symbolic links,
//! eggs, and the layout of Windows.
//!
//! Read next: `verify_installers.rs`, the usual forms.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::verify_installers::{lay, of, played, state, unmet, verified};
use crate::machine::Scratch;

#[test]
fn a_link_that_could_hide_packages_is_named_and_not_followed() {
    let (scratch, site) = played();
    fs::create_dir(scratch.path("elsewhere")).unwrap();
    lay(&scratch.path("elsewhere"), "hidden", "1.0", "");
    fs::create_dir(scratch.path("E/lib/python3.12")).unwrap();
    let link = scratch.path("E/lib/python3.12/site-packages");
    symlink(scratch.path("elsewhere"), &link).unwrap();
    lay(&site, "demo", "1.0", "");
    let said = verified(&scratch, "E");
    assert_eq!(state(&said), "damaged", "{said}");
    assert_eq!(said["distributions"].as_array().unwrap().len(), 1, "{said}");
    let text = scratch.rvenv(&["verify", "E"]).stdout;
    let expected = "`lib/python3.12/site-packages` is a symbolic link, and packages behind it are \
                    not looked at";
    assert!(text.contains(expected), "{text}");
}

/// An environment of conda has such a link.
#[test]
fn a_second_name_of_a_directory_that_is_read_hides_nothing() {
    let (scratch, site) = played();
    lay(&site, "demo", "1.0", "");
    symlink("python3.13", scratch.path("E/lib/python3.1")).unwrap();
    let said = verified(&scratch, "E");
    assert_eq!(state(&said), "changed by another installer", "{said}");
    of(&said, "demo");
}

#[test]
fn what_an_egg_requires_is_checked_too() {
    let (scratch, site) = played();
    let egg = site.join("old-1.0.egg-info");
    fs::create_dir(&egg).unwrap();
    fs::write(egg.join("PKG-INFO"), "Metadata-Version: 1.1\nName: old\n").unwrap();
    let requires = "absent>=2\ndemo\n[:python_version<\"3\"]\nfutures\n[more]\nextra\n";
    fs::write(egg.join("requires.txt"), requires).unwrap();
    lay(&site, "demo", "1.0", "");
    let said = verified(&scratch, "E");
    assert_eq!(unmet(&said), ["old: absent>=2: none"]);
}

#[test]
fn an_environment_with_the_layout_of_windows_is_compared_with_its_lists() {
    let scratch = Scratch::new();
    let base = scratch.path("base");
    fs::create_dir(&base).unwrap();
    fs::write(base.join("python.exe"), "base").unwrap();
    fs::set_permissions(base.join("python.exe"), fs::Permissions::from_mode(0o755)).unwrap();
    let env = scratch.path("E");
    let site = env.join("Lib/site-packages");
    fs::create_dir_all(&site).unwrap();
    fs::create_dir(env.join("Scripts")).unwrap();
    fs::write(env.join("Scripts/python.exe"), "copy").unwrap();
    let config = format!(
        "home = {}\nversion = 3.12.1\ninclude-system-site-packages = false\n",
        base.display()
    );
    fs::write(env.join("pyvenv.cfg"), config).unwrap();
    lay(&site, "demo", "1.0", "Requires-Dist: absent\n");
    fs::write(env.join("Scripts/demo.exe"), "launcher").unwrap();
    let list = site.join("demo-1.0.dist-info/RECORD");
    let rows = fs::read_to_string(&list).unwrap();
    let digest = "sha256=rt7-g2UPcCAGv4GO_kQtARUCOxlbnO55F5BtlQqLdIc";
    fs::write(&list, format!("../../Scripts/demo.exe,{digest},8\n{rows}")).unwrap();
    let said = verified(&scratch, "E");
    let drift = of(&said, "demo")["drift"].as_array().unwrap();
    assert_eq!(drift.len(), 1, "{said}");
    assert_eq!(drift[0]["path"], "Scripts/demo.exe", "{said}");
    assert_eq!(state(&said), "damaged", "{said}");
    assert_eq!(unmet(&said), ["demo: absent: none"]);
    fs::write(&list, rows).unwrap();
    assert_eq!(state(&verified(&scratch, "E")), "clean", "{said}");
    let status = scratch.rvenv(&["status", "--json", "-v", "E"]).ok();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["environment"]["packages"], 1, "{status}");
    let package = &status["environment"]["distributions"][0];
    assert_eq!(package["name"], "demo", "{status}");
    // A launcher: a program, the line of the interpreter, and an empty archive.
    let launcher = |python: &std::path::Path| {
        let mut program = format!("MZ#!{}\r\nPK\x05\x06", python.display()).into_bytes();
        program.extend([0; 18]);
        fs::write(env.join("Scripts/demo.exe"), program).unwrap();
    };
    fs::set_permissions(
        env.join("Scripts/python.exe"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    launcher(&env.join("Scripts/python.exe"));
    assert_eq!(state(&verified(&scratch, "E")), "clean", "{said}");
    launcher(&env.join("Scripts/python3.12.exe"));
    let said = scratch.rvenv(&["verify", "E"]).stdout;
    let gone = env.join("Scripts/python3.12.exe");
    let expected = format!(
        "`Scripts/demo.exe` starts `{}`, which does not exist",
        gone.display()
    );
    assert!(said.contains(&expected), "{said}");
    launcher(&scratch.path("old/Scripts/python.exe"));
    assert_eq!(state(&verified(&scratch, "E")), "moved", "{said}");
}
