//! What the command prints when a disk is too small.
//!
//! Promises to name what is short, and nothing that is not.
//! Read next: `../advice.rs`.

use std::fmt::Write as _;

use rvenv::render::shown_size;
use rvenv_journal::raw::{Shortage, counted};

use super::{CliError, Code};

impl CliError {
    /// Adds how much space is needed and how much is free, if a disk was too small.
    pub(super) fn short_of(mut self, shortage: Option<&Shortage>) -> Self {
        let Some(shortage) = shortage else {
            return self;
        };
        self.code = Code::NoSpace;
        self.details.push(text(shortage));
        self.hint("make room on that filesystem, then run the command again")
    }
}

/// What is needed and what is free: `the change needs up to 12.0 MB, and 8.0 kB are free`.
fn text(shortage: &Shortage) -> String {
    let Shortage {
        needed,
        free,
        is_quota,
    } = shortage;
    let mut text = format!("the change needs up to {}", shown_size(needed.bytes));
    if let Some(free) = free {
        let short = needed.objects.zip(free.objects);
        let short = short.filter(|(wanted, left)| left < wanted);
        let has_bytes = free.bytes >= needed.bytes;
        let bytes = shown_size(free.bytes);
        let _infallible = match short {
            Some((wanted, left)) if has_bytes => write!(
                text,
                " and {}, and {} are free",
                counted(wanted, "inode"),
                counted(left, "inode")
            ),
            Some((wanted, left)) => write!(
                text,
                " and {}, and {bytes} and {} are free",
                counted(wanted, "inode"),
                counted(left, "inode")
            ),
            None => write!(text, ", and {bytes} are free"),
        };
    }
    if *is_quota {
        text.push_str("; a quota leaves less than that");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rvenv_journal::fs::Room;

    const fn room(bytes: u64, objects: Option<u64>) -> Room {
        let block = 4096;
        Room {
            bytes,
            objects,
            block,
        }
    }

    #[track_caller]
    fn check(free: Option<Room>, is_quota: bool, expected: &str) {
        let needed = room(12_000_000, Some(500));
        let told = text(&Shortage {
            needed,
            free,
            is_quota,
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_short_is_named_and_nothing_else() {
        let plenty = Some(1_000_000);
        let of_bytes = "the change needs up to 12.0 MB, and 8.0 kB are free";
        check(Some(room(8_000, plenty)), false, of_bytes);
        check(Some(room(8_000, None)), false, of_bytes);
        check(
            Some(room(1 << 40, Some(7))),
            false,
            "the change needs up to 12.0 MB and 500 inodes, and 7 inodes are free",
        );
        check(
            Some(room(8_000, Some(7))),
            false,
            "the change needs up to 12.0 MB and 500 inodes, and 8.0 kB and 7 inodes are free",
        );
        check(
            Some(room(1 << 40, plenty)),
            true,
            "the change needs up to 12.0 MB, and 1099.5 GB are free; a quota leaves less than that",
        );
        check(None, false, "the change needs up to 12.0 MB");
    }
}
