//! The ways in which a file comes out of a store.
//!
//! Read next: `staging/build.rs`, which tries them.

/// How files are taken out of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkMode {
    /// Share blocks, or else link, or else copy.
    #[default]
    Auto,
    /// Share blocks, or else copy.
    Reflink,
    /// Link, or else copy.
    Hardlink,
    /// Copy: edits in place then affect this tree only.
    Copy,
}

/// Which ways of sharing an object are still worth trying in this run.
#[derive(Clone, Copy)]
pub(super) struct Rungs {
    pub(super) reflink: bool,
    pub(super) link: bool,
}

impl Rungs {
    pub(super) fn of(mode: LinkMode) -> Self {
        Self {
            reflink: matches!(mode, LinkMode::Auto | LinkMode::Reflink),
            link: matches!(mode, LinkMode::Auto | LinkMode::Hardlink),
        }
    }
}
