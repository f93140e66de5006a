//! A real registry on loopback, `docker-registry` of Debian, which ends with the test; and a proxy
//! that can break off, lie and count between it and the command.
//!
//! The registry has its own configuration and storage in a scratch directory, takes a free port,
//! and is ended by its process id. Without the program, a test is skipped.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rvenv_journal::Digest;
use tempfile::TempDir;

/// How long the registry may take to answer after its start.
const START: Duration = Duration::from_secs(30);
/// How often the test looks whether it does.
const TICK: Duration = Duration::from_millis(10);

/// The registry that the head of this file describes.
pub(crate) struct Registry {
    place: TempDir,
    pub(crate) storage: PathBuf,
    child: Option<Child>,
    pub(crate) address: SocketAddr,
}

/// Starts a registry; prints a message if there is none.
pub(crate) fn registry() -> Option<Registry> {
    registry_with("")
}

/// How a registry is set up; each part is lines of its configuration.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    pub(crate) more: &'a str,
    /// Lines below `http`.
    pub(crate) http: &'a str,
    /// Where it keeps everything, if not in a directory of its own.
    pub(crate) storage: Option<PathBuf>,
}

/// Starts a registry with more lines of configuration.
pub(crate) fn registry_with(more: &str) -> Option<Registry> {
    registry_of(Setup {
        more,
        ..Setup::default()
    })
}

/// Starts a registry that is set up like this.
pub(crate) fn registry_of(setup: Setup<'_>) -> Option<Registry> {
    let program = which("docker-registry")?;
    let place = tempfile::tempdir().unwrap();
    // The registry cannot say which port it took. Should another process take this one first, the
    // registry ends, and the test fails.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let storage = setup.storage;
    let storage = storage.unwrap_or_else(|| place.path().join("storage"));
    let text = format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  \
         delete:\n    enabled: true\n  filesystem:\n    rootdirectory: {}\n{}\nhttp:\n  addr: \
         {address}\n  secret: of-this-test\n{}\n",
        storage.display(),
        setup.more,
        setup.http,
    );
    fs::write(place.path().join("config.yml"), text).unwrap();
    let mut registry = Registry {
        place,
        storage,
        child: None,
        address,
    };
    registry.start_as(&program);
    Some(registry)
}

/// The path of a program, which is in a directory of Debian's that PATH may lack.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::env::split_paths(&path).map(|dir| dir.join(program));
    let found = all.find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: no {program} on this machine");
    }
    found
}

impl Registry {
    fn start_as(&mut self, program: &Path) {
        let config = self.place.path().join("config.yml");
        let child = Command::new(program)
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.place.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let since = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            let log = || fs::read_to_string(self.place.path().join("log")).unwrap();
            assert!(ended.is_none(), "{}", log());
            assert!(since.elapsed() < START, "the registry does not answer");
            thread::sleep(TICK);
        }
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again with the same storage.
    pub(crate) fn start_again(&mut self) {
        let program = which("docker-registry").unwrap();
        self.start_as(&program);
    }

    /// Deletes what no manifest names. It must not run meanwhile.
    pub(crate) fn collect_garbage(&self) {
        assert!(self.child.is_none());
        let program = which("docker-registry").unwrap();
        let mut command = Command::new(program);
        command.arg("garbage-collect").arg(self.config());
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.place.path().join("config.yml")
    }

    /// `oci://HOST:PORT/` and this.
    pub(crate) fn oci(&self, rest: &str) -> String {
        format!("oci://{}/{rest}", self.address)
    }

    /// The file with the bytes of a blob.
    pub(crate) fn blob_file(&self, digest: Digest) -> PathBuf {
        let digits = digest.to_string();
        self.storage.join(format!(
            "docker/registry/v2/blobs/sha256/{}/{digits}/data",
            &digits[..2]
        ))
    }

    /// Waits until it has a blob: a mirror keeps it after it has passed it on.
    pub(crate) fn await_blob(&self, digest: Digest) {
        let since = Instant::now();
        while !self.blob_file(digest).exists() {
            assert!(since.elapsed() < START, "the mirror does not keep {digest}");
            thread::sleep(TICK);
        }
    }

    /// Puts a blob into a repository, as another tool would.
    pub(crate) fn put_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let began = request(
            self.address,
            &format!("POST /v2/{repository}/blobs/uploads/"),
            b"",
        );
        let location = began.header("location").unwrap();
        let path = &location[location.find("/v2/").unwrap()..];
        let put = format!("PUT {path}&digest=sha256:{digest}");
        let ended = request(self.address, &put, bytes);
        assert_eq!(ended.status, 201, "{ended:?}");
        digest
    }

    /// Deletes the manifest with this digest.
    pub(crate) fn delete_manifest(&self, repository: &str, digest: &str) {
        let line = format!("DELETE /v2/{repository}/manifests/{digest}");
        let done = request(self.address, &line, b"");
        assert_eq!(done.status, 202, "{done:?}");
    }

    /// Puts a manifest into a repository, as another tool would.
    pub(crate) fn put_manifest(&self, repository: &str, kind: &str, bytes: &[u8]) {
        let line = format!(
            "PUT /v2/{repository}/manifests/sha256:{}",
            Digest::of(bytes)
        );
        let done = send(
            self.address,
            &line,
            &format!("Content-Type: {kind}\r\n"),
            bytes,
        );
        assert_eq!(done.status, 201, "{done:?}");
    }

    /// What a request answers.
    pub(crate) fn get(&self, path: &str, accept: &str) -> Answer {
        let line = format!("GET {path}");
        send(self.address, &line, &format!("Accept: {accept}\r\n"), b"")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A request or an answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// An answer that the registry did not give.
    pub(crate) fn new(status: &str, headers: &str, body: &[u8]) -> Self {
        Self {
            status: status[..3].parse().unwrap(),
            head: format!(
                "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n",
                body.len()
            ),
            body: body.to_vec(),
        }
    }
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// Puts a manifest at a path of a registry, as another tool would.
pub(crate) fn put_manifest(to: SocketAddr, path: &str, kind: &str, bytes: &[u8]) {
    let line = format!("PUT {path}");
    let done = send(to, &line, &format!("Content-Type: {kind}\r\n"), bytes);
    assert_eq!(done.status, 201, "{done:?}");
}

fn request(to: SocketAddr, line: &str, body: &[u8]) -> Answer {
    send(to, line, "", body)
}

fn send(to: SocketAddr, line: &str, headers: &str, body: &[u8]) -> Answer {
    let head = format!(
        "{line} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}",
        body.len()
    );
    pass(to, &head, body).unwrap()
}

/// Sends a request and reads all of the answer.
fn pass(to: SocketAddr, head: &str, body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(to)?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    stream.write_all(body)?;
    let is_head = head.starts_with("HEAD ");
    read(&mut stream, is_head, true).map(|(head, body)| Answer {
        status: head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0),
        head,
        body,
    })
}

/// Reads a head, without the empty line at its end.
pub(crate) fn head_of(stream: &mut TcpStream) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    head.truncate(head.len() - 2);
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Reads a head and the body that follows it.
fn read(stream: &mut TcpStream, is_head: bool, is_answer: bool) -> io::Result<(String, Vec<u8>)> {
    let head = head_of(stream)?;
    let mut body = Vec::new();
    let len = header(&head, "content-length").and_then(|len| len.parse::<usize>().ok());
    match len {
        _ if is_head => {}
        Some(len) => {
            body.resize(len, 0);
            stream.read_exact(&mut body)?;
        }
        None if is_answer => {
            let mut all = Vec::new();
            stream.read_to_end(&mut all)?;
            let is_chunked = header(&head, "transfer-encoding").is_some();
            body = if is_chunked { joined(&all) } else { all };
        }
        None => {}
    }
    Ok((head, body))
}

/// The bytes of a body in chunks.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let (line, after) = rest.split_at(end);
        let len = std::str::from_utf8(line).unwrap();
        let len = usize::from_str_radix(len, 16).unwrap();
        let (chunk, after) = after.split_at(2).1.split_at(len);
        all.extend(chunk);
        rest = after.split_at(2).1;
        if len == 0 {
            break;
        }
    }
    all
}

/// A request that went through the proxy.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    pub(crate) line: String,
    pub(crate) head: String,
    /// The bytes of the request's body.
    pub(crate) sent: usize,
    pub(crate) status: u16,
    /// The bytes of the answer's body that were written.
    pub(crate) received: usize,
}

impl Passed {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Whether it asks for this below a repository.
    pub(crate) fn is(&self, method: &str, part: &str) -> bool {
        self.line.starts_with(&format!("{method} ")) && self.line.contains(part)
    }
}

/// What the proxy does with an answer.
pub(crate) enum Pass {
    /// Passes it on.
    On,
    /// Passes on so many bytes of the body, and closes the connection.
    Part(usize),
    /// Closes the connection.
    Broken,
    /// Answers something else.
    Other(Answer),
}

/// A proxy that passes requests on until it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Passed>>>,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// What decides about requests and answers.
struct Rules {
    guard: Box<Guard>,
    tamper: Box<Tamper>,
}

/// What is done with a request that the registry does not see.
type Guard = dyn Fn(&Passed) -> Option<Pass> + Send + Sync;
/// What decides about an answer.
type Tamper = dyn Fn(&Passed, &Answer) -> Pass + Send + Sync;

impl Proxy {
    /// A proxy before a registry that does what this function says.
    pub(crate) fn new(
        to: SocketAddr,
        tamper: impl Fn(&Passed, &Answer) -> Pass + Send + Sync + 'static,
    ) -> Self {
        Self::with(
            to,
            Rules {
                guard: Box::new(|_| None),
                tamper: Box::new(tamper),
            },
        )
    }

    /// A proxy that closes the connections of these requests, by their first lines, before the
    /// registry sees anything of them.
    pub(crate) fn refusing(
        to: SocketAddr,
        is_refused: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::guarded(to, move |passed| {
            is_refused(&passed.line).then_some(Pass::Broken)
        })
    }

    /// A proxy that answers some requests itself, before the registry sees anything of them.
    pub(crate) fn guarded(
        to: SocketAddr,
        guard: impl Fn(&Passed) -> Option<Pass> + Send + Sync + 'static,
    ) -> Self {
        Self::with(
            to,
            Rules {
                guard: Box::new(guard),
                tamper: Box::new(|_, _| Pass::On),
            },
        )
    }

    fn with(to: SocketAddr, rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Passed>>> = Arc::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let (log, over, rules) = (Arc::clone(&seen), Arc::clone(&is_over), Arc::new(rules));
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (log, rules) = (Arc::clone(&log), Arc::clone(&rules));
                let mut stream = stream.unwrap();
                // Either side may have closed its connection.
                thread::spawn(move || drop(passed(&mut stream, to, &log, &rules)));
            }
        });
        Self {
            address,
            seen,
            is_over,
            accepting: Some(accepting),
        }
    }

    /// `oci://HOST:PORT/` and this.
    pub(crate) fn oci(&self, rest: &str) -> String {
        format!("oci://{}/{rest}", self.address)
    }

    /// What went through so far.
    pub(crate) fn seen(&self) -> Vec<Passed> {
        self.seen.lock().unwrap().clone()
    }

    /// Forgets what went through.
    pub(crate) fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

/// Serves one connection, with one request.
fn passed(
    stream: &mut TcpStream,
    to: SocketAddr,
    log: &Mutex<Vec<Passed>>,
    rules: &Rules,
) -> io::Result<()> {
    let (head, sent) = read(stream, false, false)?;
    let lines = head.lines().filter(|line| {
        let is_of_connection = line.to_ascii_lowercase().starts_with("connection:");
        !is_of_connection
    });
    let lines: Vec<&str> = lines.collect();
    let for_upstream = lines.join("\r\n") + "\r\nConnection: close\r\n";
    let mut one = Passed {
        line: lines.first().copied().unwrap_or_default().to_owned(),
        head: head.clone(),
        sent: sent.len(),
        status: 0,
        received: 0,
    };
    let (done, answer) = match (rules.guard)(&one) {
        Some(Pass::Broken) => return Ok(()),
        Some(done) => (done, Answer::new("200 OK", "", b"")),
        None => {
            // A registry that was killed answers nothing.
            let answer = pass(to, &for_upstream, &sent)?;
            one.status = answer.status;
            ((rules.tamper)(&one, &answer), answer)
        }
    };
    let (head, body) = match &done {
        Pass::On => (whole(&answer), &answer.body[..]),
        Pass::Broken => (String::new(), &[][..]),
        Pass::Part(len) => (
            whole(&answer),
            answer.body.get(..*len).unwrap_or(&answer.body),
        ),
        Pass::Other(other) => {
            one.status = other.status;
            (other.head.clone(), &other.body[..])
        }
    };
    one.received = body.len();
    log.lock().unwrap().push(one);
    if matches!(done, Pass::Broken) {
        return Ok(());
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    stream.write_all(body)
}

/// The head of an answer whose body has no chunks any more.
fn whole(answer: &Answer) -> String {
    let is_kept = |line: &&str| !line.to_ascii_lowercase().starts_with("transfer-encoding:");
    let lines: Vec<&str> = answer.head.lines().filter(is_kept).collect();
    let mut head = lines.join("\r\n") + "\r\n";
    if answer.header("content-length").is_none() {
        head.extend([format!("Content-Length: {}\r\n", answer.body.len())]);
    }
    head
}
