//! The note of a pack: which objects were examined when they were last handed out.
//!
//! An object shares its inode with environments. If an environment is given to another user
//! (`chown`), that user owns the inode, can edit it, and can restore length, mode and modification
//! time, but not the change time (ctime). Every link and every unlink moves the ctime too. So a run
//! that has linked objects ends by noting which ones it examined. An object with a ctime after the
//! note's mtime was touched by something else, and is hashed again before it is handed out.
//!
//! Promises that an invalid note vouches for nothing. Does not notice an edit during the run that
//! examined the object, in the same clock tick, or after the clock was set back.
//! On disk: `packs/SHA256/linked`, never synced: after a power cut the objects are hashed again.
//! Read next: `pack.rs`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fs::Time;

/// The version of this format.
const FORMAT: &str = "1";
/// The number of objects that one digit describes.
const PER_DIGIT: usize = 4;

/// Which objects of a pack a run examined, and until when.
#[derive(Clone, Debug)]
pub(super) struct Note {
    /// Indexed by the number of the object.
    list: Vec<bool>,
    until: Time,
}

impl Note {
    /// Reads a note about `count` objects, written at the time `until`.
    pub(super) fn read(bytes: &[u8], count: usize, until: Time) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let digits = text.strip_prefix(FORMAT)?.strip_prefix(' ')?;
        let digits = digits.strip_suffix('\n')?;
        if digits.len() != count.div_ceil(PER_DIGIT) {
            return None;
        }
        let mut list = Vec::with_capacity(count);
        for digit in digits.chars() {
            let value = digit.to_digit(16)?;
            list.extend((0..PER_DIGIT).map(|bit| value >> bit & 1 == 1));
        }
        list.truncate(count);
        Some(Self { list, until })
    }

    /// Until when the bytes of an object are known.
    pub(super) fn of(&self, number: usize) -> Option<Time> {
        let is_examined = self.list.get(number).copied().unwrap_or(false);
        is_examined.then_some(self.until)
    }
}

/// A list for `count` objects, none of them examined.
pub(super) fn list(count: usize) -> Arc<[AtomicBool]> {
    (0..count).map(|_| AtomicBool::new(false)).collect()
}

/// The text of a note, whose length depends only on the pack; `None` if nothing was examined.
pub(super) fn write(list: &[AtomicBool]) -> Option<String> {
    let mut text = format!("{FORMAT} ");
    let mut is_any = false;
    for objects in list.chunks(PER_DIGIT) {
        let mut value = 0;
        for (bit, object) in objects.iter().enumerate() {
            value |= u32::from(object.load(Ordering::Relaxed)) << bit;
        }
        is_any |= value != 0;
        let _infallible = write!(text, "{value:x}");
    }
    text.push('\n');
    is_any.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: Time = Time {
        seconds: 7,
        nanos: 1,
    };

    #[test]
    fn a_note_is_read_as_it_was_written() {
        for count in [1, 3, 4, 5, 9] {
            let examined = list(count);
            assert_eq!(write(&examined), None);
            for at in (0..count).step_by(2) {
                examined[at].store(true, Ordering::Relaxed);
            }
            let text = write(&examined).unwrap();
            let note = Note::read(text.as_bytes(), count, THEN).unwrap();
            for at in 0..count {
                assert_eq!(note.of(at), (at % 2 == 0).then_some(THEN), "{count} {at}");
            }
            assert_eq!(note.of(count), None);
        }
        let five = list(5);
        five[4].store(true, Ordering::Relaxed);
        assert_eq!(write(&five).unwrap(), "1 01\n");
    }

    #[test]
    fn a_text_that_is_no_note_vouches_for_nothing() {
        for text in [
            "",
            "1 01",
            "1 0g\n",
            "1 011\n",
            "1 0\n",
            "2 01\n",
            "01\n",
            "1 \u{e9}\n",
        ] {
            assert!(Note::read(text.as_bytes(), 5, THEN).is_none(), "{text:?}");
        }
    }
}
