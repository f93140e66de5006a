//! Numbers that are written down twice: the compiler, the version of rvenv, and how fast it is.

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

/// What the wheel has is the program that cargo builds.
#[test]
fn the_wheel_and_the_product_are_released_with_one_profile() {
    let profile = |manifest: &str| {
        let text = read(manifest);
        let (_, rest) = text.split_once("[profile.release]").expect("it is there");
        let end = rest
            .split("\n\n[")
            .take_while(|part| !part.starts_with('[') && !is_other(part));
        end.collect::<Vec<_>>().join("\n\n[").trim().to_owned()
    };
    assert_eq!(profile("python/Cargo.toml"), profile("Cargo.toml"));
}

/// Whether a section is none of the release profile.
fn is_other(section: &str) -> bool {
    let mut sections = section.split_inclusive(']');
    let name = sections.next().unwrap_or_default();
    name.ends_with(']') && !name.starts_with("profile.release") && !name.contains('\n')
}

/// The bench writes the table of the README about speed, not the one of its first screen.
#[test]
fn the_first_screen_of_the_readme_has_the_times_of_its_table() {
    let readme = read("README.md");
    let (_, generated) = readme
        .split_once("<!-- generated: speed -->")
        .expect("it is there");
    let time = |command: &str| {
        let start = format!("| `{command}` ");
        let row = generated.lines().find(|line| line.starts_with(&start));
        let time = row.and_then(|row| row.split('|').nth(2)).map(str::trim);
        let time = time.and_then(|time| time.strip_suffix(" ms")?.parse::<f64>().ok());
        format!(
            "{:.0} ms",
            time.unwrap_or_else(|| panic!("no time of `{command}`"))
        )
    };
    let commands = [
        "rvenv create",
        "uv venv --seed",
        "virtualenv",
        "python -m venv",
    ];
    let row = format!("| with pip, median | {} |", commands.map(time).join(" | "));
    assert!(readme.contains(&row), "{row}");
}
