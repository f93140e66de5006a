//! What a `pylock.toml` may be, and what is refused, case by case.

use std::path::Path;

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const HEAD: &str = "lock-version = '1.0'\ncreated-by = 'test'\n";

fn parse(text: &str) -> Result<Lock, String> {
    let text = text.replace("HASHES", &format!("hashes = {{ sha256 = '{A}' }}"));
    read(Path::new("/p/pylock.toml"), text.as_bytes()).map_err(|error| error.to_string())
}

fn package(rest: &str) -> Result<Package, String> {
    let text = format!("{HEAD}[[packages]]\nname = 'demo'\n{rest}\n");
    parse(&text).map(|mut lock| lock.packages.remove(0))
}

fn refused(rest: &str, expected: &str) {
    let error = package(rest).unwrap_err();
    assert!(error.contains(expected), "{rest}\n{error}");
    assert!(error.contains("/p/pylock.toml"), "{error}");
}

#[test]
fn a_lock_has_the_name_of_one() {
    for (name, expected) in [
        ("pylock.toml", true),
        ("/a/pylock.dev.toml", true),
        ("pylock..toml", false),
        ("pylock.a.b.toml", false),
        ("mypylock.toml", false),
        ("pylock.dev.tom", false),
        ("", false),
    ] {
        assert_eq!(is_pylock_name(Path::new(name)), expected, "{name}");
    }
}

#[test]
fn the_head_of_a_lock_is_checked() {
    let check = |text: &str, expected: &str| {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{text}\n{error}");
    };
    check("created-by='x'\npackages=[]", "`lock-version` is missing");
    check("lock-version='1.0'\npackages=[]", "`created-by` is missing");
    check(
        "lock-version='1.0'\ncreated-by='x'",
        "missing field `packages`",
    );
    check(
        "lock-version='2.0'\ncreated-by='x'\npackages=[]",
        "version 2.0",
    );
    check(
        "lock-version='2.0.dev1'\ncreated-by='x'\npackages=[]",
        "version 2.0.dev1",
    );
    check(
        "lock-version='x'\ncreated-by='x'\npackages=[]",
        "not a version",
    );
    check(
        "lock-version=1\ncreated-by='x'\npackages=[]",
        "line 1: invalid type",
    );
    let more = |text: &str| format!("{HEAD}{text}\npackages=[]");
    check(&more("requires-python='^3'"), "not a range of versions");
    check(&more("environments=['nonsense']"), "not a marker");
    check(&more("extras=['A_b']"), "not a normalized name");
    check(&more("tool=3"), "line 3");
    check("\u{0}", "line 1");
    assert!(parse(&more("tool={x={y=1}}")).unwrap().warnings.is_empty());
}

#[test]
fn a_newer_minor_version_is_read_and_its_keys_are_named() {
    let text = "lock-version='1.7'\ncreated-by='x'\nnew=1\n[[packages]]\nname='a'\nalso=2\n\
                wheels=[{url='https://h/a-1-py3-none-any.whl',HASHES}]\n";
    let lock = parse(text).unwrap();
    assert_eq!(lock.warnings.len(), 1);
    assert!(
        lock.warnings[0].contains("new, packages.also"),
        "{:?}",
        lock.warnings
    );
    let same = text.replace("new=1\n", "").replace("also=2\n", "");
    assert!(parse(&same).unwrap().warnings.is_empty());
}

#[test]
fn a_file_has_its_name_from_its_path_or_its_url() {
    let name = |rest: &str| {
        let found = package(&format!("version='1.0'\nwheels=[{{{rest},HASHES}}]")).unwrap();
        let Source::Files { wheels, .. } = found.source else {
            panic!("{found:?}");
        };
        wheels[0].clone()
    };
    let file =
        name("url='https://h/x/demo-1.0%2Ba-py3-none-any.whl?x#y', name='demo-1-py3-none-any.whl'");
    assert_eq!(file.name, "demo-1-py3-none-any.whl");
    let file = name("url='https://h/x/demo-1.0-py3-none-any.wh%6C?x=/#y'");
    assert_eq!(file.name, "demo-1.0-py3-none-any.whl");
    let file = name("path='wheels/demo-1.0-py3-none-any.whl', size=3");
    assert_eq!(
        file.path.unwrap(),
        Path::new("/p/wheels/demo-1.0-py3-none-any.whl")
    );
    assert_eq!(file.size, Some(3));
}

#[test]
fn a_package_has_one_kind_of_source() {
    refused("", "it has no source");
    refused("wheels=[]", "it has no source");
    refused(
        "vcs={type='git',url='u',commit-id='c'}\nsdist={url='h/demo-1.tar.gz',HASHES}",
        "more than one kind",
    );
    refused(
        "vcs={type='git',url='u',commit-id='c'}\ndirectory={path='.'}",
        "more than one kind",
    );
    assert!(package("vcs={type='git',path='u',commit-id='c'}").is_ok());
    assert!(package("directory={path='.',editable=true}").is_ok());
    refused("directory={editable=true}", "`path` is missing");
    refused("vcs={type='git',url='u'}", "`vcs.commit-id` is missing");
    refused("vcs={type='git',commit-id='u'}", "`vcs.url` is missing");
}

#[test]
fn what_a_package_says_is_checked() {
    let wheel =
        |rest: &str| format!("wheels=[{{url='https://h/demo-1.0-py3-none-any.whl',{rest}}}]");
    refused(&wheel("hashes={}"), "`hashes` is missing");
    refused(&wheel("size=1"), "`hashes` is missing");
    refused(&wheel("hashes={sha256='aa'}"), "malformed");
    refused(
        &wheel("hashes={md5='aa'}"),
        "no hash of sha256, sha384 or sha512 (it has md5)",
    );
    refused(&wheel("size=-1,HASHES"), "line 5");
    refused(
        &format!("version='2'\n{}", wheel("HASHES")),
        "not of this package and version",
    );
    refused(
        "wheels=[{url='https://h/other-1-py3-none-any.whl',HASHES}]",
        "not of this package",
    );
    refused(
        "wheels=[{url='https://h/demo.whl',HASHES}]",
        "not a wheel's name",
    );
    refused(
        "wheels=[{url='https://h/..%2Fdemo-1-py3-none-any.whl',HASHES}]",
        "not a file's name",
    );
    refused("wheels=[{HASHES}]", "`url` is missing");
    refused(
        "sdist={url='https://h/demo.rar',HASHES}",
        "not a source archive's name",
    );
    refused(
        "sdist={url='https://h/other-1.tar.gz',HASHES}",
        "not of this package",
    );
    refused(
        "archive={url='https://h/other-1-py3-none-any.whl',HASHES}",
        "not of this package",
    );
    refused(
        &format!("version='nonsense'\n{}", wheel("HASHES")),
        "not a version",
    );
    refused(&format!("marker='x'\n{}", wheel("HASHES")), "not a marker");
    refused(
        &format!("attestation-identities=[{{}}]\n{}", wheel("HASHES")),
        "kind",
    );
    let text = format!("{HEAD}[[packages]]\nname='De.mo'\n{}", wheel("HASHES"));
    let error = parse(&text).unwrap_err();
    assert!(error.contains("packages[0] (`De.mo`)"), "{error}");
    assert!(package(&format!("dependencies=[{{name='x'}}]\n{}", wheel("HASHES"))).is_ok());
}
