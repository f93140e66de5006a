//! The lines of a requirements file: continuations, comments, variables and options, as pip reads
//! them.
//!
//! Promises pip's meaning of each, on UTF-8 with or without a byte order mark. No text causes a
//! panic. Does not know what an option is for; `../requirements.rs` does.

use super::super::error::LockFault;
use crate::base::config_settings::{ConfigSettings, NotASetting};

/// What one logical line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// The number of its first line in the file, from 1.
    pub(super) number: usize,
    /// What comes before the first option: a requirement, or nothing.
    pub(super) requirement: String,
    /// The words from the first option on.
    pub(super) options: Vec<String>,
}

/// One option of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SetOption {
    /// Its long name.
    pub(super) name: &'static str,
    /// Its value; empty for an option that has none.
    pub(super) value: String,
}

/// Every option of requirements files by its names, and whether it has a value.
const OPTIONS: [(&str, &[&str], bool); 21] = [
    ("--requirement", &["-r"], true),
    ("--constraint", &["-c"], true),
    ("--editable", &["-e"], true),
    ("--index-url", &["-i", "--pypi-url"], true),
    ("--extra-index-url", &[], true),
    ("--no-index", &[], false),
    ("--find-links", &["-f"], true),
    ("--trusted-host", &[], true),
    ("--hash", &[], true),
    ("--no-binary", &[], true),
    ("--only-binary", &[], true),
    ("--prefer-binary", &[], false),
    ("--require-hashes", &[], false),
    ("--pre", &[], false),
    ("--all-releases", &[], true),
    ("--only-final", &[], true),
    ("--use-feature", &[], true),
    ("--uploaded-prior-to", &[], true),
    ("--config-settings", &["-C", "--config-setting"], true),
    ("--process-dependency-links", &[], false),
    ("--global-option", &[], true),
];

/// The logical lines that say something.
///
/// # Errors
/// The number of a line whose quotation marks are not closed.
pub(super) fn lines(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Line>, (usize, LockFault)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    for (number, joined) in joined(text) {
        let plain = without_comment(&joined);
        if plain.is_empty() {
            continue;
        }
        let expanded = expanded(plain, variable);
        let (requirement, options) = split(&expanded);
        let options = words(options).map_err(|fault| (number, fault))?;
        found.push(Line {
            number,
            requirement: requirement.trim().to_owned(),
            options,
        });
    }
    Ok(found)
}

/// Joins the lines that end with a backslash; a comment ends a continuation.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, line) in text.lines().enumerate() {
        let is_comment = line.trim_start().starts_with('#');
        let (start, mut whole) = open.take().unwrap_or((at + 1, String::new()));
        if is_comment {
            whole.push(' ');
        }
        if line.ends_with('\\') && !is_comment {
            // pip removes those at the start too.
            whole.push_str(line.trim_matches('\\'));
            open = Some((start, whole));
        } else {
            whole.push_str(line);
            found.push((start, whole));
        }
    }
    found.extend(open);
    found
}

/// A comment starts with the line, or after a space.
fn without_comment(line: &str) -> &str {
    let mut before = None;
    for (at, c) in line.char_indices() {
        if c == '#' && before.is_none_or(char::is_whitespace) {
            return line.get(..at).unwrap_or_default().trim();
        }
        before = Some(c);
    }
    line.trim()
}

/// Replaces `${NAME}` where the variable is set and not empty.
fn expanded(line: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let mut found = String::new();
    let mut rest = line;
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start);
        found.push_str(before);
        let inner = after.get(2..).unwrap_or_default();
        let end = inner.find('}');
        let name = end.and_then(|end| inner.get(..end)).unwrap_or_default();
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let is_named = !name.is_empty() && name.chars().all(is_name);
        let value = is_named.then(|| variable(name)).flatten();
        let value = value.filter(|value| !value.is_empty());
        let used = if let Some(value) = value {
            found.push_str(&value);
            name.len() + 3
        } else {
            found.push_str("${");
            2
        };
        rest = after.get(used..).unwrap_or_default();
    }
    found.push_str(rest);
    found
}

/// The part before the first word that starts with a dash, and the rest.
fn split(line: &str) -> (&str, &str) {
    let mut start = 0;
    for word in line.split(' ') {
        if word.starts_with('-') {
            break;
        }
        start += word.len() + 1;
    }
    line.split_at(start.min(line.len()))
}

/// The words of a text, with the quoting of a shell.
fn words(text: &str) -> Result<Vec<String>, LockFault> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => found.extend(word.take()),
            '\'' => loop {
                match chars.next().ok_or(LockFault::Quote)? {
                    '\'' => {
                        word.get_or_insert_default();
                        break;
                    }
                    inner => word.get_or_insert_default().push(inner),
                }
            },
            '"' => loop {
                match chars.next().ok_or(LockFault::Quote)? {
                    '"' => {
                        word.get_or_insert_default();
                        break;
                    }
                    '\\' => {
                        let next = chars.next().ok_or(LockFault::Quote)?;
                        let word = word.get_or_insert_default();
                        if !matches!(next, '"' | '\\') {
                            word.push('\\');
                        }
                        word.push(next);
                    }
                    inner => word.get_or_insert_default().push(inner),
                }
            },
            '\\' => {
                let next = chars.next().ok_or(LockFault::Quote)?;
                word.get_or_insert_default().push(next);
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    found.extend(word);
    Ok(found)
}

/// The options of a line.
///
/// # Errors
/// An option that requirements files do not have, or one without its value.
pub(super) fn options(words: &[String]) -> Result<Vec<SetOption>, LockFault> {
    let mut found = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (written, attached) = match word.split_once('=') {
            Some((written, value)) if word.starts_with("--") => (written, Some(value.to_owned())),
            _ if word.starts_with('-') && !word.starts_with("--") && word.len() > 2 => {
                let end = word.char_indices().nth(2).map_or(word.len(), |(at, _)| at);
                let (short, value) = word.split_at(end);
                let value = value.strip_prefix('=').unwrap_or(value);
                (short, Some(value.to_owned()))
            }
            _ => (word.as_str(), None),
        };
        let shown = || crate::python::printable(written);
        let known = OPTIONS
            .iter()
            .find(|(name, others, _)| *name == written || others.contains(&written));
        let (name, _, has_value) = known.ok_or_else(|| LockFault::Option(shown()))?;
        let value = match (has_value, attached) {
            (true, Some(value)) => value,
            (true, None) => {
                let next = words.next();
                next.ok_or_else(|| LockFault::OptionValue(shown(), "has no value"))?
                    .clone()
            }
            (false, Some(_)) => return Err(LockFault::OptionValue(shown(), "takes no value")),
            (false, None) => String::new(),
        };
        found.push(SetOption { name, value });
    }
    Ok(found)
}

/// Whether a file is named by a URL that needs a network.
pub(super) fn is_remote(value: &str) -> bool {
    value.contains("://") && !value.starts_with("file://")
}

/// What options have for the backend of a package.
///
/// # Errors
/// A value that is no setting.
pub(super) fn settings(options: &[SetOption]) -> Result<ConfigSettings, LockFault> {
    let own = options
        .iter()
        .filter(|option| option.name == "--config-settings");
    let read = own.map(|option| option.value.parse());
    read.collect::<Result<_, _>>().map_err(|NotASetting| {
        LockFault::OptionValue("--config-settings".to_owned(), "is not `KEY=VALUE`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, &str, &[&str])]) {
        let variable = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
        let found = lines(text, &variable).unwrap();
        let found: Vec<(usize, &str, Vec<&str>)> = found
            .iter()
            .map(|line| {
                let options = line.options.iter().map(String::as_str).collect();
                (line.number, line.requirement.as_str(), options)
            })
            .collect();
        let expected: Vec<(usize, &str, Vec<&str>)> = expected
            .iter()
            .map(|(number, line, options)| (*number, *line, options.to_vec()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn lines_are_joined_and_stripped_of_comments() {
        check("", &[]);
        check(
            "\u{feff}a==1\r\n\n# x\n  b==2 # y\n",
            &[(1, "a==1", &[]), (4, "b==2", &[])],
        );
        check(
            "a==1 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n    # via b\nc==2",
            &[
                (1, "a==1", &["--hash=sha256:1", "--hash=sha256:2"]),
                (5, "c==2", &[]),
            ],
        );
        check(
            "a==1 \\\n# x \\\nb==2",
            &[(1, "a==1", &[]), (3, "b==2", &[])],
        );
        check(
            "a @ https://h/a.whl#sha256=1",
            &[(1, "a @ https://h/a.whl#sha256=1", &[])],
        );
        check("a==1 \\", &[(1, "a==1", &[])]);
    }

    #[test]
    fn variables_are_replaced_where_they_are_set() {
        check(
            "a@https://${TOKEN}@h/${OTHER}",
            &[(1, "a@https://s3cret@h/${OTHER}", &[])],
        );
        check("${token} ${ ${}", &[(1, "${token} ${ ${}", &[])]);
    }

    #[test]
    fn options_are_words_of_a_shell() {
        check(
            "-r 'a b.txt' --index-url \"h\\\"x\" -f\\ c",
            &[(1, "", &["-r", "a b.txt", "--index-url", "h\"x", "-f c"])],
        );
        assert!(lines("-r 'a", &|_| None).is_err());
        assert!(lines("a\n-r a\\", &|_| None).unwrap().len() == 2);
        let read = |text: &str| {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            options(&words).map_err(|fault| fault.to_string())
        };
        let option = |name, value: &str| SetOption {
            name,
            value: value.to_owned(),
        };
        assert_eq!(
            read("-ra.txt -i=u --pre --hash=sha256:a=b --no-index"),
            Ok(vec![
                option("--requirement", "a.txt"),
                option("--index-url", "u"),
                option("--pre", ""),
                option("--hash", "sha256:a=b"),
                option("--no-index", ""),
            ])
        );
        assert!(read("--hash").unwrap_err().contains("no value"));
        assert!(read("--pre=1").unwrap_err().contains("takes no value"));
        assert!(
            read("--nonsense")
                .unwrap_err()
                .contains("no option `--nonsense`")
        );
        assert!(read("-é").is_err() && read("-").is_err() && read("x").is_err());
    }
}
