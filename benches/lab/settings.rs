//! What a run of a bench is told: by words after `--`, and by the environment.
//!
//! Promises that nothing else of the environment changes what is measured; commands that are
//! measured get an environment of their own.

use std::path::PathBuf;

/// How a bench runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Rounds that count; one more warms caches.
    pub(crate) rounds: usize,
    /// Files that somebody installed into the large environment.
    pub(crate) files: usize,
    /// The interpreter, where one was named.
    pub(crate) python: Option<PathBuf>,
    /// Whether only to see that everything runs.
    pub(crate) quick: bool,
    /// Whether to write tables and plots into the documentation.
    pub(crate) write_docs: bool,
    /// Whether a missed budget is a failure.
    pub(crate) strict: bool,
}

impl Settings {
    /// From the command line's words and the environment.
    pub(crate) fn read(words: &[String]) -> Self {
        let said = |word: &str| words.iter().any(|said| said == word);
        let number = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok();
        // `cargo bench` says so; whoever starts this otherwise, as `cargo test --bench` does, only
        // wants to see it run.
        let is_bench = said("--bench");
        let quick = said("--quick") || !is_bench;
        let (rounds, files) = if quick { (1, 1000) } else { (15, 50_000) };
        Self {
            rounds: number("RVENV_ROUNDS").unwrap_or(rounds).max(1),
            files: number("RVENV_FILES").unwrap_or(files),
            python: std::env::var_os("RVENV_PYTHON").map(PathBuf::from),
            quick,
            write_docs: said("--write-docs"),
            strict: said("--strict"),
        }
    }

    /// Rounds for what takes long, a part of all.
    pub(crate) fn fewer_rounds(&self) -> usize {
        self.rounds.div_ceil(3)
    }
}
