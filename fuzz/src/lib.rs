//! What the fuzz targets do with the bytes that they are given.
//!
//! Each target is one function from bytes, which panics if a promise is broken. `fuzz_targets/`
//! hands them to the fuzzer. `journal/tests/corpus.rs` and `tests/corpus.rs` include the same files
//! and replay `corpus/`, so that ordinary tests run them without a fuzzer.

pub mod engine;
pub mod product;
