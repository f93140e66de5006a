//! Environments as artifacts of a registry: the manifests that name their parts.
//!
//! Promises nothing about what a registry has; only pure code is here.
//! Read next: `artifact/manifest.rs`.

pub mod manifest;
