//! What registries say about artifacts, and the references that name them.

use rvenv::artifact::demands::Demands;
use rvenv::artifact::index::{Index, IndexEntry, Named};
use rvenv::fetch::Reference;

/// A manifest or an index is refused, or is the same when it is written and read again; what is
/// demanded of a machine too. A reference that is accepted is shown as it was typed.
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
    let Ok(named) = Named::from_bytes(bytes) else {
        return false;
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
