//! What the store is given to enter: the members of a wheel, or the bytecode of its sources.
//!
//! Promises the modes and times that these files have in an environment under one umask, so that
//! they can be linked from the store. Writes nothing itself.
//!
//! Read next: the engine's `store.rs`, which enters it as a pack.

use std::io::Read;

use rvenv_journal::raw::WHOLE_BYTES_MAX;
use rvenv_journal::{Digest, Mode, ObjectMeta, PackSource, StoreError};

use crate::wheel::{Member, Wheel, WheelError, program_mode};

/// The bytecode of one source, just compiled.
pub(super) struct BytecodeFile {
    /// The path of the source in the wheel.
    pub(super) source: String,
    pub(super) mtime: i64,
    pub(super) digest: Digest,
    pub(super) bytes: Vec<u8>,
}

/// Files to be entered, under the umask that their modes depend on.
pub(super) struct Unpacked<'a> {
    pub(super) files: Files<'a>,
    pub(super) umask: u32,
}

/// Where the files come from.
pub(super) enum Files<'a> {
    Wheel(&'a Wheel),
    Bytecode(&'a [BytecodeFile]),
}

impl PackSource for Unpacked<'_> {
    fn unpack(
        &self,
        visit: &mut dyn FnMut(ObjectMeta, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let data_mode = Mode::ALL_DATA.masked(self.umask);
        let mut visit = |mode, mtime, digest, bytes: &[u8]| {
            let object = ObjectMeta {
                digest,
                len: bytes.len() as u64,
                mode,
                mtime,
            };
            visit(object, bytes)
        };
        match &self.files {
            Files::Wheel(wheel) => {
                let stopped = wheel.for_each(WHOLE_BYTES_MAX, |member, bytes| {
                    let mode = self.mode_of(member);
                    visit(mode, member.mtime, member.digest, bytes).map_err(Stop::Store)
                });
                stopped.map_err(|stop| match stop {
                    Stop::Store(error) => error,
                    Stop::Wheel(error) => StoreError::Source(Box::new(error)),
                })
            }
            Files::Bytecode(files) => files
                .iter()
                .try_for_each(|file| visit(data_mode, file.mtime, file.digest, &file.bytes)),
        }
    }

    fn unpack_long(
        &self,
        visit: &mut dyn FnMut(ObjectMeta, &mut dyn Read) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Files::Wheel(wheel) = &self.files else {
            return Ok(());
        };
        let members = wheel.members().iter();
        for member in members.filter(|member| member.len > WHOLE_BYTES_MAX) {
            let object = ObjectMeta {
                digest: member.digest,
                len: member.len,
                mode: self.mode_of(member),
                mtime: member.mtime,
            };
            let visited = wheel.read_in_pieces(member, |reader| visit(object, reader));
            visited.map_err(|error| StoreError::Source(Box::new(error)))??;
        }
        Ok(())
    }
}

impl Unpacked<'_> {
    fn mode_of(&self, member: &Member) -> Mode {
        if member.executable {
            program_mode(self.umask)
        } else {
            Mode::ALL_DATA.masked(self.umask)
        }
    }
}

/// The error that ends an unpacking early.
enum Stop {
    Store(StoreError),
    Wheel(WheelError),
}

impl From<WheelError> for Stop {
    fn from(error: WheelError) -> Self {
        Self::Wheel(error)
    }
}
