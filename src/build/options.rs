//! Options: what the caller wants, and which texts are accepted.
//!
//! Promises that a path or prompt which passes here cannot break PATH, forge a line of
//! `pyvenv.cfg`, or end a line of a script. Every other text is accepted, and quoted where it is
//! used.
//!
//! Read next: `pyvenv_cfg.rs` and `hooks.rs`, which use them.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::python::PythonVersion;

/// The only version control system that `venv` knows.
pub const GIT: &str = "git";

/// The options of an environment, as `venv.EnvBuilder` takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the options of venv.EnvBuilder, by their names"
)]
pub struct Options {
    /// Whether the packages of the base installation are visible.
    pub system_site_packages: bool,
    /// Whether an existing directory is replaced.
    pub clear: bool,
    /// Whether an existing environment gets this interpreter and keeps its packages.
    pub upgrade: bool,
    /// Whether pip, and setuptools before Python 3.12, are the newest rather than the bundled ones.
    pub upgrade_deps: bool,
    /// Whether the interpreter is linked rather than copied.
    pub symlinks: bool,
    /// Whether pip is installed.
    pub with_pip: bool,
    /// The prompt, if the caller gave one.
    pub prompt: Option<Prompt>,
    /// The version control systems that are to ignore the environment (Python 3.13 and later);
    /// lowercase.
    pub scm_ignore_files: BTreeSet<String>,
    /// Whether the sources of wheels get bytecode.
    pub compile_bytecode: bool,
    /// The bits that new files and directories do not get.
    pub umask: u32,
    /// Whether the bits come from a default ACL, which then overrides even a mode that venv sets
    /// whatever the umask.
    pub umask_is_of_acl: bool,
    /// The time of every file that is not taken from a wheel (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
}

/// The options that an upgrade takes from the environment unless the caller sets them; `None` is
/// not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Whether the packages of the base installation are visible.
    pub system_site_packages: Option<bool>,
    /// Whether the interpreter is linked rather than copied.
    pub symlinks: Option<bool>,
    /// The prompt.
    pub prompt: Option<Prompt>,
}

impl Choices {
    /// These choices, completed by others where they are not set: `typed.or(existing.choices())`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            system_site_packages: self.system_site_packages.or(other.system_site_packages),
            symlinks: self.symlinks.or(other.symlinks),
            prompt: self.prompt.or(other.prompt),
        }
    }

    /// The options with these choices in place of their own.
    #[must_use]
    pub fn over(self, options: Options) -> Options {
        Options {
            system_site_packages: self
                .system_site_packages
                .unwrap_or(options.system_site_packages),
            symlinks: self.symlinks.unwrap_or(options.symlinks),
            prompt: self.prompt.or(options.prompt),
            ..options
        }
    }
}

/// A prompt, as the caller gave it and as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The text that was given.
    pub asked: String,
    /// The name of the working directory, which `.` means.
    pub cwd_name: String,
}

impl Default for Options {
    /// The options of `venv`'s command line without flags.
    fn default() -> Self {
        Self {
            system_site_packages: false,
            clear: false,
            upgrade: false,
            upgrade_deps: false,
            symlinks: true,
            with_pip: true,
            prompt: None,
            scm_ignore_files: BTreeSet::from([GIT.to_owned()]),
            compile_bytecode: false,
            umask: 0o022,
            umask_is_of_acl: false,
            epoch: None,
        }
    }
}

impl Options {
    /// The prompt that the caller gave; since Python 3.9 `.` means the name of the working
    /// directory.
    #[must_use]
    pub fn prompt_for(&self, version: &PythonVersion) -> Option<&str> {
        let prompt = self.prompt.as_ref()?;
        let cwd = prompt.asked == "." && version.at_least(3, 9);
        Some(if cwd { &prompt.cwd_name } else { &prompt.asked })
    }
}

/// A text that must not get into an environment.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TextError {
    /// The environment's path is relative.
    #[error("`{0}` is not an absolute path")]
    Relative(String),
    /// The environment's path has a character that breaks PATH or forges lines of `pyvenv.cfg`.
    #[error("the path `{path}` has {what}, which {why}")]
    Path {
        /// The path, escaped.
        path: String,
        /// The character that it has.
        what: &'static str,
        /// Why that is refused.
        why: &'static str,
    },
    /// The prompt has a control character.
    #[error("the prompt `{0}` has a control character, which could forge a line of pyvenv.cfg")]
    Prompt(String),
}

/// Refuses a path that no environment can have.
///
/// # Errors
/// Relative paths, `:` (which separates the directories of PATH), control characters, and line
/// separators.
pub fn check_path(env_dir: &str) -> Result<(), TextError> {
    let refused = |what, why| TextError::Path {
        path: env_dir.escape_debug().to_string(),
        what,
        why,
    };
    if env_dir.chars().any(char::is_control) {
        let why = "could forge a line of pyvenv.cfg";
        return Err(refused("a control character", why));
    }
    // Readers that split lines as Python's `splitlines` does take these for line ends.
    if env_dir.contains(['\u{2028}', '\u{2029}']) {
        let why = "could forge a line of pyvenv.cfg";
        return Err(refused("a line separator", why));
    }
    if cfg!(not(windows)) && env_dir.contains(':') {
        return Err(refused("a `:`", "separates the directories of PATH"));
    }
    if !std::path::Path::new(env_dir).is_absolute() {
        return Err(TextError::Relative(env_dir.to_owned()));
    }
    Ok(())
}

/// Refuses a prompt that no environment can have.
///
/// # Errors
/// Control characters.
pub fn check_prompt(prompt: &str) -> Result<(), TextError> {
    if prompt.chars().any(char::is_control) {
        return Err(TextError::Prompt(prompt.escape_debug().to_string()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(text: &str) -> Prompt {
        Prompt {
            asked: text.to_owned(),
            cwd_name: "cwd".to_owned(),
        }
    }

    #[test]
    fn what_is_typed_goes_before_what_exists_and_that_before_the_defaults() {
        let typed = Choices {
            symlinks: Some(true),
            prompt: Some(prompt("typed")),
            ..Choices::default()
        };
        let existing = Choices {
            system_site_packages: Some(true),
            symlinks: Some(false),
            prompt: Some(prompt("existing")),
        };
        assert!(!existing.clone().over(Options::default()).symlinks);
        let options = typed.clone().or(existing).over(Options::default());
        assert!(options.system_site_packages);
        assert!(options.symlinks);
        assert_eq!(options.prompt, Some(prompt("typed")));
        let options = typed.over(Options::default());
        assert!(!options.system_site_packages);
        assert!(options.symlinks);
        assert_eq!(Choices::default().over(Options::default()).prompt, None);
    }

    #[test]
    fn a_path_that_breaks_path_or_the_configuration_is_refused() {
        let refused = |path| check_path(path).is_err();
        assert!(cfg!(windows) || !refused("/a b/'c\"$`\\é!/E"));
        assert!(refused("/a\nb"));
        assert!(refused("/a\u{85}b"));
        assert!(cfg!(windows) || refused("/a:b"));
        assert!(refused("relative"));
        assert!(check_prompt("").is_ok());
        assert!(check_prompt("a\rb").is_err());
    }
}
