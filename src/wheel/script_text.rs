//! The text of scripts: an interpreter line that works for any path, and the call of an entry
//! point.
//!
//! Promises that the kernel, a POSIX shell and Python read the text as intended for every
//! interpreter path without a NUL: spaces, quotes, `$`, backquotes, backslashes and non-ASCII
//! letters included. Does not promise the bytes that pip writes, only the same behaviour.
//!
//! Read next: `install.rs`, which places the scripts.

use super::entry_points::EntryPoint;

/// The most bytes of a first line, with its line feed, that every kernel of the platform reads.
const SHEBANG_BYTES_MAX: usize = if cfg!(target_os = "macos") { 512 } else { 127 };

/// The lines that make a Python script start with this interpreter.
pub(crate) fn interpreter_lines(python: &str) -> String {
    interpreter_lines_with(python, "")
}

/// The same, with arguments for the interpreter.
///
/// The kernel passes what follows the path as one argument; the shell gets it as one, too.
pub(super) fn interpreter_lines_with(python: &str, arguments: &str) -> String {
    let splits = |c: char| c.is_whitespace() || c.is_control();
    let space = if arguments.is_empty() { "" } else { " " };
    let plain = format!("#!{python}{space}{arguments}\n");
    if !python.contains(splits) && plain.len() <= SHEBANG_BYTES_MAX {
        return plain;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=:.,/".contains(c);
    let arguments = if arguments.chars().all(is_plain) {
        arguments.to_owned()
    } else {
        quoted(arguments)
    };
    // The shell joins `''` and `'exec'` and never reads the third line; Python sees a string from
    // the first three quotes to the last three.
    format!(
        "#!/bin/sh\n'''exec' {}{space}{arguments} \"$0\" \"$@\"\n' '''\n",
        quoted(python)
    )
}

/// One word for a POSIX shell that is also harmless inside Python's triple single quotes.
fn quoted(text: &str) -> String {
    let mut word = String::with_capacity(text.len() + 2);
    word.push('\'');
    for c in text.chars() {
        match c {
            // Three single quotes in a row would end Python's string.
            '\'' => word.push_str(r#"'"'"'"#),
            // Both readers take two backslashes for one; a single one could be a malformed escape
            // for Python.
            '\\' => word.push_str(r#"'"\\"'"#),
            _ => word.push(c),
        }
    }
    word.push('\'');
    word
}

/// The script that calls an entry point, with its interpreter line.
pub(super) fn console(python: &str, entry: &EntryPoint) -> Vec<u8> {
    let mut text = interpreter_lines(python).into_bytes();
    text.extend(call(entry));
    text
}

/// The text of that script without the interpreter line.
pub(super) fn call(entry: &EntryPoint) -> Vec<u8> {
    let EntryPoint {
        module, attribute, ..
    } = entry;
    let imported = attribute.split('.').next().unwrap_or(attribute);
    // Wrappers on Windows add a suffix to the name of the program, which usage texts should not
    // show.
    let text = format!(
        "# -*- coding: utf-8 -*-
import sys

from {module} import {imported}

if __name__ == \"__main__\":
    for suffix in (\"-script.pyw\", \".exe\"):
        if sys.argv[0].endswith(suffix):
            sys.argv[0] = sys.argv[0][: -len(suffix)]
            break
    sys.exit({attribute}())
"
    );
    text.into_bytes()
}

/// Replaces the first line of a `#!python` script of a wheel.
pub(super) fn rewritten(lines: &str, script: &[u8]) -> Vec<u8> {
    let rest = script
        .iter()
        .position(|byte| *byte == b'\n')
        .and_then(|end| script.get(end + 1..))
        .unwrap_or_default();
    let mut text = lines.as_bytes().to_vec();
    text.extend_from_slice(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wheel::entry_points::Window;

    fn check(python: &str, expect: &str) {
        assert_eq!(interpreter_lines(python), expect);
    }

    #[test]
    fn a_short_path_without_spaces_is_a_plain_interpreter_line() {
        check("/env/bin/python3", "#!/env/bin/python3\n");
        check("/ä/python", "#!/ä/python\n");
    }

    #[test]
    fn any_other_path_goes_through_a_shell() {
        check(
            "/my env/bin/python",
            "#!/bin/sh\n'''exec' '/my env/bin/python' \"$0\" \"$@\"\n' '''\n",
        );
        check(
            "/i'm a\\b/python",
            "#!/bin/sh\n'''exec' '/i'\"'\"'m a'\"\\\\\"'b/python' \"$0\" \"$@\"\n' '''\n",
        );
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn the_first_line_is_as_long_as_every_kernel_reads() {
        let longest = format!("/{}", "x".repeat(123));
        check(&longest, &format!("#!{longest}\n"));
        assert!(interpreter_lines(&format!("{longest}x")).starts_with("#!/bin/sh\n"));
    }

    #[test]
    fn a_rewritten_script_keeps_all_but_its_first_line() {
        assert_eq!(rewritten("#!/p\n", b"#!python -E\nx\ny"), b"#!/p\nx\ny");
        assert_eq!(rewritten("#!/p\n", b"#!pythonw\r\nx\r\n"), b"#!/p\nx\r\n");
        assert_eq!(rewritten("#!/p\n", b"#!python"), b"#!/p\n");
    }

    #[test]
    fn a_script_imports_the_first_word_and_calls_all_of_them() {
        let entry = EntryPoint {
            name: "a".to_owned(),
            module: "b.c".to_owned(),
            attribute: "D.e".to_owned(),
            window: Window::Console,
        };
        let text = String::from_utf8(console("/p", &entry)).unwrap();
        assert!(text.contains("\nfrom b.c import D\n"));
        assert!(text.ends_with("\n    sys.exit(D.e())\n"));
    }
}

/// A real shell and a real Python run the scripts.
#[cfg(test)]
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "tests start real interpreters")]
mod reality {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::wheel::entry_points::Window;

    /// Puts a link to Python into a directory of that name and runs a script through it.
    fn check(python: &Path, scratch: &Path, directory: &str) {
        let directory = scratch.join(directory);
        fs::create_dir_all(&directory).unwrap();
        let link = directory.join("python3");
        symlink(python, &link).unwrap();
        fs::write(
            directory.join("demo.py"),
            "import sys\nclass A:\n    @staticmethod\n    def main():\n        \
             print(sys.executable, *sys.argv, sep='\\n')\n        return 7\n",
        )
        .unwrap();
        let entry = EntryPoint {
            name: "demo".to_owned(),
            module: "demo".to_owned(),
            attribute: "A.main".to_owned(),
            window: Window::Console,
        };
        let script = directory.join("run.exe");
        fs::write(&script, console(link.to_str().unwrap(), &entry)).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let arguments = ["a b", "$HOME", "'"];
        let output = Command::new(&script).args(arguments).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{directory:?}");
        assert_eq!(output.status.code(), Some(7), "{directory:?}");
        let seen = String::from_utf8(output.stdout).unwrap();
        let name = script.with_extension("");
        let expect = format!("{}\n{}\na b\n$HOME\n'\n", link.display(), name.display());
        assert_eq!(seen, expect);
    }

    #[test]
    fn a_script_runs_from_a_directory_of_any_name() {
        let found = Command::new("python3")
            .args(["-c", "import sys; print(sys.executable)"])
            .output();
        let Some(python) = found.ok().filter(|output| output.status.success()) else {
            println!("skipped: there is no python3 to run scripts with");
            return;
        };
        let python = String::from_utf8(python.stdout).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        for name in [
            "plain",
            "with space",
            " 'quoted' ",
            "''' '''",
            "\"double\" quotes",
            "$HOME `id` $(id) !x",
            "back\\slash \\N \\x \\u1 \\' \\\" \\",
            "tab\there",
            "line\nfeed",
            "ümläut 𝜋",
            "ümläut-𝜋",
            "# - {} * ? ; & | < >",
            &"long".repeat(40),
        ] {
            check(Path::new(python.trim()), &root, name);
        }
    }
}
