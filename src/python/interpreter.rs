//! What is known about an interpreter: plain values, no effects.
//!
//! Promises nothing but their meaning. All paths are absolute and UTF-8, as `pyvenv.cfg` demands.
//! Read next: `probe.rs`, which creates them; `build/layout.rs`, which uses them.

use std::fmt;
use std::path::PathBuf;

use rvenv_journal::{Digest, RelPath};

use crate::base::fingerprint::Fingerprint;

/// A base interpreter, as `venv` sees it from inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// The base executable: the path that starts it, links not resolved.
    pub executable: PathBuf,
    /// The `sys.executable` of the requested file: [`executable`](Self::executable) again, or the
    /// interpreter of a virtual environment that led to it.
    pub invoked: PathBuf,
    /// The file that [`executable`](Self::executable) leads to.
    pub real_executable: PathBuf,
    /// SHA-256 of the executable's bytes.
    pub executable_digest: Digest,
    /// Bytes of the executable.
    pub executable_len: u64,
    /// The version.
    pub version: PythonVersion,
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
    /// The directories of an environment of this interpreter.
    pub scheme: Scheme,
    /// How it marks its bytecode files; `None` if it keeps none.
    pub caching: Option<Caching>,
    /// The wheels that `ensurepip` would install.
    pub bundled: Bundled,
    /// The files that all of this depends on.
    pub witnesses: Vec<Fingerprint>,
}

/// The version of an interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// How an interpreter marks the bytecode files that it keeps in `__pycache__`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caching {
    /// `sys.implementation.cache_tag`, such as `cpython-313`.
    pub tag: String,
    /// The magic number at the start of such files, in hexadecimal.
    pub magic: String,
}

/// The wheels that `ensurepip` would install.
#[derive(Clone, Debug, PartialEq, Eq)]
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
