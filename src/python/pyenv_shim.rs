//! Shims of pyenv: which interpreter one leads to, without running it.
//!
//! A shim is a shell script that asks pyenv at every start, which takes longer than everything else
//! that a plan needs. Promises an answer only where pyenv's documented rules leave no choice: the
//! versions in `PYENV_VERSION`, else in the nearest `.python-version` at or above the working
//! directory, else in `$PYENV_ROOT/version`; of these the first that has the program. Only pyenv
//! itself can answer for anything else, such as `system`, a prefix of a version or a version that
//! is not installed. Does not notice what plugins of pyenv do.
//!
//! Read next: `discover.rs`, which asks the file that this leads to.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::surroundings::Surroundings;
use crate::base::regular_file;

/// More than any shim and any file of versions has.
const TEXT_MAX: u64 = 4096;

/// The interpreter that a shim runs; `None` for a file that is not a shim, or if only pyenv can
/// tell.
pub(super) fn behind(path: &Path, around: &Surroundings) -> Option<PathBuf> {
    let root = root_of(path)?;
    let names = versions(root, around)?;
    let program = path.file_name()?;
    for name in &names {
        let version = root.join("versions").join(name);
        // pyenv decides which version this means, and reports the error.
        if !version.is_dir() {
            return None;
        }
        let file = version.join("bin").join(program);
        if file.is_file() {
            return Some(file);
        }
    }
    None
}

/// Whether a file is a shim of pyenv.
pub(super) fn is_shim(path: &Path) -> bool {
    root_of(path).is_some()
}

/// The root of the pyenv that made a shim.
fn root_of(path: &Path) -> Option<&Path> {
    let shims = path.parent().filter(|above| above.ends_with("shims"))?;
    let root = shims.parent()?;
    let text = read(path)?;
    let of_root = format!("export PYENV_ROOT=\"{}\"", root.display());
    let is_shim = text.contains(&of_root) && text.contains("/pyenv\" exec \"$program\"");
    is_shim.then_some(root)
}

/// The active versions, the first one first.
fn versions(root: &Path, around: &Surroundings) -> Option<Vec<String>> {
    let variable = |name: &str| {
        let mut all = around.environment.iter();
        let found = all.find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value)
    };
    if let Some(value) = variable("PYENV_VERSION") {
        return plain(value.to_str()?.split(':'));
    }
    // With this variable, the search for a file begins elsewhere.
    if variable("PYENV_DIR").is_some() {
        return None;
    }
    let mut above = around.cwd.ancestors();
    let local = above.find_map(|dir| {
        let file = dir.join(".python-version");
        file.is_file().then_some(file)
    });
    let text = read(&local.unwrap_or_else(|| root.join("version")))?;
    plain(text.lines())
}

/// The names, if none has a special meaning for pyenv.
fn plain<'a>(names: impl Iterator<Item = &'a str>) -> Option<Vec<String>> {
    let is_plain = |name: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
        name != "system" && !name.starts_with('.') && name.chars().all(known)
    };
    let names = names.map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<&str> = names.collect();
    let all_plain = !names.is_empty() && names.iter().all(|name| is_plain(name));
    all_plain.then(|| names.into_iter().map(str::to_owned).collect())
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = regular_file::open(path).ok()?;
    file.take(TEXT_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

// These shims are shell scripts; those of pyenv-win are not followed.
#[cfg(test)]
#[cfg(unix)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests make a pyenv where others would"
)]
mod tests {
    use std::fs;

    use super::*;

    /// A pyenv with versions 3.12.1, which has `python3`, and `tools`, which also has `only`.
    struct Pyenv {
        place: tempfile::TempDir,
        around: Surroundings,
    }

    impl Pyenv {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            let root = place.path();
            for file in ["3.12.1/bin/python3", "tools/bin/python3", "tools/bin/only"] {
                let file = root.join("versions").join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, "").unwrap();
            }
            fs::create_dir(root.join("shims")).unwrap();
            let around = Surroundings {
                cwd: root.join("work/deep"),
                ..Surroundings::default()
            };
            fs::create_dir_all(&around.cwd).unwrap();
            let pyenv = Self { place, around };
            pyenv.shim("python3", pyenv.place.path());
            pyenv.shim("only", pyenv.place.path());
            pyenv
        }

        fn shim(&self, name: &str, root: &Path) {
            let root = root.display();
            let text = format!(
                "#!/usr/bin/env bash\nprogram=\"${{0##*/}}\"\nexport PYENV_ROOT=\"{root}\"\n\
                 exec \"{root}/libexec/pyenv\" exec \"$program\" \"$@\"\n"
            );
            fs::write(self.place.path().join("shims").join(name), text).unwrap();
        }

        fn says(&self, file: &str, text: &str) {
            fs::write(self.place.path().join(file), text).unwrap();
        }

        fn leads(&self, name: &str) -> Option<String> {
            let root = self.place.path();
            let found = behind(&root.join("shims").join(name), &self.around)?;
            let found = found.strip_prefix(root.join("versions")).unwrap();
            Some(found.to_str().unwrap().to_owned())
        }
    }

    #[test]
    fn the_nearest_word_counts() {
        let mut pyenv = Pyenv::new();
        assert_eq!(pyenv.leads("python3"), None);
        pyenv.says("version", "3.12.1\n");
        let first = Some("3.12.1/bin/python3".to_owned());
        assert_eq!(pyenv.leads("python3"), first);
        pyenv.says("work/.python-version", "tools\n");
        let tools = Some("tools/bin/python3".to_owned());
        assert_eq!(pyenv.leads("python3"), tools);
        pyenv.says("work/deep/.python-version", "3.12.1\n");
        assert_eq!(pyenv.leads("python3"), first);
        let variable = ("PYENV_VERSION".into(), "tools".into());
        pyenv.around.environment.push(variable);
        assert_eq!(pyenv.leads("python3"), tools);
    }

    #[test]
    fn the_first_version_that_has_the_program_is_the_one() {
        let pyenv = Pyenv::new();
        pyenv.says("version", "3.12.1\n\n  tools \n");
        assert_eq!(pyenv.leads("only").as_deref(), Some("tools/bin/only"));
    }

    #[test]
    fn what_only_pyenv_can_answer_is_left_to_it() {
        let mut pyenv = Pyenv::new();
        for text in [
            "system\n",
            "3.12\n",
            "9.9.9\n",
            "../versions/tools\n",
            "3.12.1 tools\n",
            "# 3.12.1\n",
            "9.9.9\n3.12.1\n",
            "",
        ] {
            pyenv.says("version", text);
            assert_eq!(pyenv.leads("python3"), None, "{text}");
        }
        pyenv.says("version", "3.12.1\n");
        assert!(pyenv.leads("python3").is_some());
        pyenv.shim("python3", Path::new("/another/root"));
        assert_eq!(pyenv.leads("python3"), None);
        pyenv.says("shims/only", "#!/bin/sh\nexec python3\n");
        assert_eq!(pyenv.leads("only"), None);
        let elsewhere = ("PYENV_DIR".into(), "/".into());
        pyenv.shim("python3", pyenv.place.path());
        pyenv.around.environment.push(elsewhere);
        assert_eq!(pyenv.leads("python3"), None);
    }
}
