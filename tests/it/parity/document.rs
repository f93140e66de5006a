//! The document `docs/parity.md`, made only from the rules: those of environments without packages
//! here, and those of packages in `../real/rules.rs`.
//!
//! It is the same on every machine, whatever interpreters exist there.

use std::fmt::Write as _;

use crate::parity::cells::{ACTIONS, Action, PROMPTS};
use crate::parity::made::ALL;
use crate::parity::rules::{RULES, Rule, Who};
use crate::parity::subjects::Kind;
use crate::real::rules::document as packages;

/// The command that writes it.
pub(crate) const WRITE: &str = "RVENV_WRITE_DOCS=1 cargo test --test it parity::";

const HEAD: &str = "\
# How an environment differs from venv's

`tests/it/parity/` makes environments with `rvenv create` and with `python -m venv` of the same
interpreter, at the same path. It compares every path, kind, mode, owner, group, ACL, link target
and byte, `pyvenv.cfg` key by key, and each RECORD row by row. This table has every difference that
is accepted. Any other difference fails the test, and so does a row that an interpreter in its range
does not need, unless the version of its pip decides.

These are compared, for each CPython from 3.6 on, Debian's PyPy, and Debian's CPython with and
without python3-venv:

- the action: create; clear, over (create again) and upgrade of an environment that the same tool
  made with another prompt and the opposite of `--system-site-packages`, and that has files of the
  user, an edited script and a missing one;
- for the newest interpreter, each action in a directory that passes on its group and the setgid
  bit, and in one with a default ACL;
- `--symlinks`, `--copies`; with pip, `--without-pip`; with and without `--system-site-packages`;
";

fn actions(rule: &Rule) -> String {
    let word = |action: &Action| match action {
        Action::Create => "create",
        Action::Clear => "clear",
        Action::Over => "over",
        Action::Upgrade => "upgrade",
    };
    let words: Vec<_> = rule.actions.iter().map(word).collect();
    let all = words.len() == ACTIONS.len();
    let actions = if all {
        "all".to_owned()
    } else {
        words.join(", ")
    };
    let comma = if rule.when.text.is_empty() { "" } else { ", " };
    format!("{actions}{comma}{}", rule.when.text)
}

fn versions(who: &Who) -> String {
    let kind = |kind: Kind| who.kinds.contains(&kind);
    let kinds = match (
        kind(Kind::CPython),
        kind(Kind::WithoutVenv),
        kind(Kind::PyPy),
    ) {
        (true, true, true) => "all",
        (true, false, true) => "all that bring pip",
        (false, false, true) => "Debian's PyPy",
        (false, true, false) => "Debian's CPython without python3-venv",
        (true | false, ..) => panic!("a rule about those for whom the document has no word"),
    };
    match (who.minor_min, who.minor_max) {
        (6, None) => kinds.to_owned(),
        (min, None) => format!("3.{min} and later"),
        (min, Some(max)) if min == max => format!("3.{min}"),
        (min, Some(max)) => format!("3.{min} to 3.{max}"),
    }
}

/// The whole document.
pub(crate) fn document() -> String {
    let mut text = HEAD.to_owned();
    let prompts =
        PROMPTS.map(|prompt| prompt.map_or("none".to_owned(), |text| format!("`{text:?}`")));
    writeln!(text, "- as prompt: {};", prompts.join(", ")).unwrap();
    text.push_str("- with and without `--without-scm-ignore-files`, since 3.13.\n\n");
    writeln!(
        text,
        "By default each interpreter makes six environments, in which each of these values occurs;\n\
         `RVENV_PARITY=all cargo test --test it parity::` compares every combination, except that the\n\
         action and the kind of interpreter determine the ignore file. This command writes this file:\n\
         `{WRITE}`.\n"
    )
    .unwrap();
    text.push_str("| what | how | actions | Pythons | why |\n|---|---|---|---|---|\n");
    for rule in RULES {
        let tick = if rule.path == ALL { "" } else { "`" };
        let (path, how) = (rule.path, rule.what.text());
        let (actions, who) = (actions(rule), versions(&rule.who));
        writeln!(
            text,
            "| {tick}{path}{tick} | {how} | {actions} | {who} | {} |",
            rule.reason
        )
        .unwrap();
    }
    text.push_str(&packages());
    text
}
