//! Plans by hand: what the author of a saved plan can do with a target that is no environment (P).
//!
//! A well-formed plan is a program, as with `terraform apply`: it does what it says without asking
//! again. But it makes and changes environments, and nothing else.

use std::collections::BTreeMap;
use std::fs;

use rvenv_journal::Digest;
use serde_json::{Value, json};

use crate::machine::{Kind, tree};
use crate::sandbox::{Sandbox, sandbox};

/// Saves `plan.json` for this target, edited, with the digest that it then has.
fn save(sandbox: &Sandbox, flags: &[&str], target: &str, edit: impl FnOnce(&mut Value)) {
    let words = [&["plan", "--json"], flags, &[target]].concat();
    let planned = crate::machine::ended(&mut sandbox.command(&words)).ok();
    let mut plan: Value = serde_json::from_str(&planned).unwrap();
    edit(&mut plan["plan"]);
    let text = serde_json::to_vec(&plan["plan"]).unwrap();
    plan["digest"] = json!(Digest::of(&text).to_string());
    fs::write(sandbox.path("plan.json"), plan.to_string()).unwrap();
}

/// The operation that writes such a file.
fn file(path: &str, mode: &str) -> Value {
    let content = json!({ "text": "evil\n" });
    let node = json!({ "file": { "content": content, "mode": mode } });
    json!({ "node": node, "path": path, "stage": "evil" })
}

/// Sorted, as they have to be.
fn add(plan: &mut Value, operation: Value) {
    let operations = plan["operations"].as_array_mut().unwrap();
    operations.push(operation);
    // As in a walk of the tree.
    operations.sort_by_key(|one| one["path"].as_str().unwrap().replace('/', "\0"));
}

/// Leaves these paths out.
fn keep_only(plan: &mut Value, keeps: impl Fn(&str) -> bool) {
    let operations = plan["operations"].as_array_mut().unwrap();
    operations.retain(|one| keeps(one["path"].as_str().unwrap()));
    let order = plan["order"].as_array_mut().unwrap();
    order.retain(|path| keeps(path.as_str().unwrap()));
    if order.is_empty() {
        plan.as_object_mut().unwrap().remove("order");
    }
}

/// What an edit makes of a plan with a file more in it can be applied, or the tests below test
/// nothing.
#[test]
fn a_plan_by_hand_is_applied_to_an_environment() {
    let Some(sandbox) = sandbox() else { return };
    save(&sandbox, &[], "E", |plan| add(plan, file("evil", "0644")));
    sandbox.scratch.rvenv(&["apply", "plan.json"]).ok();
    assert_eq!(sandbox.read("E/evil"), "evil\n");
}

/// What every path holds; the lock beside a target changes the time of the directory above.
fn contents(sandbox: &Sandbox) -> BTreeMap<String, Kind> {
    let tree = tree(&sandbox.path(""));
    tree.into_iter()
        .map(|(path, entry)| (path, entry.kind))
        .collect()
}

#[track_caller]
fn refused(sandbox: &Sandbox, why: &str) {
    for force in [&[][..], &["--force", "--allow-lost"]] {
        let words = [&["apply", "plan.json"], force].concat();
        let before = contents(sandbox);
        let said = sandbox.scratch.rvenv(&words).failed(3);
        assert!(before == contents(sandbox), "something was touched: {said}");
        assert!(said.contains(why), "{said}");
    }
}

/// I6: the result of `apply` is an environment.
#[test]
fn a_plan_makes_nothing_but_an_environment() {
    let Some(sandbox) = sandbox() else { return };
    let only_evil = |plan: &mut Value| {
        add(plan, file("authorized_keys", "0600"));
        keep_only(plan, |path| path == "authorized_keys");
    };
    save(&sandbox, &[], "absent", only_evil);
    refused(&sandbox, "does not make a virtual environment");
    assert!(!sandbox.path("absent").exists());
    for entry in ["some/empty", "some/full"] {
        fs::create_dir_all(sandbox.path(entry)).unwrap();
    }
    sandbox.write("some/full/mine", "mine");
    for target in ["some/empty", "some/full"] {
        save(&sandbox, &[], target, only_evil);
        refused(&sandbox, "does not make a virtual environment");
    }
}

/// I6: additions only, as `create` makes them, and no entry that no environment has; both are said.
#[test]
fn a_plan_adds_an_environment_to_a_directory_and_nothing_else() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("some/authorized_keys", "mine");
    sandbox.write("some/bin/mine", "mine");
    for path in [".bashrc", "autostart/evil.desktop", "bin.d/evil"] {
        save(&sandbox, &[], "some", |plan| {
            if let Some((above, _)) = path.split_once('/') {
                let dir = json!({ "dir": { "mode": "0755" } });
                add(plan, json!({ "node": dir, "path": above, "stage": "evil" }));
            }
            add(plan, file(path, "0644"));
        });
        refused(&sandbox, "is no part of a virtual environment");
    }
    save(&sandbox, &[], "some", |_| {});
    let said = sandbox.scratch.rvenv(&["apply", "plan.json"]);
    assert!(
        said.stderr.contains("was not a virtual environment: "),
        "{}",
        said.stderr
    );
    said.ok();
    assert_eq!(sandbox.read("some/authorized_keys"), "mine");
    assert_eq!(sandbox.read("some/bin/mine"), "mine");
    sandbox.works("some");
    // `create` says it, too.
    sandbox.write("other/mine", "mine");
    let said = sandbox.create(&["other"]).stderr;
    assert!(said.contains("was not a virtual environment: "), "{said}");
}

/// I6: a hook of a checkout is a program that the next `git` runs.
#[test]
fn a_plan_works_on_no_checkout() {
    let Some(sandbox) = sandbox() else { return };
    let hook = |plan: &mut Value| {
        for above in [".git", ".git/hooks"] {
            let is_there = plan["operations"].as_array().unwrap().iter();
            if !is_there.clone().any(|one| one["path"] == above) {
                let dir = json!({ "dir": { "mode": "0755" } });
                add(plan, json!({ "node": dir, "path": above, "stage": "evil" }));
            }
        }
        add(plan, file(".git/hooks/post-checkout", "0755"));
    };
    save(&sandbox, &[], "absent", hook);
    refused(&sandbox, "belongs to a version control system");
    sandbox.write("project/.git/hooks/pre-commit", "mine");
    save(&sandbox, &[], "project", hook);
    refused(&sandbox, "belongs to a version control system");
    sandbox.create(&["project"]).ok();
    save(&sandbox, &["--prompt", "p"], "project", hook);
    refused(&sandbox, "belongs to a version control system");
    // The directory of Git's hooks is no environment, and a plan does not silently turn it into
    // one.
    save(&sandbox, &[], "project/.git/hooks", |plan| {
        add(plan, file("post-checkout", "0755"));
    });
    refused(&sandbox, "is no part of a virtual environment");
}

/// I6: no plan gives an entry more than the bits of reading, writing and execution.
#[test]
fn a_plan_sets_no_set_id_bits() {
    let Some(sandbox) = sandbox() else { return };
    for mode in ["4755", "2755", "1755"] {
        save(&sandbox, &[], "E", |plan| add(plan, file("bin/evil", mode)));
        let ended = sandbox.scratch.rvenv(&["apply", "plan.json"]);
        assert!(!sandbox.path("E").exists());
        assert_ne!(ended.code, Some(0), "{mode}");
    }
}
