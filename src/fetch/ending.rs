//! The end of a run that not every file survives: which failure it reports.
//!
//! Promises that it is the failure of the first file in the order of the request, whichever answer
//! comes first: the files before it are still waited for, since one of them may fail too.
//! Read next: `fetcher.rs`, which runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::failure::FetchFailed;

/// What decides when a run ends with a failure.
pub(super) struct Ending {
    /// The files without an answer.
    open: BTreeSet<usize>,
    failure: Option<(usize, FetchFailed)>,
    last: LastNeeded,
}

/// The last file that can still matter, for threads that are about to begin another one.
#[derive(Clone)]
pub(super) struct LastNeeded(Arc<AtomicUsize>);

impl LastNeeded {
    pub(super) fn is_before(&self, at: usize) -> bool {
        self.0.load(Ordering::SeqCst) < at
    }
}

impl Ending {
    /// Of a run that gets these files.
    pub(super) fn of(files: impl Iterator<Item = usize>) -> Self {
        Self {
            open: files.collect(),
            failure: None,
            last: LastNeeded(Arc::new(AtomicUsize::new(usize::MAX))),
        }
    }

    pub(super) fn last_needed(&self) -> LastNeeded {
        self.last.clone()
    }

    /// Notes that a file is there.
    ///
    /// # Errors
    /// The failure of the run, once no file before it is open.
    pub(super) fn arrived(&mut self, at: usize) -> Result<(), FetchFailed> {
        self.open.remove(&at);
        let is_due =
            |(first, _): &mut (usize, FetchFailed)| self.open.range(..*first).next().is_none();
        self.failure
            .take_if(is_due)
            .map_or(Ok(()), |(_, failed)| Err(failed))
    }

    /// Notes that a file cannot be had.
    ///
    /// # Errors
    /// As for [`Self::arrived`]; at once, if the failure is not that of a file.
    pub(super) fn failed(&mut self, at: usize, failed: FetchFailed) -> Result<(), FetchFailed> {
        match failed {
            // The file is one that no longer matters.
            _ if self.last.is_before(at) => {}
            FetchFailed::Nowhere { .. } | FetchFailed::Shelf { .. } => {
                self.last.0.store(at, Ordering::SeqCst);
                self.failure = Some((at, failed));
            }
            FetchFailed::TotalTooLarge(_) | FetchFailed::Thread(_) | FetchFailed::Interrupted => {
                return Err(failed);
            }
        }
        self.arrived(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere(file: &str) -> FetchFailed {
        FetchFailed::Nowhere {
            file: file.to_owned(),
            tried: Vec::new(),
        }
    }

    /// The file that a run names if these answers come in this order; `!` marks failures.
    fn check(answers: &[&str], expect: Option<&str>) {
        let mut ending = Ending::of(0..4);
        let mut ended = None;
        for answer in answers {
            assert!(ended.is_none(), "{answers:?} go on after the end");
            let at = answer.trim_end_matches('!').parse().unwrap();
            let noted = if answer.ends_with('!') {
                ending.failed(at, nowhere(&at.to_string()))
            } else {
                ending.arrived(at)
            };
            ended = noted.err().map(|failed| failed.to_string());
        }
        let expect = expect.map(|file| nowhere(file).to_string());
        assert_eq!(ended, expect, "{answers:?}");
    }

    #[test]
    fn a_run_names_the_first_file_that_cannot_be_had() {
        check(&["0", "1", "2", "3"], None);
        check(&["0!"], Some("0"));
        check(&["2!", "0", "1!"], Some("1"));
        check(&["2!", "3!", "1", "0"], Some("2"));
        check(&["3!", "2!", "1!", "0!"], Some("0"));
        check(&["3", "2!", "0!"], Some("0"));
        check(&["3!", "1", "2"], None);
    }

    #[test]
    fn what_is_the_failure_of_no_file_ends_the_run_at_once() {
        let mut ending = Ending::of(0..2);
        assert!(ending.failed(1, FetchFailed::Interrupted).is_err());
        let mut ending = Ending::of(0..3);
        ending.failed(1, nowhere("1")).unwrap();
        assert!(ending.last_needed().is_before(2));
        // It was abandoned, and its answer does not count.
        ending.failed(2, FetchFailed::Interrupted).unwrap();
        assert!(ending.arrived(0).is_err());
    }
}
