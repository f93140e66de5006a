//! The steps of the choice, each with what it lets pass and what it refuses.

use std::path::Path;

use super::*;
use crate::lock::markers::Kernel;
use crate::lock::{pylock, requirements};
use crate::python;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn environment() -> Environment {
    let interpreter = python::sample(12, "/nowhere/python3");
    Environment::of(&interpreter, &Kernel::default())
}

fn lock(text: &str) -> Lock {
    let text = text.replace("HASHES", &format!("hashes={{sha256='{A}'}}"));
    let head = "lock-version='1.0'\ncreated-by='test'\n";
    pylock::read(
        Path::new("/p/pylock.toml"),
        format!("{head}{text}").as_bytes(),
    )
    .unwrap()
}

fn line(names: &[&str]) -> String {
    let wheel = |name: &&str| format!("{{url='https://h/{name}.whl',HASHES}}");
    let wheels: Vec<String> = names.iter().map(wheel).collect();
    format!("wheels=[{}]\n", wheels.join(","))
}

fn chosen(text: &str, extras: &[&str], groups: Option<&[&str]>) -> Result<Vec<String>, String> {
    let owned =
        |names: &[&str]| -> Vec<String> { names.iter().map(|one| (*one).to_owned()).collect() };
    let selection = Selection::new(&owned(extras), groups.map(owned).as_deref());
    let found = choose(&lock(text), &environment(), &selection);
    let found = found.map_err(|error| error.to_string())?;
    Ok(found
        .into_iter()
        .map(|one| match one.source {
            ChosenSource::Wheel { file, .. } => file.name.trim_end_matches(".whl").to_owned(),
            ChosenSource::Release { .. } => one.name,
            ChosenSource::Sources { tree, .. } => match *tree {
                SourceTree::Archive(archive) => format!("{} {}", archive.file.name, one.version),
                SourceTree::Directory { path, .. } => path.display().to_string(),
                SourceTree::Repository(revision) => revision.commit,
            },
        })
        .collect())
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(chosen(text, &[], None).unwrap(), expected, "{text}");
}

fn refused(text: &str, expected: &str) {
    let error = chosen(text, &[], None).unwrap_err();
    assert!(error.contains(expected), "{text}\n{error}");
}

fn demo(wheels: &[&str]) -> String {
    format!("[[packages]]\nname='demo'\n{}", line(wheels))
}

#[test]
fn the_wheel_is_chosen_by_its_tags_then_its_build_then_its_place() {
    check(
        &demo(&[
            "demo-1-py3-none-any",
            "demo-1-cp312-cp312-manylinux_2_17_x86_64",
            "demo-1-cp39-abi3-linux_x86_64",
        ]),
        &["demo-1-cp312-cp312-manylinux_2_17_x86_64"],
    );
    check(
        &demo(&[
            "demo-1-py3-none-any",
            "demo-1-2-py3-none-any",
            "demo-1-10a-py3-none-any",
        ]),
        &["demo-1-10a-py3-none-any"],
    );
    check(
        &demo(&["demo-1-py2.py3-none-any", "demo-1-py3-none-any"]),
        &["demo-1-py2.py3-none-any"],
    );
    refused(
        &demo(&[
            "demo-1-cp311-cp311-manylinux_2_17_x86_64",
            "demo-1-cp312-cp312-win_amd64",
        ]),
        "no wheel of `demo` fits: there are `cp311-cp311-manylinux_2_17_x86_64`, \
         `cp312-cp312-win_amd64`, and the interpreter takes `cp312-cp312-",
    );
    refused(
        &demo(&["demo-1-cp312-cp312-manylinux_2_40_x86_64"]),
        "no wheel of `demo` fits",
    );
}

/// Sources are chosen only where no wheel fits; whether they may be built is not decided here.
#[test]
fn sources_are_chosen_where_no_wheel_fits() {
    let sdist = "sdist={url='https://h/demo-1.0.tar.gz',HASHES}\n";
    check(
        &format!("[[packages]]\nname='demo'\n{sdist}"),
        &["demo-1.0.tar.gz 1.0"],
    );
    let wheel = ["demo-1.0-cp312-cp312-win_amd64"];
    check(
        &format!("{}{sdist}", demo(&wheel)),
        &["demo-1.0.tar.gz 1.0"],
    );
    let wheel = ["demo-1.0-py3-none-any"];
    check(&format!("{}{sdist}", demo(&wheel)), &wheel);
    check("[[packages]]\nname='demo'\ndirectory={path='d'}", &["/p/d"]);
    check(
        "[[packages]]\nname='demo'\nvcs={type='git',url='u',commit-id='c'}",
        &["c"],
    );
    let other =
        "[[packages]]\nname='demo'\nversion='2'\nsdist={url='https://h/demo-1.0.tar.gz',HASHES}";
    let text = other.replace("HASHES", &format!("hashes={{sha256='{A}'}}"));
    let text = format!("lock-version='1.0'\ncreated-by='test'\n{text}");
    let error = pylock::read(Path::new("/p/pylock.toml"), text.as_bytes()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is not of this package and version"),
        "{error}"
    );
}

#[test]
fn what_does_not_fit_the_environment_is_an_error_or_is_skipped() {
    let wheel = ["demo-1-py3-none-any"];
    let package = demo(&wheel);
    refused(
        &format!("requires-python='>=3.13'\n{package}"),
        "the lock is for Python >=3.13, and the interpreter is 3.12.0",
    );
    refused(
        &format!("environments=[\"sys_platform == 'win32'\"]\n{package}"),
        "none of its markers holds",
    );
    refused(
        &format!("environments=[]\n{package}"),
        "none of its markers holds",
    );
    check(
        &format!("environments=[\"sys_platform == 'win32'\", \"os_name == 'posix'\"]\n{package}"),
        &wheel,
    );
    refused(
        &format!("{package}requires-python='<3'\n"),
        "`demo` is for Python <3",
    );
    check(
        &format!("{package}marker=\"python_version < '3.12'\"\nrequires-python='<3'"),
        &[],
    );
    refused(
        &format!("{package}marker=\"extra == 'x'\"\n"),
        "cannot be evaluated",
    );
    refused(
        &format!("{package}{package}"),
        "`demo` is there twice for this environment: at packages[0] and at packages[1]",
    );
    let other = format!("{package}marker=\"python_version < '3'\"\n{package}");
    check(&other, &wheel);
}

#[test]
fn extras_and_groups_decide_which_packages_are_installed() {
    let text = format!(
        "extras=['fast-io']\ndependency-groups=['Dev','docs']\ndefault-groups=['Dev']\n\
         {}marker=\"'fast-io' in extras\"\n[[packages]]\nname='tool'\n{}marker=\"'dev' in dependency_groups\"\n",
        demo(&["demo-1-py3-none-any"]),
        line(&["tool-1-py3-none-any"])
    );
    let (demo, tool) = ("demo-1-py3-none-any", "tool-1-py3-none-any");
    let check = |extras: &[&str], groups: Option<&[&str]>, expected: &[&str]| {
        assert_eq!(chosen(&text, extras, groups).unwrap(), expected);
    };
    check(&[], None, &[tool]);
    check(&["Fast_IO"], None, &[demo, tool]);
    check(&[], Some(&[]), &[]);
    check(&["fast.io"], Some(&["docs"]), &[demo]);
    let error = chosen(&text, &["slow"], None).unwrap_err();
    assert!(
        error.contains("no extra `slow` (it has `fast-io`)"),
        "{error}"
    );
    let error = chosen(&text, &[], Some(&["x"])).unwrap_err();
    assert!(
        error.contains("no dependency group `x` (it has `dev`, `docs`)"),
        "{error}"
    );
}

#[test]
fn an_archive_that_is_a_wheel_has_a_direct_url() {
    let text = "[[packages]]\nname='demo'\narchive={path='w/demo-1.0-py3-none-any.whl',HASHES}\n";
    let found = choose(&lock(text), &environment(), &Selection::default()).unwrap();
    assert_eq!(found[0].version, "1.0");
    match &found[0].source {
        ChosenSource::Wheel {
            direct: Some(direct),
            file,
        } => {
            assert!(
                direct.text().contains("file:///p/w/demo-1.0"),
                "{}",
                direct.text()
            );
            assert_eq!(
                file.path.as_deref(),
                Some(Path::new("/p/w/demo-1.0-py3-none-any.whl"))
            );
        }
        other @ (ChosenSource::Wheel { .. }
        | ChosenSource::Release { .. }
        | ChosenSource::Sources { .. }) => panic!("{other:?}"),
    }
    let text = "[[packages]]\nname='demo'\narchive={url='https://u:p@h/demo-1.0.tar.gz',\
                subdirectory='s',HASHES}";
    let found = choose(&lock(text), &environment(), &Selection::default()).unwrap();
    let ChosenSource::Sources {
        direct: Some(direct),
        ..
    } = &found[0].source
    else {
        panic!("{found:?}");
    };
    let text = direct.text();
    assert!(
        text.ends_with("\"subdirectory\": \"s\", \"url\": \"https://h/demo-1.0.tar.gz\"}"),
        "{text}"
    );
}

fn of_lines(text: &str) -> Result<Vec<Chosen>, String> {
    let text = text.replace("HASH_A", &format!("--hash=sha256:{A}"));
    let text = text.replace("HASH_B", &format!("--hash=sha256:{B}"));
    let (main, limits) = text.split_once("---\n").unwrap_or((&text, ""));
    let files = requirements::Files {
        read: &|path| {
            let is_main = path.ends_with("main.txt");
            Ok(if is_main { main } else { limits }.as_bytes().to_vec())
        },
        variable: &|_| None,
        cwd: Path::new("/"),
    };
    let lock = requirements::read(Path::new("/p/main.txt"), &files).map_err(|e| e.to_string())?;
    choose(&lock, &environment(), &Selection::default()).map_err(|error| error.to_string())
}

#[test]
fn lines_are_releases_within_their_constraints() {
    let digits = |text: &str| match &of_lines(text).unwrap()[0].source {
        ChosenSource::Release { hashes, .. } => hashes
            .checked()
            .iter()
            .map(|one| one.digits.clone())
            .collect::<Vec<_>>(),
        other @ (ChosenSource::Wheel { .. } | ChosenSource::Sources { .. }) => panic!("{other:?}"),
    };
    assert_eq!(digits("a==1 HASH_A HASH_B"), [A, B]);
    assert_eq!(digits("-c c\na==1 HASH_A HASH_B\n---\na==1 HASH_B"), [B]);
    assert_eq!(digits("-c c\na==1\n---\na<2 HASH_B"), [B]);
    assert_eq!(
        digits("a==1 HASH_A\na==1 HASH_A\na==2; os_name=='nt' HASH_B"),
        [A]
    );
    let refused = |text: &str, expected: &str| {
        let error = of_lines(text).unwrap_err();
        assert!(error.contains(expected), "{text}\n{error}");
    };
    refused(
        "a==1 HASH_A\na==2 HASH_A",
        "twice for this environment: at line 1 and at line 2",
    );
    refused("a==1 HASH_A\na==1 HASH_B", "twice");
    refused(
        "-c c\na==1 HASH_A\n---\na>1",
        "`a` 1 is excluded by the constraint at `/p/c`, line 1",
    );
    refused("-c c\na==1 HASH_A\n---\na==1 HASH_B", "excluded");
    refused(
        "-c c\na==1\n---\na==1 ; os_name == 'nt' HASH_B",
        "no constraint with a hash",
    );
    let is_source_only = |text: &str| {
        let found = of_lines(text).unwrap();
        let source = &found[0].source;
        matches!(source, ChosenSource::Release { is_source_only, .. } if *is_source_only)
    };
    assert!(is_source_only("--no-binary A\na==1 HASH_A"));
    assert!(!is_source_only("--no-binary b\na==1 HASH_A"));
    assert!(of_lines("a==1; extra == '' HASH_A").is_ok());
}

#[test]
fn several_locks_are_joined_unless_they_disagree() {
    let one = |text: &str| (PathBuf::from("/p"), of_lines(text).unwrap());
    let joined = join(vec![one("b==1 HASH_A\na==1 HASH_A"), one("b==1 HASH_A")]).unwrap();
    let names: Vec<_> = joined.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(join(vec![one("b==1 HASH_A"), one("b==2 HASH_A")]).is_err());
}
