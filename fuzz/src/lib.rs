//! What the fuzz targets do with the bytes that they are given.
//!
//! Each target is one function from bytes, which panics when a promise is broken. `fuzz_targets/` hands them to the fuzzer;
//! `journal/tests/corpus.rs` and `tests/corpus.rs` include the same files and replay `corpus/`, so that whoever
//! has no fuzzer tries them, too.

pub mod engine;
pub mod product;
