//! Arbitrary bytes as a plan or a receipt: refused, or written as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rvenv_journal::{Plan, Receipt};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(plan) = Plan::from_json(bytes) {
        let again = Plan::from_json(plan.to_json().as_bytes()).expect("what we write we can read");
        assert_eq!(again, plan);
    }
    if let Ok(receipt) = Receipt::from_json(bytes) {
        let again = Receipt::from_json(receipt.to_json().as_bytes()).expect("what we write we can read");
        assert_eq!(again, receipt);
    }
});
