//! A relay before a server, which counts requests and bytes.
//!
//! Promises to count what went over the wire in both directions, headers included. What passes
//! through it is not timed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// What the first line of each request ends with.
const END_OF_LINE: &[u8] = b" HTTP/1.1\r\n";

/// What went over the wire.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: u64,
    /// In both directions.
    pub(crate) bytes: u64,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    bytes: AtomicU64,
    is_over: AtomicBool,
}

/// A relay that works until it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
    accepting: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts a relay before a server.
    pub(crate) fn before(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                // A client or a server may close a connection when it likes.
                let _ended = join(stream, server, &shared);
            }
        });
        Ok(Self {
            address,
            counts,
            accepting: Some(accepting),
        })
    }

    /// What went through since the last call.
    pub(crate) fn take(&self) -> Traffic {
        Traffic {
            requests: self.counts.requests.swap(0, Ordering::SeqCst),
            bytes: self.counts.bytes.swap(0, Ordering::SeqCst),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.counts.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

/// Joins a client with the server until one of them ends.
fn join(client: TcpStream, server: SocketAddr, counts: &Arc<Counts>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let back = (server.try_clone()?, client.try_clone()?);
    let (up, down) = (Arc::clone(counts), Arc::clone(counts));
    thread::spawn(move || pass(client, server, &up, true));
    thread::spawn(move || pass(back.0, back.1, &down, false));
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream, counts: &Counts, has_requests: bool) {
    let mut chunk = vec![0; 64 << 10];
    // A line may lie in two chunks.
    let mut seen: Vec<u8> = Vec::new();
    while let Ok(len) = from.read(&mut chunk) {
        let bytes = chunk.get(..len).unwrap_or_default();
        if bytes.is_empty() || to.write_all(bytes).is_err() {
            break;
        }
        counts.bytes.fetch_add(len as u64, Ordering::SeqCst);
        if has_requests {
            seen.extend_from_slice(bytes);
            let lines = seen.windows(END_OF_LINE.len());
            let found = lines.filter(|line| *line == END_OF_LINE).count();
            counts.requests.fetch_add(found as u64, Ordering::SeqCst);
            let kept = seen.len().saturating_sub(END_OF_LINE.len() - 1);
            seen.drain(..kept);
        }
    }
    let _closed = to.shutdown(Shutdown::Write);
}
