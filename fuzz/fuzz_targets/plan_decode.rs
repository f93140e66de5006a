//! Arbitrary bytes as a plan or a receipt.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    rvenv_fuzz::engine::plan_decode(bytes);
});
