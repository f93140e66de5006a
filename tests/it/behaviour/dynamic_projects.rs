//! Projects that leave their dependencies to their build tool (`dynamic`): its backend is asked.
//!
//! The backend is in the project itself, and the wheels are in a directory; no network.

use std::fs;

use super::sources::{Yard, yard};
use crate::packages::index;
use crate::trees::{Sameness, compare, look};

const DYNAMIC: &str = "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['.']\n\
                       [project]\nname = 'demo'\nversion = '1.0'\n\
                       dynamic = ['dependencies', 'optional-dependencies']\n";

/// Metadata with requirements: always, never, and with extras, one of which asks for another.
const NEEDS: &str = r#"
NEEDS = """Requires-Dist: alpha>=1
Requires-Dist: absent; python_version < '3'
Requires-Dist: beta; extra == 'fast' and python_version > '3'
Requires-Dist: gamma ; extra=="slow"
Requires-Dist: Demo[fast,slow]; extra == 'all'
Provides-Extra: fast
Provides-Extra: slow
Provides-Extra: all
"""
HEAD = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
"#;

/// A hook that writes the metadata and builds nothing.
const PREPARES: &str = r#"
def prepare_metadata_for_build_wheel(directory, config_settings=None):
    info = os.path.join(directory, "demo-1.0.dist-info")
    os.mkdir(info)
    with open(os.path.join(info, "METADATA"), "w") as file:
        file.write(HEAD + NEEDS)
    return "demo-1.0.dist-info"
"#;

/// A yard whose project is dynamic, with more code in its backend.
fn dynamic(more: &str) -> Option<Yard> {
    let yard = yard()?;
    let wheels = [("alpha", "1.0"), ("beta", "1.0"), ("gamma", "1.0")];
    index(&yard.scratch, yard.python(), &wheels);
    yard.project(&format!("{NEEDS}{more}"));
    let path = yard.scratch.path("project/pyproject.toml");
    fs::write(path, DYNAMIC).unwrap();
    Some(yard)
}

const SYNC: [&str; 10] = [
    "sync",
    "-r",
    "project/pyproject.toml",
    "--env",
    "E",
    "--wheelhouse",
    "index",
    "--no-index",
    "--resolver",
    "pip",
];

#[test]
fn the_backend_says_what_a_dynamic_project_needs_and_the_project_itself_is_not_installed() {
    let Some(yard) = dynamic(PREPARES) else {
        return;
    };
    let said = yard.scratch.rvenv(&SYNC);
    assert!(
        said.stderr.contains("Building the metadata of `demo` in"),
        "{said:?}"
    );
    assert!(
        said.stderr.contains("Installed 1 package: alpha 1.0\n"),
        "{said:?}"
    );
    said.ok();
    let said = yard
        .scratch
        .rvenv(&[&SYNC[..], &["--extra", "ALL"]].concat());
    assert!(
        said.stderr
            .contains("Installed 2 packages: beta 1.0, gamma 1.0"),
        "{said:?}"
    );
    said.ok();
    assert_eq!((yard.built(), yard.workshops()), (0, Vec::new()));
    yard.is_clean();
    let said = yard
        .scratch
        .rvenv(&[&SYNC[..], &["--extra", "none"]].concat());
    assert!(
        said.failed(3)
            .contains("pyproject.toml` has no extra `none`")
    );
}

#[test]
fn a_backend_that_prepares_no_metadata_builds_the_wheel() {
    let Some(yard) = dynamic("") else { return };
    let lock = [
        "lock",
        "-r",
        "project/pyproject.toml",
        "--extra",
        "fast",
        "--find-links",
        "index",
        "--no-index",
        "--resolver",
        "pip",
        "-o",
        "pylock.made.toml",
    ];
    yard.scratch.rvenv(&lock).ok();
    let text = fs::read_to_string(yard.scratch.path("pylock.made.toml")).unwrap();
    let names = text.lines().filter(|line| line.starts_with("name = "));
    let names: Vec<&str> = names.collect();
    assert_eq!(names, ["name = \"alpha\"", "name = \"beta\""], "{text}");
    assert_eq!((yard.built(), yard.workshops()), (1, Vec::new()));
}

#[test]
fn without_builds_no_build_tool_is_asked_and_its_failures_are_named() {
    let failing =
        "\ndef prepare_metadata_for_build_wheel(*_):\n    raise SystemExit('no reason')\n";
    let Some(yard) = dynamic(failing) else { return };
    let before = look(&yard.scratch.path("E"));
    let path = "project/pyproject.toml";
    for words in [&SYNC[..], &["lock", "-r", path, "-o", "pylock.x.toml"]] {
        let said = yard
            .scratch
            .rvenv(&[words, &["--no-build"]].concat())
            .failed(3);
        let why = "leaves its dependencies to its build tool, which has to build it";
        assert!(said.contains(path) && said.contains(why), "{said}");
        assert!(said.contains("leave out `--no-build`"), "{said}");
        let said = yard.scratch.rvenv(words).failed(1);
        for why in [
            "cannot build the metadata of `demo` in `",
            "`prepare_metadata_for_build_wheel` of its backend `own` failed",
            "no reason",
        ] {
            assert!(said.contains(why), "{why}: {said}");
        }
    }
    assert_eq!((yard.built(), yard.workshops()), (0, Vec::new()));
    assert!(!yard.scratch.path("pylock.x.toml").exists());
    compare(&before, &look(&yard.scratch.path("E")), Sameness::Exact).unwrap();
}
