//! The corpora of the fuzz targets, replayed without a fuzzer: foreign bytes never panic (I6).

use std::path::{Path, PathBuf};

use rvenv_journal::{Plan, Receipt, Record};

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut found = Vec::new();
    for entry in
        std::fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()))
    {
        let path = entry.expect("a listing goes on").path();
        let bytes = std::fs::read(&path).expect("the corpus is readable");
        found.push((path, bytes));
    }
    assert!(found.len() > 2, "{}", root.display());
    found
}

#[test]
fn every_journal_of_the_corpus_is_refused_or_read_back_as_it_was() {
    let mut read = 0;
    for (path, bytes) in corpus("journal_decode") {
        if let Ok(record) = Record::from_bytes(&bytes) {
            read += 1;
            assert_eq!(record.to_bytes(), bytes, "{}", path.display());
        }
    }
    assert!(read > 0, "the golden journal is in the corpus");
}

#[test]
fn every_plan_of_the_corpus_is_refused_or_read_back_as_it_was() {
    let mut read = 0;
    for (path, bytes) in corpus("plan_decode") {
        if let Ok(plan) = Plan::from_json(&bytes) {
            read += 1;
            assert_eq!(plan.to_json().as_bytes(), bytes, "{}", path.display());
        }
        if let Ok(receipt) = Receipt::from_json(&bytes) {
            assert_eq!(
                Receipt::from_json(receipt.to_json().as_bytes()).unwrap(),
                receipt
            );
        }
    }
    assert!(read > 0, "the golden plan is in the corpus");
}
