//! Bytecode as one file: what a registry has of the sources of a wheel for one build of an
//! interpreter.
//!
//! The file is a gzipped tar: first `index.json`, which the cache has too, then each content by its
//! digest, in their order, without times, owners and links. Promises one text for equal bytecode;
//! and that a file of a registry gives nothing but what a plan names, by digest and length, and
//! takes no more memory than that. No name in it becomes a path.
//!
//! Read next: `shared_bytecode.rs`, which enters it into the store.

use std::collections::BTreeMap;
use std::io::{self, Read};

use ::tar::{Archive, Builder, Entry, EntryType, Header};
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rvenv_journal::raw::Hasher;
use rvenv_journal::{Content, Digest, Node, Plan};
use thiserror::Error;

use super::bytecode_cache::{INDEX_BYTES_MAX, read_index, write_index};
use crate::python::bytecode::header::BYTES_MAX;
use crate::python::bytecode::path::is_bytecode;

const INDEX: &str = "index.json";
/// As much as the bytecode of any wheel has.
const TOTAL_BYTES_MAX: u64 = 1 << 30;
/// Bytecode is never compressed to less than this part.
const RATIO_MAX: u64 = 200;
/// What may be unpacked in any case.
const BYTES_FREE: u64 = 4 << 20;

/// Why a file is not the bytecode that a plan names.
#[derive(Debug, Error)]
pub enum PackFault {
    /// It cannot be read, or is no archive.
    #[error("it cannot be unpacked")]
    Read(#[from] io::Error),
    /// A member is none that is expected there.
    #[error("it has a member that does not belong there: `{}`", .0.escape_debug())]
    Member(String),
    /// The index is malformed, or of something else.
    #[error("its index is not that of the bytecode in the plan")]
    Index,
    /// It has what the plan does not name.
    #[error("it has bytecode of `{}`, which the plan does not have", .0.escape_debug())]
    Unplanned(String),
    /// It has other bytes than the plan names.
    #[error("its bytecode `{0}` has other bytes")]
    Bytes(Digest),
    /// It lacks what its index names.
    #[error("it lacks the bytecode `{0}`")]
    Lacks(Digest),
    /// It is larger than bytecode can be.
    #[error("it would be unpacked to more than bytecode can have")]
    Large,
}

/// The bytecode that a plan has of one wheel.
#[derive(Clone, Debug, Default)]
pub struct PlannedBytecode {
    /// Its files, by digest.
    pub files: BTreeMap<Digest, PlannedFile>,
    hasher: Hasher,
}

/// A file of bytecode that a plan has.
#[derive(Clone, Copy, Debug)]
pub struct PlannedFile {
    /// The number of its bytes.
    pub len: u64,
    /// Its time, in seconds since 1970.
    pub mtime: i64,
}

/// The bytecode in a file.
#[derive(Debug, Default)]
pub struct Packed {
    /// Digest and length, by the path of the source in the wheel.
    pub files: BTreeMap<String, (Digest, u64)>,
    /// The bytes.
    pub bytes: BTreeMap<Digest, Vec<u8>>,
}

impl PlannedBytecode {
    /// What a plan has, by the group of its operations.
    #[must_use]
    pub fn of(plan: &Plan) -> BTreeMap<&str, Self> {
        let mut found: BTreeMap<&str, Self> = BTreeMap::new();
        for (path, operation) in plan.operations() {
            let Node::File { content, mtime, .. } = &operation.node else {
                continue;
            };
            let (Content::Object { digest, len }, Some(group)) = (content, &operation.group) else {
                continue;
            };
            if !is_bytecode(path.as_str()) {
                continue;
            }
            let own = found.entry(group).or_default();
            let (len, mtime) = (*len, mtime.unwrap_or(0));
            own.files
                .entry(*digest)
                .or_insert(PlannedFile { len, mtime });
            // No path has a NUL, and what follows it has one length.
            for part in [path.as_str().as_bytes(), b"\0", digest.as_bytes()] {
                own.hasher.update(part);
            }
        }
        found
    }

    /// The name under which the store keeps what was not compiled here.
    ///
    /// What a plan of a registry brings along must not decide what later plans of this machine run:
    /// these look for the key. So the name depends on the key and on everything that the plan
    /// names.
    pub(super) fn name(&self, key: Digest) -> Digest {
        let planned = self.hasher.clone().finish();
        Digest::of(
            format!("rvenv bytecode from elsewhere\nkey {key}\nplanned {planned}\n").as_bytes(),
        )
    }
}

/// Writes the bytecode under a key.
///
/// # Errors
/// Never, since memory takes what it is given.
pub fn write(key: Digest, packed: &Packed) -> io::Result<Vec<u8>> {
    let compressed = GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut builder = Builder::new(compressed);
    let index = write_index(key, &packed.files);
    append(&mut builder, INDEX, &index)?;
    for (digest, bytes) in &packed.bytes {
        append(&mut builder, &digest.to_string(), bytes)?;
    }
    builder.into_inner()?.finish()
}

fn append(builder: &mut Builder<GzEncoder<Vec<u8>>>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    builder.append(&header, bytes)
}

/// Reads the bytecode under a key, of which everything must be planned.
///
/// # Errors
/// See [`PackFault`].
pub fn read(
    key: Digest,
    pack: &mut dyn Read,
    pack_len: u64,
    planned: &PlannedBytecode,
) -> Result<Packed, PackFault> {
    let lens = planned.files.values().map(|file| file.len);
    let total = lens.fold(0_u64, u64::saturating_add);
    let free = BYTES_FREE.max(pack_len.saturating_mul(RATIO_MAX));
    if total > TOTAL_BYTES_MAX.min(free) {
        return Err(PackFault::Large);
    }
    let mut archive = Archive::new(GzDecoder::new(pack));
    let mut entries = archive.entries()?.raw(true);
    let mut first = entries.next().ok_or(PackFault::Index)??;
    let index = member(&mut first, |name, len| {
        (name == INDEX && len <= INDEX_BYTES_MAX.min(free)).then_some(())
    });
    let ((), index) = index?;
    let files = read_index(key, &index).ok_or(PackFault::Index)?;
    let mut expected = BTreeMap::new();
    for (source, (digest, len)) in &files {
        let own = planned.files.get(digest).filter(|own| own.len == *len);
        let own = own.ok_or_else(|| PackFault::Unplanned(source.clone()))?;
        if own.len > BYTES_MAX {
            return Err(PackFault::Large);
        }
        expected.insert(digest.to_string(), (*digest, own.len));
    }
    let mut bytes = BTreeMap::new();
    for entry in entries {
        let found = member(&mut entry?, |name, len| {
            expected.remove(name).filter(|(_, own)| *own == len)
        });
        let ((digest, _), content) = found?;
        if Digest::of(&content) != digest {
            return Err(PackFault::Bytes(digest));
        }
        bytes.insert(digest, content);
    }
    match expected.into_values().next() {
        Some((digest, _)) => Err(PackFault::Lacks(digest)),
        None => Ok(Packed { files, bytes }),
    }
}

/// The bytes of a member whose name and length are expected.
fn member<T>(
    entry: &mut Entry<'_, impl Read>,
    expected: impl FnOnce(&str, u64) -> Option<T>,
) -> Result<(T, Vec<u8>), PackFault> {
    let header = entry.header();
    let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
    let (is_file, len) = (
        header.entry_type() == EntryType::Regular,
        header.entry_size()?,
    );
    let known = expected(&name, len).filter(|_| is_file);
    let known = known.ok_or(PackFault::Member(name))?;
    // Its end is that of the length which was expected; nothing is reserved for it before.
    let mut bytes = Vec::new();
    entry.take(len).read_to_end(&mut bytes)?;
    Ok((known, bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn packed() -> Packed {
        let mut packed = Packed::default();
        for (source, text) in [("a/b.py", "b"), ("a/c.py", "cc"), ("a/again.py", "b")] {
            let digest = Digest::of(text.as_bytes());
            packed
                .files
                .insert(source.to_owned(), (digest, text.len() as u64));
            packed.bytes.insert(digest, text.as_bytes().to_vec());
        }
        packed
    }

    fn planned() -> PlannedBytecode {
        let file = |(digest, len): &(Digest, u64)| {
            (
                *digest,
                PlannedFile {
                    len: *len,
                    mtime: 1,
                },
            )
        };
        PlannedBytecode {
            files: packed().files.values().map(file).collect(),
            hasher: Hasher::default(),
        }
    }

    fn read_back(pack: &[u8]) -> Result<Packed, PackFault> {
        read(
            Digest::of(b"key"),
            &mut &*pack,
            pack.len() as u64,
            &planned(),
        )
    }

    #[test]
    fn bytecode_has_one_text_which_is_read_back() {
        let pack = write(Digest::of(b"key"), &packed()).unwrap();
        assert_eq!(write(Digest::of(b"key"), &packed()).unwrap(), pack);
        let again = read_back(&pack).unwrap();
        assert_eq!((again.files, again.bytes), (packed().files, packed().bytes));
    }

    #[test]
    fn what_was_changed_anywhere_is_refused_or_has_the_same_bytecode() {
        let pack = write(Digest::of(b"key"), &packed()).unwrap();
        let mut tar = Vec::new();
        GzDecoder::new(&*pack).read_to_end(&mut tar).unwrap();
        for at in 0..tar.len() {
            for change in [1, 0x80] {
                let mut changed = tar.clone();
                changed[at] ^= change;
                let mut zip = GzEncoder::new(Vec::new(), flate2::Compression::none());
                zip.write_all(&changed).unwrap();
                if let Ok(read) = read_back(&zip.finish().unwrap()) {
                    assert_eq!(read.files, packed().files, "{at}");
                    assert_eq!(read.bytes, packed().bytes, "{at}");
                }
            }
        }
        for len in 0..pack.len() {
            drop(read_back(&pack[..len]));
        }
    }

    #[test]
    fn what_would_be_unpacked_to_too_much_is_not_begun() {
        let mut planned = planned();
        let file = PlannedFile {
            len: BYTES_FREE,
            mtime: 1,
        };
        planned.files.insert(Digest::of(b"large"), file);
        let key = Digest::of(b"key");
        let refused = read(key, &mut std::io::empty(), 1, &planned).unwrap_err();
        assert!(matches!(refused, PackFault::Large), "{refused}");
    }
}
