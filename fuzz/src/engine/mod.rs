//! The targets of the engine. Each returns whether it accepted its input, and panics if a promise
//! is broken.

mod apply;
mod choices;
mod disk;
mod recover;
mod tamper;

use std::path::{Component, Path};

use rvenv_journal::raw::{PlanNotes, Record};
use rvenv_journal::{Plan, Receipt, RelPath};

pub use apply::plan_apply;
pub use recover::recover;

/// A journal is refused, or is a record that is written back to the same bytes (I7).
pub fn journal_decode(bytes: &[u8]) -> bool {
    let Ok(record) = Record::from_bytes(bytes) else {
        return false;
    };
    let again = Record::from_bytes(&record.to_bytes()).expect("what we write we can read");
    assert_eq!(again, record);
    true
}

/// A plan or a receipt is refused, or written back to the same bytes (I4).
pub fn plan_decode(bytes: &[u8]) -> bool {
    let plan = Plan::from_json(bytes);
    if let Ok(plan) = &plan {
        let again = Plan::from_json(plan.to_json().as_bytes()).expect("what we write we can read");
        assert_eq!(again, *plan);
        assert_eq!(again.digest(), plan.digest());
        both_parts_give_it_back(plan);
    }
    let receipt = Receipt::from_json(bytes);
    if let Ok(receipt) = &receipt {
        let again =
            Receipt::from_json(receipt.to_json().as_bytes()).expect("what we write we can read");
        assert_eq!(again, *receipt);
    }
    let notes = PlanNotes::from_bytes(bytes);
    plan.is_ok() || receipt.is_ok() || notes.is_ok()
}

/// Both parts of a plan give it back, without the places of its inputs.
fn both_parts_give_it_back(plan: &Plan) {
    let notes = PlanNotes::from_bytes(&plan.notes()).expect("what we write we can read");
    let read = Plan::from_canonical(&plan.canonical()).expect("what we write we can read");
    let back = read.with_notes(&notes);
    assert_eq!(back.digest(), plan.digest());
    assert_eq!(back.notes(), plan.notes());
}

/// An accepted path stays below the directory that it is joined to, and so does a path that is
/// joined to it (I6).
pub fn rel_path(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let (text, below) = text.split_once('\n').unwrap_or((text, "below"));
    let Ok(path) = RelPath::new(text) else {
        return false;
    };
    check_inside(&path);
    assert_eq!(path.as_str(), text);
    assert_eq!(
        path.name(),
        path.components().next_back().unwrap_or_default()
    );
    if let Some(parent) = path.parent() {
        assert!(path.is_below(&parent));
        assert!(parent < path, "a directory comes before what is in it");
        assert_eq!(parent.join(path.name()).as_ref(), Ok(&path));
    }
    if let Ok(joined) = path.join(below) {
        check_inside(&joined);
        assert!(joined.is_below(&path));
        assert!(path < joined);
    }
    true
}

fn check_inside(path: &RelPath) {
    let text = path.as_str();
    let components: Vec<Component<'_>> = Path::new(text).components().collect();
    let is_name = |component: &Component<'_>| matches!(component, Component::Normal(_));
    assert!(components.iter().all(is_name), "{text:?}");
    assert_eq!(components.len(), path.components().count(), "{text:?}");
    let root = Path::new("/a/tree");
    let joined = root.join(text);
    assert!(joined.starts_with(root) && joined != root, "{text:?}");
    assert!(
        !text.contains(['\0', '\n', '\r', '\\', '\u{1b}']),
        "{text:?}"
    );
}
