//! Script trees: a directory of a caller's scripts as a value, with venv's placeholders in their
//! texts.
//!
//! Promises what `venv.EnvBuilder.install_scripts` documents: `common` and the folder of the
//! platform, everything below them, with `__VENV_DIR__`, `__VENV_NAME__`, `__VENV_PROMPT__`,
//! `__VENV_BIN_NAME__` and `__VENV_PYTHON__` replaced. One pass replaces them, so that a value
//! which looks like a placeholder is not replaced; each value is one word of the script's language,
//! quoted if necessary. A file that is not UTF-8 is copied unchanged, and every mode is kept. In a
//! batch file, only the percent signs of a value are doubled, since it is between the author's own
//! quotes; more is not possible there.
//!
//! [`ScriptTree::read`] reads files; everything after it is pure. Writes nothing.
//! Read next: `activation.rs`, whose table has the quoting of each extension;
//! `build/hooks/draft.rs`, which plans the scripts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rvenv_journal::raw::RelPathError;
use rvenv_journal::{Mode, RelPath};
use thiserror::Error;

use crate::base::regular_file;
use crate::build::activation::{self, Quote};
use crate::python::Interpreter;
use crate::wheel::interpreter_lines;

/// The beginning of every placeholder.
const PLACEHOLDER_START: &str = "__VENV_";

/// Scripts by the platform that they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptTree {
    folders: BTreeMap<Folder, BTreeMap<RelPath, ScriptFile>>,
}

/// The platforms that a script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Folder {
    /// All of them: `common`.
    Common,
    /// Those with a `bin`: `posix`.
    Posix,
    /// Windows: `nt`.
    Nt,
}

/// One script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptFile {
    /// Its bytes, with placeholders.
    pub bytes: Vec<u8>,
    /// Its permissions.
    pub mode: Mode,
}

/// Why a directory of scripts cannot be read.
#[derive(Debug, Error)]
pub enum ScriptTreeError {
    /// A system call failed.
    #[error("cannot read the scripts in `{}`", path.display().to_string().escape_debug())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name that is not valid in an environment.
    #[error(
        "the name of `{}` cannot be used in an environment",
        path.display().to_string().escape_debug()
    )]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: RelPathError,
    },
}

impl Folder {
    const ALL: [Self; 3] = [Self::Common, Self::Posix, Self::Nt];

    /// The name of the folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::Posix => "posix",
            Self::Nt => "nt",
        }
    }
}

impl ScriptTree {
    /// Reads `common`, `posix` and `nt` below a directory; ignores everything else in it, as venv
    /// does.
    ///
    /// Reads links to files, does not follow links to directories, and ignores what is not a file.
    ///
    /// # Errors
    /// See [`ScriptTreeError`]; a directory without any of the three is a tree without scripts.
    pub fn read(path: &Path) -> Result<Self, ScriptTreeError> {
        fs::metadata(path).map_err(|source| disk(path, source))?;
        let mut tree = Self::default();
        for folder in Folder::ALL {
            let dir = path.join(folder.name());
            match fs::symlink_metadata(&dir) {
                Ok(meta) if meta.is_dir() => tree.collect(folder, &dir, None)?,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(disk(&dir, source)),
            }
        }
        Ok(tree)
    }

    /// The same tree with a script at a path below a folder, in place of the one that it had.
    ///
    /// # Errors
    /// A path that leaves the folder.
    pub fn with(mut self, folder: Folder, path: &str, text: &str) -> Result<Self, RelPathError> {
        let script = ScriptFile {
            bytes: text.into(),
            mode: Mode::SHARED_FILE,
        };
        let scripts = self.folders.entry(folder).or_default();
        scripts.insert(RelPath::new(path)?, script);
        Ok(self)
    }

    /// The scripts for an interpreter, by their paths in the directory of executables; the
    /// platform's script replaces one of the same name in `common`.
    #[must_use]
    pub fn scripts(&self, interpreter: &Interpreter) -> BTreeMap<&RelPath, &ScriptFile> {
        let is_nt = interpreter.platform.os_name == "nt";
        let own = if is_nt { Folder::Nt } else { Folder::Posix };
        let chosen = [Folder::Common, own].into_iter();
        let all = chosen
            .filter_map(|folder| self.folders.get(&folder))
            .flatten();
        let newer = interpreter.version.at_least(3, 13);
        all.filter(|(path, _)| !is_nt || !is_launcher(path, newer))
            .collect()
    }

    fn collect(
        &mut self,
        folder: Folder,
        dir: &Path,
        below: Option<&RelPath>,
    ) -> Result<(), ScriptTreeError> {
        let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in entries.map_err(|source| disk(dir, source))? {
            let path = entry.path();
            let named = |source| ScriptTreeError::Name {
                path: path.clone(),
                source,
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            let within = match below {
                Some(below) => below.join(&name),
                None => RelPath::new(&name),
            };
            let within = within.map_err(named)?;
            let kind = entry.file_type().map_err(|source| disk(&path, source))?;
            if kind.is_dir() {
                self.collect(folder, &path, Some(&within))?;
                continue;
            }
            let meta = fs::metadata(&path).map_err(|source| disk(&path, source))?;
            // Opening a FIFO could wait for ever.
            if !meta.is_file() {
                continue;
            }
            let bytes = regular_file::read(&path).map_err(|source| disk(&path, source))?;
            let script = ScriptFile {
                bytes,
                mode: mode_of(&meta),
            };
            self.folders
                .entry(folder)
                .or_default()
                .insert(within, script);
        }
        Ok(())
    }
}

fn disk(path: &Path, source: io::Error) -> ScriptTreeError {
    let path = path.to_owned();
    ScriptTreeError::Disk { path, source }
}

#[cfg(unix)]
fn mode_of(meta: &fs::Metadata) -> Mode {
    use std::os::unix::fs::PermissionsExt as _;
    Mode::new(meta.permissions().mode() & 0o777).unwrap_or(Mode::SHARED_FILE)
}

#[cfg(not(unix))]
fn mode_of(_meta: &fs::Metadata) -> Mode {
    Mode::SHARED_FILE
}

/// Whether venv omits a file on Windows, where the hook of the interpreter places such programs.
fn is_launcher(path: &RelPath, newer: bool) -> bool {
    let name = path.name().to_ascii_lowercase();
    let program = Path::new(&name).extension();
    let program = program.is_some_and(|extension| extension == "exe" || extension == "pdb");
    program && (name.starts_with("python") || (newer && name.starts_with("venv")))
}

/// The values of the placeholders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values<'a> {
    /// `__VENV_DIR__`: the absolute path of the environment.
    pub dir: &'a str,
    /// `__VENV_NAME__`: the last component of that path.
    pub name: &'a str,
    /// `__VENV_PROMPT__`: the prompt, without parentheses as since Python 3.13.
    pub prompt: &'a str,
    /// `__VENV_BIN_NAME__`: the name of the directory of executables.
    pub bin_name: &'a str,
    /// `__VENV_PYTHON__`: the absolute path of the environment's interpreter.
    pub python: &'a str,
}

impl Values<'_> {
    /// A script with its placeholders replaced in one pass; bytes that are not UTF-8 come back
    /// unchanged.
    ///
    /// A first line `#!__VENV_PYTHON__` becomes the lines that start this interpreter, whatever its
    /// path.
    ///
    /// ```
    /// # use rvenv::scripts::Values;
    /// # use rvenv_journal::RelPath;
    /// let values = Values {
    ///     dir: "/my env",
    ///     name: "my env",
    ///     prompt: "p",
    ///     bin_name: "bin",
    ///     python: "/my env/bin/python",
    /// };
    /// let script = values.fill(&RelPath::new("hello")?, b"cd __VENV_DIR__/__VENV_BIN_NAME__\n");
    /// assert_eq!(script, b"cd '/my env'/bin\n");
    /// # Ok::<(), rvenv_journal::raw::RelPathError>(())
    /// ```
    #[must_use]
    pub fn fill(&self, name: &RelPath, script: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(script) else {
            return script.to_vec();
        };
        let mut filled = String::with_capacity(text.len() + 256);
        let own = text.strip_prefix("#!__VENV_PYTHON__").and_then(|rest| {
            rest.strip_prefix('\n')
                .or_else(|| rest.strip_prefix("\r\n"))
        });
        let quote = quoting(name.name(), own.is_some());
        if own.is_some() {
            filled.push_str(&interpreter_lines(self.python));
        }
        let mut rest = own.unwrap_or(text);
        while let Some((before, after)) = rest.split_once(PLACEHOLDER_START) {
            filled.push_str(before);
            rest = if let Some((value, following)) = self.value(after) {
                filled.push_str(&quote(value));
                following
            } else {
                filled.push_str(PLACEHOLDER_START);
                after
            };
        }
        filled.push_str(rest);
        filled.into_bytes()
    }

    /// The value of the placeholder whose name begins a text, and the text after it.
    fn value<'t>(&self, text: &'t str) -> Option<(&str, &'t str)> {
        let all = [
            ("DIR__", self.dir),
            ("NAME__", self.name),
            ("PROMPT__", self.prompt),
            ("BIN_NAME__", self.bin_name),
            ("PYTHON__", self.python),
        ];
        let mut found = all
            .into_iter()
            .filter_map(|(name, value)| Some((value, text.strip_prefix(name)?)));
        found.next()
    }
}

/// The quoting for a script, by its extension as venv does.
///
/// A script with another extension, or with none, is in Python if it starts the environment's own
/// interpreter, and otherwise in sh.
fn quoting(name: &str, starts_python: bool) -> Quote {
    let extension = Path::new(name).extension().unwrap_or_default();
    match activation::quoting_of(&extension.to_string_lossy()) {
        Some(quote) => quote,
        None if starts_python => activation::quote_python,
        None => activation::quote_posix,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(name: &str, script: &[u8], dir: &str, prompt: &str) -> Vec<u8> {
        let python = format!("{dir}/bin/python3");
        let values = Values {
            dir,
            name: dir.rsplit('/').next().unwrap(),
            prompt,
            bin_name: "bin",
            python: &python,
        };
        values.fill(&RelPath::new(name).unwrap(), script)
    }

    fn check(name: &str, script: &str, expect: &str) {
        let found = filled(name, script.as_bytes(), "/it's %a", "!x");
        assert_eq!(String::from_utf8(found).unwrap(), expect, "{name}");
    }

    #[test]
    fn each_language_gets_one_word_of_its_own() {
        let script = "x __VENV_DIR__ __VENV_PROMPT__\n";
        check("run", script, "x '/it'\\''s %a' '!x'\n");
        check("run.sh", script, "x '/it'\\''s %a' '!x'\n");
        check("a.csh", script, "x /it\\'s\\ \\%a \\!x\n");
        check("a.fish", script, "x '/it\\'s %a' '!x'\n");
        check("A.PS1", script, "x '/it''s %a' '!x'\n");
        check("a.bat", script, "x /it's %%a !x\n");
        check("a.nu", script, "x \"/it's %a\" \"!x\"\n");
        check("a.tcsh", script, "x /it\\'s\\ \\%a \\!x\n");
        check("a.CMD", script, "x /it's %%a !x\n");
        check("a.pyw", script, "x \"/it's %a\" \"!x\"\n");
        check("a.xsh", script, "x \"/it's %a\" \"!x\"\n");
        check("a.py", script, "x \"/it's %a\" \"!x\"\n");
    }

    #[test]
    fn all_five_placeholders_are_known_and_nothing_else_is() {
        let script =
            b"__VENV_NAME__ __VENV_BIN_NAME__ __VENV_PYTHON__ __VENV_OTHER__ __VENV___VENV_NAME__";
        let expect = b"E bin /x/E/bin/python3 __VENV_OTHER__ __VENV_E";
        assert_eq!(filled("run", script, "/x/E", "p"), expect);
    }

    #[test]
    fn a_value_that_looks_like_a_placeholder_is_not_replaced_again() {
        let script = b"__VENV_DIR__|__VENV_PROMPT__";
        let found = filled("run", script, "/a__VENV_BIN_NAME__b", "__VENV_DIR__");
        assert_eq!(found, b"/a__VENV_BIN_NAME__b|__VENV_DIR__");
    }

    #[test]
    fn what_is_no_text_stays_as_it_is_and_so_do_the_ends_of_lines() {
        let bytes = b"\xff__VENV_DIR__\r\n";
        assert_eq!(filled("run", bytes, "/e", "p"), bytes);
        assert_eq!(
            filled("run", b"a\r\n__VENV_NAME__\r\n", "/e", "p"),
            b"a\r\ne\r\n"
        );
    }

    #[test]
    fn a_script_that_starts_the_interpreter_does_so_from_any_path() {
        let script = b"#!__VENV_PYTHON__\nhome = __VENV_DIR__\n";
        assert_eq!(
            filled("tool", script, "/e", "p"),
            b"#!/e/bin/python3\nhome = \"/e\"\n"
        );
        let found = filled("tool", script, "/a b", "p");
        let expect =
            "#!/bin/sh\n'''exec' '/a b/bin/python3' \"$0\" \"$@\"\n' '''\nhome = \"/a b\"\n";
        assert_eq!(String::from_utf8(found).unwrap(), expect);
    }

    #[test]
    fn launchers_are_left_to_the_stage_of_the_interpreter() {
        let check = |name: &str, newer, expect| {
            assert_eq!(
                is_launcher(&RelPath::new(name).unwrap(), newer),
                expect,
                "{name}"
            );
        };
        check("python.exe", false, true);
        check("pythonw_d.PDB", false, true);
        check("venvlauncher.exe", false, false);
        check("venvlauncher.exe", true, true);
        check("tool.exe", true, false);
        check("python.bat", true, false);
    }
}
