//! Progress of downloads: by files and bytes and with a bar, on a terminal only.
//!
//! The server sends the second half of a wheel once the first half is shown, so that nothing waits
//! for a time.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::locks::bench;
use super::progress::is_there;
use crate::server::{Server, head};

const SHOWN: &str = "Fetching wheels: 0 of 1, ";
/// A bar that is neither empty nor full.
const BAR: [&str; 2] = [" MB [=", "=>  "];

#[test]
fn a_download_is_shown_by_bytes_on_a_terminal_and_nowhere_else() {
    if !is_there() {
        return;
    }
    let Some(bench) = bench() else { return };
    let bytes = fs::read(bench.house.join("alpha-1.0-py3-none-any.whl")).unwrap();
    let size = bytes.len();
    let (seen, is_seen) = channel::<()>();
    let is_seen = Arc::new(Mutex::new(Some(is_seen)));
    let server = Server::new(move |_, stream| {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        head(
            stream,
            "200 OK",
            &[format!("Content-Length: {}", bytes.len())],
        )?;
        stream.write_all(first)?;
        stream.flush()?;
        // Only the first command is at a terminal.
        if let Some(is_seen) = is_seen.lock().unwrap().take() {
            let _shown = is_seen.recv_timeout(Duration::from_mins(1));
        }
        stream.write_all(second)
    });
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    let text = fs::read_to_string(&lock).unwrap();
    let at = format!("http://{}/", server.address);
    let text = text.replace("https://files.invalid/", &at);
    // Where a lock has no size, no bar is shown.
    fs::write(
        &lock,
        text.replace("hashes =", &format!("size = {size}, hashes =")),
    )
    .unwrap();
    let words = |env: &str| {
        let python = bench.python.to_str().unwrap();
        let words = [
            "create",
            env,
            "-p",
            python,
            "--without-pip",
            "--no-index",
            "-r",
        ];
        let more = [lock.to_str().unwrap(), "--allow-host", "127.0.0.1"];
        [&words[..], &more].concat().join(" ")
    };
    let mut command = bench.scratch.program("script".as_ref(), "022");
    let rvenv = env!("CARGO_BIN_EXE_rvenv");
    let typed = format!("{rvenv} {}", words("E"));
    command
        .args(["-qec", &typed, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    let mut terminal = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = terminal.stdout.take().unwrap();
    let (mut text, mut chunk) = (String::new(), [0; 256]);
    while let Ok(len @ 1..) = output.read(&mut chunk) {
        text += &String::from_utf8_lossy(&chunk[..len]);
        if BAR.iter().all(|bar| text.contains(bar)) {
            let _not_twice = seen.send(());
        }
    }
    assert!(terminal.wait().unwrap().success(), "{text}");
    let is_shown = text.contains(SHOWN) && BAR.iter().all(|bar| text.contains(bar));
    assert!(is_shown, "{text}");
    fs::remove_dir_all(bench.scratch.cache().join("fetched")).unwrap();
    let typed = words("F");
    let ended = bench.scratch.rvenv(&typed.split(' ').collect::<Vec<_>>());
    assert!(!ended.stderr.contains("Fetching"), "{}", ended.stderr);
    ended.ok();
}
