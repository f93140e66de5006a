//! Repositories: a commit is checked out by the `git` of the user.
//!
//! Promises that what is checked out is the commit that was asked for, by its own hash, with its
//! submodules and its whole history: tools compute versions from tags. git asks for no password,
//! and only URLs of schemes that start no program are cloned. Does not know other kinds of
//! repositories.
//!
//! On disk: the directory that the caller gives; after a failure, part of a clone.
//! Read next: `../backend.rs`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::lock::Revision;
use crate::python::{
    self, Control, Finished, Heard, Job, Lines, Surroundings, Unfinished, printable, shown,
    without_passwords,
};

const GIT: &str = "git";
/// The schemes of URLs that are cloned; `ext:` and others run programs.
const SCHEMES: [&str; 5] = ["https://", "http://", "ssh://", "git://", "file://"];

/// The variables of git that name another repository than the arguments.
const PLACES: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
];

/// Why a commit is not checked out.
#[derive(Debug, Error)]
pub enum CheckoutFailed {
    /// It is a repository of another kind.
    #[error("`{url}` is a repository of {kind}; only those of git can be checked out")]
    Kind {
        /// Its kind.
        kind: String,
        /// Where it is, without a password.
        url: String,
    },
    /// Its URL or its commit is none.
    #[error("`{text}` is not {expected}")]
    Text {
        /// The text, without a password.
        text: String,
        /// What it should be, with an article.
        expected: &'static str,
    },
    /// There is no git.
    #[error("there is no git on PATH to check out `{url}` with")]
    NoGit {
        /// The repository, without a password.
        url: String,
    },
    /// git could not be started.
    #[error("cannot start `{}`", shown(git))]
    NotStarted {
        /// The program.
        git: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// git failed.
    #[error(
        "git cannot check out commit {commit} of `{url}`: {how}{}",
        Lines(said)
    )]
    Git {
        /// The repository, without a password.
        url: String,
        /// The commit.
        commit: String,
        /// The exit code or the signal, in words.
        how: String,
        /// The last lines of its output.
        said: Vec<String>,
    },
    /// The caller asked to stop; git has been killed.
    #[error("interrupted while checking out `{url}`")]
    Interrupted {
        /// The repository, without a password.
        url: String,
    },
}

/// What was checked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckedOut {
    /// When it was committed, in seconds since 1970.
    pub(crate) committed: Option<i64>,
}

/// A commit, and where it is checked out.
#[derive(Clone, Copy)]
pub(crate) struct Checkout<'a> {
    pub(crate) revision: &'a Revision,
    /// An absent directory.
    pub(crate) into: &'a Path,
    pub(crate) around: &'a Surroundings,
    pub(crate) control: &'a Control<'a>,
}

impl Checkout<'_> {
    /// Checks the commit out.
    ///
    /// # Errors
    /// See [`CheckoutFailed`].
    ///
    /// # Crash
    /// Part of a clone exists.
    pub(crate) fn run(&self) -> Result<CheckedOut, CheckoutFailed> {
        let Revision {
            kind, url, commit, ..
        } = self.revision;
        if kind != GIT {
            return Err(CheckoutFailed::Kind {
                kind: printable(kind),
                url: self.url(),
            });
        }
        let url = url.strip_prefix("git+").unwrap_or(url);
        let is_path = Path::new(url).is_absolute();
        let is_url = SCHEMES.iter().any(|scheme| url.starts_with(scheme));
        if !(is_path || is_url) || url.chars().any(char::is_control) {
            return Err(CheckoutFailed::Text {
                text: self.url(),
                expected: "the URL of a repository",
            });
        }
        let is_hash =
            matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash {
            return Err(CheckoutFailed::Text {
                text: printable(commit),
                expected: "the hash of a commit",
            });
        }
        let into = self.into.as_os_str();
        let words = |words: &[&'static str]| -> Vec<OsString> {
            words.iter().map(OsString::from).collect()
        };
        // Objects that no checkout needs come on demand, where the server can do that.
        let mut clone = words(&[
            "clone",
            "--quiet",
            "--no-checkout",
            "--filter=blob:none",
            "--",
        ]);
        clone.extend([OsString::from(url), into.to_owned()]);
        self.git(None, &clone)?;
        let mut switch = words(&["checkout", "--quiet", "--detach"]);
        switch.push(commit.into());
        if self.git(Some(self.into), &switch).is_err() {
            // Neither a branch nor a tag leads to it.
            let mut fetch = words(&["fetch", "--quiet", "origin"]);
            fetch.push(commit.into());
            self.git(Some(self.into), &fetch)?;
            self.git(Some(self.into), &switch)?;
        }
        if self.into.join(".gitmodules").is_file() {
            let update = words(&["submodule", "update", "--quiet", "--init", "--recursive"]);
            self.git(Some(self.into), &update)?;
        }
        let end = self.git(Some(self.into), &words(&["rev-parse", "HEAD"]))?;
        let head = String::from_utf8_lossy(&end.stdout).trim().to_owned();
        if !head.eq_ignore_ascii_case(commit) {
            return Err(self.failed(format!("it checked out {}", printable(&head)), Vec::new()));
        }
        let end = self.git(Some(self.into), &words(&["log", "-1", "--format=%ct"]))?;
        let committed = String::from_utf8_lossy(&end.stdout).trim().parse().ok();
        Ok(CheckedOut { committed })
    }

    fn url(&self) -> String {
        printable(&without_passwords(&self.revision.url))
    }

    fn failed(&self, how: String, said: Vec<String>) -> CheckoutFailed {
        CheckoutFailed::Git {
            url: self.url(),
            commit: self.revision.commit.clone(),
            how,
            said,
        }
    }

    /// Runs git.
    fn git(&self, dir: Option<&Path>, words: &[OsString]) -> Result<Finished, CheckoutFailed> {
        let search = self.around.search_path.as_ref();
        let found = search.and_then(|search| which::which_in(GIT, Some(search), "/").ok());
        let git = found.ok_or_else(|| CheckoutFailed::NoGit { url: self.url() })?;
        (self.control.starting)(&git);
        let mut environment = python::unsteered(self.around);
        // rvenv may run in a hook of git, where these name the repository of the hook.
        environment.retain(|(name, _)| !PLACES.iter().any(|place| name == place));
        for (name, value) in [("GIT_TERMINAL_PROMPT", "0"), ("LC_ALL", "C.UTF-8")] {
            environment.push((name.into(), value.into()));
        }
        let job = Job {
            program: &git,
            arguments: words
                .iter()
                .map(OsString::as_os_str)
                .collect::<Vec<&OsStr>>(),
            environment,
            cwd: dir.or(self.into.parent()).unwrap_or(self.into),
            input: None,
            heard: Heard::Answer,
        };
        let patient = Control {
            timeout: Duration::MAX,
            ..*self.control
        };
        let end = python::run(&job, &patient).map_err(|why| match why {
            Unfinished::NotStarted(source) => CheckoutFailed::NotStarted {
                git: git.clone(),
                source,
            },
            Unfinished::Interrupted | Unfinished::TimedOut => {
                CheckoutFailed::Interrupted { url: self.url() }
            }
        })?;
        if end.status.is_failure() {
            let said = python::last_lines(&end.stderr);
            return Err(self.failed(end.status.to_string(), said));
        }
        Ok(end)
    }
}
