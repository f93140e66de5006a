//! Activation scripts: the texts that activate an environment in a shell, one per shell language.
//!
//! Promises that every environment path and every prompt that rvenv accepts (UTF-8 without control
//! characters) reaches the shell exactly as it is written, and that neither is ever executed or
//! interpreted, not even when the shell shows its prompt. One function per language quotes every
//! value, and one pass puts the values into the template, so that a value which looks like a
//! placeholder is not replaced. Works on texts alone and touches no disk.
//!
//! Does not promise:
//! - the look of a prompt in shells beyond sh, bash, zsh, dash, ksh, csh, tcsh, fish, nushell,
//!   xonsh and `PowerShell`: cmd shows `'` for `"`, and busybox's shell and yash interpret
//!   backslashes after variables (and execute nothing);
//! - anything for a csh whose `histchars` was changed from `!` to a letter or a digit, or for a cmd
//!   with delayed expansion, which takes each `!` for the beginning of a name;
//! - that xonsh finds programs in a path that contains the `$NAME` of a variable that is set,
//!   because it replaces those in PATH.
//!
//! A new shell is a row of `SCRIPTS`. Its tests, in `tests/it/`:
//! - `behaviour/activate.rs` starts the POSIX shells, csh and fish, from a table;
//!   `activate_others.rs` has a test for each other shell, `activate_prompts.rs` for prompts;
//! - `behaviour/cli.rs` and `windows_plan.rs` have all scripts in snapshots of plans;
//! - `parity/rules.rs` says how each script differs from venv's;
//! - `cpython/configuration.rs` lists the scripts of Unix shells.
//!
//! The unit tests here find the scripts in `SCRIPTS`; the test of extensions in `scripts.rs`
//! (`each_language_gets_one_word_of_its_own`) lists them.
//!
//! A script whose name begins with `activate.` needs no change in `wheel/install.rs`: no wheel can
//! install such a name.
//!
//! Read next: the templates beside this file, in `activation/`; `scripts.rs`, which quotes by the
//! same table.

/// The values in the activation scripts of one environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation<'a> {
    /// The absolute path of the environment, as `VIRTUAL_ENV` shows it.
    pub env_dir: &'a str,
    /// The prompt without its parentheses; it may be empty.
    pub prompt: &'a str,
    /// The directory of the executables, relative to the environment: `bin` or `Scripts`.
    pub bin_name: &'a str,
    /// The site-packages directories, relative to the environment and separated by `/`.
    pub site_packages: &'a [String],
}

/// One activation script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its file name, inside the directory of the executables.
    pub name: &'static str,
    /// Its text.
    pub text: String,
}

/// The beginning of every placeholder of the templates.
const PLACEHOLDER_START: &str = "__RVENV_";

/// The end of every placeholder of the templates.
const PLACEHOLDER_END: &str = "__";

/// Quotes a value as one word, or one string, of a language.
pub(super) type Quote = fn(&str) -> String;

/// One activation script: its template, and the quoting of its language.
struct ScriptTemplate {
    /// The file name of the script.
    name: &'static str,
    template: &'static str,
    quote: Quote,
    /// How scripts of other authors with the same extension are quoted, if not by `quote`.
    foreign: Option<Quote>,
    /// Further extensions of this language.
    extensions: &'static [&'static str],
    /// Values of further placeholders. A value for `DIR`, `PROMPT` or `BIN` is used instead of the
    /// quoted one that every script has.
    others: fn(&Activation<'_>) -> Values,
    /// Adds what the file needs besides its text.
    finish: fn(String) -> String,
    systems: Systems,
}

/// The placeholders of a template and their values.
type Values = Vec<(&'static str, String)>;

/// The systems whose environments have a script.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Systems {
    All,
    Unix,
    Windows,
}

/// All activation scripts, sorted by name.
///
/// A new shell is a row here, a template, and a quoting function if its language has none yet. The
/// row also decides how a script of another author with the same extension is quoted.
const SCRIPTS: [ScriptTemplate; 9] = [
    ScriptTemplate {
        template: include_str!("activation/Activate.ps1"),
        quote: quote_powershell,
        finish: with_byte_order_mark,
        ..ScriptTemplate::named("Activate.ps1")
    },
    ScriptTemplate {
        template: include_str!("activation/activate"),
        others: posix_prompt,
        ..ScriptTemplate::named("activate")
    },
    ScriptTemplate {
        template: include_str!("activation/activate.bat"),
        quote: quote_batch,
        foreign: Some(double_percents),
        extensions: &["cmd"],
        others: batch_label,
        finish: dos_lines,
        systems: Systems::Windows,
        ..ScriptTemplate::named("activate.bat")
    },
    ScriptTemplate {
        template: include_str!("activation/activate.csh"),
        quote: quote_csh,
        extensions: &["tcsh"],
        others: csh_prefixes,
        systems: Systems::Unix,
        ..ScriptTemplate::named("activate.csh")
    },
    ScriptTemplate {
        template: include_str!("activation/activate.fish"),
        quote: quote_fish,
        ..ScriptTemplate::named("activate.fish")
    },
    ScriptTemplate {
        template: include_str!("activation/activate.nu"),
        quote: quote_nushell,
        ..ScriptTemplate::named("activate.nu")
    },
    ScriptTemplate {
        template: include_str!("activation/activate.xsh"),
        quote: quote_python,
        ..ScriptTemplate::named("activate.xsh")
    },
    ScriptTemplate {
        template: include_str!("activation/activate_this.py"),
        quote: quote_python,
        extensions: &["pyw"],
        others: python_site_packages,
        ..ScriptTemplate::named("activate_this.py")
    },
    ScriptTemplate {
        template: include_str!("activation/deactivate.bat"),
        quote: quote_batch,
        foreign: Some(double_percents),
        finish: dos_lines,
        systems: Systems::Windows,
        ..ScriptTemplate::named("deactivate.bat")
    },
];

impl ScriptTemplate {
    /// The defaults that most scripts share.
    const fn named(name: &'static str) -> Self {
        Self {
            name,
            template: "",
            quote: quote_posix,
            foreign: None,
            extensions: &[],
            others: |_| Vec::new(),
            finish: |text| text,
            systems: Systems::All,
        }
    }

    /// Whether scripts with this extension are in the language of this one.
    fn is_for(&self, extension: &str) -> bool {
        let own = self.name.rsplit_once('.').map(|(_, own)| own);
        let all = own.iter().chain(self.extensions);
        all.into_iter()
            .any(|known| known.eq_ignore_ascii_case(extension))
    }

    fn script(&self, activation: &Activation<'_>) -> Script {
        let mut values = (self.others)(activation);
        values.extend([
            ("DIR", (self.quote)(activation.env_dir)),
            ("PROMPT", (self.quote)(activation.prompt)),
            ("BIN", (self.quote)(activation.bin_name)),
        ]);
        Script {
            name: self.name,
            text: (self.finish)(fill(self.template, &values)),
        }
    }
}

/// The quoting for a script of another author by its extension, if an activation script has it.
pub(super) fn quoting_of(extension: &str) -> Option<Quote> {
    let mut all = SCRIPTS.iter();
    let known = all.find(|script| script.is_for(extension))?;
    Some(known.foreign.unwrap_or(known.quote))
}

/// Writes every activation script of an environment, sorted by name.
#[must_use]
pub fn scripts(activation: &Activation<'_>) -> Vec<Script> {
    scripts_for(activation, Systems::Unix)
}

/// Writes the activation scripts of an environment on Windows, sorted by name: those of [`scripts`]
/// except csh's, and those of cmd.
#[must_use]
pub fn windows_scripts(activation: &Activation<'_>) -> Vec<Script> {
    scripts_for(activation, Systems::Windows)
}

/// Writes the activation script of this name, in any case, for any system.
#[must_use]
pub fn script(activation: &Activation<'_>, name: &str) -> Option<Script> {
    let mut all = SCRIPTS.iter();
    let named = all.find(|script| script.name.eq_ignore_ascii_case(name))?;
    Some(named.script(activation))
}

fn scripts_for(activation: &Activation<'_>, system: Systems) -> Vec<Script> {
    let has = |script: &&ScriptTemplate| [Systems::All, system].contains(&script.systems);
    let all = SCRIPTS.iter().filter(has);
    all.map(|script| script.script(activation)).collect()
}

fn posix_prompt(activation: &Activation<'_>) -> Values {
    let prompt_bangs = activation.prompt.replace('!', "!!");
    vec![("PROMPT_BANGS", quote_posix(&prompt_bangs))]
}

fn csh_prefixes(activation: &Activation<'_>) -> Values {
    let tcsh_prefix = format!(
        "({}) ",
        escape(activation.prompt, &['\\', '^', '!'], &['%'])
    );
    let csh_prefix = format!("({}) ", escape(activation.prompt, &['!'], &[]));
    vec![
        ("TCSH_PREFIX", quote_csh(&tcsh_prefix)),
        ("CSH_PREFIX", quote_csh(&csh_prefix)),
    ]
}

/// Windows PowerShell 5 reads a file without a byte order mark in the code page of the system,
/// where one byte of a letter can be a quote that ends the string.
fn with_byte_order_mark(text: String) -> String {
    if text.is_ascii() {
        text
    } else {
        format!("\u{feff}{text}")
    }
}

fn batch_label(activation: &Activation<'_>) -> Values {
    // The script shows this label between quotes, where cmd takes `$` and a letter for a code.
    let label = activation.prompt.replace('$', "$$").replace('"', "'");
    vec![
        ("LABEL", label.replace('%', "%%")),
        ("BIN", activation.bin_name.replace('%', "%%")),
    ]
}

fn python_site_packages(activation: &Activation<'_>) -> Values {
    let directories = activation.site_packages.iter();
    let directories: Vec<_> = directories.map(|one| quote_python(one)).collect();
    vec![("SITE_PACKAGES", format!("[{}]", directories.join(", ")))]
}

/// Gives a text the line endings that cmd needs; otherwise it may not find a label after `goto`.
#[expect(clippy::needless_pass_by_value, reason = "one type for all shells")]
fn dos_lines(text: String) -> String {
    text.replace('\n', "\r\n")
}

/// Quotes a text as one word of sh, bash, zsh, dash and ksh.
///
/// ```
/// assert_eq!(rvenv::activation::quote_posix("it's"), r"'it'\''s'");
/// ```
#[must_use]
pub fn quote_posix(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Quotes a text as one word of csh and tcsh.
///
/// History is expanded even inside quotes, and a variable decides what a backslash means there. So
/// each special character of ASCII has its own backslash outside of quotes.
#[must_use]
pub fn quote_csh(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    let mut in_quotes = false;
    for character in text.chars() {
        // In some locales a letter beyond ASCII is several bytes, which one backslash cannot quote.
        if character.is_ascii() == in_quotes {
            quoted.push('\'');
            in_quotes = !in_quotes;
        }
        if character.is_ascii() && !is_plain_character(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    if in_quotes {
        quoted.push('\'');
    }
    quoted
}

/// Quotes a text as one word of fish.
#[must_use]
pub fn quote_fish(text: &str) -> String {
    format!("'{}'", escape(text, &['\\', '\''], &[]))
}

/// Quotes a text as a string of `PowerShell`, where five characters are single quotes.
#[must_use]
pub fn quote_powershell(text: &str) -> String {
    let quotes = ['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'];
    format!("'{}'", escape(text, &[], &quotes))
}

/// Quotes a text as a string of nushell.
///
/// ```
/// assert_eq!(rvenv::activation::quote_nushell(r#"a "$x" \"#), r#""a \"$x\" \\""#);
/// ```
#[must_use]
pub fn quote_nushell(text: &str) -> String {
    format!("\"{}\"", escape(text, &['\\', '"'], &[]))
}

/// Quotes a text for the right side of cmd's `set NAME=`, outside of quotation marks.
///
/// ```
/// assert_eq!(rvenv::activation::quote_batch(r#"a&b "50%""#), r#"a^&b ^"50%%^""#);
/// ```
#[must_use]
pub fn quote_batch(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if matches!(character, '"' | '&' | '|' | '<' | '>' | '(' | ')' | '^') {
            quoted.push('^');
        } else if character == '%' {
            quoted.push('%');
        }
        quoted.push(character);
    }
    quoted
}

/// Quotes a text for a place in a batch file that is between the author's own quotes: more than the
/// percent signs cannot be quoted there.
fn double_percents(text: &str) -> String {
    text.replace('%', "%%")
}

/// Quotes a text as a string of Python 3, written in ASCII.
///
/// ```
/// assert_eq!(rvenv::activation::quote_python("\"é\""), r#""\"\u00e9\"""#);
/// ```
#[must_use]
pub fn quote_python(text: &str) -> String {
    let escaped: String = text.chars().map(python_character).collect();
    format!("\"{escaped}\"")
}

fn python_character(character: char) -> String {
    let code = u32::from(character);
    match character {
        '"' | '\\' => format!("\\{character}"),
        ' '..='~' => character.to_string(),
        '\0'..='\u{ffff}' => format!("\\u{code:04x}"),
        '\u{10000}'..='\u{10ffff}' => format!("\\U{code:08x}"),
    }
}

/// Puts a backslash before each of `backslashed` and writes each of `doubled` twice.
fn escape(text: &str, backslashed: &[char], doubled: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if backslashed.contains(&character) {
            escaped.push('\\');
        } else if doubled.contains(&character) {
            escaped.push(character);
        }
        escaped.push(character);
    }
    escaped
}

/// Whether a text needs no quotes in any shell.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_plain_character)
}

/// Whether a character has no special meaning in any shell, anywhere in a word.
fn is_plain_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '/' | '.' | '_' | '-')
}

/// Replaces the placeholders of a template in one pass; text that was put in is not searched again.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(template.len() + 256);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once(PLACEHOLDER_START) {
        let (name, following) = after
            .split_once(PLACEHOLDER_END)
            .expect("each placeholder of our templates ends");
        let (_, value) = values
            .iter()
            .find(|(known, _)| *known == name)
            .expect("each placeholder of our templates has a value");
        filled.push_str(before);
        filled.push_str(value);
        rest = following;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(name: &str, env_dir: &str, prompt: &str) -> String {
        let site_packages = ["lib/python3.12/site-packages".to_owned()];
        let activation = Activation {
            env_dir,
            prompt,
            bin_name: "bin",
            site_packages: &site_packages,
        };
        scripts(&activation)
            .into_iter()
            .find(|script| script.name == name)
            .expect("a script of that name")
            .text
    }

    fn check(quote: fn(&str) -> String, cases: &[(&str, &str)]) {
        for (text, quoted) in cases {
            assert_eq!(quote(text), *quoted, "quoting {text:?}");
        }
    }

    #[test]
    fn posix_words_are_bare_only_if_nothing_in_them_is_special() {
        check(
            quote_posix,
            &[
                ("", "''"),
                ("/srv/env-1.0_x", "/srv/env-1.0_x"),
                ("=ls", "'=ls'"),
                ("~", "'~'"),
                ("a b", "'a b'"),
                ("it's", r"'it'\''s'"),
                ("$(x)`y`\\!", r"'$(x)`y`\!'"),
                ("é", "'é'"),
            ],
        );
    }

    #[test]
    fn csh_words_have_their_backslashes_outside_of_quotes() {
        check(
            quote_csh,
            &[
                ("", "''"),
                ("/srv/env", "/srv/env"),
                ("a!b", r"a\!b"),
                ("\\!", r"\\\!"),
                ("it's $x", r"it\'s\ \$x"),
                ("é!ü", r"'é'\!'ü'"),
            ],
        );
    }

    #[test]
    fn fish_words_escape_the_backslash_and_the_quote() {
        check(
            quote_fish,
            &[("", "''"), ("$x", "'$x'"), (r"a\'b", r"'a\\\'b'")],
        );
    }

    #[test]
    fn powershell_strings_double_each_of_the_five_single_quotes() {
        check(
            quote_powershell,
            &[
                ("", "''"),
                ("$x `y\"", "'$x `y\"'"),
                (
                    "'\u{2018}\u{2019}\u{201a}\u{201b}",
                    "'''\u{2018}\u{2018}\u{2019}\u{2019}\u{201a}\u{201a}\u{201b}\u{201b}'",
                ),
            ],
        );
    }

    #[test]
    fn python_strings_are_ascii() {
        check(
            quote_python,
            &[
                ("", r#""""#),
                ("a'b\\\"", r#""a'b\\\"""#),
                ("é\u{2019}", r#""\u00e9\u2019""#),
                ("\u{1f40d}", r#""\U0001f40d""#),
                ("\n", r#""\u000a""#),
            ],
        );
    }

    #[test]
    fn each_script_is_quoted_as_others_of_its_extension() {
        let value = "it's $x %a!";
        for script in SCRIPTS.iter().filter(|script| script.name.contains('.')) {
            let (_, extension) = script.name.rsplit_once('.').unwrap();
            let own = script.foreign.unwrap_or(script.quote);
            for extension in script.extensions.iter().chain([&extension]) {
                let found = quoting_of(extension).expect("the row of this script");
                assert_eq!(found(value), own(value), "{}: {extension}", script.name);
            }
        }
        assert!(
            ["", "sh", "exe"]
                .iter()
                .all(|one| quoting_of(one).is_none())
        );
    }

    #[test]
    fn the_scripts_are_sorted_by_name_and_leave_no_placeholder_behind() {
        let activation = Activation {
            env_dir: "/e",
            prompt: "p",
            bin_name: "bin",
            site_packages: &[],
        };
        let scripts = scripts(&activation);
        assert!(scripts.is_sorted_by_key(|script| script.name));
        for script in scripts {
            assert!(!script.text.contains(PLACEHOLDER_START), "{}", script.name);
            assert!(!script.text.contains('\r'), "{}", script.name);
            assert!(script.text.ends_with('\n'), "{}", script.name);
        }
    }

    #[test]
    fn cmd_executes_nothing_of_a_value_and_its_prompt_has_no_quotes() {
        check(
            quote_batch,
            &[
                (r"C:\my env", r"C:\my env"),
                ("%PATH%", "%%PATH%%"),
                ("a\" & calc & \"b", "a^\" ^& calc ^& ^\"b"),
                ("(^)|<>!", "^(^^^)^|^<^>!"),
            ],
        );
        let activation = Activation {
            env_dir: r"C:\50% (é)",
            prompt: "a\" & $p %x%",
            bin_name: "Scripts",
            site_packages: &[],
        };
        let scripts = windows_scripts(&activation);
        let names: Vec<_> = scripts.iter().map(|script| script.name).collect();
        assert_eq!(
            names.join(" "),
            "Activate.ps1 activate activate.bat activate.fish activate.nu activate.xsh \
             activate_this.py deactivate.bat"
        );
        let text = &scripts[2].text;
        assert!(
            text.contains("\r\nset VIRTUAL_ENV=C:\\50%% ^(é^)\r\n"),
            "{text}"
        );
        assert!(
            text.contains("\r\nset VIRTUAL_ENV_PROMPT=a^\" ^& $p %%x%%\r\n"),
            "{text}"
        );
        assert!(
            text.contains("\r\nset \"PROMPT=(a' & $$p %%x%%) %PROMPT%\"\r\n"),
            "{text}"
        );
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
    }

    #[test]
    fn a_value_that_looks_like_a_placeholder_is_not_filled() {
        let text = text_of("activate", "/__RVENV_PROMPT__", "__RVENV_BIN__");
        assert!(text.contains("VIRTUAL_ENV=/__RVENV_PROMPT__\n"));
        assert!(text.contains("VIRTUAL_ENV_PROMPT=__RVENV_BIN__\n"));
    }

    #[test]
    fn powershell_gets_a_byte_order_mark_only_where_the_encoding_matters() {
        assert!(text_of("Activate.ps1", "/e", "p").starts_with('#'));
        assert!(text_of("Activate.ps1", "/é", "p").starts_with("\u{feff}#"));
    }

    #[test]
    fn the_powershell_script_embeds_its_values_quoted() {
        let text = text_of("Activate.ps1", "/it's", "\u{2019}; calc #");
        assert!(text.contains("$env:VIRTUAL_ENV = '/it''s'\n"));
        assert!(text.contains("$env:VIRTUAL_ENV_PROMPT = '\u{2019}\u{2019}; calc #'\n"));
    }

    #[test]
    fn csh_prompts_escape_what_each_csh_interprets() {
        let text = text_of("activate.csh", "/e", r"%n!\^");
        assert!(
            text.contains(r#"set prompt = \(\%\%n\\\!\\\\\\\^\)\ "$prompt:q""#),
            "{text}"
        );
        assert!(
            text.contains(r#"set prompt = \(\%n\\\!\\\^\)\ "$prompt:q""#),
            "{text}"
        );
    }
}
