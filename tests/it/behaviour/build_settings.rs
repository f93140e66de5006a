//! Settings for build backends: `--config-settings`, and what pip's configuration has for them.
//!
//! The backend writes what it was told into the module that it builds; no network.

use std::fs;

use rvenv_journal::Digest;

use super::sources::{Yard, yard};
use crate::machine::ended;

/// Hooks that note what they are told.
const TELLS: &str = r#"
import json
def told(settings):
    return {"demo.py": "value = %r\n" % json.dumps(settings, sort_keys=True)}
def get_requires_for_build_wheel(config_settings=None):
    return (config_settings or {}).get("needs", [])
def build_wheel(directory, config_settings=None, metadata_directory=None):
    return wheel(directory, told(config_settings))
def build_editable(directory, config_settings=None, metadata_directory=None):
    return wheel(directory, told(config_settings))
"#;

/// Installs what the lock names anew, with these options and pip's variable; returns what the
/// backend was told.
#[track_caller]
fn told(yard: &Yard, options: &[&str], variable: Option<&str>) -> String {
    let words = ["sync", "-r", "pylock.toml", "--env", "E", "--build"];
    let mut command = yard.scratch.command(&[&words, options].concat());
    if let Some(value) = variable {
        command.env("PIP_CONFIG_SETTINGS", value);
    }
    ended(&mut command).ok();
    let value = yard.value();
    let uninstall = ["uninstall", "demo", "--env", "E"];
    yard.scratch.rvenv(&uninstall).ok();
    value
}

#[test]
fn backends_are_told_the_settings_and_what_was_built_with_others_does_not_count() {
    let Some(yard) = yard() else { return };
    yard.sdist(TELLS);
    let settings = [
        "-C",
        "b=x",
        "--config-settings=a=1",
        "--config-setting",
        "b=y=z",
    ];
    let all = r#"{"a": "1", "b": ["x", "y=z"]}"#;
    assert_eq!(told(&yard, &settings, None), all);
    assert_eq!(told(&yard, &settings, None), all);
    assert_eq!(yard.built(), 1);
    assert_eq!(told(&yard, &[], None), "null");
    assert_eq!(told(&yard, &["-C", "a=2"], None), r#"{"a": "2"}"#);
    assert_eq!(told(&yard, &[], None), "null");
    assert_eq!(yard.built(), 3);
}

#[test]
fn the_settings_of_pip_come_first() {
    let Some(yard) = yard() else { return };
    yard.sdist(TELLS);
    assert_eq!(told(&yard, &[], Some("a=0 1")), r#"{"a": "0 1"}"#);
    let both = told(&yard, &["-C", "a=2", "-C", "b="], Some("a=0"));
    assert_eq!(both, r#"{"a": ["0", "2"], "b": ""}"#);
    let mut command = yard
        .scratch
        .command(&["sync", "-r", "pylock.toml", "--env", "E"]);
    command.arg("--build").env("PIP_CONFIG_SETTINGS", "s3cret");
    let said = ended(&mut command).failed(2);
    assert!(
        said.contains("`config-settings` of pip's configuration"),
        "{said}"
    );
    assert!(
        said.contains("`KEY=VALUE`") && !said.contains("s3cret"),
        "{said}"
    );
}

#[test]
fn editable_projects_and_resolvers_are_told_too() {
    let Some(yard) = yard() else { return };
    yard.project(TELLS);
    let log = yard.scratch.path("metadata.log");
    let metadata = format!(
        "\ndef prepare_metadata_for_build_wheel(directory, config_settings=None):\n    \
         open('{}', 'a').write(json.dumps(config_settings) + '\\n')\n    \
         name = build_wheel(directory, config_settings)\n    \
         zipfile.ZipFile(os.path.join(directory, name)).extractall(directory)\n    \
         return 'demo-1.0.dist-info'\n",
        log.display()
    );
    yard.lock("directory = { path = 'project', editable = true }\n");
    assert_eq!(told(&yard, &["-C", "a=1"], None), r#"{"a": "1"}"#);
    yard.project(&format!("{TELLS}{metadata}"));
    let words = [
        "install",
        "./project",
        "--env",
        "E",
        "-C",
        "a=3",
        "--resolver",
        "pip",
    ];
    yard.scratch.rvenv(&words).ok();
    assert_eq!(yard.value(), r#"{"a": "3"}"#);
    assert_eq!(fs::read_to_string(log).unwrap(), "{\"a\": \"3\"}\n");
}

#[test]
fn the_line_of_a_requirements_file_counts_in_place_of_the_options() {
    let Some(yard) = yard() else { return };
    yard.sdist(TELLS);
    let path = yard.scratch.path("demo-1.0.tar.gz");
    let digest = Digest::of(&fs::read(&path).unwrap());
    let line = |settings: &str| {
        let line = format!("demo @ file://{} {settings}", path.display());
        fs::write(
            yard.scratch.path("hashed.txt"),
            format!("{line} --hash=sha256:{digest}\n"),
        )
        .unwrap();
        fs::write(yard.scratch.path("plain.txt"), format!("{line}\n")).unwrap();
    };
    line("--config-settings=a=1 --config-settings 'b=x y'");
    for (file, more) in [("hashed.txt", "--build"), ("plain.txt", "--no-index")] {
        let words = [
            "sync",
            "-r",
            file,
            "--env",
            "E",
            "-C",
            "a=2",
            "-C",
            "c=3",
            "--resolver",
            "pip",
        ];
        yard.scratch.rvenv(&[&words, &[more][..]].concat()).ok();
        assert_eq!(
            yard.value(),
            r#"{"a": "1", "b": "x y", "c": "3"}"#,
            "{file}"
        );
        let uninstall = ["uninstall", "demo", "--env", "E"];
        yard.scratch.rvenv(&uninstall).ok();
    }
    line("--config-settings=a");
    let words = ["sync", "-r", "hashed.txt", "--env", "E", "--build"];
    let said = yard.scratch.rvenv(&words).failed(2);
    let why = "hashed.txt`, line 1: the option `--config-settings` is not `KEY=VALUE`";
    assert!(said.contains(why), "{said}");
}

#[test]
fn what_is_no_setting_is_refused_and_hooks_for_requirements_are_told() {
    let Some(yard) = yard() else { return };
    yard.sdist(TELLS);
    let said = yard.sync(&["--build", "-C", "needs"]).failed(2);
    assert!(
        said.contains("a setting of a build backend is `KEY=VALUE`"),
        "{said}"
    );
    let said = yard.sync(&["--build", "-C", "needs=1"]).failed(1);
    assert!(said.contains("a list of requirements"), "{said}");
    let needs = [
        "--build",
        "--no-index",
        "-C",
        "needs=absent>1",
        "-C",
        "needs=other",
    ];
    let said = yard.sync(&needs).failed(1);
    assert!(
        said.contains("what its backend needs cannot be installed"),
        "{said}"
    );
    assert_eq!((yard.built(), yard.workshops()), (0, Vec::new()));
}
