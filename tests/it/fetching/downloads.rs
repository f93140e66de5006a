//! Downloads that arrive: at once, in chunks, after breaks, and together.

use std::cell::{Cell, RefCell};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rvenv::fetch::{Asked, FetchControl, FetchFailed, Hashes};
use rvenv_journal::Digest;

use super::{Ground, WHEEL, asked, bytes, named};
use crate::server::{Server, empty, head, serve};

#[test]
fn a_wheel_is_fetched_once_and_then_found_in_the_cache() {
    let wheel = bytes(300_000);
    let body = wheel.clone();
    let server = Server::new(move |seen, stream| serve(seen, stream, &body));
    let ground = Ground::new(&server);
    let asked = asked(&wheel, &server.url("/f/x.whl")).sized(Some(300_000));
    let fetched = ground.fetch(&asked).unwrap();
    assert_eq!(fetched.sha256, Digest::of(&wheel));
    assert_eq!(std::fs::read(&fetched.path).unwrap(), wheel);
    assert_eq!(
        ground.kept(),
        [format!("{}/{WHEEL}", fetched.sha256).into()] as [std::path::PathBuf; 1]
    );
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&fetched.path), 0o600);
    assert_eq!(mode(fetched.path.parent().unwrap()), 0o700);
    let again = ground.fetch(&asked).unwrap();
    assert_eq!(again.path, fetched.path);
    assert_eq!(again.place, "the cache");
    assert_eq!(server.seen().len(), 1);
    assert_eq!(server.seen()[0].header("accept-encoding"), Some("identity"));
}

#[test]
fn a_damaged_file_of_the_cache_is_fetched_again() {
    let wheel = bytes(5000);
    let body = wheel.clone();
    let server = Server::new(move |seen, stream| serve(seen, stream, &body));
    let ground = Ground::new(&server);
    let asked = asked(&wheel, &server.url("/x.whl"));
    let fetched = ground.fetch(&asked).unwrap();
    let mut other = wheel.clone();
    other[7] ^= 1;
    std::fs::write(&fetched.path, other).unwrap();
    let again = ground.fetch(&asked).unwrap();
    assert_eq!(std::fs::read(again.path).unwrap(), wheel);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_body_in_chunks_is_read_to_its_end() {
    let wheel = bytes(100_000);
    let body = wheel.clone();
    let server = Server::new(move |_, stream| {
        head(stream, "200 OK", &["Transfer-Encoding: chunked".to_owned()])?;
        for part in body.chunks(777) {
            stream.write_all(format!("{:x}\r\n", part.len()).as_bytes())?;
            stream.write_all(part)?;
            stream.write_all(b"\r\n")?;
        }
        stream.write_all(b"0\r\n\r\n")
    });
    let ground = Ground::new(&server);
    ground.fetch(&asked(&wheel, &server.url("/x"))).unwrap();
}

/// A server that breaks off the first answer in the middle.
fn breaking(wheel: &[u8], answers_ranges: bool) -> Server {
    let (body, broken) = (wheel.to_vec(), AtomicBool::new(false));
    Server::new(move |seen, stream| {
        if !broken.swap(true, Ordering::SeqCst) {
            let length = format!("Content-Length: {}", body.len());
            head(stream, "200 OK", &[length, "ETag: \"one\"".to_owned()])?;
            return stream.write_all(&body[..body.len() / 2]);
        }
        if answers_ranges {
            return serve(seen, stream, &body);
        }
        head(
            stream,
            "200 OK",
            &[format!("Content-Length: {}", body.len())],
        )?;
        stream.write_all(&body)
    })
}

#[test]
fn a_body_that_breaks_is_continued_where_it_broke() {
    let wheel = bytes(200_000);
    let server = breaking(&wheel, true);
    let ground = Ground::new(&server);
    ground.fetch(&asked(&wheel, &server.url("/x"))).unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].start(), Some(100_000));
    assert_eq!(seen[1].header("if-range"), Some("\"one\""));
}

#[test]
fn a_server_without_ranges_sends_all_of_it_again() {
    let wheel = bytes(200_000);
    let server = breaking(&wheel, false);
    let ground = Ground::new(&server);
    ground.fetch(&asked(&wheel, &server.url("/x"))).unwrap();
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn a_left_half_of_another_file_costs_one_more_download() {
    let wheel = bytes(200_000);
    let body = wheel.clone();
    let server = Server::new(move |seen, stream| match seen.path.as_str() {
        "/x" => serve(seen, stream, &body),
        _ => empty(stream, "404 Not Found"),
    });
    let ground = Ground::new(&server);
    let dir = ground.cache().path().join("fetched");
    ground
        .fetch(&named(&bytes(1)).at_url(address(&server)))
        .unwrap_err();
    std::fs::write(dir.join(format!("{}.part", Digest::of(&wheel))), [7; 1000]).unwrap();
    let fetched = ground.fetch(&asked(&wheel, &server.url("/x"))).unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), wheel);
    let seen = server.seen();
    let of_file = seen.iter().filter(|seen| seen.path == "/x").skip(1);
    let starts: Vec<_> = of_file.map(crate::server::Seen::start).collect();
    assert_eq!(starts, [Some(1000), None]);
}

fn address(server: &Server) -> rvenv::fetch::Address {
    rvenv::fetch::Address::parse(&server.url("/x")).unwrap()
}

#[test]
fn a_file_that_arrived_whole_but_has_no_name_is_not_requested_again() {
    let wheel = bytes(9000);
    let body = wheel.clone();
    let server = Server::new(move |seen, stream| serve(seen, stream, &body));
    let ground = Ground::new(&server);
    for size in [Some(9000), None] {
        let asked = asked(&wheel, &server.url("/x")).sized(size);
        let fetched = ground.fetch(&asked).unwrap();
        let part = ground
            .cache()
            .path()
            .join(format!("fetched/{}.part", fetched.sha256));
        std::fs::rename(&fetched.path, &part).unwrap();
        ground.fetch(&asked).unwrap();
        assert_eq!(server.seen().len(), 1, "{size:?}");
        assert!(!part.exists());
    }
}

#[test]
fn an_answer_that_asks_for_patience_is_asked_again() {
    let wheel = bytes(1000);
    let (body, times) = (wheel.clone(), AtomicUsize::new(0));
    let server = Server::new(
        move |seen, stream| match times.fetch_add(1, Ordering::SeqCst) {
            0 => head(
                stream,
                "503 Busy",
                &["Retry-After: 1".into(), "Content-Length: 0".into()],
            ),
            1 => empty(stream, "429 Too Many Requests"),
            _ => serve(seen, stream, &body),
        },
    );
    let ground = Ground::new(&server);
    let since = Instant::now();
    ground.fetch(&asked(&wheel, &server.url("/x"))).unwrap();
    assert_eq!(server.seen().len(), 3);
    assert!(since.elapsed() >= Duration::from_secs(1));
}

#[test]
fn what_is_slow_but_moves_arrives() {
    let wheel = bytes(40_000);
    let body = wheel.clone();
    let server = Server::new(move |_, stream| {
        head(
            stream,
            "200 OK",
            &[format!("Content-Length: {}", body.len())],
        )?;
        for part in body.chunks(1000) {
            stream.write_all(part)?;
            stream.flush()?;
        }
        Ok(())
    });
    let ground = Ground::new(&server);
    ground.fetch(&asked(&wheel, &server.url("/x"))).unwrap();
}

#[test]
fn several_files_arrive_at_once_the_largest_first() {
    // Each answer waits until all four were requested, so one after the other would never end.
    let waiting = Arc::new((Mutex::new(0), std::sync::Condvar::new()));
    let server = Server::new(move |seen, stream| {
        let (count, changed) = &*waiting;
        let mut count = count.lock().unwrap();
        *count += 1;
        changed.notify_all();
        drop(changed.wait_while(count, |count| *count < 4).unwrap());
        let len: usize = seen.path.trim_start_matches('/').parse().unwrap();
        serve(seen, stream, &bytes(len))
    });
    let ground = Ground::new(&server);
    let lens = [10, 4000, 200, 3000];
    let all: Vec<Asked> = lens
        .iter()
        .map(|len| asked(&bytes(*len), &server.url(&format!("/{len}"))).sized(Some(*len as u64)))
        .collect();
    let last = RefCell::new(None);
    let control = FetchControl {
        progress: &|progress| *last.borrow_mut() = Some(*progress),
        ..FetchControl::default()
    };
    let files = ground.fetcher().fetch(&all, &control).unwrap();
    let read = |file: &rvenv::fetch::Fetched| std::fs::read(&file.path).unwrap().len();
    assert_eq!(files.iter().map(read).collect::<Vec<_>>(), lens);
    let last = last.into_inner().unwrap();
    assert_eq!((last.done, last.total, last.files), (7210, 7210, 4));
}

#[test]
fn one_file_for_two_fetchers_arrives_whole_for_both() {
    let wheel = bytes(500_000);
    let body = wheel.clone();
    let server = Server::new(move |seen, stream| serve(seen, stream, &body));
    let ground = Ground::new(&server);
    let asked = asked(&wheel, &server.url("/x"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let fetched = ground.fetch(&asked).unwrap();
                assert_eq!(std::fs::read(fetched.path).unwrap(), wheel);
            });
        }
    });
    assert_eq!(ground.kept().len(), 1);
}

#[test]
fn an_interrupt_ends_a_silent_download_and_the_next_run_continues_it() {
    let wheel = bytes(200_000);
    let (body, is_first) = (wheel.clone(), AtomicBool::new(true));
    let (sender, silent) = std::sync::mpsc::channel::<()>();
    let silent = Mutex::new(silent);
    let server = Server::new(move |seen, stream| {
        if !is_first.swap(false, Ordering::SeqCst) {
            return serve(seen, stream, &body);
        }
        head(
            stream,
            "200 OK",
            &[format!("Content-Length: {}", body.len())],
        )?;
        stream.write_all(&body[..150_000])?;
        // Silent until the test ends.
        let _is_over = silent.lock().unwrap().recv();
        Ok(())
    });
    let ground = Ground::new(&server);
    let asked = asked(&wheel, &server.url("/x"));
    let done = Cell::new(0);
    let control = FetchControl {
        interrupted: &|| done.get() == 150_000,
        progress: &|progress| done.set(progress.done),
    };
    let since = Instant::now();
    let failed = ground
        .fetcher()
        .fetch(std::slice::from_ref(&asked), &control)
        .unwrap_err();
    assert!(matches!(failed, FetchFailed::Interrupted));
    assert!(since.elapsed() < Duration::from_secs(10));
    let fetched = ground.fetch(&asked).unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), wheel);
    assert_eq!(server.seen()[1].start(), Some(150_000));
    drop(sender);
}

#[test]
fn a_file_is_named_by_its_other_digest_if_it_has_no_sha256() {
    let server = Server::new(|seen, stream| serve(seen, stream, b"abc"));
    let ground = Ground::new(&server);
    let sha384 = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                  8086072ba1e7cc2358baeca134c825a7";
    let asked = Asked::new(WHEEL, Hashes::of([("sha384", sha384)])).unwrap();
    let asked = asked.at_url(address(&server));
    let fetched = ground.fetch(&asked).unwrap();
    assert_eq!(fetched.sha256, Digest::of(b"abc"));
    assert_eq!(ground.fetch(&asked).unwrap().place, "the cache");
}
