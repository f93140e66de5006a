//! What registries say about artifacts, and the references that name them.

use rvenv::artifact::demands::Demands;
use rvenv::artifact::index::{Index, IndexEntry, Named};
use rvenv::artifact::referrer::{Listed, Referrers};
use rvenv::fetch::Reference;
use rvenv_journal::Digest;

/// A manifest or an index is refused, or is the same when it is written and read again; what is
/// demanded of a machine too. A reference that is accepted is shown as it was typed. A list of what
/// refers to a manifest keeps its entries when one is added.
pub fn manifest_read(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"oci") {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return false;
        };
        let Ok(reference) = Reference::parse(text) else {
            return false;
        };
        let shown = reference.to_string();
        assert_eq!(shown, text, "a reference is shown as it was typed");
        assert!(!shown.contains(char::is_control), "{shown:?}");
        return true;
    }
    let is_list = Referrers::from_bytes(bytes).map(keeps_entries).is_ok();
    let Ok(named) = Named::from_bytes(bytes) else {
        return is_list;
    };
    let written = text(&named);
    let again = Named::from_bytes(&written).expect("what is written is read");
    assert_eq!(again, named, "it is the same when it is read again");
    assert_eq!(text(&again), written, "it has one text");
    match named {
        Named::Manifest(manifest) => {
            let demands = Demands::of(&manifest);
            let entry = IndexEntry::of(&manifest, &written);
            let of_entry = entry.as_ref().and_then(IndexEntry::demands);
            assert_eq!(of_entry, demands, "an index says what its manifest says");
            demands.as_ref().into_iter().for_each(same_again);
        }
        Named::Index(index) => index_is_a_set(&index),
    }
    true
}

fn keeps_entries(list: Referrers) {
    let again = Referrers::from_bytes(&list.to_bytes()).expect("what is written is read");
    assert_eq!(again, list, "it is the same when it is read again");
    let before: Vec<Listed> = list.listed().collect();
    let one = Listed {
        kind: "application/x".to_owned(),
        digest: Digest::of(b"one"),
        len: 3,
        annotations: std::collections::BTreeMap::new(),
    };
    let mut after: Vec<Listed> = list.with(&one).listed().collect();
    assert_eq!(after.pop(), Some(one), "it has the entry that was added");
    assert_eq!(after, before, "every other entry stays");
}

fn text(named: &Named) -> Vec<u8> {
    match named {
        Named::Manifest(manifest) => manifest.to_bytes(),
        Named::Index(index) => index.to_bytes(),
    }
}

/// The order in which manifests are listed counts for nothing.
fn index_is_a_set(index: &Index) {
    let mut turned = index.entries.clone();
    turned.reverse();
    let own = Index::of(index.entries.clone());
    assert_eq!(own, Index::of(turned), "a set has one index");
    for demands in index.entries.iter().filter_map(IndexEntry::demands) {
        same_again(&demands);
    }
}

fn same_again(demands: &Demands) {
    let again = Demands::read(&demands.annotations());
    assert_eq!(
        again.as_ref(),
        Some(demands),
        "it demands the same when it is read again"
    );
}
