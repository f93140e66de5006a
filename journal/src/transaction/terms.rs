//! The terms on which a plan is published.
//!
//! Read next: `transaction/ready.rs`.

use crate::place::record::{Durability, Retention, Verdict};
use crate::steps::entry_cover::Grain;

/// The terms on which a plan is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How much the publication survives.
    pub durability: Durability,
    /// What happens to what is replaced.
    pub retention: Retention,
    /// When the publication is decided.
    pub verdict: Verdict,
    /// How large the entries are that move, in a publication by entries.
    pub grain: Grain,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            durability: Durability::Power,
            retention: Retention::Discard,
            verdict: Verdict::BySteps,
            grain: Grain::Packages,
        }
    }
}
