//! Two processes: one serves the disk, the other works on it.
//!
//! The process that serves a disk must never wait for it: killed while it waits, it could not end,
//! and neither could the disk. So the test itself serves, and starts itself again in a new mount
//! namespace, where a second process mounts the disk and does everything else. The second process
//! sends requests to the first, one per line over a socket. The filesystem is not in the namespace
//! of the serving process, because a namespace is unmounted before the descriptors of its last
//! process close.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::powercut::cut::Cut;
use crate::powercut::disk::Disk;
use crate::powercut::fuse;

/// Holds the path of the socket in the process that works on the disk.
const SOCKET: &str = "RVENV_POWERCUT_SOCKET";
/// How long an unused disk may take to disappear.
const PATIENCE: Duration = Duration::from_secs(20);

/// The socket, in the process that works on a disk.
pub(crate) fn socket() -> Option<PathBuf> {
    std::env::var_os(SOCKET).map(PathBuf::from)
}

/// Runs the test of this name again, in its own mount namespace, with a disk to work on.
pub(crate) fn serve(test: &str, size: u64) {
    let device = File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let socket = scratch.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let (said, saying) = std::io::pipe().unwrap();
    let mut worker = Command::new("unshare")
        .args(["-m", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("powercut::{test}"), "--nocapture"])
        .env(SOCKET, &socket)
        .stdin(Stdio::from(device.try_clone().unwrap()))
        .stdout(saying.try_clone().unwrap())
        .stderr(saying)
        .spawn()
        .unwrap();
    let disk = Arc::new(Mutex::new(Disk::blank(size)));
    let (ended, end) = mpsc::channel();
    thread::spawn(move || listen(&listener, device, &disk, ended));
    let mut has_passed = false;
    for line in BufReader::new(said).lines() {
        let line = line.unwrap();
        has_passed |= line.contains("1 passed");
        let is_output = !line.is_empty() && !line.starts_with("running ");
        if is_output && !line.starts_with("test ") {
            println!("{line}");
        }
    }
    let status = worker.wait().unwrap();
    // A process that skipped has not connected.
    drop(UnixStream::connect(&socket));
    let has_ended = end.recv_timeout(PATIENCE).is_ok();
    assert!(status.success() && has_passed, "{status}, see above");
    assert!(has_ended, "the disk is still in use");
}

/// Serves the disk from the moment when the other process has mounted it.
fn listen(listener: &UnixListener, device: File, disk: &Arc<Mutex<Disk>>, ended: Sender<()>) {
    let (mut stream, _) = listener.accept().unwrap();
    let served = Arc::clone(disk);
    thread::spawn(move || {
        fuse::serve(&device, &served);
        // No receiver exists if the test has failed already.
        ended.send(()).ok();
    });
    let requests = BufReader::new(stream.try_clone().unwrap());
    for request in requests.lines().map_while(Result::ok) {
        let (verb, what) = request.split_once(' ').unwrap_or((&request, ""));
        let mut disk = disk.lock().unwrap();
        match verb {
            "blank" => *disk = Disk::blank(disk.size),
            "keep" => disk.keep(),
            "record" => disk.record(),
            "mark" => disk.mark(what),
            "save" => disk.save(Path::new(what)),
            "load" => disk.load(Path::new(what)),
            "cut" => disk.cut(&what.parse().unwrap()),
            _ => panic!("unknown request `{request}`"),
        }
        if stream.write_all(b"done\n").is_err() {
            return;
        }
    }
}

/// The requests to the process that serves the disk.
#[derive(Debug)]
pub(crate) struct Requests(RefCell<BufReader<UnixStream>>);

impl Requests {
    /// Starts to serve the disk; its file must be mounted already.
    pub(crate) fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        Self(RefCell::new(BufReader::new(stream)))
    }

    fn ask(&self, request: &str) {
        let mut reader = self.0.borrow_mut();
        writeln!(reader.get_mut(), "{request}").unwrap();
        let mut answer = String::new();
        reader.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n", "{request}");
    }

    /// Makes the disk empty.
    pub(crate) fn blank(&self) {
        self.ask("blank");
    }

    /// Makes the current state the start of recordings.
    pub(crate) fn keep(&self) {
        self.ask("keep");
    }

    /// Returns to the kept state, and records.
    pub(crate) fn record(&self) {
        self.ask("record");
    }

    pub(crate) fn mark(&self, name: &str) {
        self.ask(&format!("mark {name}"));
    }

    pub(crate) fn save(&self, dir: &Path) {
        self.ask(&format!("save {}", dir.display()));
    }

    pub(crate) fn load(&self, dir: &Path) {
        self.ask(&format!("load {}", dir.display()));
    }

    pub(crate) fn cut(&self, cut: &Cut) {
        self.ask(&format!("cut {cut}"));
    }
}
