//! What a plan is published with.
//!
//! Read next: `transaction/ready.rs`.

use crate::place::record::{Durability, Retention, Verdict};
use crate::steps::entry_cover::Grain;

/// What a plan is published with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What success survives.
    pub durability: Durability,
    /// What becomes of what is replaced.
    pub retention: Retention,
    /// When the publication is decided.
    pub verdict: Verdict,
    /// How large the entries are that are moved, where entries are.
    pub grain: Grain,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            durability: Durability::Power,
            retention: Retention::Discard,
            verdict: Verdict::Taken,
            grain: Grain::Packages,
        }
    }
}
