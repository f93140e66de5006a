//! A disk in memory that records all operations, and can return to any state that it may have had.
//!
//! All states share pages, which are copied on write, so that a state costs only what it changes.
//! One disk serves one test; only [`crate::powercut::fuse`] reads and writes it.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use crate::powercut::cut::Cut;
use crate::powercut::log::{Log, Op};

const PAGE: usize = 4096;

/// The content of a disk; a page that was never written, or that holds zeros, takes no memory.
#[derive(Clone, Debug)]
struct Pages(Vec<Option<Arc<[u8; PAGE]>>>);

impl Pages {
    fn blank(size: u64) -> Self {
        let count = usize::try_from(size).unwrap() / PAGE;
        Self(vec![None; count])
    }

    /// The pages that a range of the disk covers: for each the page, the offset in it, and the
    /// length.
    fn parts(at: u64, len: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let start = usize::try_from(at).unwrap();
        let mut next = start;
        std::iter::from_fn(move || {
            let within = next % PAGE;
            let count = (PAGE - within).min(start + len - next);
            let part = (next / PAGE, within, count);
            next += count;
            (count > 0).then_some(part)
        })
    }

    fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        for (page, within, count) in Self::parts(at, len) {
            match self.0.get(page) {
                Some(Some(page)) => bytes.extend_from_slice(&page[within..within + count]),
                Some(None) => bytes.resize(bytes.len() + count, 0),
                None => break,
            }
        }
        bytes
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        let mut rest = bytes;
        for (page, within, count) in Self::parts(at, bytes.len()) {
            let (part, more) = rest.split_at(count);
            rest = more;
            let page = &mut self.0[page];
            if count == PAGE && part.iter().all(|byte| *byte == 0) {
                *page = None;
                continue;
            }
            let page = page.get_or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[within..within + count].copy_from_slice(part);
        }
    }

    fn zero(&mut self, at: u64, len: u64) {
        for (page, within, count) in Self::parts(at, usize::try_from(len).unwrap()) {
            let Some(page) = self.0.get_mut(page) else {
                return;
            };
            if count == PAGE {
                *page = None;
            } else if let Some(page) = page {
                Arc::make_mut(page)[within..within + count].fill(0);
            }
        }
    }

    /// Repeats an operation of the log, with this many of its bytes.
    fn apply(&mut self, log: &Log, index: usize, len: u64) {
        match &log.ops[index] {
            Op::Write { at, data } => {
                let end = data.start + usize::try_from(len).unwrap();
                self.write(*at, &log.data[data.start..end]);
            }
            Op::Zero { at, .. } => self.zero(*at, len),
            Op::Flush | Op::Mark(_) => {}
        }
    }

    fn save(&self, file: &Path) {
        let mut file = File::create(file).unwrap();
        for (index, page) in self.0.iter().enumerate() {
            if let Some(page) = page {
                file.seek(SeekFrom::Start((index * PAGE) as u64)).unwrap();
                file.write_all(&page[..]).unwrap();
            }
        }
        file.set_len((self.0.len() * PAGE) as u64).unwrap();
    }

    fn load(file: &Path) -> Self {
        let mut pages = Self::blank(fs::metadata(file).unwrap().len());
        let mut file = File::open(file).unwrap();
        let mut bytes = vec![0; 256 * PAGE];
        let mut at = 0;
        loop {
            let count = file.read(&mut bytes).unwrap();
            if count == 0 {
                return pages;
            }
            pages.write(at, &bytes[..count]);
            at += count as u64;
        }
    }
}

/// A disk, with its state when the recording began.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) size: u64,
    pages: Pages,
    base: Pages,
    log: Log,
    is_recording: bool,
    /// The base with everything on it up to a flush, for the states after it.
    rolled: (usize, Pages),
}

impl Disk {
    pub(crate) fn blank(size: u64) -> Self {
        let pages = Pages::blank(size);
        Self {
            size,
            base: pages.clone(),
            rolled: (0, pages.clone()),
            pages,
            log: Log::default(),
            is_recording: false,
        }
    }

    pub(crate) fn read(&self, at: u64, len: usize) -> Vec<u8> {
        self.pages.read(at, len)
    }

    pub(crate) fn write(&mut self, at: u64, bytes: &[u8]) {
        self.pages.write(at, bytes);
        if self.is_recording {
            self.log.write(at, bytes);
        }
    }

    pub(crate) fn zero(&mut self, at: u64, len: u64) {
        self.pages.zero(at, len);
        self.push(Op::Zero { at, len });
    }

    pub(crate) fn flush(&mut self) {
        self.push(Op::Flush);
    }

    pub(crate) fn mark(&mut self, name: &str) {
        self.push(Op::Mark(name.to_owned()));
    }

    fn push(&mut self, op: Op) {
        if self.is_recording {
            self.log.push(op);
        }
    }

    /// The current state becomes the base of cuts.
    pub(crate) fn keep(&mut self) {
        self.base = self.pages.clone();
    }

    /// Returns to the kept state, and records from here on.
    pub(crate) fn record(&mut self) {
        self.pages = self.base.clone();
        self.rolled = (0, self.base.clone());
        self.log = Log::default();
        self.is_recording = true;
    }

    /// Ends the recording, and saves it.
    pub(crate) fn save(&mut self, dir: &Path) {
        self.is_recording = false;
        self.log.save(dir);
        self.base.save(&dir.join("base"));
    }

    /// Loads a saved recording.
    pub(crate) fn load(&mut self, dir: &Path) {
        self.is_recording = false;
        self.log = Log::load(dir);
        self.base = Pages::load(&dir.join("base"));
        self.rolled = (0, self.base.clone());
    }

    /// Becomes the disk that a power cut leaves.
    pub(crate) fn cut(&mut self, cut: &Cut) {
        let flushed = self.log.unflushed(cut.end);
        if self.rolled.0 > flushed {
            self.rolled = (0, self.base.clone());
        }
        for index in self.rolled.0..flushed {
            self.rolled
                .1
                .apply(&self.log, index, self.log.ops[index].len());
        }
        self.rolled.0 = flushed;
        self.pages = self.rolled.1.clone();
        for (index, len) in cut.writes(&self.log) {
            self.pages.apply(&self.log, index, len);
        }
    }
}
