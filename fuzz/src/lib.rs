//! What the fuzz targets do with the bytes that they are given.
//!
//! Each target is one function from bytes, which panics if a promise is broken. `fuzz_targets/`
//! hands them to the fuzzer. `journal/tests/it/corpus.rs` and `tests/it/corpus.rs` include the same
//! files and replay `corpus/`, so that ordinary tests run them without a fuzzer.

pub mod engine;
pub mod product;
#[expect(dead_code, reason = "the engine's tests use more of it")]
#[path = "../../journal/tests/it/publication/mod.rs"]
mod publication;
