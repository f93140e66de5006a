//! The oldest C library with which wheels run, by the platforms in their names.
//!
//! Read next: `platforms.rs`, which has the platforms of an interpreter.

/// The oldest version of a C library with which all of these wheels run; `None` if none of them
/// names one.
pub(crate) fn least_libc<'a>(
    family: &str,
    files: impl Iterator<Item = &'a str>,
) -> Option<(u32, u32)> {
    let least = |file: &str| {
        let (_, platforms) = file.strip_suffix(".whl")?.rsplit_once('-')?;
        let versions = platforms.split('.').map(|one| version(family, one));
        // A set that has a platform of another kind demands nothing.
        versions.collect::<Option<Vec<_>>>()?.into_iter().min()
    };
    files.filter_map(least).max()
}

/// The version in `manylinux_2_17_x86_64`, `manylinux2014_x86_64` or `musllinux_1_2_x86_64`.
fn version(family: &str, platform: &str) -> Option<(u32, u32)> {
    let word = match family {
        "glibc" => "manylinux",
        "musl" => "musllinux",
        _ => return None,
    };
    let rest = platform.strip_prefix(word)?;
    if family == "glibc" {
        for (old, minor) in [("2014_", 17), ("2010_", 12), ("1_", 5)] {
            if rest.starts_with(old) {
                return Some((2, minor));
            }
        }
    }
    let mut parts = rest.strip_prefix('_')?.split('_');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_library_is_the_newest_that_a_wheel_demands() {
        let check = |family: &str, files: &[&str], expected| {
            assert_eq!(
                least_libc(family, files.iter().copied()),
                expected,
                "{files:?}"
            );
        };
        let old = "a-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
        let new = "b-1-cp312-cp312-manylinux_2_28_x86_64.whl";
        let pure = "c-1-py3-none-any.whl";
        check("glibc", &[old], Some((2, 17)));
        check("glibc", &[old, new, pure], Some((2, 28)));
        check("glibc", &[pure], None);
        check(
            "glibc",
            &["d-1-cp312-cp312-manylinux1_x86_64.whl"],
            Some((2, 5)),
        );
        check("glibc", &["e-1-cp312-cp312-linux_x86_64.whl"], None);
        check(
            "musl",
            &["f-1-cp312-cp312-musllinux_1_2_x86_64.whl"],
            Some((1, 2)),
        );
        check("musl", &[old], None);
        check("glibc", &["", "x", "-.whl", "g-manylinux_.whl"], None);
    }
}
