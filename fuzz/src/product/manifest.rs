//! What registries say about artifacts, and the references that name them.

use rvenv::artifact::manifest::Manifest;
use rvenv::fetch::Reference;

/// A manifest is refused, or is the same when it is written and read again; a reference that is
/// accepted is shown as it was typed.
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
    let Ok(manifest) = Manifest::from_bytes(bytes) else {
        return false;
    };
    let written = manifest.to_bytes();
    let again = Manifest::from_bytes(&written).expect("what is written is read");
    assert_eq!(
        again, manifest,
        "a manifest is the same when it is read again"
    );
    assert_eq!(again.to_bytes(), written, "a manifest has one text");
    true
}
