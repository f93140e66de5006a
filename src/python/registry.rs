//! The registry of Windows: the interpreters that their installers registered there (PEP 514).
//!
//! Promises the order and the shadowing of PEP 514: the user's entries come before the machine's,
//! and hide the machine's entries of the same company and tag; `CPython`'s own come first, and the
//! newest first. Writes nothing. Does not promise that a registered file still exists.
//!
//! Read next: `candidates.rs`, which tries the files.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::PathBuf;

#[cfg(windows)]
mod windows;

/// The company whose entries may omit the name of the executable.
const CORE: &str = "PythonCore";
/// A company whose entries are not interpreters.
const LAUNCHER: &str = "PyLauncher";

/// The entry of one tag of one company.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RegisteredPython {
    company: String,
    tag: String,
    /// The value `ExecutablePath` of `InstallPath`.
    executable: Option<String>,
    /// The default value of `InstallPath`.
    prefix: Option<String>,
}

/// The executables that are registered; none on systems without a registry.
#[must_use]
pub fn registered() -> Vec<PathBuf> {
    #[cfg(windows)]
    let entries = windows::entries();
    #[cfg(not(windows))]
    let entries = Vec::new();
    executables(entries)
}

/// The executables of entries, which must be in the order of their hives.
fn executables(mut entries: Vec<RegisteredPython>) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    // The registry ignores case.
    entries.retain(|entry| {
        let is_new = seen.insert((entry.company.to_lowercase(), entry.tag.to_lowercase()));
        is_new && !entry.company.eq_ignore_ascii_case(LAUNCHER)
    });
    // Equal ones stay in the order of their hives.
    entries.sort_by_key(|entry| (!entry.is_core(), Reverse(numbers(&entry.tag))));
    let mut files: Vec<PathBuf> = entries.iter().filter_map(RegisteredPython::file).collect();
    let mut seen = BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    files
}

impl RegisteredPython {
    fn is_core(&self) -> bool {
        self.company.eq_ignore_ascii_case(CORE)
    }

    fn file(&self) -> Option<PathBuf> {
        if let Some(executable) = &self.executable {
            return Some(PathBuf::from(executable));
        }
        let prefix = self.prefix.as_ref().filter(|_| self.is_core())?;
        let prefix = prefix.trim_end_matches('\\');
        Some(PathBuf::from(format!(r"{prefix}\python.exe")))
    }
}

/// The numbers of a tag such as `3.12-32`.
fn numbers(tag: &str) -> Vec<u32> {
    let version = tag.split('-').next().unwrap_or_default();
    let digits = version.split(|c: char| !c.is_ascii_digit());
    digits.filter_map(|run| run.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(company: &str, tag: &str, executable: &str, prefix: &str) -> RegisteredPython {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        RegisteredPython {
            company: company.to_owned(),
            tag: tag.to_owned(),
            executable: text(executable),
            prefix: text(prefix),
        }
    }

    fn check(entries: &[RegisteredPython], expect: &[&str]) {
        let expect: Vec<PathBuf> = expect.iter().map(PathBuf::from).collect();
        assert_eq!(executables(entries.to_vec()), expect);
    }

    #[test]
    fn what_the_user_has_hides_what_the_machine_has_under_the_same_tag() {
        check(
            &[
                entry("PythonCore", "3.12", r"C:\Users\me\py312\python.exe", ""),
                entry("pythoncore", "3.12", r"C:\Python312\python.exe", ""),
                entry("PythonCore", "3.12-32", r"C:\Python312-32\python.exe", ""),
            ],
            &[
                r"C:\Users\me\py312\python.exe",
                r"C:\Python312-32\python.exe",
            ],
        );
    }

    #[test]
    fn cpython_comes_first_and_the_newest_before_the_older() {
        check(
            &[
                entry("Astral", "3.14", r"C:\uv\python.exe", ""),
                entry("PythonCore", "3.9", r"C:\39\python.exe", ""),
                entry("PythonCore", "3.10", r"C:\310\python.exe", ""),
            ],
            &[
                r"C:\310\python.exe",
                r"C:\39\python.exe",
                r"C:\uv\python.exe",
            ],
        );
    }

    #[test]
    fn only_cpython_need_not_name_its_executable() {
        check(
            &[
                entry("PythonCore", "3.8", "", r"C:\Python38\"),
                entry("Other", "3.8", "", r"C:\Other"),
                entry("PythonCore", "3.7", "", ""),
                entry("PyLauncher", "1", r"C:\Windows\py.exe", r"C:\Windows"),
                entry("Again", "3.8", r"C:\Python38\python.exe", ""),
            ],
            &[r"C:\Python38\python.exe"],
        );
    }
}
