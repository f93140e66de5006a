//! A package index on loopback, as one that people use serves: a page for each project, in JSON
//! (PEP 691) or HTML (PEP 503), metadata beside the wheels (PEP 658), ranges, connections that stay
//! open, and answers that say how long a cache may keep them. Locks are there too.
//!
//! Promises to hold everything in memory before the first request, so that no disk is measured; and
//! to end with the bench.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rvenv_journal::Digest;

use super::wheels::Wheels;

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// Bodies by their paths.
#[derive(Debug, Default)]
struct Bodies {
    files: BTreeMap<String, Vec<u8>>,
    /// Pages of projects, as JSON and as HTML.
    pages: BTreeMap<String, [Vec<u8>; 2]>,
    /// Locks, in which `HOST` is the server that is asked.
    locks: Mutex<BTreeMap<String, String>>,
}

/// An index that answers until it is dropped.
#[derive(Debug)]
pub(crate) struct Index {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
    bodies: Arc<Bodies>,
}

/// What a lock of the index has in place of a server.
const HOST: &str = "HOST";

impl Index {
    /// Serves all wheels of a directory.
    pub(crate) fn start(wheels: &Wheels) -> io::Result<Self> {
        let bodies = Arc::new(Bodies::read(wheels)?);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let shared = Arc::clone(&bodies);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let bodies = Arc::clone(&shared);
                thread::spawn(move || {
                    // The client closes a connection when it likes.
                    let _ended = answer_all(&bodies, stream);
                });
            }
        });
        Ok(Self {
            address,
            is_over,
            accepting: Some(accepting),
            bodies,
        })
    }

    /// Keeps a lock that was made with the URL of the index.
    pub(crate) fn keep_lock(&self, name: &str, text: &str) {
        let text = text.replace(&self.address.to_string(), HOST);
        self.bodies.locks().insert(format!("/locks/{name}"), text);
    }

    /// A lock, as it is got from this address.
    pub(crate) fn lock(&self, name: &str, address: SocketAddr) -> Option<String> {
        let text = self.bodies.locks().get(&format!("/locks/{name}")).cloned();
        text.map(|text| text.replace(HOST, &address.to_string()))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the index.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/simple/", self.address)
    }

    /// The URL below which the wheels are.
    pub(crate) fn files(&self) -> String {
        format!("http://{}/files", self.address)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

impl Bodies {
    fn read(wheels: &Wheels) -> io::Result<Self> {
        let mut bodies = Self::default();
        let mut projects: BTreeMap<String, Vec<Offer>> = BTreeMap::new();
        for entry in fs::read_dir(&wheels.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let metadata = fs::read(wheels.metadata.join(&name))?;
            let wheel = fs::read(entry.path())?;
            let project = name.split('-').next().unwrap_or_default();
            let project = project.replace('_', "-");
            let offer = Offer {
                wheel: Digest::of(&wheel),
                len: wheel.len(),
                metadata: Digest::of(&metadata),
                name,
            };
            let path = format!("/files/{}", offer.name);
            bodies.files.insert(format!("{path}.metadata"), metadata);
            bodies.files.insert(path, wheel);
            projects.entry(project).or_default().push(offer);
        }
        for (project, offers) in projects {
            let page = [json(&project, &offers), html(&offers)].map(String::into_bytes);
            bodies.pages.insert(format!("/simple/{project}/"), page);
        }
        Ok(bodies)
    }

    fn locks(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wheel as a page names it.
struct Offer {
    name: String,
    len: usize,
    wheel: Digest,
    metadata: Digest,
}

fn json(project: &str, offers: &[Offer]) -> String {
    let files = offers.iter().map(|offer| {
        let Offer {
            name,
            len,
            wheel,
            metadata,
        } = offer;
        format!(
            r#"{{"filename": "{name}", "url": "/files/{name}", "size": {len},
            "hashes": {{"sha256": "{wheel}"}}, "core-metadata": {{"sha256": "{metadata}"}}}}"#
        )
    });
    let files: Vec<_> = files.collect();
    format!(
        r#"{{"meta": {{"api-version": "1.1"}}, "name": "{project}", "files": [{}]}}"#,
        files.join(",")
    )
}

fn html(offers: &[Offer]) -> String {
    let mut text = "<!DOCTYPE html><html><body>\n".to_owned();
    for offer in offers {
        let Offer {
            name,
            wheel,
            metadata,
            ..
        } = offer;
        let _infallible = writeln!(
            text,
            r#"<a href="/files/{name}#sha256={wheel}"
            data-core-metadata="sha256={metadata}">{name}</a>"#
        );
    }
    text + "</body></html>\n"
}

/// What matters of a request.
#[derive(Debug, Default)]
struct Request {
    is_head: bool,
    path: String,
    takes_json: bool,
    range: Option<String>,
    host: String,
}

fn answer_all(bodies: &Bodies, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = read(&mut reader)? {
        stream.write_all(&answer(bodies, &request))?;
    }
    Ok(())
}

/// The next request of a connection; `None` where the client closed it.
fn read(reader: &mut impl io::BufRead) -> io::Result<Option<Request>> {
    let mut lines = reader.lines();
    let Some(first) = lines.next().transpose()? else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    let mut request = Request {
        is_head: words.next() == Some("HEAD"),
        path: words.next().unwrap_or_default().to_owned(),
        ..Request::default()
    };
    for line in lines {
        let line = line?.to_ascii_lowercase();
        match line.split_once(':') {
            Some(("accept", kinds)) => request.takes_json = kinds.contains(JSON),
            Some(("host", host)) => host.trim().clone_into(&mut request.host),
            Some(("range", range)) => request.range = Some(range.trim().to_owned()),
            Some(_) => {}
            None => break,
        }
    }
    Ok(Some(request))
}

fn answer(bodies: &Bodies, request: &Request) -> Vec<u8> {
    if let Some([json, html]) = bodies.pages.get(&request.path) {
        let (kind, page) = if request.takes_json {
            (JSON, json)
        } else {
            ("text/html", html)
        };
        return whole(
            "200 OK",
            &format!("Content-Type: {kind}\r\nCache-Control: max-age=600, public\r\n"),
            page,
            request,
        );
    }
    if let Some(lock) = bodies.locks().get(&request.path) {
        let lock = lock.replace(HOST, &request.host);
        return whole("200 OK", "", lock.as_bytes(), request);
    }
    let Some(file) = bodies.files.get(&request.path) else {
        return whole("404 Not Found", "", &[], request);
    };
    let ranges = "Accept-Ranges: bytes\r\nContent-Type: application/octet-stream\r\n\
                  Cache-Control: max-age=365000000, immutable, public\r\n";
    let Some(range) = &request.range else {
        return whole("200 OK", ranges, file, request);
    };
    match part(range, file.len()) {
        Some((start, end)) => {
            let about = format!(
                "{ranges}Content-Range: bytes {start}-{}/{}\r\n",
                end - 1,
                file.len()
            );
            let bytes = file.get(start..end).unwrap_or_default();
            whole("206 Partial Content", &about, bytes, request)
        }
        None => whole("416 Range Not Satisfiable", "", &[], request),
    }
}

/// The first byte of a range, and the one after its last.
fn part(range: &str, len: usize) -> Option<(usize, usize)> {
    let (start, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    if start.is_empty() {
        return Some((len.checked_sub(last.parse().ok()?)?, len));
    }
    let start = start.parse().ok()?;
    let end = match last {
        "" => len,
        last => last.parse::<usize>().ok()?.checked_add(1)?.min(len),
    };
    (start < end).then_some((start, end))
}

fn whole(status: &str, headers: &str, body: &[u8], request: &Request) -> Vec<u8> {
    let len = body.len();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {len}\r\n\r\n").into_bytes();
    if !request.is_head {
        bytes.extend_from_slice(body);
    }
    bytes
}
