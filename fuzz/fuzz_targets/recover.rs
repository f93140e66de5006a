//! An arbitrary journal beside an arbitrary tree.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    rvenv_fuzz::engine::recover(bytes);
});
