//! Arbitrary bytes as a journal: refused or a record, and a record is written as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rvenv_journal::Record;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = Record::from_bytes(bytes) {
        let again = Record::from_bytes(&record.to_bytes()).expect("what we write we can read");
        assert_eq!(again, record);
    }
});
