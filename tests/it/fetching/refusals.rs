//! What is refused: endless or silent servers, redirects that lead away, and credentials that would
//! be shown.
//!
//! Read next: `../attacks_packages/`, all that a server may do to the command.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rvenv::fetch::{Address, Asked, FetchControl, Hashes};
use rvenv_journal::Digest;

use super::{Ground, WHEEL, asked, bytes, named};
use crate::server::{Server, empty, head, redirect, serve};

/// Checks that a download is refused for a reason, and that nothing is left.
fn refused(ground: &Ground, asked: &rvenv::fetch::Asked, reason: &str) {
    let text = ground.refusal(asked);
    assert!(text.contains(reason), "{reason:?} is not in {text:?}");
    assert_eq!(ground.kept(), [] as [std::path::PathBuf; 0]);
}

/// The first file has its answer only after the last one had its own, and the caller was asked
/// several times since whether to stop.
#[test]
fn of_several_files_that_cannot_be_had_the_first_is_named() {
    let polls = Arc::new((Mutex::new(None), Condvar::new()));
    let shared = Arc::clone(&polls);
    let server = Server::new(move |seen, stream| {
        let (polls, polled) = &*shared;
        let mut polls = polls.lock().unwrap();
        if seen.path == "/b" {
            polls.get_or_insert(0);
            return serve(seen, stream, b"damaged");
        }
        while polls.is_none_or(|polls| polls < 3) {
            polls = polled.wait(polls).unwrap();
        }
        empty(stream, "404 Not Found")
    });
    let mut ground = Ground::new(&server);
    ground.sources.no_index = true;
    ground.options.allow_hosts.push("127.0.0.1".to_owned());
    let hashes = Hashes::of([("sha256", Digest::of(b"x").to_string().as_str())]);
    let asked = ["a", "b"].map(|name| {
        let file = format!("{name}-1.0-py3-none-any.whl");
        let url = Address::parse(&server.url(&format!("/{name}"))).unwrap();
        Asked::new(&file, hashes.clone()).unwrap().at_url(url)
    });
    let control = FetchControl {
        interrupted: &|| {
            let mut count = polls.0.lock().unwrap();
            *count = count.map(|polls| polls + 1);
            polls.1.notify_all();
            false
        },
        progress: &|_| {},
    };
    let failed = ground.fetcher().fetch(&asked, &control).unwrap_err();
    let expected = "cannot fetch `a-1.0-py3-none-any.whl`: no place has it";
    assert_eq!(failed.to_string(), expected);
}

#[test]
fn an_endless_body_ends_at_the_limit() {
    let server = Server::new(|_, stream| {
        head(stream, "200 OK", &[])?;
        loop {
            stream.write_all(&[0; 10_000])?;
        }
    });
    let ground = Ground::new(&server);
    let endless = asked(&bytes(5), &server.url("/x"));
    refused(
        &ground,
        &endless.clone().sized(Some(50_000)),
        "more than 50000 bytes",
    );
    let fetcher = ground.fetcher().limited(1_000_000);
    let failed = fetcher
        .fetch(&[endless], &rvenv::fetch::FetchControl::default())
        .unwrap_err();
    assert_eq!(
        failed.to_string(),
        "the downloads have more than 1000000 bytes"
    );
}

#[test]
fn a_false_content_length_is_refused_or_waited_for_in_vain() {
    let wheel = bytes(10_000);
    let body = wheel.clone();
    let server = Server::new(move |seen, stream| {
        let Ok(len) = seen.path.trim_start_matches('/').parse::<usize>() else {
            return empty(stream, "404 Not Found");
        };
        head(stream, "200 OK", &[format!("Content-Length: {len}")])?;
        stream.write_all(&body)
    });
    let ground = Ground::new(&server);
    refused(
        &ground,
        &asked(&wheel, &server.url("/9000")),
        "not the expected one",
    );
    // A server that promises more closes too early, every time.
    let text = ground.refusal(&asked(&wheel, &server.url("/11000")));
    assert!(text.contains("/11000` failed: Peer disconnected"), "{text}");
    let seen = server.seen();
    assert_eq!(seen.iter().filter(|seen| seen.path == "/11000").count(), 4);
}

#[test]
fn a_silent_server_costs_a_bounded_time() {
    let (sender, silent) = std::sync::mpsc::channel::<()>();
    let silent = std::sync::Mutex::new(silent);
    let server = Server::new(move |seen, stream| {
        if seen.path == "/body" {
            head(stream, "200 OK", &["Content-Length: 100".to_owned()])?;
            stream.write_all(b"some")?;
        }
        let _is_over = silent.lock().unwrap().recv();
        Ok(())
    });
    let mut ground = Ground::new(&server);
    ground.timeout = Duration::from_millis(100);
    ground.retries = 1;
    let since = Instant::now();
    for path in ["/head", "/body"] {
        let text = ground.refusal(&asked(&bytes(100), &server.url(path)));
        assert!(text.contains("sent nothing for too long"), "{text}");
    }
    assert!(since.elapsed() < Duration::from_secs(20));
    drop(sender);
}

#[test]
fn a_server_that_sends_single_bytes_counts_as_silent() {
    let server = Server::new(|_, stream| {
        head(stream, "200 OK", &["Content-Length: 100000".to_owned()])?;
        loop {
            stream.write_all(b"x")?;
            stream.flush()?;
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    let mut ground = Ground::new(&server);
    ground.timeout = Duration::from_millis(100);
    ground.retries = 0;
    let text = ground.refusal(&asked(&bytes(100_000), &server.url("/x")));
    assert!(text.contains("sent nothing for too long"), "{text}");
}

#[test]
fn a_redirect_leads_only_to_hosts_that_were_named() {
    let wheel = bytes(100);
    let body = wheel.clone();
    let server = Server::new(move |seen, stream| {
        let host = seen.header("host").unwrap().to_owned();
        let port = host.rsplit(':').next().unwrap();
        match seen.path.as_str() {
            "/to-other" => redirect(stream, &format!("http://localhost:{port}/x")),
            "/to-here" => redirect(stream, "../../x"),
            _ => serve(seen, stream, &body),
        }
    });
    let mut ground = Ground::new(&server);
    let to = |path: &str| asked(&wheel, &server.url(path));
    refused(&ground, &to("/to-other"), "the host `localhost` is neither");
    let elsewhere = format!("http://localhost:{}/x", server.address.port());
    refused(
        &ground,
        &asked(&wheel, &elsewhere),
        "the host `localhost` is neither",
    );
    assert!(server.seen().iter().all(|seen| seen.path != "/x"));
    ground.fetch(&to("/to-here")).unwrap();
    ground = Ground::new(&server);
    ground.options.allow_hosts.push("localhost".to_owned());
    ground.fetch(&to("/to-other")).unwrap();
}

#[test]
fn what_is_not_there_is_asked_for_once() {
    let server = Server::new(|_, stream| empty(stream, "404 Not Found"));
    let ground = Ground::new(&server);
    refused(&ground, &asked(b"x", &server.url("/x")), "no place has it");
    // Its URL, and the page of the index.
    let paths: Vec<_> = server.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/x", "/simple/demo/"]);
}

/// A server that wants `me` and `s3cret`.
fn locked(wheel: &[u8]) -> Server {
    let body = wheel.to_vec();
    Server::new(move |seen, stream| match seen.header("authorization") {
        Some("Basic bWU6czNjcmV0") => serve(seen, stream, &body),
        _ => empty(stream, "401 Unauthorized"),
    })
}

#[test]
fn credentials_come_from_the_url_the_index_or_netrc_and_are_never_shown() {
    let wheel = bytes(100);
    let server = locked(&wheel);
    let url = |login: &str| format!("http://{login}{}/x?key=s3cret", server.address);
    let plain = asked(&wheel, &url(""));
    let ground = Ground::new(&server);
    refused(
        &ground,
        &plain,
        "refused the credentials, or the lack of them (status 401)",
    );
    let text = ground.refusal(&asked(&wheel, &url("me:wr0ng@")));
    assert!(text.contains("(status 401)"), "{text}");
    assert!(
        !text.contains("wr0ng") && !text.contains("s3cret"),
        "{text}"
    );
    let shown = format!("{:?}", asked(&wheel, &url("me:s3cret@")));
    assert!(!shown.contains("s3cret"), "{shown}");
    ground.fetch(&asked(&wheel, &url("me:s3cret@"))).unwrap();

    let mut ground = Ground::new(&server);
    let index = format!("http://me:s3cret@{}/simple", server.address);
    ground.sources.index_url = Some(index.into());
    ground.fetch(&plain).unwrap();

    let mut ground = Ground::new(&server);
    let netrc = ground.place.path().join("netrc");
    std::fs::write(&netrc, "machine 127.0.0.1 login me password s3cret\n").unwrap();
    ground
        .environment
        .push(("NETRC".into(), netrc.to_str().unwrap().into()));
    ground.fetch(&plain).unwrap();
}

#[test]
fn the_keyring_is_asked_only_if_the_caller_says_so() {
    let wheel = bytes(100);
    let server = locked(&wheel);
    let mut ground = Ground::new(&server);
    let index = format!("http://me@{}/simple", server.address);
    ground.sources.index_url = Some(index.into());
    let bin = ground.place.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let log = ground.place.path().join("log");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>'{}'\necho s3cret\n",
        log.display()
    );
    std::fs::write(bin.join("keyring"), script).unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bin.join("keyring"), mode).unwrap();
    let asked = asked(&wheel, &server.url("/x"));
    refused(&ground, &asked, "(status 401)");
    assert!(!log.exists());
    ground.options.keyring = Some(rvenv::fetch::KeyringProvider::Subprocess);
    ground.fetch(&asked).unwrap();
    let expected = format!("get http://{}/simple me\n", server.address);
    assert_eq!(std::fs::read_to_string(log).unwrap(), expected);
}

#[test]
fn a_redirect_takes_no_credentials_to_another_server() {
    let wheel = bytes(100);
    let body = wheel.clone();
    let other = Server::new(move |seen, stream| serve(seen, stream, &body));
    let to = other.url("/x");
    let server = Server::new(move |_, stream| redirect(stream, &to));
    let ground = Ground::new(&server);
    let url = format!("http://me:s3cret@{}/x", server.address);
    ground.fetch(&asked(&wheel, &url)).unwrap();
    assert!(server.seen()[0].header("authorization").is_some());
    assert_eq!(other.seen()[0].header("authorization"), None);
}

#[test]
fn a_proxy_is_asked_in_place_of_the_server() {
    let wheel = bytes(100);
    let body = wheel.clone();
    let proxy = Server::new(move |seen, stream| {
        if seen.method == "CONNECT" {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        }
        serve(seen, stream, &body)
    });
    let mut ground = Ground::new(&proxy);
    ground.sources.index_url = Some("http://index.invalid/simple/".into());
    let variable = ("HTTP_PROXY".to_owned(), proxy.url(""));
    ground.environment.push(variable);
    ground
        .fetch(&asked(&wheel, "http://index.invalid/x"))
        .unwrap();
    assert!(
        proxy.seen()[0].path.contains("index.invalid"),
        "{:?}",
        proxy.seen()
    );
}

#[test]
fn certificates_that_cannot_be_read_are_named() {
    let server = Server::new(|_, stream| empty(stream, "200 OK"));
    let mut ground = Ground::new(&server);
    let url = format!("https://{}/x", server.address);
    let text = ground.refusal(&asked(b"x", &url));
    assert!(text.contains("the connection to"), "{text}");
    ground
        .environment
        .push(("PIP_CERT".into(), "/absent.pem".into()));
    let text = ground.refusal(&asked(b"x", &url));
    assert!(
        text.contains("cannot read the certificates in `/absent.pem`"),
        "{text}"
    );
}

#[test]
fn a_file_of_this_machine_is_used_where_it_is_if_its_bytes_are_right() {
    let server = Server::new(|_, stream| empty(stream, "404 Not Found"));
    let mut ground = Ground::new(&server);
    let house = ground.place.path().join("house");
    std::fs::create_dir(&house).unwrap();
    let path = house.join(WHEEL);
    std::fs::write(&path, b"bytes").unwrap();
    let by_path = ground
        .fetch(&named(b"bytes").at_path(path.clone()))
        .unwrap();
    assert_eq!(by_path.path, path);
    let url = format!("file://{}", path.display());
    assert_eq!(ground.fetch(&asked(b"bytes", &url)).unwrap().path, path);
    ground.sources.find_links.push(house.clone().into());
    assert_eq!(ground.fetch(&named(b"bytes")).unwrap().path, path);
    let text = ground.refusal(&named(b"other").at_path(path.clone()));
    assert!(text.contains("which is not the expected one"), "{text}");
    let text = ground.refusal(&named(b"other").at_path(house));
    assert!(text.contains("not a regular file"), "{text}");
}
