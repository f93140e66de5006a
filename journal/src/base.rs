//! The values that all other folders use: paths, digests and identities of objects.
//!
//! Nothing here touches a disk. Read next: `path.rs`.

pub(crate) mod digest;
pub(crate) mod identity;
#[cfg(not(feature = "mutants"))]
pub(crate) mod mutant;
#[cfg(feature = "mutants")]
#[doc(hidden)]
pub mod mutant;
pub(crate) mod path;
pub(crate) mod plural;
pub(crate) mod safeguard;
pub(crate) mod watch;
