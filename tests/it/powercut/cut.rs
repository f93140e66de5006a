//! Power cuts: which writes are on a disk that lost power at some point of a log.
//!
//! The model: everything before the last flush is on the disk. Of the later writes, any subset may
//! be on it, in any order, and one write may be there in part. A [`Cut`] says which; its text is
//! its name, from which it can be made again.
//!
//! Not in the model: a disk that loses what it flushed, that tears a sector of 4096 bytes, or that
//! holds bytes that were never written.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::powercut::log::{DONE, Log, Op, START};

/// Disks write this many bytes as one.
const SECTOR: u64 = 4096;

/// The power failed when the disk had received the first `end` operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cut {
    pub(crate) end: usize,
    pub(crate) kept: Kept,
}

/// Which unflushed writes are on the disk; numbers are those of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kept {
    All,
    None,
    But(usize),
    Only(usize),
    From(usize),
    Before(usize),
    /// All before this one, and the first half of it, in whole sectors.
    Torn(usize),
    /// Each at random, with even odds.
    Some(u64),
}

impl fmt::Display for Cut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { end, kept } = self;
        match kept {
            Kept::All => write!(out, "{end}:all"),
            Kept::None => write!(out, "{end}:none"),
            Kept::But(op) => write!(out, "{end}:but-{op}"),
            Kept::Only(op) => write!(out, "{end}:only-{op}"),
            Kept::From(op) => write!(out, "{end}:from-{op}"),
            Kept::Before(op) => write!(out, "{end}:before-{op}"),
            Kept::Torn(op) => write!(out, "{end}:torn-{op}"),
            Kept::Some(seed) => write!(out, "{end}:some-{seed}"),
        }
    }
}

impl FromStr for Cut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let (end, kept) = text.split_once(':')?;
            let end = end.parse().ok()?;
            let (kind, number) = kept.split_once('-').unwrap_or((kept, "0"));
            let seed = number.parse().ok()?;
            let op = number.parse().ok()?;
            let kept = match kind {
                "all" => Kept::All,
                "none" => Kept::None,
                "but" => Kept::But(op),
                "only" => Kept::Only(op),
                "from" => Kept::From(op),
                "before" => Kept::Before(op),
                "torn" => Kept::Torn(op),
                "some" => Kept::Some(seed),
                _ => return None,
            };
            Some(Self { end, kept })
        };
        parsed().ok_or_else(|| format!("`{text}` is no name of a cut"))
    }
}

impl Cut {
    /// The unflushed writes that are on the disk, each with the number of its bytes there.
    pub(crate) fn writes(&self, log: &Log) -> Vec<(usize, u64)> {
        let mut coin = Dice(if let Kept::Some(seed) = self.kept {
            seed
        } else {
            0
        });
        let mut writes = Vec::new();
        for index in log.unflushed(self.end)..self.end {
            let len = log.ops[index].len();
            let is_kept = match self.kept {
                Kept::All => true,
                Kept::None => false,
                Kept::But(op) => index != op,
                Kept::Only(op) => index == op,
                Kept::From(op) => index >= op,
                Kept::Before(op) => index < op,
                Kept::Torn(op) => index <= op,
                Kept::Some(_) => coin.below(2) == 0,
            };
            if len > 0 && is_kept {
                let is_torn = self.kept == Kept::Torn(index);
                let half = (len / 2).next_multiple_of(SECTOR);
                writes.push((index, if is_torn { half.min(len) } else { len }));
            }
        }
        writes
    }
}

impl Cut {
    /// A key that is equal for two cuts that leave the same content: the first write that is not
    /// completely there, and what is there after it.
    fn content(&self, log: &Log) -> (usize, Vec<(usize, u64)>) {
        let mut writes = self.writes(log);
        let is_whole = |index: &usize| {
            let len = log.ops[*index].len();
            len == 0 || writes.contains(&(*index, len))
        };
        let missing = (log.unflushed(self.end)..log.ops.len()).find(|index| !is_whole(index));
        let missing = missing.unwrap_or(log.ops.len());
        writes.retain(|(index, _)| *index >= missing);
        (missing, writes)
    }
}

/// Pseudo-random numbers, the same in every run (splitmix64).
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

/// A point where the power may fail: the end of what one flush covers, and its weight among all
/// points.
struct Point {
    end: usize,
    weight: usize,
}

/// About this many different cuts, spread over the run, denser at its end where the new tree
/// appears; the cuts before and after everything are included.
pub(crate) fn cuts(log: &Log, count: usize) -> Vec<Cut> {
    let start = log.mark(START).unwrap();
    let points = points(log, start);
    let total: usize = points.iter().map(|point| point.weight).sum();
    let mut dice = Dice(count as u64);
    let mut seen = BTreeSet::new();
    let mut cuts = Vec::new();
    let mut add = |cut: Cut| {
        let is_done = log.mark(DONE).is_some_and(|done| cut.end > done);
        if seen.insert((is_done, cut.content(log))) {
            cuts.push(cut);
            return true;
        }
        false
    };
    let at = |end, kept| Cut { end, kept };
    add(at(start, Kept::None));
    // Where a point has too few writes before it, the next points take over its share.
    let mut owed = 0.0;
    for point in points {
        #[expect(clippy::cast_precision_loss, reason = "these are small numbers")]
        let share = (count * point.weight) as f64 / total as f64;
        owed += share;
        let mut tries = 0;
        while owed >= 1.0 && tries < 12 + 4 * count / total {
            tries += 1;
            if add(at(point.end, kept(log, point.end, &mut dice))) {
                owed -= 1.0;
            }
        }
    }
    add(at(log.ops.len(), Kept::All));
    cuts
}

fn points(log: &Log, start: usize) -> Vec<Point> {
    let done = log.mark(DONE).unwrap_or(log.ops.len());
    let ends = (start + 1..=log.ops.len()).filter(|end| {
        let next = log.ops.get(*end);
        next.is_none_or(|op| *op == Op::Flush) || *end == done + 1
    });
    let ends: Vec<usize> = ends.collect();
    let before = ends.iter().filter(|end| **end <= done).count();
    // Each point of the last quarter has triple weight, and all points after the end together a
    // third of the weight of the rest.
    let after = (before / 2).div_ceil((ends.len() - before).max(1)).max(3);
    let weigh = |(index, end): (usize, &usize)| Point {
        end: *end,
        weight: if *end > done {
            after
        } else if index * 4 < before * 3 {
            1
        } else {
            3
        },
    };
    ends.iter().enumerate().map(weigh).collect()
}

/// A random choice among the unflushed writes.
fn kept(log: &Log, end: usize, dice: &mut Dice) -> Kept {
    let pending = log.unflushed(end)..end;
    let pending: Vec<usize> = pending.filter(|index| log.ops[*index].len() > 0).collect();
    if pending.is_empty() {
        return Kept::None;
    }
    let one = pending[dice.below(pending.len())];
    match dice.below(10) {
        0 => Kept::All,
        1 => Kept::None,
        2 => Kept::But(one),
        3 => Kept::Only(one),
        4 => Kept::From(one),
        5 => Kept::Before(one),
        6 if log.ops[one].len() > SECTOR => Kept::Torn(one),
        _ => Kept::Some(dice.below(1 << 20) as u64),
    }
}
