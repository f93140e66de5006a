//! Arbitrary bytes, or an archive of arbitrary entries, as a wheel.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    rvenv_fuzz::product::wheel_read(bytes);
});
