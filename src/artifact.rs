//! Environments as artifacts of a registry: the manifests that name their parts, and the indexes
//! that list manifests.
//!
//! Promises nothing about what a registry has; only pure code is here.
//! Read next: `artifact/manifest.rs`, `artifact/index.rs`; `artifact/image.rs`, images that need no
//! rvenv to run.

pub mod demands;
pub mod image;
pub mod index;
pub mod layers;
pub mod manifest;
pub mod referrer;
