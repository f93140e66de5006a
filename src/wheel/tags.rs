//! Tags: for which interpreters a wheel was built, and which of several fits best (platform
//! compatibility tags: PEP 425, 600, 656).
//!
//! Promises the tags of `packaging` for the same interpreter, in the same order; also for the C
//! library and the macOS that the interpreter runs on, whatever rvenv itself was built for. No text
//! causes a panic. Ignores the module `_manylinux`, by which a distributor of Python may refuse
//! wheels that would work.
//!
//! The list of all tags has about a thousand rows. One tag is compared by its three parts instead:
//! its place is that of its interpreter and ABI, then that of its platform.
//!
//! Read next: `tags/platforms.rs`; `lock/choose.rs`, which chooses a wheel by its tags.

mod libc;
mod platforms;

pub(crate) use self::libc::least_libc;
use crate::python::Interpreter;

/// How many tags a set in the name of a wheel may mean: no wheel has that many, and a hostile
/// name must not take long.
const SET_MAX: usize = 4096;
/// More than any minor version of Python will be.
const MINOR_MAX: u32 = 900;
/// Where the tags `py*-none-PLATFORM` begin: after all that name the implementation.
const SHARED: u32 = 1000;
/// Where the tags for `any` begin: after all that name a platform.
const ANY: u32 = 2000;

/// The tags that an interpreter takes, in the order in which it prefers them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagOrder {
    minor: u32,
    implementation: Implementation,
    /// From the most to the least specific, without `any`.
    platforms: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Implementation {
    /// The ABIs of extension modules for this version alone, and the stable one.
    CPython {
        abis: Vec<String>,
        stable: &'static str,
    },
    /// The name and version as one word, and its ABI.
    Other {
        python: String,
        abi: Option<String>,
        /// `pp3`, for which wheels of pure Python may be built.
        plain: Option<&'static str>,
    },
}

/// How well a wheel fits: the least one fits best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// The place of the interpreter and the ABI.
    python: u32,
    platform: usize,
}

/// Whether an interpreter can use what was installed from a wheel with one of these tags.
///
/// Each text may be a set, as in `py2.py3-none-any`.
pub(crate) fn fit(tags: &[String], interpreter: &Interpreter) -> bool {
    let order = TagOrder::of(interpreter);
    tags.iter().any(|tag| order.rank(tag).is_some())
}

impl TagOrder {
    /// The tags of an interpreter.
    pub(crate) fn of(interpreter: &Interpreter) -> Self {
        let platform = &interpreter.platform;
        let minor = interpreter.version.minor.min(MINOR_MAX);
        let implementation = match platform.implementation.as_str() {
            "cpython" => Implementation::CPython {
                abis: cpython_abis(interpreter),
                stable: if platform.free_threaded {
                    "abi3t"
                } else {
                    "abi3"
                },
            },
            name => {
                let short = match name {
                    "pypy" => "pp",
                    "ironpython" => "ip",
                    "jython" => "jy",
                    name => name,
                };
                Implementation::Other {
                    python: format!("{short}3{minor}"),
                    abi: other_abi(&platform.extension_suffix),
                    plain: (name == "pypy").then_some("pp3"),
                }
            }
        };
        Self {
            minor,
            implementation,
            platforms: platforms::platforms(platform),
        }
    }

    /// The best place of the tags that a set such as `py2.py3-none-any` means.
    pub(crate) fn rank(&self, set: &str) -> Option<Rank> {
        let mut parts = set.split('-');
        let (Some(pythons), Some(abis), Some(platforms), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let counts = [pythons, abis, platforms].map(|part| part.split('.').count());
        if counts.into_iter().fold(1, usize::saturating_mul) > SET_MAX {
            return None;
        }
        let every = pythons.split('.').flat_map(|python| {
            abis.split('.')
                .flat_map(move |abi| platforms.split('.').map(move |one| (python, abi, one)))
        });
        every
            .filter_map(|(python, abi, platform)| self.rank_one(python, abi, platform))
            .min()
    }

    /// All that decides about tags, in one line.
    pub(crate) fn text(&self) -> String {
        let own = match &self.implementation {
            Implementation::CPython { abis, stable } => format!("{} {stable}", abis.join(".")),
            Implementation::Other { python, abi, .. } => {
                format!("{python} {}", abi.as_deref().unwrap_or("none"))
            }
        };
        format!("3.{} {own} {}", self.minor, self.platforms.join("."))
    }

    /// The tags that the interpreter likes best, for messages.
    pub(crate) fn best(&self) -> Vec<String> {
        let platform = self.platforms.last().map_or("any", String::as_str);
        let own = match &self.implementation {
            Implementation::CPython { abis, .. } => {
                let abi = abis.first().map_or("none", String::as_str);
                format!("cp3{}-{abi}-{platform}", self.minor)
            }
            Implementation::Other { python, abi, .. } => {
                let abi = abi.as_deref().unwrap_or("none");
                format!("{python}-{abi}-{platform}")
            }
        };
        vec![own, "py3-none-any".to_owned()]
    }

    fn rank_one(&self, python: &str, abi: &str, platform: &str) -> Option<Rank> {
        let [python, abi, platform] = [python, abi, platform].map(str::to_ascii_lowercase);
        let (python, platform) = if platform == "any" {
            let pure = |abi: &str| (abi == "none").then_some(());
            pure(&abi)?;
            let place = if self.is_own_plain(&python) {
                0
            } else {
                1 + self.pure(&python)?
            };
            (ANY + place, 0)
        } else {
            let platform = self.platforms.iter().position(|one| *one == platform)?;
            match self.implementation_place(&python, &abi) {
                Some(place) => (place, platform),
                None if abi == "none" => (SHARED + self.pure(&python)?, platform),
                None => return None,
            }
        };
        Some(Rank { python, platform })
    }

    /// The place of a tag that names the implementation, among these.
    fn implementation_place(&self, python: &str, abi: &str) -> Option<u32> {
        match &self.implementation {
            Implementation::CPython { abis, stable } => {
                let minor = minor_of(python.strip_prefix("cp3")?)?;
                if minor == self.minor {
                    if let Some(at) = abis.iter().position(|one| one == abi) {
                        return u32::try_from(at).ok();
                    }
                    return match abi {
                        abi if abi == *stable => Some(10),
                        "none" => Some(11),
                        _ => None,
                    };
                }
                let is_older = (2..self.minor).contains(&minor) && abi == *stable;
                is_older.then(|| 11 + self.minor - minor)
            }
            Implementation::Other {
                python: own,
                abi: own_abi,
                ..
            } => {
                if python != own {
                    return None;
                }
                match abi {
                    abi if own_abi.as_deref() == Some(abi) => Some(0),
                    "none" => Some(1),
                    _ => None,
                }
            }
        }
    }

    /// Whether wheels of pure Python may name the implementation so.
    fn is_own_plain(&self, python: &str) -> bool {
        match &self.implementation {
            Implementation::CPython { .. } => {
                let minor = python.strip_prefix("cp3").and_then(minor_of);
                minor == Some(self.minor)
            }
            Implementation::Other { plain, .. } => *plain == Some(python),
        }
    }

    /// The place of a version of the language: its own, then the major one, then older ones.
    fn pure(&self, python: &str) -> Option<u32> {
        let digits = python.strip_prefix("py3")?;
        if digits.is_empty() {
            return Some(1);
        }
        let minor = minor_of(digits)?;
        match minor.cmp(&self.minor) {
            std::cmp::Ordering::Equal => Some(0),
            std::cmp::Ordering::Less => Some(1 + self.minor - minor),
            std::cmp::Ordering::Greater => None,
        }
    }
}

/// The digits of a minor version, spelled as in tags.
fn minor_of(digits: &str) -> Option<u32> {
    let minor = digits.parse::<u32>().ok()?;
    (minor.to_string() == digits).then_some(minor)
}

/// What the names of the extension modules of a `CPython` depend on. One with the checks of a debug
/// build also loads modules that were built without them.
fn cpython_abis(interpreter: &Interpreter) -> Vec<String> {
    let (minor, platform) = (interpreter.version.minor, &interpreter.platform);
    let threaded = if platform.free_threaded { "t" } else { "" };
    let is_debug = platform.abiflags.contains('d');
    let has_pymalloc = minor < 8 && (platform.abiflags.contains('m') || platform.os_name == "nt");
    let debug = if is_debug { "d" } else { "" };
    let pymalloc = if has_pymalloc { "m" } else { "" };
    let mut abis = vec![format!("cp3{minor}{threaded}{debug}{pymalloc}")];
    if is_debug && minor >= 8 {
        abis.push(format!("cp3{minor}{threaded}"));
    }
    abis
}

/// The ABI in the suffix of extension modules, without the platform: `pypy310_pp73` of
/// `.pypy310-pp73-x86_64-linux-gnu.so`.
fn other_abi(suffix: &str) -> Option<String> {
    let mut parts = suffix.strip_prefix('.')?.split('.');
    let soabi = parts.next()?;
    parts.next()?;
    let words: Vec<&str> = soabi.split('-').collect();
    let count = match soabi {
        _ if soabi.starts_with("pypy") => 2,
        _ if soabi.starts_with("graalpy") => 3,
        _ => words.len(),
    };
    let abi = words.into_iter().take(count).collect::<Vec<_>>().join("_");
    (!abi.is_empty()).then_some(abi)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::python;

    fn interpreter(minor: u32) -> Interpreter {
        python::sample(minor, "/nowhere/python3")
    }

    fn check(interpreter: &Interpreter, tag: &str, expected: bool) {
        let fits = fit(&[tag.to_owned()], interpreter);
        assert_eq!(fits, expected, "{tag}");
    }

    #[test]
    fn tags_fit_as_for_pip() {
        let new = interpreter(12);
        check(&new, "py3-none-any", true);
        check(&new, "py2.py3-none-any", true);
        check(&new, "py312-none-any", true);
        check(&new, "py37-none-any", true);
        check(&new, "py313-none-any", false);
        check(&new, "py2-none-any", false);
        check(&new, "py27-none-any", false);
        check(&new, "cp311-none-any", false);
        check(&new, "cp312-none-any", true);
        check(
            &new,
            "py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64",
            true,
        );
        check(&new, "py3-none-manylinux_2_36_x86_64", true);
        check(&new, "py3-none-manylinux_2_37_x86_64", false);
        check(&new, "py3-none-manylinux_2_36_x86_64_v3", false);
        check(&new, "py3-none-musllinux_1_1_x86_64", false);
        check(&new, "py3-none-manylinux2014_s390x", false);
        check(&new, "py3-none-win_amd64", false);
        check(&new, "cp37-abi3-manylinux_2_17_x86_64", true);
        check(&new, "cp313-abi3-linux_x86_64", false);
        check(&new, "cp311-cp311-linux_x86_64", false);
        check(&new, "cp312-cp312-linux_x86_64", true);
        check(&new, "cp312-cp312t-linux_x86_64", false);
        for other in [
            "",
            "py3",
            "py3-none",
            "py3-none-any-x",
            "--",
            "cpx-abi3-any",
            "py03-none-any",
        ] {
            check(&new, other, false);
        }
    }

    #[test]
    fn other_implementations_take_neither_the_stable_abi_nor_that_of_cpython() {
        let mut threaded = interpreter(13);
        threaded.platform.free_threaded = true;
        threaded.platform.abiflags = "t".to_owned();
        check(&threaded, "cp37-abi3-linux_x86_64", false);
        check(&threaded, "cp313-cp313-linux_x86_64", false);
        check(&threaded, "cp313-cp313t-linux_x86_64", true);
        check(&threaded, "py3-none-any", true);
        let mut pypy = interpreter(10);
        pypy.platform.implementation = "pypy".to_owned();
        pypy.platform.extension_suffix = ".pypy310-pp73-x86_64-linux-gnu.so".to_owned();
        check(&pypy, "cp37-abi3-linux_x86_64", false);
        check(&pypy, "cp310-none-any", false);
        check(&pypy, "pp310-pypy310_pp73-manylinux2014_x86_64", true);
        check(&pypy, "pp3-none-any", true);
        check(&pypy, "py3-none-any", true);
    }

    #[test]
    fn the_most_specific_wheel_comes_first() {
        let order = TagOrder::of(&interpreter(12));
        let sorted = [
            "cp312-cp312-linux_x86_64",
            "cp312-cp312-manylinux_2_28_x86_64",
            "cp312-cp312-manylinux_2_17_x86_64",
            "cp312-cp312-manylinux2014_x86_64",
            "cp312-cp312-manylinux1_x86_64",
            "cp312-abi3-manylinux_2_28_x86_64",
            "cp312-none-linux_x86_64",
            "cp311-abi3-linux_x86_64",
            "cp32-abi3-manylinux1_x86_64",
            "py312-none-linux_x86_64",
            "py3-none-linux_x86_64",
            "py311-none-linux_x86_64",
            "py30-none-manylinux1_x86_64",
            "cp312-none-any",
            "py312-none-any",
            "py3-none-any",
            "py311-none-any",
            "py30-none-any",
        ];
        let ranks = sorted.map(|tag| order.rank(tag).unwrap_or_else(|| panic!("{tag}")));
        assert!(ranks.is_sorted(), "{ranks:?}");
        assert_eq!(order.rank("py2.py3-none-any"), order.rank("py3-none-any"));
        let long = vec!["x"; 5000].join(".");
        assert_eq!(order.rank(&format!("{long}.py3-none-any")), None);
    }

    proptest! {
        #[test]
        fn no_tag_is_too_strange_to_be_compared(tag in "[a-z0-9.-]{0,30}|\\PC{0,12}") {
            let _fits = fit(&[tag], &interpreter(12));
        }
    }
}
