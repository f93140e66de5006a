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

/// What is done with the bytes of an input; returns whether they were accepted.
pub type Target = fn(&[u8]) -> bool;

/// Every target by its name, which is that of its folder in `corpus/`.
pub const TARGETS: [(&str, Target); 14] = [
    ("base_read", product::base_read),
    ("index_page", product::index_page),
    ("journal_decode", engine::journal_decode),
    ("manifest_read", product::manifest_read),
    ("pack_read", product::pack_read),
    ("plan_apply", engine::plan_apply),
    ("plan_decode", engine::plan_decode),
    ("pylock_read", product::pylock_read),
    ("pyvenv_cfg", product::pyvenv_cfg),
    ("recover", engine::recover),
    ("rel_path", engine::rel_path),
    ("requirements_read", product::requirements_read),
    ("sources_unpack", product::sources_unpack),
    ("wheel_read", product::wheel_read),
];
