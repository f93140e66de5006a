//! The settings of a bench: arguments after `--`, and environment variables.
//!
//! Promises that no other variable changes what is measured; measured commands get their own
//! environment.

use std::path::PathBuf;

/// How a bench runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Rounds that count; one more warms caches.
    pub(crate) rounds: usize,
    /// The number of extra files in the large environment.
    pub(crate) files: usize,
    /// The number of distributions in an environment with many of them.
    pub(crate) distributions: usize,
    /// The number of packages that are carried to another Python.
    pub(crate) carried: usize,
    /// The interpreter, if one was named.
    pub(crate) python: Option<PathBuf>,
    /// Whether to check only that everything runs.
    pub(crate) quick: bool,
    /// Whether to write tables and plots into the documentation.
    pub(crate) write_docs: bool,
    /// Whether a missed budget is a failure.
    pub(crate) strict: bool,
}

impl Settings {
    /// Reads the command line and the environment.
    pub(crate) fn read(words: &[String]) -> Self {
        let said = |word: &str| words.iter().any(|said| said == word);
        let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok();
        // `cargo bench` passes this flag; any other start, as by `cargo test --bench`, only checks
        // that the bench runs.
        let is_bench = said("--bench");
        let quick = said("--quick") || !is_bench;
        let (rounds, files, distributions) = if quick {
            (1, 1000, 20)
        } else {
            (15, 50_000, 300)
        };
        Self {
            rounds: number("RVENV_ROUNDS").unwrap_or(rounds).max(1),
            files: number("RVENV_FILES").unwrap_or(files),
            distributions: number("RVENV_DISTRIBUTIONS").unwrap_or(distributions),
            carried: if quick { 8 } else { 60 },
            python: std::env::var_os("RVENV_PYTHON").map(PathBuf::from),
            quick,
            write_docs: said("--write-docs"),
            strict: said("--strict"),
        }
    }

    /// The smaller number of rounds for slow commands.
    pub(crate) fn fewer_rounds(&self) -> usize {
        self.rounds.div_ceil(3)
    }
}
