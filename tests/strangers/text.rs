//! Text: names that would show something else than they are.

use std::fs;

use crate::desk::desk;
use crate::machine::ended;

/// A name that a terminal shows as `E/gnp.exe`, and one of a control character beyond ASCII.
const REORDERED: &str = "E\u{202e}exe.png";
const CONTROL: &str = "x\u{9b}31m,,\n";

/// I6: what reads JSON gets the name, and a terminal gets escapes.
#[test]
fn json_escapes_control_characters_and_those_that_reorder_text() {
    let Some(desk) = desk() else { return };
    desk.create(&[REORDERED]).ok();
    let info = format!("{}/listed-1.dist-info", desk.site_packages(REORDERED));
    desk.write(&format!("{info}/METADATA"), "Name: listed\nVersion: 1\n");
    desk.write(&format!("{info}/RECORD"), CONTROL);
    for words in ["status", "verify", "plan"].map(|verb| [verb, "--json", REORDERED]) {
        let said = match words {
            ["plan", ..] => ended(&mut desk.command(&words)).stdout,
            _ => desk.scratch.rvenv(&words).stdout,
        };
        assert!(said.contains("\\u202e"), "{words:?}: {said}");
        let is_strange = |c: char| c == '\u{202e}' || (c.is_control() && c != '\n');
        assert!(!said.contains(is_strange), "{words:?}: {said:?}");
        let value: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert!(value.to_string().contains(REORDERED), "{words:?}: {value}");
    }
    let verified = desk.scratch.rvenv(&["verify", "--json", REORDERED]).stdout;
    assert!(verified.contains("\\u009b"), "{verified}");
    let planned = ended(&mut desk.command(&["plan", "--json", "--clear", REORDERED])).ok();
    fs::write(desk.path("plan.json"), planned).unwrap();
    desk.scratch.rvenv(&["apply", "plan.json"]).ok();
    desk.works(REORDERED);
}
