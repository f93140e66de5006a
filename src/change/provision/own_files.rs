//! Installed files as a source: a distribution that comes along to another Python, or to a clone,
//! keeps its bytes.
//!
//! The plan has the RECORD of each such distribution among its inputs, and the RECORD has the
//! digest of each file. Promises to name only a file that the RECORD of a planned distribution
//! lists, below its environment and behind no link, and that its bytes are hashed before they are
//! used, unless this process hashed them when it made the plan and nothing about the file changed
//! since.
//!
//! Read next: `../carry.rs`, which decides what comes along.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rvenv_journal::fs::{Dir, FsError, Kind, Meta, Time};
use rvenv_journal::raw::{Custody, Examined, FILE_BYTES_MAX, Input, Owner, WriteContent};
use rvenv_journal::{Digest, Fetched, Fs, Plan, RelPath, Wanted};

use crate::build::roles;
use crate::change::carry::PART;
use crate::change::open_path::{Walk, lexical};
use crate::wheel::checked_files::CheckedFiles;
use crate::wheel::record::{self, Hash};

/// More bytes than any real RECORD has.
const LIST_BYTES_MAX: u64 = 64 << 20;
/// Before every change of a file, so that its bytes count as unknown.
const NEVER: Time = Time {
    seconds: i64::MIN,
    nanos: 0,
};

/// The files of the planned distributions that are in the target already.
pub(super) struct OwnFiles<'a> {
    fs: &'a dyn Fs,
    /// The environment that has them: the target, or the one that is cloned.
    home: String,
    /// Whether the files may be linked: those of another environment are copied.
    may_link: bool,
    /// The RECORDs, below that environment.
    records: Vec<RelPath>,
    checked: Option<&'a CheckedFiles>,
    opened: OnceCell<Option<Opened<'a>>>,
    examined: Arc<[AtomicBool]>,
}

struct Opened<'a> {
    walk: RefCell<Walk<'a>>,
    by_digest: BTreeMap<Digest, Vec<Listed>>,
}

/// A file that a RECORD lists.
struct Listed {
    path: RelPath,
    /// Whether it is in the directory of packages, which the new files have another one for. Any
    /// other file keeps its path: it must be another object there, so that both can be exchanged.
    may_be_linked: bool,
}

/// A file of the target, open by its directory.
struct OwnFile {
    dir: Dir,
    name: OsString,
    meta: Meta,
}

impl<'a> OwnFiles<'a> {
    pub(super) fn of(fs: &'a dyn Fs, plan: &Plan, checked: Option<&'a CheckedFiles>) -> Self {
        let operations = plan.operations().values();
        let of_part = operations.filter(|operation| &*operation.part == PART);
        let groups: BTreeSet<&str> = of_part.filter_map(|one| one.group.as_deref()).collect();
        let source = source(plan);
        let role = source.map_or(roles::DISTRIBUTION, |_| roles::CLONED);
        let home = source.unwrap_or(plan.target());
        let is_record = |input: &&Input| input.role == role && !groups.is_empty();
        let below = |input: &Input| {
            let below = input.path.strip_prefix(home)?;
            let path = RelPath::new(below.trim_start_matches('/')).ok()?;
            let info = path.parent()?;
            let is_planned = path.name() == "RECORD" && groups.contains(info.name());
            is_planned.then_some(path)
        };
        Self {
            fs,
            home: home.to_owned(),
            may_link: source.is_none(),
            records: plan
                .inputs()
                .iter()
                .filter(is_record)
                .filter_map(below)
                .collect(),
            checked,
            opened: OnceCell::new(),
            examined: Arc::new([]),
        }
    }

    /// The file with the wanted bytes, mode and time, to be linked or copied.
    pub(super) fn fetch(&self, wanted: &Wanted) -> Option<Fetched> {
        let opened = self.may_link.then(|| self.opened())??;
        let listed = opened.by_digest.get(&wanted.digest)?;
        // Many distributions have the same empty file. Most of them are ruled out by what this
        // process saw when it hashed them: such a file is not linked, even if it fits by now.
        let may_fit = |listed: &&Listed| {
            let seen = self.checked.and_then(|checked| checked.meta(&listed.path));
            listed.may_be_linked && seen.is_none_or(|meta| is_as_wanted(meta, wanted))
        };
        for Listed { path, .. } in listed.iter().filter(may_fit) {
            let Some(file) = opened.look(self.fs, path).ok().flatten() else {
                continue;
            };
            if is_as_wanted(&file.meta, wanted) {
                let digest = self
                    .checked
                    .and_then(|checked| checked.digest(path, &file.meta));
                let is_known = digest == Some(wanted.digest);
                return Some(Fetched::Stored {
                    dir: file.dir,
                    name: file.name,
                    custody: Some(Custody {
                        owner: Owner {
                            user: file.meta.owner,
                            group: file.meta.group,
                        },
                        known_until: if is_known { file.meta.ctime } else { NEVER },
                        examined: Examined::new(&self.examined, 0),
                    }),
                });
            }
        }
        None
    }

    /// The wanted bytes, read from the first file that still has them.
    pub(super) fn bytes(&self, wanted: &Wanted) -> Option<Vec<u8>> {
        let opened = self.opened()?;
        let listed = opened.by_digest.get(&wanted.digest)?;
        listed.iter().find_map(|listed| {
            let file = opened.look(self.fs, &listed.path).ok()??;
            let bytes = self
                .fs
                .read_file(&file.dir, &file.name, FILE_BYTES_MAX)
                .ok()?;
            (Digest::of(&bytes) == wanted.digest).then_some(bytes)
        })
    }

    /// Whether a file still has the wanted bytes, which are too many for memory; if `write` is
    /// given, it gets them in pieces.
    pub(super) fn pour(
        &self,
        wanted: &Wanted,
        write: Option<&mut WriteContent<'_>>,
    ) -> Result<bool, FsError> {
        let Some(opened) = self.opened() else {
            return Ok(false);
        };
        let listed = opened.by_digest.get(&wanted.digest);
        let is_it = |file: &OwnFile| {
            let found = self.fs.digest_file(&file.dir, &file.name);
            found.is_ok_and(|found| found == wanted.digest)
        };
        let file = listed.into_iter().flatten().find_map(|listed| {
            let file = opened.look(self.fs, &listed.path).ok()??;
            is_it(&file).then_some(file)
        });
        match (file, write) {
            (None, _) => Ok(false),
            (Some(_), None) => Ok(true),
            (Some(file), Some(write)) => {
                let mut reader = self.fs.open_file(&file.dir, &file.name, FILE_BYTES_MAX)?;
                write(&mut reader)?;
                Ok(true)
            }
        }
    }

    /// The file that should have the wanted bytes, if a RECORD lists one.
    pub(super) fn listed(&self, wanted: &Wanted) -> Option<String> {
        let listed = self.opened()?.by_digest.get(&wanted.digest)?;
        let path = Path::new(&self.home).join(listed.first()?.path.as_str());
        Some(path.to_string_lossy().into_owned())
    }

    fn opened(&self) -> Option<&Opened<'a>> {
        self.opened.get_or_init(|| self.open()).as_ref()
    }

    fn open(&self) -> Option<Opened<'a>> {
        if self.records.is_empty() {
            return None;
        }
        let root = self.fs.open_path(Path::new(&self.home)).ok()?;
        let mut walk = Walk::new(self.fs, &root);
        let mut by_digest: BTreeMap<Digest, Vec<Listed>> = BTreeMap::new();
        for record in &self.records {
            let Some(dir) = walk.above(record).ok().flatten() else {
                continue;
            };
            let list = self
                .fs
                .read_file(&dir, OsStr::new(record.name()), LIST_BYTES_MAX);
            let site = record.parent().and_then(|info| info.parent());
            let (Ok(list), Some(site)) = (list, site) else {
                continue;
            };
            for (row, of) in record::rows(list.as_slice()).flatten() {
                if let (Some(path), Hash::Sha256(digest)) = (lexical(&site, &row), of.hash) {
                    let may_be_linked = path.is_below(&site);
                    by_digest.entry(digest).or_default().push(Listed {
                        path,
                        may_be_linked,
                    });
                }
            }
        }
        Some(Opened {
            walk: RefCell::new(walk),
            by_digest,
        })
    }
}

/// The environment that a plan clones: its packages are at the same places there.
fn source(plan: &Plan) -> Option<&str> {
    let mut cloned = plan.inputs().iter().filter(|one| one.role == roles::CLONED);
    let path = cloned.next()?.path.as_str();
    let mut records = plan.operations().keys();
    records.find_map(|planned| path.strip_suffix(planned.as_str())?.strip_suffix('/'))
}

/// Whether a file with this metadata has the wanted length, mode and time.
fn is_as_wanted(meta: &Meta, wanted: &Wanted) -> bool {
    let is_of_time = |seconds| meta.mtime == Time { seconds, nanos: 0 };
    meta.mode & 0o7777 == wanted.mode.bits()
        && meta.len == wanted.len
        && wanted.mtime.is_none_or(is_of_time)
}

impl Opened<'_> {
    fn look(&self, fs: &dyn Fs, path: &RelPath) -> Result<Option<OwnFile>, FsError> {
        let Some(dir) = self.walk.borrow_mut().above(path)? else {
            return Ok(None);
        };
        let name = OsStr::new(path.name());
        let meta = fs.meta(&dir, name)?.filter(|meta| meta.kind == Kind::File);
        Ok(meta.map(|meta| OwnFile {
            dir,
            name: name.to_owned(),
            meta,
        }))
    }
}
