//! Plurals: a number and its noun, for messages.
//!
//! Promises the singular for exactly one, and the plural of every noun that a message of the engine
//! or of the command line counts; the tests list the endings.
//! Does not promise the plurals of irregular nouns.
//!
//! Read next: nothing; errors and reports call this.

use std::fmt::Display;

/// A number and its noun: `1 file`, `0 files`, `3 directories`, `2 managed paths`.
///
/// The noun is given in the singular. If it has several words, the last one changes.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    format!("{number} {}", agreeing(number, noun, &plural(noun)))
}

/// Chooses the form of a verb or another word that agrees with a number.
pub fn agreeing<'a, N: Copy + PartialEq + From<u8>>(
    number: N,
    one: &'a str,
    many: &'a str,
) -> &'a str {
    if number == N::from(1) { one } else { many }
}

fn plural(noun: &str) -> String {
    let vowel = |c: char| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u');
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(vowel) => format!("{stem}ies"),
        _ if ["s", "x", "ch", "sh"].iter().any(|end| noun.ends_with(end)) => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_every_other_number_is_plural() {
        let check = |noun: &str, one: &str, many: &str| {
            assert_eq!(counted(0_usize, noun), format!("0 {many}"));
            assert_eq!(counted(1_u64, noun), format!("1 {one}"));
            assert_eq!(counted(2_u32, noun), format!("2 {many}"));
            assert_eq!(counted(1_000_001_usize, noun), format!("1000001 {many}"));
        };
        check("file", "file", "files");
        check("entry", "entry", "entries");
        check("directory", "directory", "directories");
        check("day", "day", "days");
        check("process", "process", "processes");
        check("switch", "switch", "switches");
        check("managed path", "managed path", "managed paths");
        assert_eq!(agreeing(1_usize, "differs", "differ"), "differs");
        assert_eq!(agreeing(0_usize, "differs", "differ"), "differ");
    }
}
