//! The pace of a body: whether a server still sends, or only keeps the connection busy.
//!
//! Promises that a server that sends less than a kilobyte in four times the time limit counts as
//! silent: the limit for a single read would never end a body that arrives byte by byte.
//!
//! Read next: `download.rs` and `places/page.rs`, which read bodies.

use std::time::{Duration, Instant};

/// Less than any real connection.
const BYTES: u64 = 1024;

/// How a body arrives.
pub(super) struct Pace {
    window: Duration,
    since: Instant,
    expected: u64,
}

impl Pace {
    /// A body that begins to arrive when the caller has this many bytes.
    pub(super) fn new(timeout: Duration, len: u64) -> Self {
        Self {
            window: timeout.saturating_mul(4),
            since: Instant::now(),
            expected: len + BYTES,
        }
    }

    /// Whether the body counts as silent, now that the caller has this many bytes.
    pub(super) fn is_silent(&mut self, len: u64) -> bool {
        if len >= self.expected {
            (self.since, self.expected) = (Instant::now(), len + BYTES);
        }
        self.since.elapsed() > self.window
    }
}
