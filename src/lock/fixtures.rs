//! Locks as uv, pip and PDM write them, with fewer wheels: each is read, chosen from and written.

use std::path::Path;

use super::*;
use crate::python;

const ALL: &str = "certifi 2026.10.19.post1, charset-normalizer 3.5.3, idna 3.20, iniconfig 2.3.1, \
                   pygments 2.21.0, pysocks 1.7.1, requests 2.34.2, urllib3 2.8.0";

fn environment(minor: u32) -> Environment {
    let interpreter = python::sample(minor, "/nowhere/python3");
    Environment::of(&interpreter, &Kernel::default())
}

fn lock(text: &str) -> Lock {
    read_pylock(Path::new("/p/pylock.toml"), text.as_bytes()).unwrap()
}

fn check(lock: &Lock, minor: u32, extras: &[&str], expected: &str) {
    let extras: Vec<String> = extras.iter().map(|extra| (*extra).to_owned()).collect();
    let selection = Selection::new(&extras, None);
    let chosen = choose(lock, &environment(minor), &selection).unwrap();
    let rows: Vec<String> = chosen
        .iter()
        .map(|one| format!("{} {}", one.name, one.version))
        .collect();
    assert_eq!(rows.join(", "), expected);
    if lock.format == Format::Pylock {
        let written = write(lock).unwrap();
        let again = read_pylock(&lock.path, written.as_bytes()).unwrap();
        let same = choose(&again, &environment(minor), &selection).unwrap();
        let sources =
            |chosen: &[Chosen]| -> Vec<_> { chosen.iter().map(|one| one.source.clone()).collect() };
        assert_eq!(sources(&same), sources(&chosen));
    }
}

#[test]
fn a_lock_of_uv_is_chosen_from() {
    let lock = lock(include_str!("fixtures/uv.toml"));
    check(&lock, 12, &[], ALL);
    let chosen = choose(&lock, &environment(13), &Selection::default()).unwrap();
    let charset = chosen
        .iter()
        .find(|one| one.name == "charset-normalizer")
        .unwrap();
    let ChosenSource::Wheel { file, direct: None } = &charset.source else {
        panic!("{charset:?}");
    };
    assert!(file.name.contains("cp313-cp313-manylinux"), "{}", file.name);
    assert!(file.size.is_some() && file.upload_time.is_some());
    assert_eq!(charset.index.as_deref(), Some("https://pypi.org/simple"));
}

#[test]
fn a_lock_of_pip_is_chosen_from() {
    let lock = lock(include_str!("fixtures/pip.toml"));
    assert_eq!(lock.created_by, "pip");
    let expected = "attrs 26.1.0, certifi 2026.10.19.post1, charset-normalizer 3.5.3, idna 3.20, \
                    markupsafe 3.0.4, pysocks 1.7.1, requests 2.34.2, urllib3 2.8.0";
    check(&lock, 11, &[], expected);
    // pip locks for the interpreter that runs it.
    let error = choose(&lock, &environment(12), &Selection::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no wheel of `charset-normalizer` 3.5.3 fits"),
        "{error}"
    );
}

#[test]
fn a_lock_of_pdm_asks_for_groups_and_extras() {
    let lock = lock(include_str!("fixtures/pdm.toml"));
    check(&lock, 12, &[], "markupsafe 3.0.4");
    check(&lock, 12, &["color"], "markupsafe 3.0.4, pygments 2.21.0");
    let groups = ["dev".to_owned(), "default".to_owned()];
    let selection = Selection::new(&[], Some(&groups));
    let chosen = choose(&lock, &environment(12), &selection).unwrap();
    assert_eq!(chosen.len(), 2, "{chosen:?}");
}

#[test]
fn a_requirements_file_of_uv_is_chosen_from() {
    let files = Files {
        read: &|_| Ok(include_bytes!("fixtures/uv.txt").to_vec()),
        variable: &|_| None,
        cwd: Path::new("/"),
    };
    let lock = read_requirements(Path::new("/p/requirements.txt"), &files).unwrap();
    check(&lock, 12, &[], ALL);
}
