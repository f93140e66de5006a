//! An arbitrary plan, applied.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    rvenv_fuzz::engine::plan_apply(bytes);
});
