//! What is known about an interpreter: plain values, no effects.
//!
//! Promises that the parts which become names in an environment (scheme and cache tag) fit there,
//! whether an interpreter printed them or the cache kept them. All paths are absolute and UTF-8, as
//! `pyvenv.cfg` demands.
//!
//! On disk: `probe_cache.rs` keeps an [`Interpreter`] with the fields and names of this file, so
//! that another field or name means another format there.
//! Read next: `probe.rs`, which creates them; `build/layout.rs`, which uses them.

use std::fmt;
use std::path::{Path, PathBuf};

use rvenv_journal::{Digest, RelPath};
use serde::{Deserialize, Serialize};

use crate::base::fingerprint::Fingerprint;

/// A base interpreter, as `venv` sees it from inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// The base executable: the path that starts it, links not resolved.
    pub executable: PathBuf,
    /// The `sys.executable` of the requested file: [`executable`](Self::executable) again, or the
    /// interpreter of a virtual environment that led to it.
    pub invoked: PathBuf,
    /// The file that [`executable`](Self::executable) leads to.
    pub real_executable: PathBuf,
    /// SHA-256 of the executable's bytes.
    #[serde(with = "digest_text")]
    pub executable_digest: Digest,
    /// Bytes of the executable.
    pub executable_len: u64,
    /// The version.
    pub version: PythonVersion,
    /// The kind of Python, and the system that it runs on.
    pub platform: Platform,
    /// The directories of an environment of this interpreter.
    pub scheme: Scheme,
    /// How it marks its bytecode files; `None` if it keeps none.
    pub caching: Option<Caching>,
    /// The wheels that `ensurepip` would install.
    pub bundled: Bundled,
    /// The files that all of this depends on.
    pub witnesses: Vec<Fingerprint>,
}

impl Interpreter {
    /// The same under another path to its file, if it was asked by the path `known`; that of an
    /// environment has another base, and stays.
    #[must_use]
    pub(super) fn named(self, known: &Path, path: &Path) -> Self {
        if self.executable != known || self.invoked != known {
            return self;
        }
        Self {
            executable: path.to_owned(),
            invoked: path.to_owned(),
            ..self
        }
    }
}

/// The kind of Python that an interpreter is, and the system that it runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `sys.implementation.name`: `cpython`, `pypy`, ….
    pub implementation: String,
    /// Whether this build runs without the global interpreter lock.
    pub free_threaded: bool,
    /// `sys.abiflags`; empty on systems without it.
    pub abiflags: String,
    /// Whether pointers have 64 bits.
    pub is_64bit: bool,
    /// `os.name`: `posix` or `nt`.
    pub os_name: String,
    /// `sys.platform`: `linux`, `darwin`, `win32`, ….
    pub sys_platform: String,
    /// `sys.getfilesystemencoding()` under the locale of this process.
    pub filesystem_encoding: String,
    /// `sys.implementation.version`, as markers spell it; the version of the language in `CPython`.
    pub implementation_version: String,
    /// What the names of its extension modules end with: `.cpython-313-x86_64-linux-gnu.so`.
    pub extension_suffix: String,
    /// `sysconfig.get_platform()`: `linux-x86_64`, `macosx-11.0-arm64`, `win-amd64`, ….
    pub built_for: String,
    /// `platform.machine()`: the processor, as the interpreter's process sees it.
    pub machine: String,
    /// What compiled code finds on the system, with its version: `glibc 2.36`, `musl 1.2.5`,
    /// `macos 14.2`; empty elsewhere, or if it is unknown.
    pub system: String,
}

/// The version of an interpreter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonVersion {
    /// The 3 of 3.13.0.
    pub major: u32,
    /// The 13 of 3.13.0.
    pub minor: u32,
    /// The 0 of 3.13.0.
    pub micro: u32,
    /// The spelling of the interpreter, such as `3.13.0rc1`.
    pub text: String,
}

impl PythonVersion {
    /// Reads a version as an interpreter spells it; the micro version may be absent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let number = |part: Option<&str>| -> Option<u32> {
            let part = part?;
            let end = part.find(|c: char| !c.is_ascii_digit());
            part.get(..end.unwrap_or(part.len()))?.parse().ok()
        };
        let (major, minor) = (number(parts.next())?, number(parts.next())?);
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+');
        text.chars().all(is_word).then(|| Self {
            major,
            minor,
            micro: number(parts.next()).unwrap_or(0),
            text: text.to_owned(),
        })
    }

    /// Whether this is version `major.minor` or a later one.
    #[must_use]
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The directories of an environment, as this version's `venv` creates them.
///
/// Written as the list of its texts, in the order of the fields; `probe.py` prints it so too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "[String; 4]", into = "[String; 4]")]
pub struct Scheme {
    /// C headers.
    pub include: RelPath,
    /// Packages without compiled code.
    pub purelib: RelPath,
    /// Packages with compiled code.
    pub platlib: RelPath,
    /// Executables.
    pub scripts: RelPath,
}

impl TryFrom<[String; 4]> for Scheme {
    type Error = String;

    fn try_from(texts: [String; 4]) -> Result<Self, String> {
        let [include, purelib, platlib, scripts] = texts.map(|text| {
            RelPath::new(&text)
                .map_err(|error| format!("its layout leaves the environment: {error}"))
        });
        Ok(Self {
            include: include?,
            purelib: purelib?,
            platlib: platlib?,
            scripts: scripts?,
        })
    }
}

impl From<Scheme> for [String; 4] {
    fn from(scheme: Scheme) -> Self {
        let Scheme {
            include,
            purelib,
            platlib,
            scripts,
        } = scheme;
        [include, purelib, platlib, scripts].map(|path| path.to_string())
    }
}

/// How an interpreter marks the bytecode files that it keeps in `__pycache__`.
///
/// Written as the pair of its texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(String, String)", into = "(String, String)")]
pub struct Caching {
    /// `sys.implementation.cache_tag`, such as `cpython-313`.
    pub tag: String,
    /// The magic number at the start of such files, in hexadecimal.
    pub magic: String,
}

impl TryFrom<(String, String)> for Caching {
    type Error = String;

    /// Checks the cache tag, which becomes part of file names.
    fn try_from((tag, magic): (String, String)) -> Result<Self, String> {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if tag.is_empty() || !tag.chars().all(is_fit) {
            let shown = tag.escape_debug();
            return Err(format!("its cache tag `{shown}` cannot be in a file name"));
        }
        if magic.is_empty() || !magic.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err("it has a cache tag and no magic number".to_owned());
        }
        Ok(Self { tag, magic })
    }
}

impl From<Caching> for (String, String) {
    fn from(caching: Caching) -> Self {
        (caching.tag, caching.magic)
    }
}

/// The wheels that `ensurepip` would install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bundled {
    /// In the order of installation: setuptools first where it is bundled, then pip.
    Wheels(Vec<PathBuf>),
    /// There are none.
    Missing {
        /// Why not, as the interpreter puts it.
        reason: String,
    },
}

impl Bundled {
    /// The wheels; empty if they are missing.
    #[must_use]
    pub fn wheels(&self) -> &[PathBuf] {
        match self {
            Self::Wheels(wheels) => wheels,
            Self::Missing { .. } => &[],
        }
    }
}

/// A digest as text.
mod digest_text {
    use rvenv_journal::Digest;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(digest)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        Digest::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// A `CPython` of this minor version on Linux, for tests.
#[cfg(test)]
pub(crate) fn sample(minor: u32, executable: &str) -> Interpreter {
    let scheme = [
        "include".to_owned(),
        format!("lib/python3.{minor}/site-packages"),
        format!("lib64/python3.{minor}/site-packages"),
        "bin".to_owned(),
    ];
    Interpreter {
        executable: executable.into(),
        invoked: executable.into(),
        real_executable: executable.into(),
        executable_digest: Digest::of(b""),
        executable_len: 0,
        version: PythonVersion {
            major: 3,
            minor,
            micro: 0,
            text: format!("3.{minor}.0"),
        },
        platform: Platform {
            implementation: "cpython".to_owned(),
            free_threaded: false,
            abiflags: String::new(),
            is_64bit: true,
            os_name: "posix".to_owned(),
            sys_platform: "linux".to_owned(),
            filesystem_encoding: "utf-8".to_owned(),
            implementation_version: format!("3.{minor}.0"),
            extension_suffix: format!(".cpython-3{minor}-x86_64-linux-gnu.so"),
            built_for: "linux-x86_64".to_owned(),
            machine: "x86_64".to_owned(),
            system: "glibc 2.36".to_owned(),
        },
        scheme: scheme.try_into().expect("the paths are relative"),
        caching: None,
        bundled: Bundled::Wheels(Vec::new()),
        witnesses: Vec::new(),
    }
}
