//! `pyvenv.cfg`: the file that makes a directory a virtual environment (PEP 405).
//!
//! Promises venv's keys in venv's order for the version of the interpreter, then `rvenv`; one line
//! per key, whatever the prompt: a text with a line break is refused before it gets here. Does not
//! read the file as Python does; `change/existing/config_reader.rs` does.
//!
//! Read next: `hooks.rs`, whose hook `create_configuration` plans it.

use std::fmt::Write as _;

use crate::build::layout::Layout;
use crate::build::options::Options;
use crate::python::Interpreter;

/// The name of the file, directly in the environment.
pub const CONFIG_NAME: &str = "pyvenv.cfg";

/// The text of `pyvenv.cfg` for an environment at `env_dir`.
#[must_use]
pub fn render(
    interpreter: &Interpreter,
    layout: &Layout,
    options: &Options,
    env_dir: &str,
) -> String {
    let version = &interpreter.version;
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _infallible = writeln!(text, "{key} = {value}");
    };
    line("home", &layout.python_dir.to_string_lossy());
    let system = options.system_site_packages;
    line(
        "include-system-site-packages",
        if system { "true" } else { "false" },
    );
    line(
        "version",
        &format!("{}.{}.{}", version.major, version.minor, version.micro),
    );
    if let Some(prompt) = options.prompt_for(version)
        && version.at_least(3, 8)
    {
        line("prompt", &repr(prompt));
    }
    if version.at_least(3, 11) {
        line("executable", &interpreter.real_executable.to_string_lossy());
        line("command", &command(interpreter, options, env_dir));
    }
    line("rvenv", env!("CARGO_PKG_VERSION"));
    if interpreter.platform.os_name == "nt" {
        text = text.replace('\n', "\r\n");
    }
    text
}

/// The `venv` command that requests the same environment, spelled as `venv` spells it.
#[must_use]
pub fn command(interpreter: &Interpreter, options: &Options, env_dir: &str) -> String {
    let mut text = format!("{} -m venv", interpreter.invoked.display());
    let mut flag = |wanted: bool, flag: &str| {
        if wanted {
            text.push(' ');
            text.push_str(flag);
        }
    };
    // A flag is written only if it differs from the platform's default.
    if interpreter.platform.os_name == "nt" {
        flag(options.symlinks, "--symlinks");
    } else {
        flag(!options.symlinks, "--copies");
    }
    flag(!options.with_pip, "--without-pip");
    flag(options.system_site_packages, "--system-site-packages");
    flag(options.clear, "--clear");
    flag(options.upgrade, "--upgrade");
    flag(options.upgrade_deps, "--upgrade-deps");
    if let Some(prompt) = &options.prompt {
        flag(true, &format!("--prompt=\"{}\"", prompt.asked));
    }
    let without_ignore = options.scm_ignore_files.is_empty() && interpreter.version.at_least(3, 13);
    flag(without_ignore, "--without-scm-ignore-files");
    text.push(' ');
    text.push_str(env_dir);
    text
}

/// Python's `repr` of a text without control characters.
fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut repr = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => repr.push_str("\\\\"),
            c if c == quote => {
                repr.push('\\');
                repr.push(c);
            }
            c if is_printable(c) => repr.push(c),
            c => {
                let code = u32::from(c);
                let _infallible = match code {
                    0..=0xff => write!(repr, "\\x{code:02x}"),
                    0x100..=0xffff => write!(repr, "\\u{code:04x}"),
                    _ => write!(repr, "\\U{code:08x}"),
                };
            }
        }
    }
    repr.push(quote);
    repr
}

/// As `str.isprintable`, which accepts a combining mark; so the check puts a letter before it.
fn is_printable(c: char) -> bool {
    matches!(c, '\'' | '"') || format!("a{c}").escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(repr(text), expected, "{text:?}");
    }

    /// Compared with Python 3.13's `repr`.
    #[test]
    fn a_prompt_is_written_as_python_would_repr_it() {
        check("plain", "'plain'");
        check("", "''");
        check("it's", "\"it's\"");
        check("it's \"both\"", "'it\\'s \"both\"'");
        check("back\\slash", "'back\\\\slash'");
        check("é π 𝜋 e\u{301}", "'é π 𝜋 e\u{301}'");
        check("a\u{a0}b\u{200b}c\u{e0001}", "'a\\xa0b\\u200bc\\U000e0001'");
    }
}
