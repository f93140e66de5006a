//! This machine, as far as environments in an index differ by it: the system, the processor and the
//! C libraries.
//!
//! Promises to start nothing: a C library is known by its file. What is unknown is no objection,
//! since the interpreter that an environment names must be here too, by its digest.
//!
//! Read next: `choosing.rs`.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use crate::artifact::demands::{Demands, Libc, Platform as OciPlatform};
use crate::base::regular_file;
use crate::python::Platform;

/// Many times the size of a C library.
const LIBC_BYTES_MAX: u64 = 32 << 20;
/// What precedes the version in the file of glibc.
const BANNER: &[u8] = b"GNU C Library ";
const VERSION: &[u8] = b" version ";

/// This machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The system and the processor.
    pub platform: OciPlatform,
    /// The C libraries that were found; none is known elsewhere than on Linux.
    pub libcs: Vec<Libc>,
}

impl Machine {
    /// The machine that this process runs on.
    #[must_use]
    pub fn here() -> Self {
        Self::below(Path::new("/"))
    }

    fn below(root: &Path) -> Self {
        let (os, machine) = (std::env::consts::OS, processor());
        let libcs = if os == "linux" {
            [glibc(root, &machine), musl(root, &machine)]
        } else {
            [None, None]
        };
        Self {
            platform: OciPlatform {
                os: os_of(os).to_owned(),
                architecture: architecture(&machine, true).to_owned(),
            },
            libcs: libcs.into_iter().flatten().collect(),
        }
    }

    /// Why an environment is for another machine, if its system, processor or C library is another.
    pub(super) fn objection(&self, demands: &Demands) -> Option<String> {
        if !runs(&self.platform, &demands.platform) {
            return Some(format!("this machine is {}", self.platform));
        }
        let wanted = demands.libc.as_ref().filter(|_| !self.libcs.is_empty())?;
        let mut own = self.libcs.iter();
        match own.find(|own| own.family == wanted.family) {
            None => Some(format!("this machine has no {}", wanted.family)),
            Some(own) if own.version.is_some() && own.version < wanted.version => {
                Some(format!("this machine has {own}"))
            }
            Some(_) => None,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.platform)?;
        self.libcs.iter().try_for_each(|libc| write!(f, ", {libc}"))
    }
}

/// The system and the processor that an interpreter was built for.
pub(super) fn oci_platform(platform: &Platform) -> OciPlatform {
    // On Linux, a build of 32 bits names the kernel's processor; elsewhere, one file can be for
    // several, and the running one counts.
    let machine = match platform.built_for.strip_prefix("linux-") {
        Some(machine) => machine,
        None if platform.built_for == "win32" => "x86",
        None => &platform.machine,
    };
    OciPlatform {
        os: os_of(&platform.sys_platform).to_owned(),
        architecture: architecture(&machine.to_ascii_lowercase(), platform.is_64bit).to_owned(),
    }
}

/// The name that OCI has for a system.
fn os_of(system: &str) -> &str {
    match system {
        "macos" => "darwin",
        "win32" => "windows",
        // FreeBSD names its release.
        other => other.trim_end_matches(|c: char| c.is_ascii_digit()),
    }
}

/// The name that OCI has for a processor.
fn architecture(machine: &str, is_64bit: bool) -> &str {
    match machine {
        "x86_64" | "amd64" if is_64bit => "amd64",
        "aarch64" | "arm64" if is_64bit => "arm64",
        "x86_64" | "amd64" | "x86" | "i386" | "i486" | "i586" | "i686" => "386",
        "aarch64" | "arm64" | "armv8l" | "armv7l" | "armv6l" | "arm" => "arm",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// Whether a machine runs programs for a platform.
fn runs(own: &OciPlatform, wanted: &OciPlatform) -> bool {
    let pair = (own.architecture.as_str(), wanted.architecture.as_str());
    let is_emulated = match own.os.as_str() {
        "darwin" | "windows" => pair == ("arm64", "amd64"),
        _ => false,
    };
    let is_narrower = matches!(pair, ("amd64", "386") | ("arm64", "arm"));
    own.os == wanted.os && (pair.0 == pair.1 || is_emulated || is_narrower)
}

/// The processor, in the words of the kernel.
fn processor() -> String {
    #[cfg(unix)]
    {
        let found = rustix::system::uname();
        found.machine().to_string_lossy().to_ascii_lowercase()
    }
    #[cfg(not(unix))]
    std::env::consts::ARCH.to_owned()
}

/// The glibc of a root, by the file that programs are linked with.
fn glibc(root: &Path, machine: &str) -> Option<Libc> {
    let own = [
        format!("lib/{machine}-linux-gnu"),
        "lib64".to_owned(),
        "usr/lib64".to_owned(),
        "lib".to_owned(),
        "usr/lib".to_owned(),
    ];
    let mut files = own.iter().map(|dir| root.join(dir).join("libc.so.6"));
    let file = files.find_map(|path| regular_file::open(&path).ok())?;
    let mut bytes = Vec::new();
    let read = file.take(LIBC_BYTES_MAX).read_to_end(&mut bytes);
    Some(Libc {
        family: "glibc".to_owned(),
        version: read.ok().and_then(|_| version_in(&bytes)),
    })
}

/// The version in `GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.`
fn version_in(bytes: &[u8]) -> Option<(u32, u32)> {
    let after = |bytes: &'_ [u8], words: &[u8]| {
        let at = bytes.windows(words.len()).position(|at| at == words)?;
        Some(at + words.len())
    };
    let start = after(bytes, BANNER)?;
    let line = bytes.get(start..)?.split(|byte| *byte == b'\n').next()?;
    let text = line.get(after(line, VERSION)?..)?;
    let text = std::str::from_utf8(text).ok()?.trim_end_matches('.');
    Libc::parse(&format!("glibc {text}"))?.version
}

/// The musl of a root, by its loader.
fn musl(root: &Path, machine: &str) -> Option<Libc> {
    let loader = root.join(format!("lib/ld-musl-{machine}.so.1"));
    regular_file::open(&loader).ok().map(|_| Libc {
        family: "musl".to_owned(),
        version: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::demands::sample;

    #[test]
    fn a_machine_runs_its_own_platform_and_narrower_ones() {
        let check = |own: &str, wanted: &str, expected| {
            let parse = |text| OciPlatform::parse(text).unwrap();
            assert_eq!(
                runs(&parse(own), &parse(wanted)),
                expected,
                "{own} {wanted}"
            );
        };
        check("linux/amd64", "linux/amd64", true);
        check("linux/amd64", "linux/386", true);
        check("linux/386", "linux/amd64", false);
        check("linux/arm64", "linux/amd64", false);
        check("darwin/arm64", "darwin/amd64", true);
        check("darwin/amd64", "linux/amd64", false);
    }

    #[test]
    fn an_interpreter_is_for_the_platform_that_oci_names_so() {
        let check = |built_for: &str, machine: &str, expected: &str| {
            let own = crate::python::sample(12, "/p").platform;
            let system = match built_for.split_once('-') {
                Some(("macosx", _)) => "darwin",
                Some((system, _)) if system != "win" => system,
                Some(_) | None => "win32",
            };
            let platform = Platform {
                built_for: built_for.to_owned(),
                machine: machine.to_owned(),
                sys_platform: system.to_owned(),
                is_64bit: !matches!(expected, "linux/386" | "windows/386"),
                ..own
            };
            assert_eq!(oci_platform(&platform).to_string(), expected);
        };
        check("linux-x86_64", "x86_64", "linux/amd64");
        check("linux-x86_64", "x86_64", "linux/386");
        check("linux-aarch64", "aarch64", "linux/arm64");
        check("linux-riscv64", "riscv64", "linux/riscv64");
        check("macosx-11.0-universal2", "arm64", "darwin/arm64");
        check("macosx-10.9-x86_64", "x86_64", "darwin/amd64");
        check("win-amd64", "AMD64", "windows/amd64");
        check("win32", "AMD64", "windows/386");
    }

    #[test]
    fn the_version_of_glibc_is_in_its_file() {
        let text = b"\0\x7fGNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version \
                     2.36.\nCopyright (C) 2022\n";
        assert_eq!(version_in(text), Some((2, 36)));
        for other in [
            &b""[..],
            b"GNU C Library ",
            b"GNU C Library (x)\n version 2.36.\n",
            b"GNU C Library version two.\n",
        ] {
            assert_eq!(version_in(other), None);
        }
    }

    #[test]
    fn a_c_library_that_is_too_old_or_absent_is_an_objection() {
        let own = Machine {
            platform: OciPlatform::parse("linux/amd64").unwrap(),
            libcs: vec![Libc::parse("glibc 2.31").unwrap()],
        };
        let check = |libc: &str, expected: Option<&str>| {
            let libc = Libc::parse(libc);
            let demands = Demands {
                libc,
                ..sample("linux/amd64", "cpython 3.12.1")
            };
            assert_eq!(own.objection(&demands).as_deref(), expected);
        };
        check("glibc 2.17", None);
        check("glibc", None);
        check("glibc 2.34", Some("this machine has glibc 2.31"));
        check("musl 1.2", Some("this machine has no musl"));
        let none = Machine {
            libcs: Vec::new(),
            ..own
        };
        assert_eq!(
            none.objection(&sample("linux/amd64", "cpython 3.12.1")),
            None
        );
    }
}
