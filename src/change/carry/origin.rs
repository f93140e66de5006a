//! What to type to pip for a distribution that stays behind.
//!
//! Promises arguments that pip takes, one for each element: a range of versions, a path, a URL.
//!
//! Read next: `wheel/installed.rs`, where the origins come from.

use crate::wheel::distributions::Distribution;
use crate::wheel::installed::{Origin, path_of};

/// The arguments that install a distribution from where it came; from an index, a later version.
pub(super) fn again(origin: &Origin, distribution: &Distribution) -> Vec<String> {
    match origin {
        Origin::Index => vec![later(distribution)],
        Origin::Archive(url) | Origin::Repository(url) => vec![url.clone()],
        Origin::Directory { url, is_editable } => {
            let path = path_of(url).unwrap_or_else(|| url.clone());
            let option = is_editable.then(|| "-e".to_owned());
            option.into_iter().chain([path]).collect()
        }
    }
}

/// Any later version of a distribution, or any version if its own is not known.
pub(super) fn later(distribution: &Distribution) -> String {
    let Distribution { name, version, .. } = distribution;
    // A local version may not be the limit of a range.
    let public = version.split('+').next().unwrap_or(version);
    if public.is_empty() {
        name.clone()
    } else {
        format!("{name}>{public}")
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use crate::wheel::distributions::named;

    #[test]
    fn every_origin_has_a_command() {
        let check = |origin: Origin, expected: &[&str]| {
            let one = named(OsStr::new("numpy-1.21+cpu.dist-info")).unwrap();
            assert_eq!(again(&origin, &one), expected);
        };
        let url = |text: &str| text.to_owned();
        check(Origin::Index, &["numpy>1.21"]);
        check(
            Origin::Archive(url("https://x/n.whl")),
            &["https://x/n.whl"],
        );
        check(
            Origin::Repository(url("git+https://x@1")),
            &["git+https://x@1"],
        );
        let dir = |text: &str, is_editable| Origin::Directory {
            url: url(text),
            is_editable,
        };
        check(dir("file:///my%20src/n", true), &["-e", "/my src/n"]);
        check(dir("file:///src/n", false), &["/src/n"]);
        check(dir("file:///src/%", false), &["file:///src/%"]);
    }
}
