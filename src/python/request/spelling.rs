//! Spellings: the texts that mean a version, as users write them for pyenv, uv and installers.
//!
//! Promises that a text which looks like a version is one or is refused with the reason, and never
//! counts as a name.
//! Read next: `../request.rs`, which uses this.

use super::{RangeRequest, VersionRequest};
use crate::base::version::Specifiers;

/// What a text means.
pub(super) enum Spelled {
    Version(VersionRequest),
    Range(RangeRequest),
}

const SHAPE: &str = "a version is written as `3`, `3.12`, `3.12.1` or `3.13t`";
const RANGE_SIGNS: [char; 5] = ['<', '>', '=', '~', '!'];

/// How a request for an implementation begins; the short forms need a number directly behind them.
const IMPLEMENTATIONS: [(&str, &str); 3] = [("cpython", "cp"), ("pypy", "pp"), ("graalpy", "gp")];

/// Reads a version or a range; `None` for a name.
pub(super) fn read(text: &str) -> Result<Option<Spelled>, &'static str> {
    if text.starts_with(|c: char| c.is_ascii_digit() || RANGE_SIGNS.contains(&c)) {
        return version_or_range(text, None).map(Some);
    }
    let lower = text.to_ascii_lowercase();
    // `python3.12` is the name of a file.
    if let Some(rest) = lower.strip_prefix("python") {
        let wanted = rest.strip_prefix('@');
        let wanted = wanted.or_else(|| rest.starts_with(RANGE_SIGNS).then_some(rest));
        if let Some(wanted) = wanted {
            return version_or_range(wanted, None).map(Some);
        }
    }
    for (name, short) in IMPLEMENTATIONS {
        let is_number = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_digit());
        let rest = lower.strip_prefix(name);
        let rest = rest.or_else(|| lower.strip_prefix(short).filter(is_number));
        if let Some(rest) = rest
            && let Some(read) = of_implementation(name, rest)?
        {
            return Ok(Some(read));
        }
    }
    if text.contains(RANGE_SIGNS) || text.contains(['*', ',']) {
        return Err("a range follows nothing or the name of an implementation");
    }
    Ok(None)
}

fn of_implementation(name: &str, rest: &str) -> Result<Option<Spelled>, &'static str> {
    let implementation = Some(name.to_owned());
    if rest.is_empty() {
        return Ok(Some(Spelled::Version(VersionRequest {
            implementation,
            minor: None,
            micro: None,
            free_threaded: false,
        })));
    }
    let key = rest.strip_prefix('-').map(of_key).transpose()?;
    let wanted = key.or_else(|| rest.strip_prefix('@'));
    let is_plain =
        |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit() || RANGE_SIGNS.contains(&c));
    match wanted.or_else(|| is_plain(rest).then_some(rest)) {
        Some(wanted) => version_or_range(wanted, implementation).map(Some),
        None => Ok(None),
    }
}

/// The version of a key such as `3.12.1-linux-x86_64-gnu`, if it is for this operating system and
/// architecture.
fn of_key(key: &str) -> Result<&str, &'static str> {
    let mut parts = key.split('-');
    let version = parts.next().unwrap_or_default();
    let fits = |part: Option<&str>, own: &str| part.is_none_or(|part| part == own || part == "any");
    let os = fits(parts.next(), std::env::consts::OS);
    let architecture = fits(parts.next(), std::env::consts::ARCH);
    // The C library is not checked; nothing may follow it.
    if !os || !architecture || parts.count() > 1 {
        return Err("it is for another platform");
    }
    Ok(version)
}

fn version_or_range(text: &str, implementation: Option<String>) -> Result<Spelled, &'static str> {
    let range = |text: &str, implementation| {
        Specifiers::parse(text).map(|specifiers| {
            Spelled::Range(RangeRequest {
                implementation,
                specifiers,
            })
        })
    };
    if text.starts_with(RANGE_SIGNS) {
        return range(text, implementation);
    }
    // `3.14.0rc1` and `3.15a2` name one preview.
    if ["a", "b", "rc"].iter().any(|mark| text.contains(mark))
        && !text.contains(['+', '-', ','])
        && text.starts_with("3.")
        && let Ok(preview) = range(&format!("=={text}"), implementation.clone())
    {
        return Ok(preview);
    }
    version(text, implementation).map(Spelled::Version)
}

/// Reads the part after the implementation: `3`, `3.12`, `312`, `3.12.1`, `3.13t`,
/// `3.13+freethreaded`.
fn version(text: &str, implementation: Option<String>) -> Result<VersionRequest, &'static str> {
    let (digits, free_threaded) = build(text)?;
    // The short form, as in the tags of wheels.
    let spread = match digits.split_at_checked(1) {
        Some((major, minor)) if !minor.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{major}.{minor}")
        }
        _ => digits.to_owned(),
    };
    let mut numbers = [None; 3];
    let mut parts = spread.split('.');
    for number in &mut numbers {
        let Some(part) = parts.next() else { break };
        // `parse` alone would accept `+3`, and leading zeros would give a version two spellings.
        let plain = part.bytes().all(|b| b.is_ascii_digit());
        if !plain || (part.len() > 1 && part.starts_with('0')) {
            return Err(SHAPE);
        }
        *number = Some(part.parse::<u32>().map_err(|_| SHAPE)?);
    }
    let [major, minor, micro] = numbers;
    if parts.next().is_some() || (free_threaded && minor.is_none()) {
        return Err(SHAPE);
    }
    if major != Some(3) || minor.is_some_and(|minor| minor < 6) {
        return Err("rvenv supports Python 3.6 and newer versions of Python 3");
    }
    Ok(VersionRequest {
        implementation,
        minor,
        micro,
        free_threaded,
    })
}

/// Splits the kind of build off a version: whether it is free-threaded.
fn build(text: &str) -> Result<(&str, bool), &'static str> {
    const DEBUG: &str = "rvenv cannot tell debug builds from others; name one by its path";
    if let Some((digits, build)) = text.split_once('+') {
        return match build {
            "freethreaded" => Ok((digits, true)),
            "gil" => Ok((digits, false)),
            _ if build.contains("debug") => Err(DEBUG),
            _ => Err(SHAPE),
        };
    }
    if text.ends_with('d') {
        return Err(DEBUG);
    }
    Ok(match text.strip_suffix('t') {
        Some(digits) => (digits, true),
        None => (text, false),
    })
}
