//! What a requirements file may be, and what is refused, case by case.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn parse_all(files: &[(&str, &str)]) -> Result<Lock, String> {
    let files: BTreeMap<PathBuf, String> = files
        .iter()
        .map(|(name, text)| {
            let text = text.replace("HASH_A", &format!("--hash=sha256:{A}"));
            let text = text.replace("HASH_B", &format!("--hash=sha256:{B}"));
            (PathBuf::from("/p").join(name), text)
        })
        .collect();
    let access = Files {
        read: &|path| {
            let found = files.get(path).map(|text| text.clone().into_bytes());
            found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        },
        variable: &|_| None,
        cwd: Path::new("/cwd"),
    };
    read(Path::new("/p/main.txt"), &access).map_err(|error| error.to_string())
}

fn parse(text: &str) -> Result<Lock, String> {
    parse_all(&[("main.txt", text)])
}

fn refused(text: &str, expected: &str) {
    let error = parse(text).unwrap_err();
    assert!(error.contains(expected), "{text}\n{error}");
    assert!(error.starts_with("`/p/main.txt`, line 1"), "{error}");
}

fn one(text: &str) -> Package {
    parse(text).unwrap().packages.remove(0)
}

#[test]
fn a_pinned_line_is_a_release_with_all_of_its_hashes() {
    let found = one("De.mo[a,b] == 1.0 ; python_version >= '3.8' HASH_B \\\n  HASH_A HASH_A");
    assert_eq!(
        (found.name.as_str(), found.version.as_deref()),
        ("de-mo", Some("1.0"))
    );
    assert_eq!(found.marker.unwrap().to_string(), "python_version >= '3.8'");
    assert_eq!(found.place, "line 1");
    let Source::Release { hashes } = found.source else {
        panic!("{:?}", found.source);
    };
    let digits = hashes.checked().iter().map(|hash| hash.digits.as_str());
    assert_eq!(digits.collect::<Vec<_>>(), [A, B]);
    assert_eq!(one("a===1.0 HASH_A").version.as_deref(), Some("1.0"));
}

#[test]
fn a_line_may_be_a_file_by_url_or_path() {
    let file = |text: &str| {
        let found = one(text);
        assert_eq!(
            (found.name.as_str(), found.version.as_deref()),
            ("demo", Some("1.0")),
            "{text}"
        );
        let Source::Archive(archive) = found.source else {
            panic!("{:?}", found.source);
        };
        archive.file
    };
    let url = "https://h/p/demo-1.0-py3-none-any.whl";
    assert_eq!(
        file(&format!("demo @ {url} HASH_A")).url.as_deref(),
        Some(url)
    );
    assert_eq!(file(&format!("{url} HASH_A")).url.as_deref(), Some(url));
    let found = file(&format!("demo @ {url}#sha256={B}"));
    assert_eq!(found.url.as_deref(), Some(url));
    assert_eq!(found.hashes.sha256(), Some(B));
    let local = file("./w/demo-1.0-py3-none-any.whl ; os_name == 'posix' HASH_A");
    assert_eq!(
        local.path.as_deref(),
        Some(Path::new("/cwd/./w/demo-1.0-py3-none-any.whl"))
    );
    let local = file("file:///w%20x/demo-1.0-py3-none-any.whl HASH_A");
    assert_eq!(
        local.path.as_deref(),
        Some(Path::new("/w x/demo-1.0-py3-none-any.whl"))
    );
    let local = file("demo@file://localhost/w/demo-1.0-py3-none-any.whl HASH_A");
    assert_eq!(
        local.path.as_deref(),
        Some(Path::new("/w/demo-1.0-py3-none-any.whl"))
    );
    assert_eq!(local.url, None);
}

#[test]
fn what_is_not_pinned_hashed_and_built_is_refused() {
    refused("a==1", "`a==1` has no `--hash`");
    refused("a HASH_A", "no version with `==`");
    refused("a>=1 HASH_A", "no version with `==`");
    refused("a==1.* HASH_A", "no version with `==`");
    refused("a==1,<2 HASH_A", "no version with `==`");
    refused("a==1 --hash=md5:1", "no hash of sha256");
    refused("a==1 --hash=sha256:1", "malformed");
    refused("a==1 --hash=sha256", "needs `ALGORITHM:DIGITS`");
    refused("-e .", "an editable requirement");
    refused("--editable git+https://h/r", "an editable requirement");
    refused(
        "git+https://u:secret@h/r HASH_A",
        "`git+https://****@h/r` is a repository",
    );
    refused("a @ git+https://h/r.git HASH_A", "a repository");
    refused("./dir HASH_A", "a directory");
    refused(". HASH_A", "a directory");
    refused("a @ file:///dir HASH_A", "a directory");
    refused("https://h/a-1.tar.gz HASH_A", "a source distribution");
    refused(
        "a @ https://h/b-1-py3-none-any.whl HASH_A",
        "not of this package",
    );
    refused("a==1 nonsense HASH_A", "is no requirement");
    refused("a==1; nonsense HASH_A", "is no requirement");
    refused("a==1 HASH_A --pre", "does not go with a requirement");
    refused("HASH_A", "goes with a requirement");
    refused("-r https://h/x.txt", "only files are read");
    refused("--nonsense", "no option");
    refused("-r 'x", "quotation mark");
}

#[test]
fn files_are_read_relative_to_the_one_that_names_them() {
    let lock = parse_all(&[
        ("main.txt", "-r sub/one.txt\n-c limits.txt\na==1 HASH_A\n"),
        (
            "sub/one.txt",
            "--requirement=two.txt\nb==2 HASH_A\n-f wheels",
        ),
        ("sub/two.txt", "c==3"),
        ("limits.txt", "-r sub/three.txt\nA<2"),
        ("sub/three.txt", "c==3 HASH_B"),
    ])
    .unwrap();
    let names: Vec<&str> = lock.packages.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["c", "b", "a"]);
    assert_eq!(lock.packages[0].place, "`/p/sub/two.txt`, line 1");
    let limits: Vec<&str> = lock
        .constraints
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(limits, ["c", "a"]);
    assert_eq!(lock.indexes.find_links, ["/p/sub/wheels"]);
    let error = parse_all(&[("main.txt", "-r main.txt")]).unwrap_err();
    assert!(error.contains("nested more than 32"), "{error}");
    let error = parse_all(&[("main.txt", "\n-r none.txt")]).unwrap_err();
    assert!(
        error.starts_with("`/p/none.txt`: it cannot be read"),
        "{error}"
    );
    let doubling: Vec<(String, String)> = (0..20)
        .map(|at| {
            (
                format!("{at}.txt"),
                format!("-r {0}.txt\n-r {0}.txt", at + 1),
            )
        })
        .collect();
    let mut doubling: Vec<(&str, &str)> = doubling
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    doubling.extend([("main.txt", "-r 0.txt"), ("20.txt", "")]);
    let error = parse_all(&doubling).unwrap_err();
    assert!(error.contains("more than 256 of them"), "{error}");
    let error =
        parse_all(&[("main.txt", "-c c.txt"), ("c.txt", "a @ https://h/a.whl")]).unwrap_err();
    assert!(error.contains("limits a package to a URL"), "{error}");
}

#[test]
fn options_for_indexes_are_collected() {
    let lock = parse(
        "-i https://u:p@h/simple --extra-index-url=https://x\n--no-index --trusted-host h\n\
         --find-links https://l/ --pre\n--no-binary De_mo,:all: --only-binary :all:\n--require-hashes",
    )
    .unwrap();
    let indexes = lock.indexes;
    assert_eq!(indexes.index_url.as_deref(), Some("https://u:p@h/simple"));
    assert_eq!(indexes.extra_index_urls, ["https://x"]);
    assert!(indexes.no_index);
    assert_eq!(indexes.trusted_hosts, ["h"]);
    assert_eq!(indexes.find_links, ["https://l/"]);
    assert_eq!(indexes.no_binary, ["de-mo", ":all:"]);
    assert!(lock.packages.is_empty());
}

proptest! {
    #[test]
    fn no_text_is_too_strange_to_be_read(text in "([a-z=@:/.# \\\\\\n\"'${}\\[\\];-]|--hash=|-r |==|\\PC){0,40}") {
        let _read = parse(&text);
    }
}

#[test]
fn what_a_resolver_reads_says_where_it_looks() {
    let files = [
        (
            "main.txt",
            "-i https://h/\nnot pinned at all\n-e .\n-c https://remote/c.txt\n--unknown\n-r o.txt\nx",
        ),
        (
            "o.txt",
            "--trusted-host t\nx>1 --hash=md5:0\n--find-links w",
        ),
    ];
    let read = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let found = files.iter().find(|(known, _)| *known == name);
        Ok(found.unwrap().1.as_bytes().to_vec())
    };
    let files = Files {
        read: &read,
        variable: &|_| None,
        cwd: Path::new("/cwd"),
    };
    let indexes = read_index_options(Path::new("/p/main.txt"), &files).unwrap();
    assert_eq!(indexes.index_url.as_deref(), Some("https://h/"));
    assert_eq!(indexes.trusted_hosts, ["t"]);
    assert_eq!(indexes.find_links, ["/p/w"]);
}
