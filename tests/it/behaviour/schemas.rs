//! What commands print with `--json`, compared with the schemas in `docs/schema/`.
//!
//! Every command is run with `--json`, once where it succeeds and once where it fails. The schemas
//! are made from the types (`src/bin/rvenv/commands/schemas.rs`). The validator here knows the
//! words that they use, and refuses every other word. Read next: `docs/schema/index.md`, the
//! promise.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::help;
use crate::machine::{Ended, Scratch, ended, lay_gone, player, resolver};

/// Every command that succeeds: its words, and the schema of what it prints.
const DONE: [(&[&str], &str); 37] = [
    (&["create", "new"], "changes"),
    (&["create", "new", "--prompt", "p", "--keep"], "changes"),
    (&["create", "new"], "changes"),
    (&["create", "new", "--clear"], "changes"),
    (&["create", "--dry-run", "other"], "plan"),
    (&["upgrade", "new"], "changes"),
    (&["upgrade", "--dry-run", "new"], "plan"),
    (&["plan", "other"], "plan"),
    (&["plan", "other", "-o", "plan.json"], "plan"),
    (&["show", "plan.json"], "plan"),
    (&["image", "plan.json", "-o", "img"], "image"),
    (&["apply", "--dry-run", "plan.json"], "plan"),
    (&["apply", "plan.json"], "changes"),
    (&["sync", "--env", "E", "-r", "pylock.toml"], "changes"),
    (&["install", "--env", "E", "something"], "changes"),
    (&["uninstall", "--env", "E", "gone"], "changes"),
    (&["lock", "something"], "lock"),
    (&["rollback", "E"], "changes"),
    (&["repair", "E"], "changes"),
    (&["repair", "--dry-run", "E"], "plan"),
    (&["recover", "E"], "recover"),
    (&["clone", "E", "copy"], "changes"),
    (&["remove", "--dry-run", "copy"], "changes"),
    (&["remove", "copy"], "changes"),
    (&["list"], "list"),
    (&["log", "E"], "log"),
    (&["status", "-v", "E"], "status"),
    (&["verify", "E"], "verify"),
    (&["verify", "--lock", "pylock.toml", "E"], "verify-lock"),
    (&["generations", "E"], "generations"),
    (&["generations", "--prune", "E"], "generations-prune"),
    (&["python", "list"], "python-list"),
    (&["python", "find"], "python-find"),
    (&["config"], "config"),
    (&["explain"], "explain"),
    (&["completions", "bash"], "completions"),
    (&["man", "pages"], "man"),
];

/// The commands on the cache, which come last.
const ON_CACHE: [(&[&str], &str); 4] = [
    (&["cache", "dir"], "cache-dir"),
    (&["cache", "verify"], "cache-verify"),
    (&["cache", "prune"], "cache-prune"),
    (&["cache", "clear"], "cache-clear"),
];

/// Every command that fails.
const FAILED: [&[&str]; 34] = [
    &["create", "a:b"],
    &["upgrade", "absent"],
    &["plan", "a:b"],
    &["show", "absent.json"],
    &["apply", "absent.json"],
    &["apply", "--dry-run", "absent.json"],
    &["push", "absent.json", "oci://127.0.0.1:1/r"],
    &["attach", "r", "absent", "--type", "a/b"],
    &["attached", "r"],
    &["image", "absent.json", "-o", "img"],
    &["cache", "push", "r"],
    &["cache", "pull", "r"],
    &["sync", "--env", "absent", "-r", "pylock.toml"],
    &["install", "--env", "absent", "something"],
    &["uninstall", "--env", "E", "absent"],
    &["lock", "-o", "-"],
    &["rollback", "absent"],
    &["repair", "absent"],
    &["recover", "a:b"],
    &["clone", "E", "E"],
    &["list", "absent"],
    &["log", "absent"],
    &["remove", "absent"],
    &["status", "a:b"],
    &["verify", "absent"],
    &["generations", "a:b"],
    &["python", "list", ""],
    &["python", "find", "9.9"],
    &["cache", "dir", "--bogus"],
    &["cache", "prune", "--unused-for", "x"],
    &["config", "--bogus"],
    &["explain", "nothing"],
    &["completions", "dos"],
    &["man", "pylock.toml/pages"],
];

/// The words that [`check`] knows.
const KNOWN: [&str; 15] = [
    "$schema",
    "$defs",
    "title",
    "description",
    "format",
    "minimum",
    "maximum",
    "default",
    "$ref",
    "type",
    "const",
    "enum",
    "anyOf",
    "oneOf",
    "pattern",
];

fn lab() -> Scratch {
    let scratch = Scratch::cold();
    fs::create_dir(scratch.path("bin")).unwrap();
    player(&scratch, "bin/python3");
    run(&scratch, &["create", "E"]).ok();
    lay_gone(&scratch.path("E"));
    resolver(&scratch.path("bin/uv"));
    let lock = "lock-version = '1.0'\ncreated-by = 'hand'\npackages = []\n";
    fs::write(scratch.path("pylock.toml"), lock).unwrap();
    scratch
}

fn run(scratch: &Scratch, words: &[&str]) -> Ended {
    let makes = ["plan", "create", "upgrade"].contains(&words[0]);
    let bare: &[&str] = if makes { &["--without-pip"] } else { &[] };
    let mut command = scratch.command(&[words, bare, &["--json"]].concat());
    let path = format!("{}:/usr/bin:/bin", scratch.path("bin").display());
    command.env("PATH", path);
    command.env("RVENV_PYTHON", scratch.path("bin/python3"));
    ended(&mut command)
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema")
}

fn schema(name: &str) -> Value {
    let text = fs::read_to_string(directory().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// One object, and nothing besides.
fn object(words: &[&str], said: &Ended) -> Value {
    let read = serde_json::from_str(&said.stdout);
    let object: Value = read.unwrap_or_else(|error| panic!("{words:?}: {error}: {said:?}"));
    assert_eq!(object["format"], 1, "{words:?}");
    object
}

/// Whether a value is as a schema says; the error names the place.
fn check(whole: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(rules) = schema.as_object() else {
        return if schema == true {
            Ok(())
        } else {
            Err(format!("{at}: not allowed"))
        };
    };
    for (word, rule) in rules {
        let fits = |kind: &Value| match kind.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            "integer" => value.is_i64() || value.is_u64(),
            other => panic!("{at}: unknown type {other}"),
        };
        let is_one = |of: &Value| check(whole, of, value, at).is_ok();
        let is_right = match word.as_str() {
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                check(whole, &whole["$defs"][name], value, at)?;
                true
            }
            "type" => match rule.as_array() {
                Some(kinds) => kinds.iter().any(fits),
                None => fits(rule),
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "anyOf" | "oneOf" => rule.as_array().unwrap().iter().any(is_one),
            "required" => {
                let mut names = rule.as_array().unwrap().iter();
                names.all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(inner) = value.get(name) {
                        check(whole, rule, inner, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" if rule.is_object() => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    if schema["properties"].get(name).is_none() {
                        check(whole, rule, inner, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "items" => {
                for (nth, inner) in value.as_array().into_iter().flatten().enumerate() {
                    check(whole, rule, inner, &format!("{at}[{nth}]"))?;
                }
                true
            }
            _ => KNOWN.contains(&word.as_str()),
        };
        if !is_right {
            return Err(format!("{at}: {value} is not as `{word}` says: {rule}"));
        }
    }
    Ok(())
}

/// The object that a command printed, which must be as a schema says.
#[track_caller]
pub(crate) fn fitting(name: &str, words: &[&str], said: &Ended) -> Value {
    let object = object(words, said);
    assert_fits(name, &object, words);
    object
}

#[track_caller]
fn assert_fits(name: &str, value: &Value, words: &[&str]) {
    let schema = schema(name);
    let checked = check(&schema, &schema, value, name);
    assert_eq!(checked, Ok(()), "{words:?}");
    // A field that the schema does not have would not be promised.
    for field in value.as_object().unwrap().keys() {
        let known = schema["properties"].get(field).is_some();
        assert!(known, "{words:?}: {field} is not in {name}");
    }
}

#[test]
fn every_command_prints_one_object_that_its_schema_describes() {
    let scratch = lab();
    for (words, name) in DONE.iter().chain(&ON_CACHE) {
        let said = run(&scratch, words);
        assert!(matches!(said.code, Some(0 | 4)), "{words:?}: {said:?}");
        assert_fits(name, &object(words, &said), words);
    }
}

#[test]
fn every_command_that_fails_prints_one_object_with_the_error() {
    let scratch = lab();
    for words in FAILED {
        let said = run(&scratch, words);
        let object = fitting("error", words, &said);
        assert_eq!(object["error"]["exit"], said.code.unwrap(), "{words:?}");
        let code = object["error"]["code"].as_str().unwrap();
        assert!(
            said.stderr.contains(&format!("error[{code}]: ")),
            "{words:?}: {said:?}"
        );
    }
}

#[test]
fn a_command_that_fails_in_the_middle_has_what_it_did_beside_the_error() {
    let scratch = lab();
    let words = ["create", "one", "file"];
    fs::write(scratch.path("file"), "").unwrap();
    let object = object(&words, &run(&scratch, &words));
    assert_eq!(object["error"]["code"], "bad-target");
    assert_eq!(object["environments"][0]["outcome"], "created");
    assert!(scratch.path("one/pyvenv.cfg").exists());
}

#[test]
fn no_command_is_without_a_schema() {
    let done = DONE
        .iter()
        .chain(&ON_CACHE)
        .map(|(words, _)| words.to_vec());
    let with_registry = ["push", "attach", "attached", "cache push", "cache pull"];
    help::assert_all_are_in(&done.collect::<Vec<_>>(), &with_registry);
    let mut failed: Vec<Vec<&str>> = FAILED.map(<[&str]>::to_vec).to_vec();
    // They fail by the cache alone.
    failed.extend([vec!["cache", "verify"], vec!["cache", "clear"]]);
    help::assert_all_are_in(&failed, &[]);
}

#[test]
fn every_schema_is_in_the_list_of_the_promise() {
    let promise = fs::read_to_string(directory().join("index.md")).unwrap();
    for entry in fs::read_dir(directory()).unwrap() {
        let name = entry.unwrap().file_name();
        let name = name.to_str().unwrap();
        if name != "index.md" {
            assert!(promise.contains(&format!("({name})")), "{name}");
        }
    }
}
