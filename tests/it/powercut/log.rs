//! The operations on a disk, in order: writes with their data, zeroing, flushes, and marks between
//! them.
//!
//! A log is kept as files, so that any state of the disk can be built again from it: `ops` lists
//! the operations, `data` holds the bytes of all writes, one after the other.

use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;

/// The mark before the command starts, and the one after it has ended with success.
pub(crate) const START: &str = "start";
pub(crate) const DONE: &str = "done";

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Bytes of the data were written at this offset.
    Write { at: u64, data: Range<usize> },
    /// A part of the disk was discarded, or zeroed.
    Zero { at: u64, len: u64 },
    /// Everything before is on the disk.
    Flush,
    /// A mark of the test's progress; it does not change the disk.
    Mark(String),
}

impl Op {
    /// How many bytes it changes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Write { data, .. } => data.len() as u64,
            Self::Zero { len, .. } => *len,
            Self::Flush | Self::Mark(_) => 0,
        }
    }
}

/// All operations.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) ops: Vec<Op>,
    pub(crate) data: Vec<u8>,
}

impl Log {
    pub(crate) fn push(&mut self, op: Op) {
        self.ops.push(op);
    }

    pub(crate) fn write(&mut self, at: u64, bytes: &[u8]) {
        let start = self.data.len();
        self.data.extend_from_slice(bytes);
        let data = start..self.data.len();
        self.push(Op::Write { at, data });
    }

    /// The index of a mark.
    pub(crate) fn mark(&self, name: &str) -> Option<usize> {
        let is_it = |op: &Op| matches!(op, Op::Mark(text) if text == name);
        self.ops.iter().position(is_it)
    }

    /// The first operation that was not flushed when the disk had received the first `end` ones.
    pub(crate) fn unflushed(&self, end: usize) -> usize {
        let seen = &self.ops[..end];
        let last = seen.iter().rposition(|op| *op == Op::Flush);
        last.map_or(0, |last| last + 1)
    }

    pub(crate) fn save(&self, dir: &Path) {
        let mut text = String::new();
        for op in &self.ops {
            match op {
                Op::Write { at, data } => {
                    write!(text, "write {at} {} {}", data.start, data.end)
                }
                Op::Zero { at, len } => write!(text, "zero {at} {len}"),
                Op::Flush => write!(text, "flush"),
                Op::Mark(mark) => write!(text, "mark {mark}"),
            }
            .unwrap();
            text.push('\n');
        }
        fs::write(dir.join("ops"), text).unwrap();
        fs::write(dir.join("data"), &self.data).unwrap();
    }

    /// The log without the data.
    pub(crate) fn load_ops(dir: &Path) -> Self {
        let mut log = Self::default();
        for line in fs::read_to_string(dir.join("ops")).unwrap().lines() {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            let numbers: Vec<u64> = rest.split(' ').flat_map(str::parse).collect();
            log.ops.push(match (kind, numbers.as_slice()) {
                ("write", [at, start, end]) => {
                    let data = usize::try_from(*start).unwrap()..usize::try_from(*end).unwrap();
                    Op::Write { at: *at, data }
                }
                ("zero", [at, len]) => Op::Zero { at: *at, len: *len },
                ("flush", _) => Op::Flush,
                ("mark", _) => Op::Mark(rest.to_owned()),
                _ => panic!("no line of a log: {line}"),
            });
        }
        log
    }

    pub(crate) fn load(dir: &Path) -> Self {
        let mut log = Self::load_ops(dir);
        log.data = fs::read(dir.join("data")).unwrap();
        log
    }
}
