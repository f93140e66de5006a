//! Where histories happen: the Pythons, a wheelhouse, a cache, and one environment at a time.
//!
//! The wheelhouse, the cache and the interpreters are made once; a history gets an empty directory
//! `place` and begins an environment in it. All that it does is seen in [`Place::shot`] (every file
//! beside and in the environment, without bytecode) and [`Place::look`] (the distributions).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Deserialize;

use super::acts::{Begin, By, Options, Package, Spot, Work};
use crate::machine::{Ended, Python, Scratch, ended, supported, tool};

/// The program that lists distributions, tries to import them, and compares their files.
const LOOK: &str = include_str!("look.py");
/// The program that makes the wheelhouse.
const WHEELS: &str = include_str!("wheels.py");

/// An installed distribution.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) version: String,
    /// Files that are not as RECORD says.
    pub(super) differs: Vec<String>,
    /// Scripts that start no interpreter of this environment.
    pub(super) dead: Vec<String>,
    /// Why it does not import.
    pub(super) fails: Option<String>,
    /// The digest of RECORD.
    pub(super) record: String,
    /// The text of INSTALLER.
    pub(super) installer: String,
}

impl Found {
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    pub(super) fn is_good(&self) -> bool {
        self.differs.is_empty() && self.fails.is_none()
    }
}

/// The distributions of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Look {
    /// Where the interpreter says that it is; `None` where it does not start.
    pub(super) prefix: Option<PathBuf>,
    pub(super) here: Vec<Found>,
    /// Name and version of those below the library of another Python.
    pub(super) lost: Vec<(String, String)>,
}

impl Look {
    pub(super) fn is_there(&self, name: &str) -> bool {
        self.here.iter().any(|found| found.name == name)
    }

    /// Every distribution that exists, also one that does not import.
    pub(super) fn titles(&self) -> Vec<String> {
        let lost = self
            .lost
            .iter()
            .map(|(name, version)| format!("{name} {version}"));
        self.here.iter().map(Found::title).chain(lost).collect()
    }
}

/// One path: mode, time, and content or the target of a link.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Thing {
    mode: u32,
    mtime: (i64, i64),
    pub(super) content: Vec<u8>,
}

/// Every path in the place, but for bytecode.
pub(super) type Shot = BTreeMap<PathBuf, Thing>;

/// The place of a history.
pub(super) struct Place<'a> {
    stock: &'a Stock,
    /// The name of the environment, which `Work::Move` changes.
    pub(super) name: &'static str,
    /// How many markers were written.
    markers: usize,
}

/// What all histories share.
pub(super) struct Stock {
    scratch: Scratch,
    pub(super) pythons: [Python; 2],
    uv: Option<PathBuf>,
    /// Wheels of pip, the older one first.
    pips: [PathBuf; 2],
    skipped: Mutex<bool>,
}

/// A free-threaded Python and `PyPy` need other wheels.
fn serves(python: &Python) -> bool {
    let name = python.path.canonicalize().unwrap();
    let name = name.file_name().unwrap().to_string_lossy().into_owned();
    python.at_least(8) && name.starts_with("python3") && !name.ends_with('t')
}

fn bundled_pip(scratch: &Scratch, python: &Python) -> Option<PathBuf> {
    let code = "import ensurepip, glob, os; \
                print(*glob.glob(os.path.dirname(ensurepip.__file__) + '/_bundled/pip-*.whl'))";
    let said = scratch.run(&python.path, &["-c", code]);
    let path = PathBuf::from(said.stdout.split_whitespace().next()?);
    path.is_file().then_some(path)
}

impl Stock {
    /// Prints why, where this machine lacks something.
    pub(super) fn new() -> Option<Self> {
        let scratch = Scratch::in_memory();
        let mut found: Vec<(Python, PathBuf)> = supported()
            .into_iter()
            .filter(serves)
            .filter_map(|python| bundled_pip(&scratch, &python).map(|pip| (python, pip)))
            .collect();
        found.dedup_by_key(|(python, _)| python.version);
        let (Some((new, new_pip)), Some((old, old_pip))) = (found.pop(), found.pop()) else {
            println!("skipped: no two Pythons with pip on this machine");
            return None;
        };
        let wheels = scratch.path("index");
        fs::create_dir(&wheels).unwrap();
        let code = "import sysconfig; \
                    print(sysconfig.get_platform().replace('-', '_').replace('.', '_'))";
        let platform = scratch.run(&old.path, &["-c", code]).ok();
        let short = |python: &Python| format!("{}{}", python.version.0, python.version.1);
        let [one, other] = [&old, &new].map(short);
        let words = [
            "-c",
            WHEELS,
            wheels.to_str().unwrap(),
            platform.trim(),
            &one,
            &other,
        ];
        scratch.run(&old.path, &words).ok();
        Some(Self {
            uv: tool("uv"),
            scratch,
            pythons: [old, new],
            pips: [old_pip, new_pip],
            skipped: Mutex::new(false),
        })
    }

    fn index(&self) -> String {
        self.scratch.path("index").display().to_string()
    }

    /// Where rvenv finds uv.
    fn search_path(&self) -> OsString {
        let uv = self.uv.as_ref().and_then(|uv| uv.parent());
        let all = uv.into_iter().chain(["/usr/bin", "/bin"].map(Path::new));
        std::env::join_paths(all).unwrap()
    }
}

impl<'a> Place<'a> {
    /// An empty place.
    pub(super) fn new(stock: &'a Stock) -> Self {
        let place = stock.scratch.path("place");
        if place.exists() {
            fs::remove_dir_all(&place).unwrap();
        }
        fs::create_dir(&place).unwrap();
        Self {
            stock,
            name: "E",
            markers: 0,
        }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.stock.scratch.path("place")
    }

    pub(super) fn env(&self) -> PathBuf {
        self.root().join(self.name)
    }

    pub(super) fn python(&self) -> PathBuf {
        self.env().join("bin/python")
    }

    pub(super) fn begin(&self, begin: Begin, first: &[Package]) {
        let (env, python) = (self.env(), &self.stock.pythons[0].path);
        let (env, path) = (env.to_str().unwrap(), python.to_str().unwrap());
        let rvenv = ["create", env, "--python", path, "--durability", "process"];
        let ended = match begin {
            Begin::Rvenv => self.rvenv(&rvenv),
            Begin::Bare => self.rvenv(&[&rvenv[..], &["--without-pip"]].concat()),
            Begin::Venv => self
                .stock
                .scratch
                .run(python, &["-m", "venv", "--without-pip", env]),
            Begin::Uv => match &self.stock.uv {
                Some(uv) => self
                    .stock
                    .scratch
                    .run(uv, &["venv", "-q", "--offline", "-p", path, env]),
                None => return self.begin(Begin::Venv, first),
            },
        };
        ended.ok();
        if !first.is_empty() {
            let wanted: Vec<_> = first
                .iter()
                .map(|package| format!("{}==1.0", package.name()))
                .collect();
            let index = self.stock.index();
            let mut words = vec![
                "--offline",
                "--no-index",
                "--find-links",
                &index,
                "--no-deps",
            ];
            words.extend(wanted.iter().map(String::as_str));
            self.uv("install", &words);
        }
    }

    /// Runs the command under test.
    pub(super) fn rvenv(&self, words: &[&str]) -> Ended {
        let mut command = self.stock.scratch.command(words);
        ended(command.env("PATH", self.stock.search_path()))
    }

    /// The directory with the wheels.
    pub(super) fn index(&self) -> PathBuf {
        self.stock.scratch.path("index")
    }

    /// A file beside the place.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.stock.scratch.path(name)
    }

    /// The words of a command that may change Python.
    pub(super) fn words(&self, verb: &str, options: Options) -> Vec<String> {
        let python = self.stock.pythons[options.python]
            .path
            .display()
            .to_string();
        let env = self.env().display().to_string();
        let mut words = [
            verb,
            &env,
            "--python",
            &python,
            "--no-index",
            "--find-links",
        ]
        .map(str::to_owned)
        .to_vec();
        words.push(self.stock.index());
        let flags = [
            (!options.pip, "--without-pip"),
            (options.clear && verb != "upgrade", "--clear"),
            (options.keep && verb != "plan", "--keep"),
            (options.allow_lost && verb != "plan", "--allow-lost"),
        ];
        words.extend(
            flags
                .iter()
                .filter(|flag| flag.0)
                .map(|flag| flag.1.to_owned()),
        );
        words
    }

    /// A repair, which finds wheels in the wheelhouse.
    pub(super) fn repair(&self) -> Vec<String> {
        let env = self.env().display().to_string();
        let index = self.stock.index();
        ["repair", &env, "--no-index", "--find-links", &index]
            .map(str::to_owned)
            .to_vec()
    }

    pub(super) fn plan_file(&self) -> PathBuf {
        self.file("plan.json")
    }

    /// `python3.12`, for the Python of these options.
    pub(super) fn name_of_library(&self, options: Options) -> String {
        let (major, minor) = self.stock.pythons[options.python].version;
        format!("python{major}.{minor}")
    }

    /// Does something without rvenv; an installer that refuses is no failure.
    pub(super) fn work(&mut self, work: Work) {
        match work {
            Work::Install(package, version, by) => {
                let wanted = match (package, version) {
                    (Package::Pip, 1) => self.stock.pips[0].display().to_string(),
                    (Package::Pip, _) => self.stock.pips[1].display().to_string(),
                    (package, version) => format!("{}=={version}.0", package.name()),
                };
                let index = self.stock.index();
                let words = ["--no-index", "--find-links", &index, "--no-deps", &wanted];
                match by {
                    By::Uv => self.uv("install", &[&["--offline"], &words[..]].concat()),
                    By::Pip => self.pip(&[&["install"], &words[..]].concat()),
                }
            }
            Work::Uninstall(which, by) => {
                let Some(name) = self.installed(which) else {
                    return;
                };
                match by {
                    By::Uv => self.uv("uninstall", &[&name]),
                    By::Pip => self.pip(&["uninstall", "--yes", &name]),
                }
            }
            Work::Edit(spot) => self.edit(spot),
            Work::Delete(spot) => drop(self.spot(spot).map(fs::remove_file)),
            Work::Move => {
                let from = self.env();
                self.name = if self.name == "E" { "F" } else { "E" };
                fs::rename(from, self.env()).unwrap();
            }
        }
    }

    fn uv(&self, verb: &str, words: &[&str]) {
        let Some(uv) = &self.stock.uv else {
            if !std::mem::replace(&mut *self.stock.skipped.lock().unwrap(), true) {
                println!("skipped: what uv installs and uninstalls");
            }
            return;
        };
        let python = self.python();
        let all = [&["pip", verb, "-q", "-p", python.to_str().unwrap()], words].concat();
        self.stock.scratch.run(uv, &all);
    }

    fn pip(&self, words: &[&str]) {
        let all = [&["-m", "pip", "-q"], words].concat();
        if self.python().exists() {
            self.stock.scratch.run(&self.python(), &all);
        }
    }

    /// The directory of packages of the interpreter, by `pyvenv.cfg`.
    pub(super) fn library(&self) -> Option<String> {
        let config = fs::read_to_string(self.env().join("pyvenv.cfg")).ok()?;
        let is_version = |line: &&str| line.starts_with("version");
        let line = config.lines().find(is_version)?;
        let version = line.split_once('=')?.1.trim();
        let mut parts = version.split('.');
        Some(format!("python{}.{}", parts.next()?, parts.next()?))
    }

    /// One of what is installed.
    pub(super) fn installed(&self, which: usize) -> Option<String> {
        let site = self
            .env()
            .join("lib")
            .join(self.library()?)
            .join("site-packages");
        let names = fs::read_dir(site)
            .ok()?
            .map(|entry| entry.unwrap().file_name());
        let mut found: Vec<String> = names
            .filter_map(|name| {
                let info = name.into_string().ok()?;
                Some(
                    info.strip_suffix(".dist-info")?
                        .split('-')
                        .next()?
                        .to_owned(),
                )
            })
            .collect();
        found.sort();
        (!found.is_empty()).then(|| found.swap_remove(which % found.len()))
    }

    /// The file that a spot names; `None` where it does not exist and nobody makes it.
    fn spot(&self, spot: Spot) -> Option<PathBuf> {
        let env = self.env();
        let site = env.join("lib").join(self.library()?).join("site-packages");
        let path = match spot {
            Spot::Module(which) => match &*self.installed(which)? {
                "pip" => site.join("pip/_internal/cache.py"),
                name => site.join(name).join("inner.py"),
            },
            Spot::Program(which) => env.join("bin").join(self.installed(which)?),
            Spot::Activate => env.join("bin/activate"),
            Spot::Beside => return Some(site.join("beside.py")),
            Spot::Top => return Some(env.join("notes.txt")),
        };
        path.exists().then_some(path)
    }

    /// Writes as editors do: a new file, then a rename. Each edit has another text.
    fn edit(&mut self, spot: Spot) {
        let Some(path) = self.spot(spot) else { return };
        let (mut text, mode) = match fs::metadata(&path) {
            Ok(meta) => (fs::read_to_string(&path).unwrap(), meta.mode()),
            Err(_) => (String::new(), 0o644),
        };
        self.markers += 1;
        let marker = format!("# edit {} of a user\n", self.markers);
        text += &marker;
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Every file beside and in the environment.
    pub(super) fn shot(&self) -> Shot {
        let mut shot = Shot::new();
        let root = self.root();
        let mut open = vec![root.clone()];
        while let Some(path) = open.pop() {
            let meta = fs::symlink_metadata(&path).unwrap();
            let is_bytecode = path.extension().is_some_and(|end| end == "pyc");
            if is_bytecode || path.file_name().is_some_and(|name| name == "__pycache__") {
                continue;
            }
            let mut mtime = (meta.mtime(), meta.mtime_nsec());
            let content = if meta.is_dir() {
                open.extend(
                    fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
                // Locks and stages come and go.
                mtime = (0, 0);
                Vec::new()
            } else if meta.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            let below = path.strip_prefix(&root).unwrap().to_path_buf();
            shot.insert(
                below,
                Thing {
                    mode: meta.mode(),
                    mtime,
                    content,
                },
            );
        }
        shot
    }

    /// What is installed, and what works.
    pub(super) fn look(&self) -> Look {
        let env = self.env();
        let lib = self.library().unwrap_or_default();
        let words = ["-I", "-B", "-c", LOOK, env.to_str().unwrap(), &lib];
        let all = [&words[..], &["import"]].concat();
        let read = |ended: Ended| serde_json::from_str(&ended.stdout).ok();
        let own = self
            .python()
            .exists()
            .then(|| self.stock.scratch.run(&self.python(), &all));
        if let Some(look) = own.and_then(read) {
            return look;
        }
        let ended = self.stock.scratch.run(&self.stock.pythons[1].path, &words);
        read(ended.clone()).unwrap_or_else(|| panic!("{ended:?}"))
    }
}

/// The text of the difference between two shots.
pub(super) fn difference(before: &Shot, after: &Shot) -> Option<String> {
    let gone = before
        .iter()
        .filter(|(path, thing)| after.get(*path) != Some(thing));
    let new = after.keys().filter(|path| !before.contains_key(*path));
    let all: Vec<_> = gone.map(|(path, _)| path).chain(new).collect();
    let name = |path: &&&PathBuf| Path::new(path).display().to_string();
    let first: Vec<String> = all.iter().take(5).map(|path| name(&path)).collect();
    (!all.is_empty()).then(|| format!("{} paths differ: {}", all.len(), first.join(", ")))
}
