//! A relay before a registry: it passes bodies on as they arrive, and writes down which bytes of
//! which blob reached the client. A test can kill the registry in the middle of one.
//!
//! One request for each connection, and only requests without a body.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::registry::{head_of, header};

const CHUNK_BYTES: usize = 64 << 10;

/// Bytes of a body that reached the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) path: String,
    /// The first of them.
    pub(crate) start: u64,
    pub(crate) len: u64,
}

/// A relay that ends with the test.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    passed: Arc<Mutex<Vec<Stretch>>>,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Relay {
    /// A relay that calls `each` before it passes some bytes on, with those before them.
    pub(crate) fn new(
        listener: TcpListener,
        to: SocketAddr,
        each: impl Fn(&Stretch) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let passed: Arc<Mutex<Vec<Stretch>>> = Arc::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let (log, over, each) = (Arc::clone(&passed), Arc::clone(&is_over), Arc::new(each));
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (log, each) = (Arc::clone(&log), Arc::clone(&each));
                let stream = stream.unwrap();
                // Either side may have closed its connection.
                thread::spawn(move || drop(pass(stream, to, &log, each.as_ref())));
            }
        });
        Self {
            address,
            passed,
            is_over,
            accepting: Some(accepting),
        }
    }

    /// What reached the client so far, in the order in which the bodies ended.
    pub(crate) fn passed(&self) -> Vec<Stretch> {
        self.passed.lock().unwrap().clone()
    }

    /// Ends it; `wake` connects to it once.
    pub(crate) fn end(&mut self, wake: impl FnOnce(SocketAddr)) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(accepting) = self.accepting.take() {
            wake(self.address);
            drop(accepting.join());
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end(|address| drop(TcpStream::connect(address)));
    }
}

fn pass(
    mut client: TcpStream,
    to: SocketAddr,
    log: &Mutex<Vec<Stretch>>,
    each: &(impl Fn(&Stretch) + ?Sized),
) -> io::Result<()> {
    let head = head_of(&mut client)?;
    let mut registry = TcpStream::connect(to)?;
    registry.write_all(closing(&head).as_bytes())?;
    let answer = head_of(&mut registry)?;
    client.write_all(closing(&answer).as_bytes())?;
    let range = header(&answer, "content-range").and_then(|range| range.strip_prefix("bytes "));
    let start = range.and_then(|range| range.split('-').next()?.parse().ok());
    let mut stretch = Stretch {
        path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
        start: start.unwrap_or(0),
        len: 0,
    };
    let mut chunk = vec![0; CHUNK_BYTES];
    let ended = loop {
        each(&stretch);
        let len = match registry.read(&mut chunk) {
            Ok(0) => break Ok(()),
            Ok(len) => len,
            Err(error) => break Err(error),
        };
        if let Err(error) = client.write_all(chunk.get(..len).unwrap_or_default()) {
            break Err(error);
        }
        stretch.len += len as u64;
    };
    log.lock().unwrap().push(stretch);
    ended
}

/// A head after which the connection is closed.
fn closing(head: &str) -> String {
    let is_kept = |line: &&str| !line.to_ascii_lowercase().starts_with("connection:");
    let lines: Vec<&str> = head.lines().filter(is_kept).collect();
    lines.join("\r\n") + "\r\nConnection: close\r\n\r\n"
}
