//! The file name of a wheel: what it says about the content (binary distribution format).
//!
//! Promises that a parsed name has a distribution and a version made of harmless characters. Does
//! not promise that the content agrees; `contents.rs` compares.

use std::path::Path;

use super::fault::WheelFault;

/// A file name of the form `name-version[-build]-python-abi-platform.whl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WheelName {
    pub(super) text: String,
    pub(super) name: String,
    pub(super) version: String,
    build: Option<String>,
    tags: String,
}

/// What the name of a wheel's file says that decides whether it is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tagged {
    /// The distribution.
    pub(crate) named: Named,
    /// The number and the rest of the build; of two that fit equally well, the higher one is newer.
    pub(crate) build: Option<(u64, String)>,
    /// The tags, as a set.
    pub(crate) tags: String,
}

impl Tagged {
    /// Reads the name of a wheel's file; `None` for a name that no wheel can have.
    pub(crate) fn of(file: &str) -> Option<Self> {
        let file = WheelName::parse(file).ok()?;
        let build = file.build.map(|build| {
            let end = build.find(|c: char| !c.is_ascii_digit());
            let (number, rest) = build.split_at(end.unwrap_or(build.len()));
            (number.parse().unwrap_or(u64::MAX), rest.to_owned())
        });
        Some(Self {
            named: Named {
                name: normal_name(&file.name),
                version: file.version,
            },
            build,
            tags: file.tags,
        })
    }
}

/// Which distribution a wheel is, by the name of its file alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name in its normal form.
    pub name: String,
    /// The version, spelled as in the file name.
    pub version: String,
}

impl Named {
    /// Reads the name of a wheel's file; `None` for a name that no wheel can have. Does not open
    /// the file.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let file = WheelName::parse(path.file_name()?.to_str()?).ok()?;
        Some(Self {
            name: normal_name(&file.name),
            version: file.version,
        })
    }
}

impl WheelName {
    pub(super) fn parse(text: &str) -> Result<Self, WheelFault> {
        let stem = text
            .strip_suffix(".whl")
            .ok_or(WheelFault::FileName("it does not end with `.whl`"))?;
        let parts: Vec<&str> = stem.split('-').collect();
        let (name, version, build, tags) = match parts.as_slice() {
            [name, version, tags @ ..] if tags.len() == 3 => (*name, *version, None, tags),
            [name, version, build, tags @ ..] if tags.len() == 3 => {
                (*name, *version, Some(*build), tags)
            }
            _ => return Err(WheelFault::FileName("it does not have five or six parts")),
        };
        if !is_distribution(name) {
            return Err(WheelFault::FileName("the distribution is malformed"));
        }
        if !version.starts_with(|c: char| c.is_ascii_alphanumeric()) || !is_made_of(version, "_.!+")
        {
            return Err(WheelFault::FileName("the version is malformed"));
        }
        if build
            .is_some_and(|b| !b.starts_with(|c: char| c.is_ascii_digit()) || !is_made_of(b, "_."))
        {
            return Err(WheelFault::FileName("the build is malformed"));
        }
        if !tags
            .iter()
            .all(|tag| !tag.is_empty() && is_made_of(tag, "_."))
        {
            return Err(WheelFault::FileName("a tag is malformed"));
        }
        Ok(Self {
            text: text.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            build: build.map(str::to_owned),
            tags: tags.join("-"),
        })
    }

    /// Whether another spelling means this distribution (PEP 503).
    pub(super) fn is_name(&self, other: &str) -> bool {
        is_distribution(&other.replace('-', "_")) && normal_name(&self.name) == normal_name(other)
    }

    /// Whether another spelling means this version; file names have `_` in the place of `-`.
    pub(super) fn is_version(&self, other: &str) -> bool {
        let normal = |version: &str| version.to_ascii_lowercase().replace('-', "_");
        normal(&self.version) == normal(other)
    }
}

/// The normal form of a name: runs of `-`, `_` and `.` are one dash, and all letters are lowercase
/// (PEP 503).
pub(crate) fn normal_name(name: &str) -> String {
    let words: Vec<&str> = name
        .split(['-', '_', '.'])
        .filter(|word| !word.is_empty())
        .collect();
    words.join("-").to_ascii_lowercase()
}

fn is_distribution(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    name.starts_with(edge) && name.ends_with(edge) && is_made_of(name, "_.")
}

fn is_made_of(text: &str, besides: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || besides.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, accepted: bool) {
        let parsed = WheelName::parse(text);
        assert_eq!(parsed.is_ok(), accepted, "{text:?}: {parsed:?}");
    }

    #[test]
    fn a_file_name_has_five_or_six_plain_parts() {
        check("pip-23.0.1-py3-none-any.whl", true);
        check("pip-18.1-py2.py3-none-any.whl", true);
        check(
            "a.b_c-1.0+local.1-1build-cp312-cp312-manylinux_2_17_x86_64.whl",
            true,
        );
        for text in [
            "",
            ".whl",
            "pip-23.0.1-py3-none-any.zip",
            "pip-23.0.1-py3-none.whl",
            "pip-23.0.1-build-py3-none-any.whl",
            "pip-1-2-3-py3-none-any.whl",
            "-23.0.1-py3-none-any.whl",
            "pip--py3-none-any.whl",
            "pip-../x-py3-none-any.whl",
            "pip-1-py3--any.whl",
            "p/ip-1-py3-none-any.whl",
            "pip\n-1-py3-none-any.whl",
            "_pip-1-py3-none-any.whl",
        ] {
            check(text, false);
        }
    }

    #[test]
    fn names_and_versions_are_compared_in_their_normal_form() {
        let name = WheelName::parse("Ruamel.Yaml_x-1.0_2+Ab-py3-none-any.whl").unwrap();
        assert!(name.is_name("ruamel-yaml.X"));
        assert!(!name.is_name("ruamel-yaml"));
        assert!(!name.is_name("ruamel/yaml-x"));
        assert!(name.is_version("1.0-2+ab"));
        assert!(!name.is_version("1.0"));
    }
}
