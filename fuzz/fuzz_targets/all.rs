//! Every target in one program, which is compiled and linked once: `RVENV_FUZZ=recover` chooses
//! one.
#![no_main]

mod memory;

use std::sync::LazyLock;

use rvenv_fuzz::{TARGETS, Target};

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("RVENV_FUZZ").expect("RVENV_FUZZ names a target");
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    found
        .unwrap_or_else(|| panic!("there is no target `{name}`"))
        .1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    CHOSEN(bytes);
});
