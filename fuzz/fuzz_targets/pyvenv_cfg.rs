//! Arbitrary bytes as the configuration of an environment.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    rvenv_fuzz::product::pyvenv_cfg(bytes);
});
