//! The signs of a plan: what happens to a path or a package, in front of it.
//!
//! Promises that colour only repeats the sign.

use rvenv_journal::raw::Effect;

/// How many paths that belong together are still shown one by one.
pub(super) const SHOWN_MAX: usize = 10;

/// What happens to a path or a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    Add,
    Change,
    Remove,
    Keep,
}

impl Sign {
    pub(super) fn of(effect: Effect) -> Self {
        match effect {
            Effect::Create => Self::Add,
            Effect::Change => Self::Change,
            Effect::Keep => Self::Keep,
        }
    }
}

/// A line of a section.
pub(super) fn line(sign: Sign, what: &str) -> String {
    format!("    {}", coloured(sign, what))
}

/// Colours repeat the sign; the printer removes them where they are not wanted.
pub(super) fn coloured(sign: Sign, what: &str) -> String {
    let (colour, sign) = match sign {
        Sign::Add => ("\x1b[32m", '+'),
        Sign::Change => ("\x1b[33m", '~'),
        Sign::Remove => ("\x1b[31m", '-'),
        Sign::Keep => ("\x1b[2m", '='),
    };
    format!("{colour}{sign}\x1b[0m {what}")
}
