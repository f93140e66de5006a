//! Reading the registry: both hives, and the entries that 32-bit installers wrote for the whole
//! machine.
//!
//! Promises to read and nothing else; a key that cannot be read has no entries.
//! Read next: `../registry.rs`, which sorts the entries.

use windows_registry::{CURRENT_USER, Key, LOCAL_MACHINE};

use super::RegisteredPython;

const KEY: &str = r"Software\Python";
/// Where a 64-bit process finds the entries of 32-bit programs.
const KEY_32: &str = r"Software\Wow6432Node\Python";

/// All entries, in the order of precedence.
pub(super) fn entries() -> Vec<RegisteredPython> {
    let hives = [
        (CURRENT_USER, KEY),
        (LOCAL_MACHINE, KEY),
        (LOCAL_MACHINE, KEY_32),
    ];
    let opened = hives
        .into_iter()
        .filter_map(|(hive, key)| hive.open(key).ok());
    opened.flat_map(|python| entries_of(&python)).collect()
}

fn entries_of(python: &Key) -> Vec<RegisteredPython> {
    let mut found = Vec::new();
    for (company, tags) in keys(python) {
        for (tag, key) in keys(&tags) {
            let install = key.open("InstallPath").ok();
            let value = |name: &str| install.as_ref()?.get_string(name).ok();
            found.push(RegisteredPython {
                company: company.clone(),
                tag,
                executable: value("ExecutablePath"),
                prefix: value(""),
            });
        }
    }
    found
}

/// The keys directly below a key.
fn keys(key: &Key) -> Vec<(String, Key)> {
    let names = key.keys().into_iter().flatten();
    names
        .filter_map(|name| {
            let below = key.open(&name).ok()?;
            Some((name, below))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_installer_registered_is_read_back() {
        let root = format!(r"Software\rvenv-test-{}", std::process::id());
        let made = CURRENT_USER.create(&root).unwrap();
        let tag = made.create(r"PythonCore\3.12\InstallPath").unwrap();
        tag.set_string("", r"C:\Python312").unwrap();
        made.create(r"Astral\3.13").unwrap();
        let other = made.create(r"Astral\3.14\InstallPath").unwrap();
        other
            .set_string("ExecutablePath", r"C:\uv\python.exe")
            .unwrap();
        let mut read = entries_of(&made);
        CURRENT_USER.remove_tree(&root).unwrap();
        read.sort_by(|a, b| a.tag.cmp(&b.tag));
        let told: Vec<_> = read
            .iter()
            .map(|e| (e.tag.as_str(), e.executable.as_deref(), e.prefix.as_deref()))
            .collect();
        let expect = [
            ("3.12", None, Some(r"C:\Python312")),
            ("3.13", None, None),
            ("3.14", Some(r"C:\uv\python.exe"), None),
        ];
        assert_eq!(told, expect);
    }
}
