//! Tags: for which interpreters a wheel was built (platform compatibility tags, PEP 425).
//!
//! Promises to accept only what pip accepts for the same interpreter, apart from the versions of
//! operating systems and C libraries: rvenv asks about distributions that worked on this machine a
//! moment ago, so these fit. No text causes a panic. Does not promise to choose the best of several
//! wheels; pip does that.
//!
//! A list of every tag that an interpreter takes, as crates compute it, would have hundreds of rows
//! and need the version of the C library. One tag is compared by its three parts.
//!
//! Read next: `installed.rs`, which reads the tags of an installed distribution.

use std::io::Read as _;
use std::path::Path;

use crate::base::regular_file;
use crate::python::Interpreter;

/// Enough of an executable for the path of its dynamic linker.
const HEAD_BYTES: u64 = 16 << 10;

/// Whether an interpreter can use what was installed from a wheel with one of these tags.
///
/// Each text may be a set, as in `py2.py3-none-any`.
pub(crate) fn fit(tags: &[String], interpreter: &Interpreter) -> bool {
    tags.iter().any(|tag| {
        let mut parts = tag.split('-');
        let (Some(pythons), Some(abis), Some(platforms), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let of_python = |python: &str| {
            let mut abis = abis.split('.');
            abis.any(|abi| is_python(python, abi, interpreter))
        };
        let mut platforms = platforms.split('.');
        pythons.split('.').any(of_python) && platforms.any(|one| is_platform(one, interpreter))
    })
}

fn is_python(python: &str, abi: &str, interpreter: &Interpreter) -> bool {
    let version = &interpreter.version;
    let is_cpython = interpreter.platform.implementation == "cpython";
    let cpython = |text: &str| {
        let digits = text.strip_prefix("cp3")?;
        digits.parse::<u32>().ok()
    };
    match abi {
        "none" => match python.strip_prefix("py") {
            Some("3") => version.major == 3,
            Some(digits) => {
                let minor = digits
                    .strip_prefix('3')
                    .and_then(|minor| minor.parse().ok());
                minor.is_some_and(|minor: u32| version.at_least(3, minor))
            }
            None => is_cpython && cpython(python) == Some(version.minor),
        },
        // Python without the global interpreter lock has no stable ABI.
        "abi3" => {
            is_cpython
                && !interpreter.platform.free_threaded
                && cpython(python).is_some_and(|minor| version.at_least(3, minor))
        }
        abi => {
            let flags = &interpreter.platform.abiflags;
            is_cpython
                && cpython(python) == Some(version.minor)
                && abi == format!("cp3{}{flags}", version.minor)
        }
    }
}

fn is_platform(platform: &str, interpreter: &Interpreter) -> bool {
    if platform == "any" {
        return true;
    }
    let machine = machine(interpreter);
    let is_of_machine = platform
        .strip_suffix(machine)
        .is_some_and(|rest| rest.ends_with('_'));
    match interpreter.platform.sys_platform.as_str() {
        "linux" => {
            let is_of_libc = if platform.starts_with("manylinux") {
                !is_musl(&interpreter.real_executable)
            } else if platform.starts_with("musllinux_") {
                is_musl(&interpreter.real_executable)
            } else {
                platform.starts_with("linux_")
            };
            is_of_machine && is_of_libc
        }
        "darwin" => {
            let is_universal = platform.ends_with("_universal2");
            platform.starts_with("macosx_") && (is_of_machine || is_universal)
        }
        _ => false,
    }
}

/// The word of the platform tags for the processor that an interpreter is built for.
fn machine(interpreter: &Interpreter) -> &'static str {
    match (std::env::consts::ARCH, interpreter.platform.is_64bit) {
        ("x86_64", false) | ("x86", _) => "i686",
        ("aarch64", false) => "armv7l",
        ("aarch64", true) if interpreter.platform.sys_platform == "darwin" => "arm64",
        ("powerpc64", true) => "ppc64le",
        (arch, _) => arch,
    }
}

/// Whether an executable starts with the dynamic linker of musl, whose path is among its first
/// bytes.
fn is_musl(executable: &Path) -> bool {
    let mut head = Vec::new();
    let read = regular_file::open(executable)
        .and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    read.is_ok()
        && head
            .windows(b"ld-musl-".len())
            .any(|window| window == b"ld-musl-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::python;

    fn interpreter(minor: u32) -> Interpreter {
        python::sample(minor, "/nowhere/python3")
    }

    fn check(interpreter: &Interpreter, tag: &str, expected: bool) {
        let tag = tag.replace("ARCH", std::env::consts::ARCH);
        assert_eq!(
            fit(std::slice::from_ref(&tag), interpreter),
            expected,
            "{tag}"
        );
    }

    #[test]
    fn tags_fit_as_for_pip() {
        let new = interpreter(12);
        check(&new, "py3-none-any", true);
        check(&new, "py2.py3-none-any", true);
        check(&new, "py312-none-any", true);
        check(&new, "py37-none-any", true);
        check(&new, "py313-none-any", false);
        check(&new, "py2-none-any", false);
        check(&new, "py27-none-any", false);
        check(&new, "cp311-none-any", false);
        check(&new, "cp312-none-any", true);
        check(
            &new,
            "py3-none-manylinux_2_17_ARCH.manylinux2014_ARCH",
            true,
        );
        check(&new, "py3-none-musllinux_1_1_ARCH", false);
        check(&new, "py3-none-manylinux2014_s390x", false);
        check(&new, "py3-none-win_amd64", false);
        check(&new, "cp37-abi3-manylinux_2_17_ARCH", true);
        check(&new, "cp313-abi3-linux_ARCH", false);
        check(&new, "cp311-cp311-linux_ARCH", false);
        check(&new, "cp312-cp312-linux_ARCH", true);
        check(&new, "cp312-cp312t-linux_ARCH", false);
        for other in [
            "",
            "py3",
            "py3-none",
            "py3-none-any-x",
            "--",
            "cpx-abi3-any",
        ] {
            check(&new, other, false);
        }
    }

    #[test]
    fn other_implementations_take_neither_the_stable_abi_nor_that_of_cpython() {
        let mut threaded = interpreter(13);
        threaded.platform.free_threaded = true;
        threaded.platform.abiflags = "t".to_owned();
        check(&threaded, "cp37-abi3-linux_ARCH", false);
        check(&threaded, "cp313-cp313-linux_ARCH", false);
        check(&threaded, "cp313-cp313t-linux_ARCH", true);
        check(&threaded, "py3-none-any", true);
        let mut pypy = interpreter(10);
        pypy.platform.implementation = "pypy".to_owned();
        check(&pypy, "cp37-abi3-linux_ARCH", false);
        check(&pypy, "cp310-none-any", false);
        check(&pypy, "py3-none-any", true);
    }

    proptest! {
        #[test]
        fn no_tag_is_too_strange_to_be_compared(tag in "[a-z0-9.-]{0,30}|\\PC{0,12}") {
            let _fits = fit(&[tag], &interpreter(12));
        }
    }
}
