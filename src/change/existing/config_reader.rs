//! An existing `pyvenv.cfg`, read as Python reads it, whichever tool wrote it.
//!
//! Promises `CPython`'s rules: the first `home` counts, and the last
//! `include-system-site-packages`; without that key the answer is "true"; keys may be in any case,
//! with spaces around both sides. Promises that any bytes give a [`Config`] or a reason, and that
//! the reason names a file which a power cut left empty or filled with NUL bytes. Does not promise
//! that `home` still exists.
//!
//! Read next: `python_names.rs`, for the directory of executables.

use std::path::PathBuf;

/// The content of an environment's `pyvenv.cfg`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The directory of the base interpreter.
    pub home: PathBuf,
    /// Whether the packages of the base installation are visible.
    pub system_site_packages: bool,
    /// The version, as `venv` (`version`) or `uv` and `virtualenv` (`version_info`) spell it:
    /// `3.12.1`, `3.12.1.final.0`, `3.12`.
    pub version: Option<String>,
    /// The implementation, if the tool wrote it: `CPython`, `PyPy`.
    pub implementation: Option<String>,
    /// The prompt, without the quotes that the tool wrote.
    pub prompt: Option<String>,
    /// The executables that the file names besides `home`, the base first.
    pub executables: Vec<PathBuf>,
    /// The interpreter that ran `venv`, from the `command`.
    pub invoked: Option<PathBuf>,
    /// The path that `venv` or `virtualenv` was called to make the environment at, as the `command`
    /// has it: the last of its arguments.
    pub made_for: Option<PathBuf>,
}

impl Config {
    /// Reads the bytes of a `pyvenv.cfg`.
    ///
    /// # Errors
    /// Why it is incomplete: empty, filled with NUL bytes, not UTF-8, or without `home`.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.is_empty() {
            return Err("it is empty");
        }
        if bytes.contains(&0) {
            return Err("it has NUL bytes, as after a power cut");
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
        let pairs: Vec<(String, &str)> = text.split(['\n', '\r']).filter_map(pair).collect();
        let first = |wanted: &str| {
            let found = pairs.iter().find(|(key, _)| key == wanted);
            found.map(|(_, value)| *value)
        };
        let last = |wanted: &str| {
            let found = pairs.iter().rev().find(|(key, _)| key == wanted);
            found.map(|(_, value)| *value)
        };
        let home = first("home").filter(|home| !home.is_empty());
        let executables = ["base-executable", "executable"].into_iter();
        Ok(Self {
            home: home.ok_or("it has no `home`")?.into(),
            system_site_packages: last("include-system-site-packages")
                .is_none_or(|value| value.to_lowercase() == "true"),
            version: first("version")
                .or_else(|| first("version_info"))
                .map(str::to_owned),
            implementation: first("implementation").map(str::to_owned),
            prompt: first("prompt").map(unquoted),
            executables: executables
                .filter_map(first)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .collect(),
            invoked: first("command")
                .and_then(|command| command.split_once(" -m venv "))
                .map(|(python, _)| PathBuf::from(python)),
            made_for: first("command").and_then(made_for),
        })
    }

    /// The 12 of `3.12.1`; `None` if the file has no version, or not one of Python 3.
    #[must_use]
    pub fn minor(&self) -> Option<u32> {
        let mut parts = self.version.as_deref()?.split('.');
        if parts.next() != Some("3") {
            return None;
        }
        parts.next()?.parse().ok()
    }
}

/// The environment in a `command`: an absolute path, which may have spaces, after the options.
fn made_for(command: &str) -> Option<PathBuf> {
    let modules = [" -m venv ", " -m virtualenv "];
    let mut found = modules
        .iter()
        .filter_map(|module| command.split_once(module));
    let (_, arguments) = found.next()?;
    let start = if arguments.starts_with('/') {
        0
    } else {
        arguments.find(" /")? + 1
    };
    arguments.get(start..).map(PathBuf::from)
}

/// A key in lowercase and its value; `None` for a line without `=`.
fn pair(line: &str) -> Option<(String, &str)> {
    let (key, value) = line.split_once('=')?;
    Some((strip(key).to_lowercase(), strip(value)))
}

/// As Python's `str.strip`, which counts four more characters as space than Unicode does.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}

/// A prompt without its quotes: `repr` by `venv`, plain double quotes by `virtualenv`, none by
/// `uv`.
fn unquoted(text: &str) -> String {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    match (inside('\''), inside('"')) {
        (Some(repr), _) => unescaped(repr),
        // `repr` uses double quotes only for a text with a single quote.
        (None, Some(repr)) if repr.contains('\'') => unescaped(repr),
        (None, Some(plain)) => plain.to_owned(),
        (None, None) => text.to_owned(),
    }
}

/// Undoes the escapes of `repr`; any other backslash stays.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        if let Some((c, after)) = escape(after) {
            plain.push(c);
            rest = after;
        } else {
            plain.push('\\');
            rest = after;
        }
    }
    plain.push_str(rest);
    plain
}

/// The character that an escape means, and the text after it.
fn escape(after: &str) -> Option<(char, &str)> {
    let mut chars = after.chars();
    let kind = chars.next()?;
    let rest = chars.as_str();
    let digits = match kind {
        '\\' | '\'' | '"' => return Some((kind, rest)),
        'n' => return Some(('\n', rest)),
        'r' => return Some(('\r', rest)),
        't' => return Some(('\t', rest)),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let code = rest.get(..digits)?;
    // `from_str_radix` alone would accept a sign.
    if !code.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let c = char::from_u32(u32::from_str_radix(code, 16).ok()?)?;
    Some((c, rest.get(digits..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        Config::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_first_home_and_the_last_system_flag_count() {
        let found = read(
            "HOME = /a \nhome=/b\ninclude-system-site-packages = true\n\
             Include-System-Site-Packages = FALSE\r\nnonsense\n",
        );
        assert_eq!(found.home, PathBuf::from("/a"));
        assert!(!found.system_site_packages);
    }

    #[test]
    fn without_the_key_the_system_packages_are_visible() {
        assert!(read("home = /a").system_site_packages);
        assert!(!read("home = /a\ninclude-system-site-packages = yes").system_site_packages);
    }

    #[test]
    fn a_file_that_is_not_whole_is_refused_with_the_reason() {
        let check = |bytes: &[u8], why: &str| {
            let said = Config::parse(bytes).unwrap_err();
            assert!(said.contains(why), "{said}");
        };
        check(b"", "empty");
        check(&[0; 64], "NUL");
        check(b"home = /a\n\0\0\0", "NUL");
        check(b"\n \n", "no `home`");
        check(b"home =\nversion = 3.11.7\n", "no `home`");
        check(b"home = /\xff\n", "UTF-8");
    }

    #[test]
    fn a_version_is_read_in_every_tools_spelling() {
        let minor = |text: &str| read(&format!("home = /a\n{text}\n")).minor();
        assert_eq!(minor("version = 3.11.7"), Some(11));
        assert_eq!(minor("version_info = 3.12.1.final.0"), Some(12));
        assert_eq!(minor("version_info = 3.12"), Some(12));
        assert_eq!(
            minor("version_info = 3.9.1.final.0\nversion = 3.10.2"),
            Some(10)
        );
        assert_eq!(minor("version = 2.7.18"), None);
        assert_eq!(minor("version = 3"), None);
        assert_eq!(minor("version = 3.x"), None);
        assert_eq!(minor(""), None);
    }

    #[test]
    fn the_place_of_an_environment_is_the_last_argument_of_its_command() {
        let check = |command: &str, expect: Option<&str>| {
            let found = read(&format!("home = /a\ncommand = {command}\n")).made_for;
            assert_eq!(found, expect.map(PathBuf::from), "{command}");
        };
        check("/a/python3 -m venv /work dir/e", Some("/work dir/e"));
        check("/a/python3 -m venv --copies --prompt=\"x\" /e", Some("/e"));
        check("/a/python3 -m virtualenv /e", Some("/e"));
        check("/a/python3 -m venv e", None);
        check("/a/tool /e", None);
    }

    #[test]
    fn a_prompt_loses_the_quotes_of_its_author() {
        let check = |text: &str, expect: &str| {
            let found = read(&format!("home = /a\nprompt = {text}"));
            assert_eq!(found.prompt.as_deref(), Some(expect), "{text}");
        };
        check("'plain'", "plain");
        check("''", "");
        check(r#""it's""#, "it's");
        check(r#"'it\'s "both"'"#, "it's \"both\"");
        check(
            r"'a\\b\xa0c\u200bd\U000e0001'",
            "a\\b\u{a0}c\u{200b}d\u{e0001}",
        );
        check(r#""C:\new""#, r"C:\new");
        check("bare", "bare");
        check(r"'\q\xzz\x+1\u12'", r"\q\xzz\x+1\u12");
        check("'", "'");
        check(r"'é\", r"'é\");
    }

    /// Windows does not take these paths for absolute.
    #[cfg(unix)]
    #[test]
    fn executables_are_named_base_first() {
        let found = read(
            "home = /a\nexecutable = /a/python3\nbase-executable = /b/python\nexecutable = x\n",
        );
        assert_eq!(
            found.executables,
            ["/b/python", "/a/python3"].map(PathBuf::from)
        );
        assert_eq!(
            read("home = /a\nexecutable = python").executables,
            [""; 0].map(PathBuf::from)
        );
    }
}
