//! Simple indexes: the page of a project as JSON, as HTML, and compressed.
//!
//! Read next: `../attacks_packages/indexes.rs`, the pages that lie.

use std::io::Write as _;

use rvenv::fetch::{Asked, FetchControl, FetchFailed, Fetched, Hashes};
use rvenv_journal::Digest;
use serde_json::json;

use super::{Ground, WHEEL, bytes, named};
use crate::server::{Server, empty, head, page, serve};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// A page with one file.
fn one(url: &str, sha256: &str) -> Vec<u8> {
    let file = json!({"filename": WHEEL, "url": url, "hashes": {"sha256": sha256}});
    let page = json!({"meta": {"api-version": "1.1"}, "name": "demo", "files": [file]});
    page.to_string().into_bytes()
}

#[test]
fn a_release_is_found_on_the_page_of_its_project() {
    let wheel = bytes(3000);
    for kind in ["json", "html"] {
        let body = wheel.clone();
        let digest = Digest::of(&wheel).to_string();
        let server = Server::new(move |seen, stream| match seen.path.as_str() {
            "/simple/demo/" if kind == "json" => page(stream, JSON, &one("../../f/x.whl", &digest)),
            "/simple/demo/" => {
                let text = format!("<a href='../../f/{WHEEL}#sha256={digest}'>x</a>");
                page(stream, "text/html; charset=utf-8", text.as_bytes())
            }
            _ => serve(seen, stream, &body),
        });
        let ground = Ground::new(&server);
        let fetched = ground.fetch(&named(&wheel)).unwrap();
        assert_eq!(std::fs::read(fetched.path).unwrap(), wheel);
        assert!(server.seen()[0].header("accept").unwrap().starts_with(JSON));
        let reader = ground.fetcher();
        let files = reader.listings()[0].project("Demo").unwrap().unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].name, WHEEL);
        assert!(reader.listings()[0].project("Demo").is_ok());
        assert_eq!(server.seen().len(), 3);
    }
}

#[test]
fn a_page_may_be_compressed_and_a_wheel_too() {
    let wheel = bytes(3000);
    let digest = Digest::of(&wheel).to_string();
    let zipped = [gzip(&one("/f", &digest)), gzip(&wheel)];
    let server = Server::new(move |seen, stream| {
        let zipped = &zipped[usize::from(seen.path == "/f")];
        let headers = [
            format!("Content-Type: {JSON}"),
            "Content-Encoding: gzip".to_owned(),
            format!("Content-Length: {}", zipped.len()),
        ];
        head(stream, "200 OK", &headers)?;
        stream.write_all(zipped)
    });
    let ground = Ground::new(&server);
    ground.fetch(&named(&wheel)).unwrap();
}

/// A stream of gzip with stored blocks.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    let len = u16::try_from(bytes.len()).unwrap();
    out.extend(len.to_le_bytes());
    out.extend((!len).to_le_bytes());
    out.extend(bytes);
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    out.extend((!crc).to_le_bytes());
    out.extend(u32::from(len).to_le_bytes());
    out
}

#[test]
fn a_file_with_other_digests_than_those_of_the_lock_is_not_requested() {
    let body = one("/f", &Digest::of(b"other").to_string());
    let server = Server::new(move |_, stream| page(stream, JSON, &body));
    let text = Ground::new(&server).refusal(&named(b"x"));
    assert!(text.contains("no place has it"), "{text}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn the_next_index_is_asked_if_one_fails() {
    let wheel = bytes(100);
    let body = wheel.clone();
    let digest = Digest::of(&wheel).to_string();
    let server = Server::new(move |seen, stream| match seen.path.as_str() {
        "/simple/demo/" => page(stream, "text/plain", b"?"),
        "/second/demo/" => page(stream, JSON, &one("/f", &digest)),
        "/f" => serve(seen, stream, &body),
        _ => empty(stream, "404 Not Found"),
    });
    let mut ground = Ground::new(&server);
    ground
        .sources
        .extra_index_urls
        .push(server.url("/second").into());
    ground.fetch(&named(&wheel)).unwrap();
    let text = ground.refusal(&named(b"absent"));
    assert!(text.contains("it is neither JSON nor HTML"), "{text}");
}

#[test]
fn a_page_of_links_serves_every_project() {
    let wheel = bytes(100);
    let body = wheel.clone();
    let server = Server::new(move |seen, stream| match seen.path.as_str() {
        "/links" => page(stream, "text/html", format!("<a href={WHEEL}>").as_bytes()),
        _ => serve(seen, stream, &body),
    });
    let mut ground = Ground::new(&server);
    ground.sources.no_index = true;
    ground.sources.find_links.push(server.url("/links").into());
    ground.fetch(&named(&wheel)).unwrap();
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_page_of_links_is_requested_once_for_all_projects() {
    let names: Vec<String> = (0..9)
        .map(|n| format!("demo{n}-1.0-py3-none-any.whl"))
        .collect();
    for status in ["200 OK", "404 Not Found", "503 Busy"] {
        let links = format!("<a href={}>", names.join("><a href="));
        let server = Server::new(move |seen, stream| match seen.path.as_str() {
            "/links" if status == "200 OK" => page(stream, "text/html", links.as_bytes()),
            "/links" => empty(stream, status),
            _ => serve(seen, stream, b"x"),
        });
        let mut ground = Ground::new(&server);
        ground.sources.no_index = true;
        ground.retries = 2;
        ground.sources.find_links.push(server.url("/links").into());
        let hashes = Hashes::of([("sha256", Digest::of(b"x").to_string().as_str())]);
        let asked = |name: &String| Asked::new(name, hashes.clone()).unwrap();
        let asked: Vec<Asked> = names.iter().map(asked).collect();
        let fetched = ground
            .fetcher()
            .fetch_each(&asked, &FetchControl::default());
        let is_there = |one: &Result<Fetched, FetchFailed>| match one {
            Ok(_) => true,
            Err(failed) => {
                assert_eq!(
                    failed.to_string().contains("status 503"),
                    status == "503 Busy"
                );
                false
            }
        };
        assert!(
            fetched
                .unwrap()
                .iter()
                .all(|one| is_there(one) == (status == "200 OK"))
        );
        let seen = server.seen();
        let pages = seen.iter().filter(|seen| seen.path == "/links").count();
        assert_eq!(pages, if status == "503 Busy" { 3 } else { 1 }, "{status}");
    }
}
