//! The first lines of a script: which interpreter starts it.
//!
//! A path that is too long for the kernel, or that has a space, cannot follow `#!`. Installers
//! write three lines then, which are a shell's `exec` and a string of Python at once:
//!
//! ```text
//! #!/bin/sh
//! '''exec' "/a long path/bin/python" "$0" "$@"
//! ' '''
//! ```
//!
//! pip and distlib put double quotes or none around the path, uv and rvenv single quotes. Promises
//! that any bytes give a path or nothing, and that a script with another interpreter has the same
//! text from the line after these on.
//!
//! Read next: `script_text.rs`, the lines that rvenv writes; `change/verify/frame.rs`, which looks
//! whether the interpreter exists.

use std::path::{Path, PathBuf};

use super::script_text::interpreter_lines_with;

/// How many bytes of a script are read: two lines with a path of the maximum length.
pub(crate) const HEAD_BYTES_MAX: u64 = 16 << 10;

/// What starts a script, and how many bytes of it say so.
struct Head {
    /// The path, as the lines name it.
    interpreter: PathBuf,
    /// Its arguments before the script; empty without any.
    arguments: String,
    /// Where the script's own text begins.
    len: usize,
}

/// The interpreter that the first bytes of a script name; `None` if it is no script, or if its
/// first line computes the path.
pub(crate) fn interpreter(head: &[u8]) -> Option<PathBuf> {
    read(head).map(|head| head.interpreter)
}

/// The text of a script that starts another interpreter, with the same arguments.
///
/// `other` gets the interpreter that the script names, and returns the one that it should name.
/// `None` if the script names no interpreter, in a form that no installer writes, or if `other`
/// returns `None` for it.
pub(crate) fn with_interpreter(
    script: &[u8],
    other: impl FnOnce(&Path) -> Option<String>,
) -> Option<Vec<u8>> {
    let head = read(script)?;
    let python = other(&head.interpreter)?;
    let mut text = interpreter_lines_with(&python, &head.arguments).into_bytes();
    text.extend_from_slice(script.get(head.len..)?);
    Some(text)
}

fn read(script: &[u8]) -> Option<Head> {
    let mut lines = script.split_inclusive(|byte| *byte == b'\n');
    let mut len = 0;
    let mut next = || {
        let line = lines.next()?;
        len += line.len();
        Some((std::str::from_utf8(line).ok()?, len))
    };
    let (first, len) = next()?;
    let program = first.strip_prefix("#!")?.trim();
    let (program, arguments) = program.split_once([' ', '\t']).unwrap_or((program, ""));
    if program != "/bin/sh" {
        return (!program.is_empty()).then(|| Head {
            interpreter: PathBuf::from(program),
            arguments: arguments.trim().to_owned(),
            len,
        });
    }
    let command = next()?.0.strip_prefix("'''exec' ")?.trim_end();
    let (interpreter, rest) = word(command)?;
    let arguments = rest.strip_suffix("\"$0\" \"$@\"")?.trim();
    let (last, len) = next()?;
    (last.trim_end() == "' '''").then(|| Head {
        interpreter: PathBuf::from(interpreter),
        arguments: arguments.to_owned(),
        len,
    })
}

/// The first word of a shell's line, without its quotes; `None` if the shell would compute it.
pub(crate) fn unquoted(text: &str) -> Option<String> {
    word(text).map(|(word, _)| word)
}

/// The same and what follows it.
fn word(text: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut chars = text.chars();
    loop {
        let rest = chars.as_str();
        match chars.next() {
            None | Some(' ' | '\t' | ';') => {
                return (!word.is_empty()).then_some((word, rest));
            }
            Some('\'') => loop {
                match chars.next()? {
                    '\'' => break,
                    c => word.push(c),
                }
            },
            Some('"') => loop {
                match chars.next()? {
                    '"' => break,
                    '$' | '`' => return None,
                    '\\' => word.push(chars.next()?),
                    c => word.push(c),
                }
            },
            Some('\\') => word.push(chars.next()?),
            Some('$' | '`') => return None,
            Some(c) => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn check(head: &str, expected: Option<&str>) {
        let found = interpreter(head.as_bytes());
        assert_eq!(found.as_deref(), expected.map(Path::new), "{head:?}");
    }

    #[test]
    fn the_interpreter_is_found_in_every_form_that_installers_write() {
        check("#!/e/bin/python\nimport sys\n", Some("/e/bin/python"));
        check("#! /usr/bin/python3 -sE\n", Some("/usr/bin/python3"));
        let exec = |word: &str| format!("#!/bin/sh\n'''exec' {word} \"$0\" \"$@\"\n' '''\n");
        check(&exec("/e/bin/python"), Some("/e/bin/python"));
        check(&exec("\"/a b/bin/python\""), Some("/a b/bin/python"));
        check(&exec("'/a b/bin/python'"), Some("/a b/bin/python"));
        check(&exec(r#"'/it'"'"'s/bin/python'"#), Some("/it's/bin/python"));
        check(&exec("/e/bin/python -sE"), Some("/e/bin/python"));
        check(&exec(r#""$(dirname -- "$0")"/'python'"#), None);
        check("#!/bin/sh\n'''exec' /e/bin/python \"$0\"\n' '''\n", None);
        check("#!/bin/sh\n'''exec' /e/bin/python \"$0\" \"$@\"\nx\n", None);
        for other in [
            "",
            "#!",
            "#!/bin/sh\n",
            "#!/bin/sh\necho\n",
            "import sys\n",
            "\u{7f}ELF",
        ] {
            check(other, None);
        }
    }
    /// `script` with `/new` in place of `/old`.
    fn check_moved(script: &str, new: &str, expected: Option<&str>) {
        let moved = with_interpreter(script.as_bytes(), |python| {
            let below = python.strip_prefix("/old").ok()?;
            Some(format!("{new}/{}", below.display()))
        });
        let moved = moved.map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(moved.as_deref(), expected, "{script:?}");
    }

    #[test]
    fn another_interpreter_replaces_every_form_and_nothing_else() {
        let text = "import sys\n# /old/bin/python\r\nsys.exit()";
        let plain = format!("#!/new/bin/python\n{text}");
        let long = "/tmp/".to_owned() + &"x".repeat(130);
        for head in [
            "#!/old/bin/python\n",
            "#! /old/bin/python \n",
            "#!/bin/sh\n'''exec' /old/bin/python \"$0\" \"$@\"\n' '''\n",
            "#!/bin/sh\n'''exec' \"/old/bin/python\" \"$0\" \"$@\"\n' '''\n",
            "#!/bin/sh\n'''exec' '/old/bin/python' \"$0\" \"$@\"\n' '''\n",
        ] {
            let script = format!("{head}{text}");
            check_moved(&script, "/new", Some(&plain));
            let exec =
                format!("#!/bin/sh\n'''exec' '{long}/bin/python' \"$0\" \"$@\"\n' '''\n{text}");
            check_moved(&script, &long, Some(&exec));
        }
    }

    #[test]
    fn the_arguments_of_an_interpreter_stay() {
        let exec = |path: &str, arguments: &str| {
            format!("#!/bin/sh\n'''exec' {path} {arguments} \"$0\" \"$@\"\n' '''\nx")
        };
        let plain = "#!/new/bin/python -sE\nx";
        check_moved("#!/old/bin/python -sE\nx", "/new", Some(plain));
        check_moved(&exec("/old/bin/python", "-sE"), "/new", Some(plain));
        let spaced = exec("'/a b/bin/python'", "-sE");
        check_moved("#!/old/bin/python -sE\nx", "/a b", Some(&spaced));
    }

    #[test]
    fn a_script_of_another_interpreter_is_not_replaced() {
        for script in [
            "",
            "#!/usr/bin/env python\nx",
            "#!/older/bin/python\nx",
            "#!/bin/sh\nexec /old/bin/python\n",
            "x\n#!/old/bin/python\n",
        ] {
            check_moved(script, "/new", None);
        }
    }
}
