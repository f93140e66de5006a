//! A member of a wheel while it is read in pieces.
//!
//! Promises that a reader which reads to the end has the bytes of RECORD and the declared length,
//! or an error; what is wrong is kept as a fault of the wheel.
//!
//! Read next: `contents.rs`.

use std::io::{self, Read};

use rvenv_journal::Digest;
use rvenv_journal::raw::Hasher;

use super::archive::{File, unpack_fault};
use super::fault::{WheelFault, shown};

/// A member while it is read: its bytes are hashed, and compared at their end.
pub(super) struct CheckedMember<'a> {
    /// Its digest in RECORD.
    expected: Digest,
    file: &'a File,
    reader: &'a mut dyn Read,
    hasher: Option<Hasher>,
    len: u64,
    /// What is wrong with the member, since a reader has no error of a wheel.
    fault: &'a mut Option<WheelFault>,
}

impl<'a> CheckedMember<'a> {
    pub(super) fn new(
        expected: Digest,
        file: &'a File,
        reader: &'a mut dyn Read,
        fault: &'a mut Option<WheelFault>,
    ) -> Self {
        Self {
            expected,
            file,
            reader,
            hasher: Some(Hasher::default()),
            len: 0,
            fault,
        }
    }

    fn failed(&mut self, fault: WheelFault) -> io::Error {
        let text = fault.to_string();
        *self.fault = Some(fault);
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    /// Compares all that was read with what RECORD and the header of the member say.
    fn end(&mut self) -> io::Result<usize> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(0);
        };
        let (found, member) = (hasher.finish(), shown(self.file.path.as_str()));
        if self.len != self.file.len {
            let len = self.file.len;
            return Err(self.failed(WheelFault::Length { member, len }));
        }
        let expected = self.expected;
        if found != expected {
            return Err(self.failed(WheelFault::Content {
                member,
                expected,
                found,
            }));
        }
        Ok(0)
    }
}

impl Read for CheckedMember<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let len = match self.reader.read(piece) {
            Ok(0) if !piece.is_empty() => return self.end(),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.failed(unpack_fault(self.file, error.into()))),
        };
        self.len += len as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(piece.get(..len).unwrap_or_default());
        }
        // No more than the declared length, whatever the decoder finds.
        if self.len > self.file.len {
            return self.end();
        }
        Ok(len)
    }
}
