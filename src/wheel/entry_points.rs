//! `entry_points.txt`: which commands a distribution has (entry points specification).
//!
//! Promises that an accepted entry point is a plain file name, a module path and an attribute path,
//! so that writing them into a script or a directory cannot do anything else (I6). Does not promise
//! that the module exists. Reads only the two groups of commands.
//!
//! Read next: `script_text.rs`, which writes the script for an entry point.

use std::collections::BTreeSet;

use rvenv_journal::RelPath;
use rvenv_journal::raw::counted;
use thiserror::Error;

use super::fault::shown;

/// The groups whose entries become scripts; they differ on Windows only.
const GROUPS: [(&str, Window); 2] = [
    ("console_scripts", Window::Console),
    ("gui_scripts", Window::Own),
];

/// Scripts that a distribution may have: each becomes a file, whatever little a line takes.
const SCRIPTS_MAX: usize = 10_000;

/// Whether a command has a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    Console,
    Own,
}

/// A command that calls an attribute of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntryPoint {
    pub(super) name: String,
    pub(super) module: String,
    pub(super) attribute: String,
    pub(super) window: Window,
}

/// Why `entry_points.txt` cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EntryPointError {
    /// A line that is not a group, an entry, a comment or empty.
    #[error("line {0} is not `name = module:attribute`")]
    Line(usize),
    /// A name that cannot be that of a file.
    #[error("line {0} has the name `{1}`, which is not a valid name of a script")]
    Name(usize, String),
    /// A value that is not an object reference.
    #[error("line {0} has the value `{1}`, which is not `module:attribute`")]
    Value(usize, String),
    /// A name that is used twice.
    #[error("line {0} repeats the name `{1}`")]
    Twice(usize, String),
    /// More scripts than any distribution has.
    #[error("it has more than {}", counted(SCRIPTS_MAX, "script"))]
    TooMany,
}

/// The entry points that become scripts, in the order of the file.
pub(super) fn scripts(text: &str) -> Result<Vec<EntryPoint>, EntryPointError> {
    let (mut scripts, mut names) = (Vec::new(), BTreeSet::new());
    let mut wanted = None;
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        if let Some(group) = line.strip_prefix('[') {
            let group = group.strip_suffix(']').map(str::trim);
            let mut groups = GROUPS.into_iter();
            let known = groups.find(|(name, _)| Some(*name) == group);
            wanted = known.map(|(_, window)| window);
        } else if let Some(window) = wanted
            && !line.is_empty()
            && !line.starts_with(['#', ';'])
        {
            let script = entry_point(line, number, window)?;
            if !names.insert(script.name.clone()) {
                return Err(EntryPointError::Twice(number, shown(&script.name)));
            }
            if names.len() > SCRIPTS_MAX {
                return Err(EntryPointError::TooMany);
            }
            scripts.push(script);
        }
    }
    Ok(scripts)
}

fn entry_point(line: &str, number: usize, window: Window) -> Result<EntryPoint, EntryPointError> {
    let (name, value) = line.split_once('=').ok_or(EntryPointError::Line(number))?;
    let (name, value) = (name.trim(), value.trim());
    if name.contains('/') || RelPath::new(name).is_err() {
        return Err(EntryPointError::Name(number, shown(name)));
    }
    let (module, attribute) =
        object(value).ok_or_else(|| EntryPointError::Value(number, shown(value)))?;
    Ok(EntryPoint {
        name: name.to_owned(),
        module: module.to_owned(),
        attribute: attribute.to_owned(),
        window,
    })
}

/// Splits `module:attribute`; drops the extras that may follow in brackets.
fn object(value: &str) -> Option<(&str, &str)> {
    let value = match value.split_once('[') {
        Some((value, extras)) => {
            let extras = extras.strip_suffix(']')?;
            if extras.contains(['[', ']']) {
                return None;
            }
            value.trim_end()
        }
        None => value,
    };
    let (module, attribute) = value.split_once(':')?;
    let (module, attribute) = (module.trim_end(), attribute.trim_start());
    (is_dotted(module) && is_dotted(attribute)).then_some((module, attribute))
}

fn is_dotted(path: &str) -> bool {
    path.split('.').all(|word| {
        word.starts_with(|c: char| c == '_' || c.is_alphabetic())
            && word.chars().all(|c| c == '_' || c.is_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(line: &str, expect: Option<(&str, &str, &str)>) {
        let found = scripts(&format!("[console_scripts]\n{line}\n"));
        let found = found.as_ref().map(|list| {
            list.iter()
                .map(|e| (&*e.name, &*e.module, &*e.attribute))
                .collect::<Vec<_>>()
        });
        assert_eq!(found.ok(), expect.map(|expect| vec![expect]), "{line:?}");
    }

    #[test]
    fn an_entry_is_a_name_a_module_and_an_attribute() {
        check("a = b:c", Some(("a", "b", "c")));
        check(
            "  easy_install-3.6=b.c.d : e.f [x, y] ",
            Some(("easy_install-3.6", "b.c.d", "e.f")),
        );
        check("A b = _b1:ä[x]\r", Some(("A b", "_b1", "ä")));
    }

    /// I6: only a name and an object reference reach a script.
    #[test]
    fn an_entry_that_could_do_more_is_refused() {
        for line in [
            "a",
            "a : b",
            "= b:c",
            "../a = b:c",
            "x/a = b:c",
            ".. = b:c",
            "a\\b = b:c",
            "a\x1b = b:c",
            "a = b",
            "a = b:",
            "a = :c",
            "a = a;import os:c",
            "a = b:c;import os",
            "a = b:c()",
            "a = b:c, d",
            "a = b:c\u{2028}import os",
            "a = b\rimport os:c",
            "a = b..c:d",
            "a = 1b:c",
            "a = b:c:d",
            "a = b:c [x",
            "a = b:c [x] y",
            "a = b:c\na = d:e",
        ] {
            check(line, None);
        }
    }

    #[test]
    fn only_the_groups_of_commands_are_read() {
        let text = "# comment\nbefore = all\n[distutils.commands]\nx y z\n[gui_scripts]\n\
                    ; comment\n\ng = h:i\n\
                    [console_scripts]\nc = d:e\n[Console_Scripts]\nno = script\n[broken\nno";
        let names: Vec<_> = scripts(text).unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["g", "c"]);
        assert!(scripts("[console_scripts]\na = b:c\n[gui_scripts]\na = d:e\n").is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_harmless(name in "\\PC{1,12}", value in "\\PC{1,24}") {
            if let Ok(list) = scripts(&format!("[console_scripts]\n{name}={value}\n")) {
                for entry in list {
                    prop_assert!(!entry.name.contains(['/', '\\', '\n']));
                    prop_assert!(!entry.module.contains([';', ' ', '\'', '"', '(', '\n']));
                    prop_assert!(!entry.attribute.contains([';', ' ', '\'', '"', '(', '\n']));
                }
            }
        }
    }
}
