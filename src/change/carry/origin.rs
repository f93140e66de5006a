//! How to install a distribution again that stays behind.
//!
//! Promises arguments that pip takes, one for each element: a range of versions, a path, a URL.
//!
//! Read next: `wheel/origin.rs`, where distributions come from.

use crate::wheel::distributions::Distribution;
use crate::wheel::origin::Origin;

/// The arguments that install a distribution from where it came; from an index, a later version.
pub(super) fn again(origin: &Origin, distribution: &Distribution) -> Vec<String> {
    origin.again().unwrap_or_else(|| vec![later(distribution)])
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
        check(Origin::Index, &["numpy>1.21"]);
        let directory = Origin::Directory {
            url: "file:///my%20src/n".to_owned(),
            is_editable: true,
        };
        check(directory, &["-e", "/my src/n"]);
    }
}
