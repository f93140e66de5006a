//! A server on loopback that answers as a test says, good or bad, and ends with the test.
//!
//! One request for each connection. A test gives a function from the request to the bytes that are
//! written, so that it can break off, lie or be silent wherever it wants.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The first byte of the wanted range.
    pub(crate) fn start(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.strip_suffix('-')?.parse().ok()
    }
}

/// A server that answers until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// A server that answers each request by this function.
    pub(crate) fn new(
        answer: impl Fn(&Seen, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let (log, over) = (Arc::clone(&seen), Arc::clone(&is_over));
        let answer = Arc::new(answer);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    if let Ok(request) = read(&stream) {
                        log.lock().unwrap().push(request.clone());
                        // The client may have closed the connection.
                        let _written = answer(&request, &mut stream);
                    }
                });
            }
        });
        Self {
            address,
            seen,
            is_over,
            accepting: Some(accepting),
        }
    }

    /// A URL below the server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was requested so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn read(stream: &TcpStream) -> io::Result<Seen> {
    let mut lines = BufReader::new(stream).lines();
    let mut next = || {
        lines
            .next()
            .unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
    };
    let first = next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut headers = Vec::new();
    loop {
        let line = next()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok(Seen {
        method,
        path,
        headers,
    })
}

/// Writes a head: the status, and lines of headers.
pub(crate) fn head(stream: &mut TcpStream, status: &str, headers: &[String]) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for header in headers {
        text.extend([header, "\r\n"]);
    }
    stream.write_all((text + "\r\n").as_bytes())
}

/// Answers with a whole body, or with the part of it that is wanted.
pub(crate) fn serve(seen: &Seen, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let len = bytes.len();
    let tag = "ETag: \"one\"".to_owned();
    match seen.start() {
        Some(start) if start < len => {
            let rest = bytes.get(start..).unwrap_or_default();
            let headers = [
                format!("Content-Length: {}", rest.len()),
                format!("Content-Range: bytes {start}-{}/{len}", len - 1),
                tag,
            ];
            head(stream, "206 Partial Content", &headers)?;
            stream.write_all(rest)
        }
        Some(_) => empty(stream, "416 Range Not Satisfiable"),
        None => {
            head(stream, "200 OK", &[format!("Content-Length: {len}"), tag])?;
            stream.write_all(bytes)
        }
    }
}

/// Answers with a status and no body.
pub(crate) fn empty(stream: &mut TcpStream, status: &str) -> io::Result<()> {
    head(stream, status, &["Content-Length: 0".to_owned()])
}

/// Answers with a body of a kind.
pub(crate) fn page(stream: &mut TcpStream, kind: &str, body: &[u8]) -> io::Result<()> {
    let headers = [
        format!("Content-Type: {kind}"),
        format!("Content-Length: {}", body.len()),
    ];
    head(stream, "200 OK", &headers)?;
    stream.write_all(body)
}

/// Answers with a redirect.
pub(crate) fn redirect(stream: &mut TcpStream, to: &str) -> io::Result<()> {
    let headers = [format!("Location: {to}"), "Content-Length: 0".to_owned()];
    head(stream, "302 Found", &headers)
}
