//! Bytecode: what an interpreter would write into `__pycache__` for the sources of a wheel,
//! compiled ahead of time.
//!
//! Promises that equal sources and an equal interpreter give equal bytes:
//! - The times in the headers are those of the sources.
//! - The file names inside are those in the wheel; Python replaces them by the real path on import.
//! - The hash seed is fixed.
//! - What one process compiles depends on the sources alone, never on the number of processes.
//!
//! A source that this Python rejects has no bytecode, which is no error. Does not promise that two
//! builds of one version give the same bytes; the interpreter itself is part of the [`key`].
//!
//! Read next: `bytecode/path.rs`, where it lies; `bytecode/compile.py`, which runs in the
//! interpreter; `provision.rs`, which keeps the result.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use rvenv_journal::Digest;
use thiserror::Error;

use crate::python::{
    self, Caching, Control, Heard, Interpreter, Job, Lines, Surroundings, Unfinished, shown,
};

pub(crate) mod header;
pub(crate) mod path;
mod wire;

pub use path::path_of;

use wire::{Malformed, answer, question};

/// The program that the interpreter runs.
const PROGRAM: &str = include_str!("bytecode/compile.py");
/// The version of the format of the files and of the names inside them.
const FORMAT: u32 = 1;
/// Bytes of source text that one process compiles, unless a single source has more. Before Python
/// 3.11, sources that are compiled together can affect each other's bytecode, so this is as much a
/// part of the format as the program, and two wheels do not share a process.
const BATCH_BYTES: usize = 512 << 10;
/// The time limit of one process: a hundred times what it needs.
const BATCH_TIMEOUT: Duration = Duration::from_mins(5);
/// How often the caller is asked whether to stop.
const TICK: Duration = Duration::from_millis(5);

/// A Python source of a wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path in the wheel, which is the file name inside the bytecode until the first import.
    pub name: String,
    /// The modification time that the source has in every environment.
    pub mtime: i64,
    /// Its text.
    pub text: Vec<u8>,
}

/// Runs the interpreters that compile.
#[derive(Clone, Copy)]
pub struct Compiler<'a> {
    /// The surroundings that they run in.
    pub around: &'a Surroundings,
    /// Interrupts them; the time limit is the compiler's own.
    pub control: &'a Control<'a>,
    /// How many may run at once.
    pub workers: NonZeroUsize,
}

/// Why there is no bytecode.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompileFailed {
    /// The interpreter keeps no bytecode.
    #[error("`{}` keeps no bytecode: it has no cache tag", shown(python))]
    NoCache {
        /// The base executable.
        python: PathBuf,
    },
    /// The interpreter did not start.
    #[error("cannot start `{}`", shown(python))]
    NotStarted {
        /// The base executable.
        python: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The interpreter ended with an error.
    #[error("`{}` could not compile: {how}{}", shown(python), Lines(said))]
    Crashed {
        /// The base executable.
        python: PathBuf,
        /// The exit code or the signal, in words.
        how: String,
        /// The last lines that it printed.
        said: Vec<String>,
    },
    /// The interpreter returned something other than bytecode.
    #[error("what `{}` compiled cannot be used: {reason}", shown(python))]
    Malformed {
        /// The base executable.
        python: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The interpreter did not end in time, and was killed.
    #[error("`{}` did not compile within {seconds} s", shown(python))]
    TimedOut {
        /// The base executable.
        python: PathBuf,
        /// The time limit.
        seconds: u64,
    },
    /// The caller asked to stop; the interpreter has been killed.
    #[error("interrupted while `{}` compiled", shown(python))]
    Interrupted {
        /// The base executable.
        python: PathBuf,
    },
}

/// The bytecode of wheels: by the digest of the wheel, then by the path of the source in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytecode {
    wheels: BTreeMap<Digest, Arc<Compiled>>,
}

/// The bytecode of one wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The name that it is kept under.
    pub key: Digest,
    /// Digest and length of each file, by the path of its source; no entry for a source that cannot
    /// be compiled.
    pub files: BTreeMap<String, (Digest, u64)>,
    /// The files themselves, if there is no cache to keep them.
    pub bytes: BTreeMap<Digest, Vec<u8>>,
}

impl Bytecode {
    /// Adds the bytecode of a wheel.
    pub fn add(&mut self, wheel: Digest, compiled: Compiled) {
        self.wheels.insert(wheel, Arc::new(compiled));
    }

    /// The bytecode of a wheel.
    #[must_use]
    pub fn of(&self, wheel: Digest) -> Option<&Compiled> {
        self.wheels.get(&wheel).map(Arc::as_ref)
    }
}

/// The name that the bytecode of a wheel is kept under, for this wheel and exactly this
/// interpreter; no wheel has the same name.
///
/// `None` for an interpreter that keeps no bytecode.
#[must_use]
pub fn key(wheel: Digest, interpreter: &Interpreter) -> Option<Digest> {
    let Caching { tag, magic } = interpreter.caching.as_ref()?;
    let executable = interpreter.executable_digest;
    let implementation = &interpreter.platform.implementation;
    let program = Digest::of(PROGRAM.as_bytes());
    let version = &interpreter.version.text;
    let text = format!(
        "rvenv bytecode {FORMAT}\nwheel {wheel}\nprogram {program}\nbatch {BATCH_BYTES}\n\
         python {implementation} {version} {tag} {magic} {executable}\n"
    );
    Some(Digest::of(text.as_bytes()))
}

impl Compiler<'_> {
    /// Compiles sources; the result has their order, and `None` for a source that this Python
    /// rejects.
    ///
    /// The names must be unique, and sorted if the result is not to depend on the caller.
    ///
    /// # Errors
    /// See [`CompileFailed`].
    pub fn compile(
        &self,
        interpreter: &Interpreter,
        sources: &[SourceFile],
    ) -> Result<Vec<Option<Vec<u8>>>, CompileFailed> {
        let mut all = self.compile_all(interpreter, &[sources])?;
        Ok(all.pop().unwrap_or_default())
    }

    /// As [`compile`](Self::compile), for the sources of several wheels, which may share processes
    /// if the result does not depend on it. Names must be unique in each wheel.
    ///
    /// # Errors
    /// See [`CompileFailed`].
    pub fn compile_all(
        &self,
        interpreter: &Interpreter,
        wheels: &[&[SourceFile]],
    ) -> Result<Vec<Files>, CompileFailed> {
        let python = &interpreter.executable;
        let Some(caching) = &interpreter.caching else {
            let python = python.clone();
            return Err(CompileFailed::NoCache { python });
        };
        let batches = batches(wheels, interpreter.version.at_least(3, 11));
        if !batches.is_empty() {
            (self.control.starting)(python);
        }
        let work = Work {
            interpreter,
            caching,
            environment: environment(self.around),
            cwd: &self.around.cwd,
            next: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        };
        let workers = self.workers.get().min(batches.len());
        let done = thread::scope(|scope| {
            let (to, done) = channel();
            for _ in 0..workers {
                let (to, work, batches) = (to.clone(), &work, &batches);
                scope.spawn(move || work.take_all(batches, &to));
            }
            drop(to);
            self.gather(&work, &done, batches.len())
        })?;
        let mut done = done.into_iter().flatten();
        let counts = wheels.iter().map(|sources| sources.len());
        Ok(counts
            .map(|count| done.by_ref().take(count).collect())
            .collect())
    }

    /// Waits for every batch, and stops the processes if the caller asks for it.
    fn gather(
        &self,
        work: &Work<'_>,
        done: &std::sync::mpsc::Receiver<(usize, Outcome)>,
        count: usize,
    ) -> Result<Vec<Files>, CompileFailed> {
        let mut files: Vec<Files> = vec![Vec::new(); count];
        let mut failed = None;
        loop {
            match done.recv_timeout(TICK) {
                Ok((index, Ok(compiled))) => {
                    if let Some(slot) = files.get_mut(index) {
                        *slot = compiled;
                    }
                }
                Ok((_, Err(why))) => {
                    work.stopped.store(true, Ordering::Relaxed);
                    // The first failure is the cause; the others were stopped because of it.
                    failed.get_or_insert(why);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return failed.map_or(Ok(files), Err),
            }
            if (self.control.interrupted)() {
                work.stopped.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// The files of some sources, in their order.
pub type Files = Vec<Option<Vec<u8>>>;
type Outcome = Result<Files, CompileFailed>;

/// What the threads that wait for the interpreters share.
struct Work<'a> {
    interpreter: &'a Interpreter,
    caching: &'a Caching,
    environment: Vec<(OsString, OsString)>,
    cwd: &'a std::path::Path,
    next: AtomicUsize,
    stopped: AtomicBool,
}

impl Work<'_> {
    fn take_all(&self, batches: &[Vec<&SourceFile>], to: &Sender<(usize, Outcome)>) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = batches.get(index) else {
                return;
            };
            let outcome = self.compile(batch);
            let is_last = outcome.is_err();
            if to.send((index, outcome)).is_err() || is_last {
                return;
            }
        }
    }

    fn compile(&self, batch: &[&SourceFile]) -> Outcome {
        let python = || self.interpreter.executable.clone();
        let arguments = ["-s", "-S", "-B", "-c", PROGRAM];
        let job = Job {
            program: &self.interpreter.executable,
            arguments: arguments.iter().map(OsStr::new).collect(),
            environment: self.environment.clone(),
            cwd: self.cwd,
            input: Some(question(batch).into()),
            heard: Heard::Files,
        };
        let control = Control {
            timeout: BATCH_TIMEOUT,
            interrupted: &|| self.stopped.load(Ordering::Relaxed),
            starting: &|_| {},
        };
        let end = python::run(&job, &control).map_err(|why| match why {
            Unfinished::NotStarted(source) => CompileFailed::NotStarted {
                python: python(),
                source,
            },
            Unfinished::TimedOut => CompileFailed::TimedOut {
                python: python(),
                seconds: BATCH_TIMEOUT.as_secs(),
            },
            Unfinished::Interrupted => CompileFailed::Interrupted { python: python() },
        })?;
        if end.status.is_failure() {
            return Err(CompileFailed::Crashed {
                python: python(),
                how: end.status.to_string(),
                said: python::last_lines(&end.stderr),
            });
        }
        answer(&end.stdout, batch, self.caching).map_err(|Malformed(reason)| {
            CompileFailed::Malformed {
                python: python(),
                reason,
            }
        })
    }
}

/// Cuts the sources, in their order, into batches of enough text; only if they may be joined, a
/// batch has sources of more than one wheel.
fn batches<'a>(wheels: &[&'a [SourceFile]], may_be_joined: bool) -> Vec<Vec<&'a SourceFile>> {
    let mut found: Vec<Vec<&SourceFile>> = Vec::new();
    let mut bytes = 0;
    for sources in wheels {
        for (index, source) in sources.iter().enumerate() {
            bytes += source.text.len().max(1);
            let is_joined = index > 0 || may_be_joined;
            match found.last_mut() {
                Some(batch) if bytes <= BATCH_BYTES && is_joined => batch.push(source),
                Some(_) | None => {
                    bytes = source.text.len().max(1);
                    found.push(vec![source]);
                }
            }
        }
    }
    found
}

/// The variables that a program needs to start, with a fixed locale and hash seed.
fn environment(around: &Surroundings) -> Vec<(OsString, OsString)> {
    let needed = [
        "PATH",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "DYLD_FRAMEWORK_PATH",
        "SYSTEMROOT",
    ];
    let all = around.environment.iter();
    let all = all.filter(|(name, _)| needed.iter().any(|needed| name == needed));
    let mut environment: Vec<(OsString, OsString)> = all.cloned().collect();
    environment.push(("LC_ALL".into(), "C".into()));
    environment.push(("PYTHONHASHSEED".into(), "0".into()));
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, len: usize) -> SourceFile {
        SourceFile {
            name: name.to_owned(),
            mtime: 0,
            text: vec![b'#'; len],
        }
    }

    #[test]
    fn a_compiler_gets_what_a_program_needs_to_start_and_nothing_else() {
        let caller = ["PATH", "HOME", "TOKEN", "PYTHONPATH", "PYTHONHASHSEED"];
        let around = Surroundings {
            environment: caller.map(|name| (name.into(), "1".into())).to_vec(),
            ..Surroundings::default()
        };
        let pairs = [("PATH", "1"), ("LC_ALL", "C"), ("PYTHONHASHSEED", "0")];
        let expected = pairs.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        assert_eq!(environment(&around), expected);
    }

    #[test]
    fn a_batch_ends_where_its_text_is_enough_and_a_long_source_is_alone() {
        let check = |lens: &[usize], expect: &[usize]| {
            let sources: Vec<SourceFile> = lens.iter().map(|len| source("a.py", *len)).collect();
            let counts: Vec<usize> = batches(&[&sources], false).iter().map(Vec::len).collect();
            assert_eq!(counts, expect, "{lens:?}");
        };
        check(&[], &[]);
        check(&[0, 0, 0], &[3]);
        check(&[BATCH_BYTES, 1], &[1, 1]);
        check(&[BATCH_BYTES - 1, 1, 1], &[2, 1]);
        check(&[0, BATCH_BYTES * 2, 1, 1], &[1, 1, 2]);
    }

    #[test]
    fn wheels_share_a_batch_only_if_the_result_does_not_depend_on_it() {
        let wheels = [
            [source("a.py", 1), source("b.py", 1)],
            [source("a.py", 1), source("b.py", 1)],
        ];
        let wheels = wheels.each_ref().map(<[_; 2]>::as_slice);
        let counts = |may_be_joined| -> Vec<usize> {
            batches(&wheels, may_be_joined)
                .iter()
                .map(Vec::len)
                .collect()
        };
        assert_eq!(counts(false), [2, 2]);
        assert_eq!(counts(true), [4]);
    }
}
