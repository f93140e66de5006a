//! The names of source distributions (PEP 625), also those that are older than the rule.
//!
//! Promises that a name counts only for the distribution that is asked for: `a-b-1.tar.gz` may be
//! version 1 of `a-b`, but also `b-1` of `a`, which is no version.

use crate::base::version;
use crate::wheel::normal_name;

/// The ends of the names of source distributions.
const ENDS: [&str; 3] = [".tar.gz", ".tgz", ".zip"];

/// The version that the name of a source distribution of a package says; `None` if the name is that
/// of something else.
#[must_use]
pub fn sdist_version(file: &str, name: &str) -> Option<String> {
    let stem = ENDS.iter().find_map(|end| file.strip_suffix(end))?;
    // Old names have dashes in the distribution and in the version.
    let mut dashes = stem.match_indices('-').map(|(at, _)| stem.split_at(at));
    dashes.find_map(|(before, after)| {
        let found = after.strip_prefix('-')?;
        let is_it = normal_name(before) == name && version::is_version(found);
        is_it.then(|| found.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_names_say_the_version() {
        let check = |file: &str, name: &str, expected: Option<&str>| {
            assert_eq!(
                sdist_version(file, name).as_deref(),
                expected,
                "{file} {name}"
            );
        };
        check("demo-1.0.tar.gz", "demo", Some("1.0"));
        check("De.mo_x-1.0rc1.zip", "de-mo-x", Some("1.0rc1"));
        check("de-mo-1.0.tar.gz", "de-mo", Some("1.0"));
        check("de-mo-1.0-1.tar.gz", "de-mo", Some("1.0-1"));
        check("de-mo-1.0.tar.gz", "de", None);
        check("demo-1.0.tar.bz2", "demo", None);
        check("demo-1.0-py3-none-any.whl", "demo", None);
        check("demo.tar.gz", "demo", None);
        check("é-1.zip", "é", Some("1"));
    }
}
