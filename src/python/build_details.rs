//! `build-details.json`: what an installation says about itself, which saves starting it (PEP 739).
//!
//! Promises to use such a file only where the interpreter would take its library from: beside the
//! real executable's directory, in the library whose name has the executable's own version; and
//! only if the version in the file agrees with both. An installation may have been moved, since no
//! path in the file is used. Does not promise that the interpreter starts. `CPython` writes the
//! file from 3.14 on.
//!
//! Read next: `discover.rs`, which starts no process where this file is enough.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::interpreter::PythonVersion;
use super::release::Release;
use crate::base::regular_file;

/// More than any real file has.
const BYTES_MAX: u64 = 1 << 20;

#[derive(Deserialize)]
struct Details {
    schema_version: String,
    language: Language,
    implementation: Implementation,
    abi: Option<Abi>,
}

#[derive(Deserialize)]
struct Language {
    version: String,
}

#[derive(Deserialize)]
struct Implementation {
    name: String,
    version: Numbers,
}

#[derive(Deserialize)]
struct Numbers {
    major: u32,
    minor: u32,
    micro: u32,
    releaselevel: String,
    serial: u32,
}

#[derive(Deserialize)]
struct Abi {
    #[serde(default)]
    flags: Vec<String>,
}

/// Reads the release from the file that belongs to an executable; `None` for the executable of an
/// environment, or where no file can be trusted.
pub(super) fn beside(executable: &Path) -> Option<Release> {
    let of_environment = executable.ancestors().skip(1).take(2);
    if of_environment
        .map(|directory| directory.join("pyvenv.cfg"))
        .any(|config| config.exists())
    {
        return None;
    }
    let real = fs::canonicalize(executable).ok()?;
    let stem = real.file_name()?.to_str()?;
    let stem = stem.strip_suffix(".exe").unwrap_or(stem);
    let prefix = real.parent()?.parent()?;
    // The executable has the name of its library: `python3.14`, `python3.14t`.
    stem.strip_prefix("python3.")?;
    let library = prefix.join("lib").join(stem);
    let flags = if stem.ends_with('t') { "t" } else { "" };
    // Debian has one file for each architecture, in a library that they share.
    let debian = format!(
        "build-details.{flags}.{}-linux-gnu.json",
        std::env::consts::ARCH
    );
    let mut names = ["build-details.json", &debian].into_iter();
    names.find_map(|name| read(&library.join(name), stem))
}

fn read(path: &Path, stem: &str) -> Option<Release> {
    let mut bytes = Vec::new();
    let file = regular_file::open(path).ok()?;
    file.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
    release(&bytes, stem)
}

/// The release in a file, if the file is about the Python whose executable has this name.
fn release(bytes: &[u8], stem: &str) -> Option<Release> {
    let details: Details = serde_json::from_slice(bytes).ok()?;
    let free_threaded = details
        .abi
        .is_some_and(|abi| abi.flags.iter().any(|flag| flag == "t"));
    let Numbers {
        major,
        minor,
        micro,
        releaselevel,
        serial,
    } = details.implementation.version;
    let language = format!("{major}.{minor}");
    let own_name = format!("python{language}{}", if free_threaded { "t" } else { "" });
    // In other implementations the version of the implementation differs from that of the language.
    let ours = details.schema_version.starts_with("1.")
        && details.implementation.name == "cpython"
        && details.language.version == language
        && own_name == stem;
    let mark = match releaselevel.as_str() {
        "final" => String::new(),
        "alpha" => format!("a{serial}"),
        "beta" => format!("b{serial}"),
        "candidate" => format!("rc{serial}"),
        _ => return None,
    };
    ours.then(|| Release {
        implementation: details.implementation.name,
        version: PythonVersion {
            major,
            minor,
            micro,
            text: format!("{language}.{micro}{mark}"),
        },
        free_threaded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The format that `CPython`'s `Tools/build/generate-build-details.py` writes.
    fn text(level: &str, flags: &str) -> String {
        format!(
            r#"{{"schema_version": "1.0", "base_prefix": "/install",
                "base_interpreter": "/install/bin/python3.14",
            "platform": "linux-x86_64",
            "language": {{"version": "3.14", "version_info": {{"major": 3, "minor": 14, "micro": 2,
                "releaselevel": "{level}", "serial": 3}}}},
            "implementation": {{"name": "cpython", "cache_tag": "cpython-314",
                "hexversion": 51249904,
                "version": {{"major": 3, "minor": 14, "micro": 2,
                "releaselevel": "{level}", "serial": 3}}}},
            "abi": {{"flags": [{flags}], "extension_suffix": ".cpython-314-x86_64-linux-gnu.so"}},
            "arbitrary_data": {{}}}}"#
        )
    }

    fn check(text: &str, stem: &str, expect: Option<&str>) {
        let read = release(text.as_bytes(), stem).map(|release| release.to_string());
        assert_eq!(read.as_deref(), expect, "{stem} {text}");
    }

    #[test]
    fn details_tell_version_implementation_and_build() {
        let (stem, threads) = ("python3.14", "python3.14t");
        check(&text("final", ""), stem, Some("cpython 3.14.2"));
        check(&text("candidate", ""), stem, Some("cpython 3.14.2rc3"));
        check(&text("alpha", ""), stem, Some("cpython 3.14.2a3"));
        let told = Some("cpython 3.14.2 (free-threaded)");
        check(&text("final", "\"t\""), threads, told);
    }

    #[test]
    fn details_of_another_python_or_of_a_later_format_are_not_believed() {
        let good = text("final", "");
        check(&good, "python3.15", None);
        check(&good, "python3.14t", None);
        check(&text("final", "\"t\""), "python3.14", None);
        check(&text("gamma", ""), "python3.14", None);
        for (from, to) in [
            ("\"1.0\"", "\"2.0\""),
            ("\"cpython\"", "\"pypy\""),
            ("\"version\": \"3.14\"", "\"version\": \"3.15\""),
            ("\"language\"", "\"tongue\""),
            ("}", ""),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            check(&bad, "python3.14", None);
        }
    }
}
