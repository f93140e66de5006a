//! Where the disk refused: how an error of a verb takes up an error of the disk.
//!
//! Read next: `transaction/failures.rs`.

use crate::fs::FsError;

/// An error that says at which place the disk refused.
///
/// `.map_err(PrepareError::disk(path))` replaces a closure at every call.
pub trait DiskError: Sized {
    /// A path, or the text of one.
    type At: ?Sized;

    /// The error for a refusal at a place.
    fn of_disk(place: &Self::At, source: FsError) -> Self;

    /// Makes the error of each refusal at a place.
    fn disk(place: &Self::At) -> impl Fn(FsError) -> Self + Copy {
        move |source| Self::of_disk(place, source)
    }
}
