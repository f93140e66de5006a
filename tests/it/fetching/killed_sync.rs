//! `rvenv sync` that is killed while the wheels of its lock arrive.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};

use rvenv_journal::Digest;

use super::walk;
use crate::machine::{Scratch, any_python, ended};
use crate::packages::index;
use crate::server::{Seen, Server, empty, head, serve};
use crate::trees::{Sameness, compare, look};

/// A wheel that the server has.
#[derive(Clone)]
struct Wheel {
    name: &'static str,
    file: String,
    bytes: Vec<u8>,
    digest: Digest,
}

impl Wheel {
    fn new(house: &Path, name: &'static str) -> Self {
        let file = format!("{name}-1.0-py3-none-any.whl");
        let bytes = fs::read(house.join(&file)).unwrap();
        let digest = Digest::of(&bytes);
        Self {
            name,
            file,
            bytes,
            digest,
        }
    }

    /// Its path below the directory of fetched wheels.
    fn kept(&self) -> PathBuf {
        Path::new(&self.digest.to_string()).join(&self.file)
    }

    /// The path of what is arriving.
    fn part(&self) -> PathBuf {
        PathBuf::from(format!("{}.part", self.digest))
    }
}

/// The environment `E`, a lock of two wheels, and a server that has them: it sends the first half
/// of the second wheel and is silent, and later all that is wanted.
struct Shop {
    scratch: Scratch,
    server: Server,
    wheels: [Wheel; 2],
    half: usize,
    /// The silence ends with it.
    _silence: Sender<()>,
}

fn shop() -> Option<Shop> {
    let python = any_python()?;
    let scratch = Scratch::new();
    let path = python.path.to_str().unwrap();
    let create = ["create", "E", "--without-pip", "--python", path];
    scratch.rvenv(&create).ok();
    let releases = [("alpha", "1.0"), ("beta", "1.0")];
    let house = index(&scratch, &python.path, &releases);
    let wheels = ["alpha", "beta"].map(|name| Wheel::new(&house, name));
    let half = wheels[1].bytes.len() / 2;
    let (silence, silent) = mpsc::channel();
    let silent = Mutex::new(Some(silent));
    let copies = wheels.clone();
    let server = Server::new(move |seen, stream| {
        let mut copies = copies.iter();
        let Some(wheel) = copies.find(|wheel| seen.path == format!("/{}", wheel.file)) else {
            return empty(stream, "404 Not Found");
        };
        let is_second = wheel.name == "beta";
        let silent = is_second.then(|| silent.lock().unwrap().take());
        let Some(silent) = silent.flatten() else {
            return serve(seen, stream, &wheel.bytes);
        };
        let headers = [format!("Content-Length: {}", wheel.bytes.len())];
        head(stream, "200 OK", &headers)?;
        stream.write_all(&wheel.bytes[..half])?;
        let _is_over = silent.recv();
        Ok(())
    });
    let packages = wheels.each_ref().map(
        |Wheel {
             name, file, digest, ..
         }| {
            let url = server.url(&format!("/{file}"));
            format!(
                "{{ name = '{name}', version = '1.0', wheels = [{{ url = '{url}', \
             hashes = {{ sha256 = '{digest}' }} }}] }},\n"
            )
        },
    );
    let packages = packages.concat();
    let lock = format!("lock-version = '1.0'\ncreated-by = 'hand'\npackages = [\n{packages}]\n");
    fs::write(scratch.path("pylock.toml"), lock).unwrap();
    Some(Shop {
        scratch,
        server,
        wheels,
        half,
        _silence: silence,
    })
}

impl Shop {
    fn sync(&self) -> Command {
        let url = self.server.url("/simple/");
        let words = [
            "sync",
            "--env",
            "E",
            "-r",
            "pylock.toml",
            "--index-url",
            &url,
        ];
        let mut command = self.scratch.command(&words);
        command.env_remove("PIP_NO_INDEX");
        command
    }

    fn fetched(&self) -> PathBuf {
        self.scratch.cache().join("fetched")
    }

    /// The paths of the files that were fetched, or are arriving.
    fn kept(&self) -> Vec<PathBuf> {
        let (root, mut kept) = (self.fetched(), Vec::new());
        walk(&root, &mut kept);
        let below = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_owned();
        let mut kept: Vec<_> = kept.iter().map(below).collect();
        kept.sort();
        kept
    }

    /// From which byte each request wanted a wheel.
    fn starts(&self, wheel: &Wheel) -> Vec<Option<usize>> {
        let seen = self.server.seen();
        let of_wheel = seen.iter().filter(|seen| seen.path.contains(wheel.name));
        of_wheel.map(Seen::start).collect()
    }
}

fn sorted<const N: usize>(mut paths: [PathBuf; N]) -> [PathBuf; N] {
    paths.sort();
    paths
}

/// Until everything has arrived, nothing of the environment is touched; what arrived is not fetched
/// twice.
#[test]
fn a_sync_that_is_killed_while_it_downloads_is_continued_by_the_next_one() {
    let Some(shop) = shop() else { return };
    let [alpha, beta] = &shop.wheels;
    let env = shop.scratch.path("E");
    let before = look(&env);
    let mut child = shop.sync().stderr(Stdio::null()).spawn().unwrap();
    let len = |path: &Path| fs::metadata(shop.fetched().join(path)).map_or(0, |meta| meta.len());
    while len(&beta.part()) < shop.half as u64 || len(&alpha.kept()) == 0 {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended before the kill: {ended:?}");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    compare(&before, &look(&env), Sameness::Exact).unwrap();
    assert_eq!(shop.kept(), sorted([alpha.kept(), beta.part()]));

    ended(&mut shop.sync()).ok();
    assert_eq!(shop.starts(alpha), [None]);
    assert_eq!(shop.starts(beta), [None, Some(shop.half)]);
    assert_eq!(shop.kept(), sorted([alpha.kept(), beta.kept()]));
    for name in ["alpha", "beta"] {
        let said = shop.scratch.run::<&str>(&env.join("bin").join(name), &[]);
        assert_eq!(said.ok(), format!("{name} 1.0\n"));
    }
    let count = shop.server.seen().len();
    let again = ended(&mut shop.sync());
    assert!(again.stderr.contains("no changes"), "{again:?}");
    assert_eq!(shop.server.seen().len(), count);
}
