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
//! pip, distlib and rvenv put double quotes or none around the path, uv single quotes. Promises
//! that any bytes give a path or nothing.
//!
//! Read next: `frame.rs`, which looks whether the interpreter exists.

use std::path::PathBuf;

/// How many bytes of a script are read: two lines with a path of the maximum length.
pub(super) const HEAD_BYTES_MAX: u64 = 16 << 10;

/// The interpreter that the first bytes of a script name; `None` if it is no script, or if its
/// first line computes the path.
pub(super) fn interpreter(head: &[u8]) -> Option<PathBuf> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let program = first.strip_prefix("#!")?.trim();
    let program = program.split([' ', '\t']).next()?;
    if program != "/bin/sh" {
        return (!program.is_empty()).then(|| PathBuf::from(program));
    }
    let second = std::str::from_utf8(lines.next()?).ok()?;
    let command = second.strip_prefix("'''exec' ")?;
    unquoted(command).map(PathBuf::from)
}

/// The first word of a shell's line, without its quotes; `None` if the shell would compute it.
pub(super) fn unquoted(text: &str) -> Option<String> {
    let mut word = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next() {
            None | Some(' ' | '\t' | ';') => break,
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
    (!word.is_empty()).then_some(word)
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
        check(&exec(r#""$(dirname -- "$0")"/'python'"#), None);
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
}
