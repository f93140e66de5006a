//! Laws that hold for all inputs, tested on random ones.

use std::path::{Component, Path};

use proptest::prelude::*;
use rvenv_journal::raw::{Expected, Observation, Record};
use rvenv_journal::{
    Content, Mode, Node, Operation, Plan, PlanBuilder, Publication, Receipt, RelPath,
};

/// Path components, valid ones and some that must be refused.
fn component() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9._ -]{1,12}",
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(String::new()),
        "\\PC{1,4}",
        any::<char>().prop_map(String::from),
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(component(), 1..6).prop_map(|components| components.join("/"))
}

fn absent() -> Observation {
    Observation {
        target: Expected::Absent,
        paths: std::collections::BTreeMap::new(),
    }
}

proptest! {
    /// I6: an accepted path stays below the directory that it is joined to.
    #[test]
    fn an_accepted_path_never_leaves_its_tree(text in path()) {
        if let Ok(path) = RelPath::new(&text) {
            let seen = Path::new(path.as_str());
            let mut parts = seen.components();
            prop_assert!(parts.all(|part| matches!(part, Component::Normal(_))));
            prop_assert_eq!(seen.components().count(), path.components().count());
        }
    }

    /// I4: a plan is read back as it was written, and its digest identifies it.
    #[test]
    fn every_plan_survives_its_byte_form(
        files in prop::collection::btree_map(path(), any::<Vec<u8>>(), 0..8),
    ) {
        let target = if cfg!(windows) { "C:/t" } else { "/t" };
        let builder = PlanBuilder::new(target, Mode::SHARED_DIR);
        let mut builder = builder.expect("the target is absolute");
        for (text, bytes) in files {
            let Ok(path) = RelPath::new(&text) else { continue };
            let content = Content::Inline(bytes);
            let node = Node::File { mode: Mode::SHARED_FILE, mtime: None, content };
            let operation = Operation { part: "one".into(), group: None, node };
            // Plans refuse paths that collide, which is not the subject of this test.
            let parents = builder.add_parents(&path, "one", None, Mode::SHARED_DIR);
            let _refused = parents.and_then(|()| builder.add(path, operation));
        }
        let Ok(plan) = builder.finish(absent(), Publication::Put) else { return Ok(()) };
        let text = plan.to_json();
        let back = Plan::from_json(text.as_bytes()).expect("what was written can be read");
        prop_assert_eq!(&back, &plan);
        prop_assert_eq!(back.digest(), plan.digest());
        let receipt = Receipt::json_of(&plan);
        let read = Receipt::from_json(receipt.as_bytes()).expect("what was written can be read");
        prop_assert_eq!(read.paths.len(), plan.operations().len());
        prop_assert_eq!(read.to_json(), receipt);
    }

    /// I6: unknown bytes are refused, and never cause a panic.
    #[test]
    fn no_bytes_are_too_strange(bytes in any::<Vec<u8>>(), text in "\\PC{0,200}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            prop_assert!(Record::from_bytes(bytes).is_err());
            prop_assert!(Plan::from_json(bytes).is_err());
            prop_assert!(Receipt::from_json(bytes).is_err());
        }
    }
}
