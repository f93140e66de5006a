//! Writes a lock as `pylock.toml`.
//!
//! Promises that equal locks give equal bytes, whatever the order of their packages and files, and
//! that what is written is read as the same lock. Does not write what has no file, such as a line
//! of a requirements file: an index has to be asked for its files first.
//!
//! Read next: `pylock.rs`, which reads it.

use std::fmt::Write as _;

use thiserror::Error;

use super::model::{File, Lock, Package, Revision, Source};

/// A package that a `pylock.toml` cannot have.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{name}` has no file, so that no lock can name it")]
pub struct Unwritable {
    /// Its name.
    pub name: String,
}

/// The text of a `pylock.toml`.
///
/// # Errors
/// A package without a file.
pub fn write(lock: &Lock) -> Result<String, Unwritable> {
    let mut text = String::from("lock-version = \"1.0\"\n");
    if let Some(markers) = &lock.environments {
        let markers: Vec<String> = markers.iter().map(ToString::to_string).collect();
        list(&mut text, "environments", &markers);
    }
    if let Some(range) = &lock.requires_python {
        key(&mut text, "requires-python", &range.to_string());
    }
    for (name, names) in [
        ("extras", &lock.extras),
        ("dependency-groups", &lock.groups),
        ("default-groups", &lock.default_groups),
    ] {
        if !names.is_empty() {
            let mut sorted = names.clone();
            sorted.sort();
            list(&mut text, name, &sorted);
        }
    }
    key(&mut text, "created-by", &lock.created_by);
    let mut packages: Vec<(&str, String)> = Vec::new();
    for one in &lock.packages {
        packages.push((&one.name, package(one)?));
    }
    if packages.is_empty() {
        text.push_str("packages = []\n");
    }
    packages.sort();
    for (_, package) in packages {
        text.push_str("\n[[packages]]\n");
        text.push_str(&package);
    }
    Ok(text)
}

fn package(package: &Package) -> Result<String, Unwritable> {
    let mut text = String::new();
    key(&mut text, "name", &package.name);
    if let Some(version) = &package.version {
        key(&mut text, "version", version);
    }
    if let Some(marker) = &package.marker {
        key(&mut text, "marker", &marker.to_string());
    }
    if let Some(range) = &package.requires_python {
        key(&mut text, "requires-python", &range.to_string());
    }
    if let Some(index) = &package.index {
        key(&mut text, "index", index);
    }
    text.push_str(&source(package)?);
    Ok(text)
}

/// The keys of what a package is installed from.
fn source(package: &Package) -> Result<String, Unwritable> {
    Ok(match &package.source {
        Source::Files { wheels, sdist } => files(wheels, sdist.as_ref()),
        Source::Archive(archive) => {
            let mut parts = of_file(&archive.file);
            parts.extend(part("subdirectory", archive.subdirectory.as_ref()));
            format!("archive = {}\n", table(&parts))
        }
        Source::Directory {
            path,
            is_editable,
            subdirectory,
        } => {
            let mut parts = vec![pair("path", &path.display().to_string())];
            parts.extend(is_editable.then(|| "editable = true".to_owned()));
            parts.extend(part("subdirectory", subdirectory.as_ref()));
            format!("directory = {}\n", table(&parts))
        }
        Source::Repository(Revision {
            kind,
            url,
            commit,
            requested,
            subdirectory,
        }) => {
            let mut parts = vec![pair("type", kind), pair("url", url)];
            parts.extend(part("requested-revision", requested.as_ref()));
            parts.push(pair("commit-id", commit));
            parts.extend(part("subdirectory", subdirectory.as_ref()));
            format!("vcs = {}\n", table(&parts))
        }
        Source::Release { .. } => {
            let name = package.name.clone();
            return Err(Unwritable { name });
        }
    })
}

fn files(wheels: &[File], sdist: Option<&File>) -> String {
    let mut text = String::new();
    let row = |file: &File| {
        // An archive has no name of its own, in contrast to these.
        let mut parts = vec![pair("name", &file.name)];
        parts.extend(of_file(file));
        table(&parts)
    };
    if let Some(sdist) = sdist {
        let _infallible = writeln!(text, "sdist = {}", row(sdist));
    }
    let mut rows: Vec<String> = wheels.iter().map(row).collect();
    rows.sort();
    if !rows.is_empty() {
        text.push_str("wheels = [\n");
        for row in rows {
            let _infallible = writeln!(text, "    {row},");
        }
        text.push_str("]\n");
    }
    text
}

/// The keys that every file has.
fn of_file(file: &File) -> Vec<String> {
    let mut parts = Vec::new();
    let path = file.path.as_ref().map(|path| path.display().to_string());
    parts.extend(part("url", file.url.as_ref()));
    parts.extend(part("path", file.written_path.as_ref().or(path.as_ref())));
    let time = file.upload_time.as_deref();
    parts.extend(time.map(|time| format!("upload-time = {time}")));
    parts.extend(file.size.map(|size| format!("size = {size}")));
    let hashes = file.hashes.named();
    let hashes: Vec<String> = hashes
        .map(|(name, digits)| format!("{} = {}", quoted_key(name), quoted(digits)))
        .collect();
    parts.push(format!("hashes = {}", table(&hashes)));
    parts
}

fn part(name: &str, value: Option<&String>) -> Option<String> {
    value.map(|value| pair(name, value))
}

fn table(parts: &[String]) -> String {
    format!("{{ {} }}", parts.join(", "))
}

fn pair(name: &str, value: &str) -> String {
    format!("{name} = {}", quoted(value))
}

fn key(text: &mut String, name: &str, value: &str) {
    text.push_str(&pair(name, value));
    text.push('\n');
}

fn list(text: &mut String, name: &str, values: &[String]) {
    let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    let _infallible = writeln!(text, "{name} = [{}]", values.join(", "));
}

/// A key that may have any characters.
fn quoted_key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !name.is_empty() && name.chars().all(is_bare) {
        return name.to_owned();
    }
    quoted(name)
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut found = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => found.push_str("\\\""),
            '\\' => found.push_str("\\\\"),
            '\n' => found.push_str("\\n"),
            '\t' => found.push_str("\\t"),
            c if c.is_control() => {
                let _infallible = write!(found, "\\u{:04X}", u32::from(c));
            }
            c => found.push(c),
        }
    }
    found.push('"');
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::lock::pylock;

    #[test]
    fn what_is_written_is_read_as_the_same_lock() {
        let a = "a".repeat(64);
        let text = format!(
            "lock-version='1.0'\ncreated-by='a \"b\\'\nrequires-python='>=3.8'\nextras=['x']\n\
             dependency-groups=['dev']\ndefault-groups=['dev']\nenvironments=[\"os_name == 'posix'\"]\n\
             [[packages]]\nname='z'\nversion='1'\nindex='https://h/simple'\nrequires-python='>=3'\n\
             marker=\"'x' in extras\"\nsdist={{url='https://h/z-1.tar.gz',hashes={{sha256='{a}',md5='0'}}}}\n\
             wheels=[{{path='w/z-1-py3-none-any.whl',size=3,upload-time=2026-01-02T03:04:05Z,\
             hashes={{sha256='{a}'}}}},{{url='https://h/z-1-py2-none-any.whl',hashes={{sha512='{a}{a}'}}}}]\n\
             [[packages]]\nname='a'\narchive={{url='https://h/a.tar.gz',subdirectory='s',hashes={{sha256='{a}'}}}}\n\
             [[packages]]\nname='d'\ndirectory={{path='/d',editable=true}}\n\
             [[packages]]\nname='v'\nvcs={{type='git',url='https://h/v',commit-id='c',requested-revision='main'}}\n"
        );
        let path = Path::new("/p/pylock.toml");
        let mut first = pylock::read(path, text.as_bytes()).unwrap();
        let written = write(&first).unwrap();
        let second = pylock::read(path, written.as_bytes()).unwrap();
        assert_eq!(write(&second).unwrap(), written);
        let names = |lock: &Lock| -> Vec<String> {
            lock.packages.iter().map(|one| one.name.clone()).collect()
        };
        assert_eq!(names(&second), ["a", "d", "v", "z"]);
        first.packages.reverse();
        for package in &mut first.packages {
            if let Source::Files { wheels, .. } = &mut package.source {
                wheels.reverse();
            }
        }
        assert_eq!(write(&first).unwrap(), written);
        let mut same = second.clone();
        same.packages.iter_mut().for_each(|one| one.place.clear());
        first
            .packages
            .sort_by(|one, other| one.name.cmp(&other.name));
        for package in &mut first.packages {
            package.place.clear();
            if let Source::Files { wheels, .. } = &mut package.source {
                wheels.sort_by(|one, other| one.name.cmp(&other.name));
            }
        }
        assert_eq!(same, first);
    }

    #[test]
    fn strings_of_any_characters_are_written() {
        let value = "a\u{1}\u{7f}\u{85}\n\t\"\\é".to_owned();
        let lock = Lock {
            created_by: value.clone(),
            ..Lock::default()
        };
        let read = pylock::read(Path::new("pylock.toml"), write(&lock).unwrap().as_bytes());
        assert_eq!(read.unwrap().created_by, value);
    }
}
