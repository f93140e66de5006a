//! The corpora of the product's fuzz targets, replayed without a fuzzer (I6).
//!
//! `fuzz/src/product` says what each target promises; `journal/tests/it/corpus.rs` replays those of
//! the engine.

#![expect(clippy::print_stdout, reason = "tests say what they counted")]

#[expect(
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "the fuzz targets are another crate"
)]
#[path = "../../fuzz/src/product/mod.rs"]
mod product;
#[expect(unreachable_pub, reason = "two crates replay")]
#[path = "../../fuzz/replay.rs"]
mod replay;

fn check(target: &str, body: fn(&[u8]) -> bool) {
    let (all, accepted) = replay::replay(env!("CARGO_MANIFEST_DIR"), target, body);
    println!("{target}: {accepted} of {all} accepted");
    assert!(
        0 < accepted && accepted < all,
        "{target}: {accepted} of {all}"
    );
}

#[test]
fn every_wheel_of_the_corpus_is_refused_or_is_what_its_record_says() {
    check("wheel_read", product::wheel_read);
}

#[test]
fn every_page_of_an_index_of_the_corpus_is_refused_or_names_plain_files() {
    check("index_page", product::index_page);
}

#[test]
fn every_lock_of_the_corpus_is_refused_or_is_the_same_when_it_is_written() {
    check("pylock_read", product::pylock_read);
}

#[test]
fn every_requirements_file_of_the_corpus_is_refused_or_names_versions_and_hashes() {
    check("requirements_read", product::requirements_read);
}

#[test]
fn every_archive_of_sources_of_the_corpus_is_refused_or_stays_below_its_directory() {
    check("sources_unpack", product::sources_unpack);
}

#[test]
fn every_manifest_of_the_corpus_is_refused_or_is_the_same_when_it_is_written() {
    check("manifest_read", product::manifest_read);
}

#[test]
fn every_base_image_of_the_corpus_is_refused_or_takes_an_environment() {
    check("base_read", product::base_read);
}

#[test]
fn every_pack_of_bytecode_of_the_corpus_is_refused_or_has_what_is_planned() {
    check("pack_read", product::pack_read);
}

#[test]
fn every_configuration_of_the_corpus_is_refused_or_read_as_python_reads_it() {
    check("pyvenv_cfg", product::pyvenv_cfg);
}
