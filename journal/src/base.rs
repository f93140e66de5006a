//! The values that every other folder speaks in: paths, digests, identities of objects.
//!
//! Nothing here knows of a disk. Read next: `path.rs`.

pub(crate) mod digest;
pub(crate) mod identity;
#[cfg(not(feature = "mutants"))]
pub(crate) mod mutant;
#[cfg(feature = "mutants")]
#[doc(hidden)]
pub mod mutant;
pub(crate) mod path;
pub(crate) mod plural;
pub(crate) mod watch;
