//! Why files could not be fetched.
//!
//! Promises that a failure names the file, and each place that was asked with its reason.
//! Read next: `place.rs`, the reasons of places.

use std::io;

use rvenv_journal::raw::counted;
use thiserror::Error;

use super::place::PlaceError;
use super::shelf::ShelfError;
use crate::base::one_line::one_line;

/// Why files could not be fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchFailed {
    /// No place has a file with the digest.
    #[error("cannot fetch `{file}`{}", reasons(tried))]
    Nowhere {
        /// The name of the file.
        file: String,
        /// Which places were asked, and why they did not give it.
        tried: Vec<(String, PlaceError)>,
    },
    /// The cache cannot take it.
    #[error("cannot store `{file}` in the cache")]
    Shelf {
        /// The name of the file.
        file: String,
        /// Why.
        source: ShelfError,
    },
    /// More bytes than one run may fetch.
    #[error("the downloads have more than {}", counted(*.0, "byte"))]
    TotalTooLarge(u64),
    /// The system refused a thread.
    #[error("cannot start a thread for downloads")]
    Thread(#[from] io::Error),
    /// The caller asked to stop.
    #[error("interrupted while fetching")]
    Interrupted,
}

/// The reasons in one line: each place, its error, and the causes of that.
fn reasons(tried: &[(String, PlaceError)]) -> String {
    if tried.is_empty() {
        return ": no place has it".to_owned();
    }
    let one = |(place, error): &(String, PlaceError)| format!("; {place}: {}", one_line(error));
    tried.iter().map(one).collect()
}
