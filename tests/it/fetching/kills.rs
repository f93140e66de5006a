//! A process that is killed while a file arrives, and how much memory one takes.
//!
//! The process is this test program, with a variable that makes one test a client.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc;

use rvenv::fetch::{Address, Asked, FetchControl, Hashes};
use sha2::{Digest as _, Sha256};

use super::{Ground, WHEEL, asked, bytes};
use crate::server::{Server, head, serve};

/// What the other process fetches: the URL, the digest and the directory of its cache.
const VARIABLE: &str = "RVENV_TEST_FETCH";

fn client(ground: &Ground, url: &str, sha256: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "fetching::kills::another_process", "--nocapture"])
        .env(
            VARIABLE,
            format!("{url} {sha256} {}", ground.place.path().display()),
        )
        .stdout(Stdio::piped());
    command
}

#[test]
fn another_process() {
    let Ok(job) = std::env::var(VARIABLE) else {
        return;
    };
    let words: Vec<_> = job.split(' ').collect();
    let nothing = Server::new(|_, _| Ok(()));
    let mut ground = Ground::new(&nothing);
    ground.place = tempfile::tempdir().unwrap();
    ground.sources.index_url = Some(words[0].into());
    let root = std::path::PathBuf::from(words[2]);
    let asked = Asked::new(WHEEL, Hashes::of([("sha256", words[1])])).unwrap();
    let asked = asked.at_url(Address::parse(words[0]).unwrap());
    let before = peak();
    let fetched = ground
        .fetcher_in(&root)
        .fetch(&[asked], &FetchControl::default());
    assert!(fetched.is_ok(), "{fetched:?}");
    println!("peak {} KiB", peak() - before);
}

/// The most memory that this process had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}

#[test]
fn a_killed_download_is_continued_by_the_next_run() {
    let wheel = bytes(400_000);
    let body = wheel.clone();
    let (sender, half_sent) = mpsc::channel::<()>();
    let sender = Mutex::new(Some(sender));
    let (end, silent) = mpsc::channel::<()>();
    let silent = Mutex::new(silent);
    let server = Server::new(move |seen, stream| {
        let Some(sender) = sender.lock().unwrap().take() else {
            return serve(seen, stream, &body);
        };
        head(
            stream,
            "200 OK",
            &[format!("Content-Length: {}", body.len())],
        )?;
        stream.write_all(&body[..300_000])?;
        drop(sender);
        let _is_over = silent.lock().unwrap().recv();
        Ok(())
    });
    let ground = Ground::new(&server);
    let asked = asked(&wheel, &server.url("/x"));
    let digest = rvenv_journal::Digest::of(&wheel).to_string();
    let mut child = client(&ground, &server.url("/x"), &digest).spawn().unwrap();
    let _is_over = half_sent.recv();
    let part = ground.cache().path().join(format!("fetched/{digest}.part"));
    while std::fs::metadata(&part).map_or(0, |meta| meta.len()) < 300_000 {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let fetched = ground.fetch(&asked).unwrap();
    assert_eq!(std::fs::read(fetched.path).unwrap(), wheel);
    assert_eq!(server.seen()[1].start(), Some(300_000));
    assert_eq!(ground.kept().len(), 1);
    drop(end);
}

#[test]
fn a_large_file_is_never_in_memory() {
    static PIECE: [u8; 1 << 20] = [7; 1 << 20];
    const PIECES: usize = 48;
    let mut hash = Sha256::new();
    (0..PIECES).for_each(|_| hash.update(PIECE.as_slice()));
    let digest = hash.finalize();
    let digest = digest
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let server = Server::new(|_, stream| {
        head(stream, "200 OK", &[])?;
        (0..PIECES).try_for_each(|_| stream.write_all(&PIECE))
    });
    let ground = Ground::new(&server);
    let mut child = client(&ground, &server.url("/x"), &digest).spawn().unwrap();
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let peak = text
        .split("peak ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let peak: u64 = peak.unwrap().parse().unwrap();
    if peak == 0 {
        println!("skipped: this system does not report the memory of a process");
        return;
    }
    assert!(peak < 16 << 10, "{peak} KiB more than before");
}
