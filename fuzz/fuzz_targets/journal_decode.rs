//! Arbitrary bytes as a journal.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    rvenv_fuzz::engine::journal_decode(bytes);
});
