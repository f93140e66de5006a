//! Indexes and servers that lie, break, or lead elsewhere; the lock has the right hash.
//!
//! Each row has a path of its own on one server. The credentials of the index are right and secret.

use std::io::{self, Write as _};
use std::net::TcpStream;

use flate2::Compression;
use flate2::write::GzEncoder;
use rvenv_journal::Digest;
use serde_json::json;

use super::archive::Wheel;
use super::{Ground, Row, SECRET, WHEEL, all_refused, locked};
use crate::server::{Seen, Server, empty, head, page, redirect, serve};

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "text/html";
/// A part of an endless answer.
const CHUNK: &[u8] = &[b' '; 1 << 13];

fn honest() -> Vec<u8> {
    Wheel::new().bytes()
}

/// A page of JSON with one file.
fn file_at(url: &str, more: &serde_json::Value) -> Vec<u8> {
    let mut file = json!({"filename": WHEEL, "url": url, "hashes": {}});
    let fields = file.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let page = json!({"meta": {"api-version": "1.1"}, "name": "demo", "files": [file]});
    page.to_string().into_bytes()
}

/// Answers a request for the page of `demo` in the index of a row.
fn answer_page(case: &str, stream: &mut TcpStream) -> io::Result<()> {
    let none = json!({});
    let link = |base: &str, href: &str| format!("{base}<a href='{href}'>{WHEEL}</a>");
    let html = |stream, text: String| page(stream, HTML, text.as_bytes());
    let zeros = "0".repeat(64);
    match case {
        "other-hash" => {
            let hashes = json!({"hashes": {"sha256": zeros}});
            page(stream, JSON, &file_at("/honest", &hashes))
        }
        "other-size" => page(stream, JSON, &file_at("/honest", &json!({"size": 7}))),
        "other-bytes" => page(stream, JSON, &file_at("/other", &none)),
        "file" => page(
            stream,
            JSON,
            &file_at(&format!("file:///etc/{WHEEL}"), &none),
        ),
        "host" => page(stream, JSON, &file_at("//files.invalid/x", &none)),
        "password" => {
            let url = format!("https://me:{SECRET}@files.invalid/x?k={SECRET}");
            page(stream, JSON, &file_at(&url, &none))
        }
        "code" => page(stream, JSON, &file_at("javascript:x", &none)),
        "base" => html(stream, link("<base href='file:///etc/'>", WHEEL)),
        "base-host" => html(stream, link("<base href='http://files.invalid/'>", WHEEL)),
        "climbing" => html(stream, link("", &format!("../../..%2f..%2f{WHEEL}"))),
        "other-project" => html(stream, "<a href='/pip-99-py3-none-any.whl'>demo</a>".into()),
        "none" => empty(stream, "404 Not Found"),
        "login" => empty(stream, "401 Unauthorized"),
        "no-page" => page(stream, "text/plain", b"demo"),
        "no-json" => page(stream, JSON, b"{\"files\": 3}"),
        "deep" => page(stream, JSON, "[".repeat(200_000).as_bytes()),
        "newer" => page(
            stream,
            JSON,
            b"{\"meta\": {\"api-version\": \"2.0\"}, \"files\": []}",
        ),
        "to-file" => redirect(stream, "file:///etc/passwd"),
        "to-host" => redirect(
            stream,
            &format!("http://me:{SECRET}@files.invalid/?k={SECRET}"),
        ),
        "loop" => redirect(stream, "/loop/simple/demo/"),
        "endless" => {
            head(stream, "200 OK", &[format!("Content-Type: {HTML}")])?;
            loop {
                stream.write_all(CHUNK)?;
            }
        }
        "bomb" => {
            let headers = [
                format!("Content-Type: {HTML}"),
                "Content-Encoding: gzip".to_owned(),
            ];
            head(stream, "200 OK", &headers)?;
            let mut zipped = GzEncoder::new(stream, Compression::fast());
            (0..(65 << 7)).try_for_each(|_| zipped.write_all(CHUNK))
        }
        "header" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX: ")?;
            (0..1280).try_for_each(|_| stream.write_all(CHUNK))
        }
        "headers" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            (0..100_000).try_for_each(|_| stream.write_all(b"X: y\r\n"))
        }
        "no-http" => stream.write_all(b"\x00\x1b[2J\r\n\r\n"),
        _ => panic!("no row has {case}"),
    }
}

fn answer(seen: &Seen, stream: &mut TcpStream) -> io::Result<()> {
    let case = seen.path.trim_start_matches('/').split('/').next().unwrap();
    let wheel = honest();
    let len = wheel.len();
    let sized = |stream: &mut TcpStream, len: usize| {
        head(stream, "200 OK", &[format!("Content-Length: {len}")])?;
        stream.write_all(&vec![b'x'; wheel.len()])
    };
    match case {
        _ if seen.path.ends_with("/simple/demo/") => answer_page(case, stream),
        "other" => serve(seen, stream, b"other bytes"),
        "shorter" => sized(stream, len - 1),
        "longer" => sized(stream, len + 1),
        "range" => {
            let headers = [format!("Content-Range: bytes 5-9/{len}")];
            head(stream, "206 Partial Content", &headers)?;
            stream.write_all(&wheel)
        }
        "wheel-to-file" => redirect(stream, "file:///etc/passwd"),
        "wheel-to-code" => redirect(stream, "gopher://x/"),
        "wheel-loop" => redirect(stream, &format!("/wheel-loop/{WHEEL}")),
        "flood" => {
            head(stream, "200 OK", &[])?;
            loop {
                stream.write_all(CHUNK)?;
            }
        }
        "zipped" => {
            head(stream, "200 OK", &["Content-Encoding: gzip".to_owned()])?;
            let mut zipped = GzEncoder::new(stream, Compression::fast());
            (0..128).try_for_each(|_| zipped.write_all(CHUNK))
        }
        _ => serve(seen, stream, &wheel),
    }
}

/// A requirements file with the right hash, and the index of a row.
fn of_index(server: &Server, what: &'static str, case: &str, why: &str) -> Row {
    let index = format!("http://me:{SECRET}@{}/{case}/simple/", server.address);
    let text = format!(
        "--index-url {index}\ndemo==1.0 --hash=sha256:{}\n",
        Digest::of(&honest())
    );
    let row = Row::of_requirements(what, &text, why).code(1);
    Row {
        wheels: Vec::new(),
        ..row.says(&["demo", why])
    }
}

#[test]
fn pages_that_lie_are_refused() {
    let server = Server::new(answer);
    let row = |what, case: &str, why: &str| of_index(&server, what, case, why);
    let nothing = "no place has this release";
    let to_file = "leads to a file of this machine";
    let to_host = "the host `files.invalid` is neither an index's nor allowed";
    let rows = [
        row("another hash", "other-hash", nothing),
        row("another size", "other-size", "bytes, not 7"),
        row(
            "other bytes",
            "other-bytes",
            "which is not the expected one",
        ),
        row("a file of this machine", "file", to_file),
        row("another host", "host", to_host),
        row(
            "another host with a password",
            "password",
            "`https://files.invalid/x?****`",
        ),
        row("another scheme", "code", nothing),
        row("a base on this machine", "base", to_file),
        row("a base on another host", "base-host", to_host),
        row("a file name with a path", "climbing", nothing),
        row("a wheel of another project", "other-project", nothing),
        row("no project", "none", nothing),
        row("other credentials", "login", "refused the credentials"),
        row("no page", "no-page", "it is neither JSON nor HTML"),
        row(
            "no page of an index",
            "no-json",
            "it is not a page of PEP 691",
        ),
        row(
            "a page nested without an end",
            "deep",
            "it is not a page of PEP 691",
        ),
        row(
            "a newer page",
            "newer",
            "it has the version `2.0` of the format",
        ),
        row("a redirect to a file", "to-file", to_file),
        row("a redirect with a password", "to-host", to_host),
        row("redirects without an end", "loop", "too many redirects"),
        row("a page without an end", "endless", "which is the limit"),
        row("a page that unpacks to more", "bomb", "which is the limit"),
        row("a header without an end", "header", "/header/simple/demo/"),
        row("headers without an end", "headers", "/headers/simple/demo/"),
        row("no HTTP", "no-http", "/no-http/simple/demo/"),
    ];
    all_refused(&Ground::with(&[]), &rows);
}

#[test]
fn files_that_are_not_those_of_the_lock_are_refused() {
    let server = Server::new(answer);
    let row = |what, case: &str, why: &str| {
        let url = server.url(&format!("/{case}/{WHEEL}?k={SECRET}"));
        let text = locked(&format!(
            "wheels = [{{ url = '{url}', size = {}, hashes = {{ sha256 = '{}' }} }}]",
            honest().len(),
            Digest::of(&honest())
        ));
        let row = Row::of_lock(what, &text, why).code(1);
        Row {
            wheels: Vec::new(),
            ..row.says(&[WHEEL, &format!("/{case}/{WHEEL}?****"), why])
        }
    };
    let unsized_row = |row: Row| {
        let text = String::from_utf8(row.lock.1).unwrap();
        let text = text.replace(&format!("size = {}, ", honest().len()), "");
        Row {
            lock: (row.lock.0, text.into_bytes()),
            ..row
        }
    };
    let rows = [
        unsized_row(row("other bytes", "other", "which is not the expected one")),
        row("another size", "other", "has 11 bytes, not"),
        unsized_row(row(
            "a length that is too short",
            "shorter",
            "not the expected one",
        )),
        unsized_row(row("a length that is too long", "longer", "disconnected")),
        row(
            "a range that no one asked for",
            "range",
            "another range than the requested",
        ),
        row("a body without an end", "flood", "more than"),
        row("a body that unpacks to more", "zipped", "more than"),
        row(
            "a redirect without an end",
            "wheel-loop",
            "too many redirects",
        ),
        row(
            "a redirect to a file",
            "wheel-to-file",
            "leads to a file of this machine",
        )
        .says(&[WHEEL, "leads to a file of this machine"]),
        row("a redirect to another scheme", "wheel-to-code", "")
            .says(&[WHEEL, "its scheme is none of https, http and file"]),
    ];
    all_refused(
        &Ground::with(&["--no-index", "--allow-host", "127.0.0.1"]),
        &rows,
    );
}
