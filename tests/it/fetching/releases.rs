//! Releases: the best wheel of a release, and the newest release, from directories and indexes.

use std::path::Path;
use std::time::Duration;

use rvenv::Release;
use rvenv::cache::Cache;
use rvenv::fetch::{FetchControl, FetchFailed, NoWheel, Offer, Releases, Wanted};
use rvenv::lock::{Environment, Kernel};
use rvenv::python::{self, Control, Interpreter, Request, Surroundings};
use rvenv::wheel::Catalogue;
use rvenv_journal::Digest;
use serde_json::{Value, json};

use super::{Ground, bytes};
use crate::machine::{Scratch, any_python};
use crate::packages;
use crate::server::{Server, empty, page, serve};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// An interpreter of this machine.
fn interpreter(scratch: &Scratch) -> Option<Interpreter> {
    let around = Surroundings {
        cwd: scratch.path(""),
        cache_dir: Some(Cache::at(scratch.cache())),
        ..Surroundings::default()
    };
    let request = Request::Path(any_python()?.path);
    Some(python::find(&request, &around, &Control::default()).unwrap())
}

/// A page with these files; each has a name and more fields.
fn listed(files: &[(&str, Value)]) -> Vec<u8> {
    let file = |(name, more): &(&str, Value)| {
        let sha256 = Digest::of(name.as_bytes()).to_string();
        let mut file = json!({
            "filename": name, "url": format!("/f/{name}"), "hashes": {"sha256": sha256},
        });
        let fields = file.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        file
    };
    let files: Vec<Value> = files.iter().map(file).collect();
    let page = json!({"meta": {"api-version": "1.1"}, "name": "demo", "files": files});
    page.to_string().into_bytes()
}

/// An index with one project.
fn index(files: &[(&str, Value)]) -> Server {
    let body = listed(files);
    Server::new(move |seen, stream| match seen.path.as_str() {
        "/simple/demo/" => page(stream, JSON, &body),
        _ => empty(stream, "404 Not Found"),
    })
}

fn exactly(name: &str, version: &str) -> Wanted {
    Wanted::exactly(&Release {
        name: name.to_owned(),
        version: version.to_owned(),
    })
}

fn find(
    ground: &Ground,
    interpreter: &Interpreter,
    wanted: &[Wanted],
) -> Vec<Result<Offer, NoWheel>> {
    let environment = Environment::of(interpreter, &Kernel::running());
    let (fetcher, catalogue) = (ground.fetcher(), Catalogue::new(None));
    let releases = Releases::new(&environment, &fetcher, &catalogue, &[]).unwrap();
    releases.find(wanted, &FetchControl::default()).unwrap()
}

/// The name of the wheel that is found, or the reason.
fn found(ground: &Ground, interpreter: &Interpreter, wanted: Wanted) -> String {
    match find(ground, interpreter, &[wanted]).remove(0) {
        Ok(offer) => offer.asked.file_name().to_owned(),
        Err(why) => why.to_string(),
    }
}

#[test]
fn the_newest_release_is_the_one_that_pip_would_choose() {
    let scratch = Scratch::new();
    let Some(python) = interpreter(&scratch) else {
        return;
    };
    let minor = python.version.minor;
    let pure = |version: &str| format!("demo-{version}-py3-none-any.whl");
    let own = format!("demo-1.9-cp3{minor}-none-any.whl");
    let server = index(&[
        (&pure("1.2"), json!({})),
        (&pure("1.10"), json!({})),
        (&pure("1.9"), json!({})),
        (&own, json!({})),
        (&pure("1.11"), json!({"yanked": "broken"})),
        (&pure("1.12"), json!({"requires-python": "<3"})),
        (&pure("1.13rc1"), json!({})),
        ("demo-1.14-cp27-none-any.whl", json!({})),
        ("demo-1.15.tar.gz", json!({})),
        ("other-2.0-py3-none-any.whl", json!({})),
    ]);
    let ground = Ground::new(&server);
    let newest = || Wanted::newest("Demo");
    assert_eq!(found(&ground, &python, newest()), pure("1.10"));
    // By its version, a preview counts, and so does a yanked release; the reason is reported.
    assert_eq!(
        found(&ground, &python, exactly("demo", "1.13rc1")),
        pure("1.13rc1")
    );
    assert_eq!(found(&ground, &python, exactly("demo", "1.9.0")), own);
    let offer = find(&ground, &python, &[exactly("demo", "1.11")])
        .remove(0)
        .unwrap();
    assert_eq!(offer.asked.file_name(), pure("1.11"));
    assert_eq!(offer.yanked.as_deref(), Some("broken"));
    for (version, only) in [
        ("1.12", pure("1.12")),
        ("1.14", "demo-1.14-cp27-none-any.whl".into()),
    ] {
        let why = found(&ground, &python, exactly("demo", version));
        let expected =
            format!("no wheel of `demo` {version} that fits is there: there is only `{only}`");
        assert_eq!(why, expected);
    }
    let why = found(&ground, &python, exactly("demo", "9"));
    assert_eq!(
        why,
        "no wheel of `demo` 9 that fits is there: no place has this release"
    );

    let server = index(&[(&pure("2.0a1"), json!({})), (&pure("2.0a2"), json!({}))]);
    assert_eq!(
        found(&Ground::new(&server), &python, newest()),
        pure("2.0a2")
    );
}

#[test]
fn directories_are_asked_first_for_a_release_and_compared_for_the_newest() {
    let scratch = Scratch::new();
    let Some(python) = interpreter(&scratch) else {
        return;
    };
    let wheels = [("demo", "1.0"), ("demo", "3.0")];
    let house = packages::index(&scratch, &python.executable, &wheels);
    let two = "demo-2.0-py3-none-any.whl";
    let server = index(&[(two, json!({})), ("demo-1.0-py3-none-any.whl", json!({}))]);
    let mut ground = Ground::new(&server);
    ground.sources.find_links = vec![house.clone().into()];
    let offer = find(&ground, &python, &[exactly("demo", "1.0")])
        .remove(0)
        .unwrap();
    assert_eq!(
        offer.asked.path,
        Some(house.join("demo-1.0-py3-none-any.whl"))
    );
    assert!(
        server.seen().is_empty(),
        "no index is asked for what a directory has"
    );
    assert_eq!(found(&ground, &python, exactly("demo", "2.0")), two);
    assert_eq!(
        found(&ground, &python, Wanted::newest("demo")),
        "demo-3.0-py3-none-any.whl"
    );

    // A wheel of a directory says itself for which versions it is.
    demand(&house.join("demo-3.0-py3-none-any.whl"), &scratch, &python);
    assert_eq!(found(&ground, &python, Wanted::newest("demo")), two);
    ground.sources.no_index = true;
    ground.sources.index_url = None;
    ground.sources.find_links = vec![house.join("demo-1.0-py3-none-any.whl").into()];
    assert_eq!(
        found(&ground, &python, Wanted::newest("demo")),
        "demo-1.0-py3-none-any.whl"
    );
}

/// Makes a wheel one for Python 2 by its METADATA.
fn demand(wheel: &Path, scratch: &Scratch, python: &Interpreter) {
    const REWRITE: &str = r#"
import base64, hashlib, sys, zipfile
path = sys.argv[1]
with zipfile.ZipFile(path) as old:
    files = {name: old.read(name) for name in old.namelist()}
name = next(name for name in files if name.endswith("/METADATA"))
files[name] = files[name].replace(b"\nVersion", b"\nRequires-Python: <3\nVersion", 1)
digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
record = name.replace("METADATA", "RECORD")
rows = files[record].decode().splitlines()
row = "%s,sha256=%s,%d" % (name, digest, len(files[name]))
rows = [row if old.startswith(name + ",") else old for old in rows]
files[record] = ("\n".join(rows) + "\n").encode()
with zipfile.ZipFile(path, "w") as new:
    for name, data in files.items():
        new.writestr(name, data)
"#;
    let arguments = ["-c", REWRITE, wheel.to_str().unwrap()];
    scratch.run(&python.executable, &arguments).ok();
}

#[test]
fn every_page_is_asked_for_once_and_an_index_that_fails_is_named_for_each() {
    let scratch = Scratch::new();
    let Some(python) = interpreter(&scratch) else {
        return;
    };
    let name = "demo-1.0-py3-none-any.whl";
    let server = index(&[(name, json!({}))]);
    let ground = Ground::new(&server);
    let wanted = [
        exactly("demo", "1.0"),
        exactly("absent", "1.0"),
        exactly("demo", "2.0"),
    ];
    let all = find(&ground, &python, &wanted);
    assert!(
        all[0].is_ok() && all[1].is_err() && all[2].is_err(),
        "{all:?}"
    );
    let mut pages: Vec<String> = server.seen().into_iter().map(|seen| seen.path).collect();
    pages.sort();
    assert_eq!(pages, ["/simple/absent/", "/simple/demo/"]);

    let mut ground = Ground::new(&server);
    ground.sources.index_url = Some("http://127.0.0.1:9/simple".into());
    ground.retries = 1;
    for (why, name) in find(&ground, &python, &wanted)
        .into_iter()
        .zip(["demo", "absent"])
    {
        let why = why.unwrap_err();
        assert_eq!(why.to_string(), format!("cannot look for `{name}`"));
        let cause = std::error::Error::source(&why).unwrap().to_string();
        assert!(cause.contains("127.0.0.1:9"), "{cause}");
    }
}

#[test]
fn a_page_without_digests_is_trusted_where_no_lock_says_more() {
    let scratch = Scratch::new();
    let Some(python) = interpreter(&scratch) else {
        return;
    };
    let name = "demo-1.0-py3-none-any.whl";
    let first = bytes(5000);
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::new(move |seen, stream| {
        if seen.path == "/simple/demo/" {
            let link = format!("<a href='/f/{name}'>");
            return page(stream, "text/html", link.as_bytes());
        }
        // The file may be another one the next time: it is not looked for in the cache.
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        serve(seen, stream, &first[turn..])
    });
    let ground = Ground::new(&server);
    for turn in 0..2 {
        let offer = find(&ground, &python, &[exactly("demo", "1.0")])
            .remove(0)
            .unwrap();
        let fetched = ground.fetch(&offer.asked).unwrap();
        let read = std::fs::read(&fetched.path).unwrap();
        assert_eq!(read, bytes(5000)[turn..]);
        assert_eq!(fetched.sha256, Digest::of(&read));
        let kept = format!("{}/{name}", Digest::of(&read));
        assert!(fetched.path.ends_with(kept), "{:?}", fetched.path);
    }
    assert_eq!(ground.kept().len(), 2);
}

#[test]
fn a_look_at_silent_indexes_ends_soon_after_an_interruption() {
    let scratch = Scratch::new();
    let Some(python) = interpreter(&scratch) else {
        return;
    };
    let server = Server::new(|_, _| {
        std::thread::sleep(Duration::from_secs(20));
        Ok(())
    });
    let ground = Ground::new(&server);
    let environment = Environment::of(&python, &Kernel::running());
    let (fetcher, catalogue) = (ground.fetcher(), Catalogue::new(None));
    let releases = Releases::new(&environment, &fetcher, &catalogue, &[]).unwrap();
    let since = std::time::Instant::now();
    let control = FetchControl {
        interrupted: &|| since.elapsed() > Duration::from_millis(200),
        progress: &|_| {},
    };
    let ended = releases.find(&[Wanted::newest("demo")], &control);
    assert!(matches!(ended, Err(FetchFailed::Interrupted)), "{ended:?}");
    assert!(since.elapsed() < Duration::from_secs(10));
}

/// A page that does not say for which Pythons its files are, but has the metadata by itself.
#[test]
fn a_wheel_whose_metadata_excludes_the_interpreter_is_not_chosen() {
    let scratch = Scratch::new();
    let Some(python) = interpreter(&scratch) else {
        return;
    };
    let metadata = |range: &str| format!("Name: demo\nRequires-Python: {range}\n\ntext\n");
    let texts = [("1.0", metadata(">=3")), ("2.0", metadata("<3"))];
    let files: Vec<(String, Value)> = texts
        .iter()
        .map(|(version, text)| {
            let digest = Digest::of(text.as_bytes()).to_string();
            let more = json!({"core-metadata": {"sha256": digest}});
            (format!("demo-{version}-py3-none-any.whl"), more)
        })
        .collect();
    let named: Vec<(&str, Value)> = files
        .iter()
        .map(|(name, more)| (name.as_str(), more.clone()))
        .collect();
    let body = listed(&named);
    let server = Server::new(move |seen, stream| {
        let of =
            |version: &str| seen.path == format!("/f/demo-{version}-py3-none-any.whl.metadata");
        match texts.iter().find(|(version, _)| of(version)) {
            Some((_, text)) => serve(seen, stream, text.as_bytes()),
            None if seen.path == "/simple/demo/" => page(stream, JSON, &body),
            None => empty(stream, "404 Not Found"),
        }
    });
    let ground = Ground::new(&server);
    assert_eq!(found(&ground, &python, Wanted::newest("demo")), files[0].0);
    let why = found(&ground, &python, exactly("demo", "2.0"));
    assert!(
        why.contains("there is only `demo-2.0-py3-none-any.whl`"),
        "{why}"
    );
    let wheels = server
        .seen()
        .into_iter()
        .filter(|seen| seen.path.ends_with("any.whl"));
    assert_eq!(wheels.count(), 0);
    // The metadata is fetched once.
    let texts = server
        .seen()
        .into_iter()
        .filter(|seen| seen.path.ends_with(".metadata"));
    assert_eq!(texts.count(), 2);
}
