//! Arbitrary text as a path of a plan.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    rvenv_fuzz::engine::rel_path(bytes);
});
