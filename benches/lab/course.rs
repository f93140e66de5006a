//! What each tool does to bring about what a lock names: the commands, on one course with the same
//! wheels for all.
//!
//! Promises that a command sees only the caches of the bench, and that two runs of a work never
//! share a target that is meant to be new.
//!
//! Read next: `locked.rs`, which measures them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::field::Field;
use super::index_server::Index;
use super::rivals::{Python, done};
use super::wheels::{VERSION, Wheels, pylock, requirements};

/// The version that one package changes to.
const NEXT: &str = "2.0";

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// A new environment out of a warm cache.
    New,
    /// Another version of one package.
    Change,
    /// A sync of what is installed already.
    Nothing,
    /// A new environment out of an index, with an empty cache.
    Cold,
    /// The same from a lock with the URLs of the wheels.
    ColdUrls,
    ColdBytecode,
    /// A new environment with bytecode, out of a warm cache.
    Bytecode,
    /// A new environment that has pip too, out of a warm cache.
    WithPip,
    /// The same out of an index, with an empty cache.
    ColdWithPip,
}

impl Work {
    pub(crate) fn name(self, count: usize) -> String {
        match self {
            Self::New => format!("new environment, {count} packages, warm"),
            Self::Change => format!("one of {count} packages changes"),
            Self::Nothing => format!("nothing to do, {count} packages"),
            Self::Cold => format!("new environment, {count} packages, cold, from an index"),
            Self::ColdUrls => {
                format!("new environment, {count} packages, cold, from URLs of a lock")
            }
            Self::ColdBytecode => format!("new environment, {count} packages, cold, with bytecode"),
            Self::Bytecode => format!("new environment, {count} packages, warm, with bytecode"),
            Self::WithPip => format!("new environment with pip, {count} packages, warm"),
            Self::ColdWithPip => {
                format!("new environment with pip, {count} packages, cold, from an index")
            }
        }
    }

    fn is_cold(self) -> bool {
        matches!(
            self,
            Self::Cold | Self::ColdUrls | Self::ColdBytecode | Self::ColdWithPip
        )
    }

    fn has_pip(self) -> bool {
        matches!(self, Self::WithPip | Self::ColdWithPip)
    }

    fn has_bytecode(self) -> bool {
        matches!(self, Self::ColdBytecode | Self::Bytecode)
    }
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    Rvenv,
    Uv,
    Pip,
}

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rvenv => "`rvenv`",
            Self::Uv => "`uv`",
            Self::Pip => "`pip`",
        }
    }
}

/// Commands whose time counts.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) measured: Vec<Command>,
    /// The environment.
    pub(crate) result: PathBuf,
}

/// The wheels, the locks and the index.
pub(crate) struct Course<'a> {
    pub(crate) field: Field,
    python: &'a Python,
    uv: Result<PathBuf, String>,
    wheels: Wheels,
    index: Index,
}

impl<'a> Course<'a> {
    /// Makes the wheels of the most packages, and the environments that are changed.
    pub(crate) fn new(
        python: &'a Python,
        uv: Result<PathBuf, String>,
        changed: usize,
        most: usize,
    ) -> Result<Self, String> {
        let field = Field::on_disk();
        let wheels = Wheels::new(&field)?;
        wheels.make(&field, python, most, VERSION)?;
        wheels.make(&field, python, 1, NEXT)?;
        let index = Index::start(&wheels).map_err(|error| error.to_string())?;
        let course = Self {
            field,
            python,
            uv,
            wheels,
            index,
        };
        let lock = course.lock(changed, Named::Path, VERSION)?;
        for work in [Work::Change, Work::Nothing] {
            for tool in [Tool::Rvenv, Tool::Uv] {
                // Without uv there is nothing to prepare for it.
                let Ok(mut made) = course.create(tool, work, &course.kept(work, tool), &lock)
                else {
                    continue;
                };
                for command in &mut made.measured {
                    done(command)?;
                }
            }
        }
        Ok(course)
    }

    /// The environment of a work that changes one again and again.
    fn kept(&self, work: Work, tool: Tool) -> PathBuf {
        self.field.root.join(format!("{work:?}-{tool:?}"))
    }

    /// What a tool has to do in a round.
    pub(crate) fn trial(
        &self,
        work: Work,
        tool: Tool,
        count: usize,
        round: usize,
    ) -> Result<Trial, String> {
        let named = match (work, tool) {
            (Work::Cold | Work::ColdBytecode | Work::ColdWithPip, _) | (_, Tool::Pip) => {
                Named::Version
            }
            (Work::ColdUrls, _) => Named::Url,
            (_, Tool::Rvenv | Tool::Uv) => Named::Path,
        };
        // The package changes there and back.
        let is_next = work == Work::Change && round.is_multiple_of(2);
        let lock = self.lock(count, named, if is_next { NEXT } else { VERSION })?;
        let fresh = format!("{work:?}-{tool:?}-{count}-{round}");
        let mut trial = match work {
            Work::Change | Work::Nothing => self.sync(tool, self.kept(work, tool), &lock)?,
            Work::New
            | Work::Cold
            | Work::ColdUrls
            | Work::ColdBytecode
            | Work::Bytecode
            | Work::WithPip
            | Work::ColdWithPip => self.create(tool, work, &self.field.root.join(&fresh), &lock)?,
        };
        if work.is_cold() {
            let caches = self.field.root.join(format!("caches-{fresh}"));
            for command in &mut trial.measured {
                empty_caches(command, &caches);
            }
        }
        if let Some(last) = trial.measured.last_mut() {
            match named {
                Named::Version if work.is_cold() => {
                    last.arg("--index-url").arg(self.index.url());
                }
                Named::Version => {
                    last.args(["--no-index", "--find-links"]);
                    last.arg(&self.wheels.dir);
                }
                Named::Url if tool == Tool::Rvenv => {
                    last.args(["--allow-host", "127.0.0.1"]);
                }
                Named::Path | Named::Url => {}
            }
            if work.has_bytecode() {
                last.arg("--compile-bytecode");
            }
        }
        Ok(trial)
    }

    /// A lock, written once.
    fn lock(&self, count: usize, named: Named, first: &str) -> Result<PathBuf, String> {
        let dir = self.field.root.join(format!("{named:?}-{count}-{first}"));
        let lock = dir.join(match named {
            Named::Version => "requirements.txt",
            Named::Path | Named::Url => "pylock.toml",
        });
        if !lock.exists() {
            let pins = self.wheels.pins(count, first)?;
            let text = match named {
                Named::Version => requirements(&pins),
                Named::Path => pylock(&pins, "path", &self.wheels.dir.display().to_string()),
                Named::Url => pylock(&pins, "url", &self.index.files()),
            };
            fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
            fs::write(&lock, text).map_err(|error| error.to_string())?;
        }
        Ok(lock)
    }

    /// A new environment.
    fn create(&self, tool: Tool, work: Work, target: &Path, lock: &Path) -> Result<Trial, String> {
        let measured = match tool {
            Tool::Rvenv => {
                let without: &[&str] = if work.has_pip() {
                    &[]
                } else {
                    &["--without-pip"]
                };
                let mut command = self.rvenv(&["create"]);
                command.args(without).arg("--python").arg(&self.python.path);
                command.arg(target).arg("-r").arg(lock);
                vec![command]
            }
            Tool::Uv => {
                let mut venv = self.field.command(self.uv.as_ref().map_err(Clone::clone)?);
                venv.args(["venv", "-q", "--python"]).arg(&self.python.path);
                venv.arg(target);
                vec![venv, self.uv_sync(target, lock)?]
            }
            Tool::Pip => {
                let mut venv = self.field.command(&self.python.path);
                venv.args(["-m", "venv"]).arg(target);
                vec![venv, self.pip(target, lock)]
            }
        };
        Ok(Trial {
            measured,
            result: target.to_owned(),
        })
    }

    /// A change of an environment that exists.
    fn sync(&self, tool: Tool, target: PathBuf, lock: &Path) -> Result<Trial, String> {
        let command = match tool {
            Tool::Rvenv => {
                let mut command = self.rvenv(&["sync", "-r"]);
                command.arg(lock).arg("--env").arg(&target);
                command
            }
            Tool::Uv => self.uv_sync(&target, lock)?,
            Tool::Pip => return Err("pip has no sync".to_owned()),
        };
        Ok(Trial {
            measured: vec![command],
            result: target,
        })
    }

    fn rvenv(&self, words: &[&str]) -> Command {
        let mut command = self.field.command(Path::new(env!("CARGO_BIN_EXE_rvenv")));
        command.arg("-q").args(words);
        command
    }

    fn uv_sync(&self, target: &Path, lock: &Path) -> Result<Command, String> {
        let mut command = self.field.command(self.uv.as_ref().map_err(Clone::clone)?);
        command
            .args(["pip", "sync", "-q", "--link-mode", "hardlink", "--python"])
            .arg(target.join("bin/python"))
            .arg(lock);
        Ok(command)
    }

    fn pip(&self, target: &Path, lock: &Path) -> Command {
        let mut command = self.field.command(&target.join("bin/python"));
        command
            .args(["-m", "pip", "install", "-q", "--disable-pip-version-check"])
            .args(["--no-cache-dir", "--no-compile", "--require-hashes", "-r"])
            .arg(lock);
        command
    }
}

/// How a lock names wheels.
#[derive(Clone, Copy, Debug)]
enum Named {
    /// A requirements file: the tool looks for the wheel.
    Version,
    Path,
    Url,
}

/// Lets a command begin with empty caches, and ask the index.
fn empty_caches(command: &mut Command, caches: &Path) {
    command
        .env_remove("UV_OFFLINE")
        .env("UV_CACHE_DIR", caches.join("uv"))
        .env("RVENV_CACHE_DIR", caches.join("rvenv"));
}
