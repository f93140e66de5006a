//! Numbers that several files have: the compiler, and the version of rvenv.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The first value of a key in TOML.
fn value(path: &str, key: &str) -> String {
    let text = read(path);
    let start = format!("{key} = \"");
    let value = text.lines().find_map(|line| line.strip_prefix(&start));
    let value = value.and_then(|rest| rest.split('"').next());
    value
        .unwrap_or_else(|| panic!("{path} has no {key}"))
        .to_owned()
}

/// What `rust-version` promises is what CI compiles with.
#[test]
fn every_manifest_and_workflow_names_the_same_compiler() {
    let promised = value("Cargo.toml", "rust-version");
    assert_eq!(value("python/Cargo.toml", "rust-version"), promised);
    for (workflow, mentions) in [
        (".github/workflows/ci.yml", &["rust:"][..]),
        (
            ".github/workflows/release.yml",
            &["toolchain install ", "--default-toolchain "],
        ),
    ] {
        let text = read(workflow);
        for mention in mentions {
            let named: Vec<&str> = text.split(mention).skip(1).collect();
            assert!(!named.is_empty(), "{workflow} has no `{mention}`");
            for rest in named {
                assert!(
                    rest.starts_with(&promised),
                    "{workflow}: `{mention}{rest:.6}`"
                );
            }
        }
    }
}

#[test]
fn the_wheel_and_the_engine_have_the_version_of_the_product() {
    let version = value("Cargo.toml", "version");
    assert_eq!(value("python/Cargo.toml", "version"), version);
    let engine = format!("rvenv-journal = {{ path = \"journal\", version = \"{version}\" }}");
    assert!(read("Cargo.toml").contains(&engine), "{engine}");
}
