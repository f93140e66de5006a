//! Provision: where the bytes of a plan's wheels and of their bytecode come from when it is
//! applied.
//!
//! Promises to use the content store if possible and never to need it: a store that is absent,
//! read-only, damaged or another user's costs time, not the environment. An object that was edited
//! through a link is entered again from its wheel. Bytecode that is no longer kept is compiled
//! again if the run may start an interpreter. Every wheel is the one whose digest the plan pins; if
//! it is not where the plan found it, the cache may have it.
//!
//! On disk: the store, `RVENV_CACHE_DIR/packs`, and the index of `provision/bytecode_cache.rs`;
//! nothing else.
//! Read next: `provision/bytecode_cache.rs`; `environment.rs`, which passes this to the engine.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rvenv_journal::fs::{FsError, Time};
use rvenv_journal::raw::{Input, Pack, PourError, WHOLE_BYTES_MAX, WriteContent};
use rvenv_journal::{
    Content, ContentError, ContentSource, Digest, Fetched, Fs, Node, Operation, Plan, Store, Wanted,
};

use crate::base::cache::Cache;
use crate::base::fingerprint::Fingerprint;
use crate::build::roles;
use crate::fetch::FETCHED;
use crate::python::bytecode::{Bytecode, Compiler};
use crate::wheel::checked_files::CheckedFiles;
use crate::wheel::{Catalogue, Member, Wheel, WheelError};

mod bytecode_cache;
pub mod bytecode_pack;
mod entering;
mod kept_bytecode;
mod own_files;
mod shared_bytecode;
mod unpacked;

pub use bytecode_cache::{BytecodeFailed, BytecodeLost, StoreAccess, compile};
pub use bytecode_pack::PackFault;
use bytecode_pack::PlannedBytecode;
use own_files::OwnFiles;
pub use shared_bytecode::{BytecodePack, NeededBytecode, NotEntered};
use unpacked::{Files, Unpacked};

/// The bytes of a plan's wheels, from the store or from the wheels themselves.
pub struct Provision<'a> {
    store_access: StoreAccess<'a>,
    store: Option<Store<'a>>,
    sources: Vec<SourceWheel<'a>>,
    /// The index of the source whose pack had the last object.
    last_source: Cell<usize>,
    packs: Vec<SourcePack<'a>>,
    own: OwnFiles<'a>,
    /// The interpreter that the plan is for.
    interpreter: Option<Input>,
    known: Known<'a>,
    umask: u32,
    now: Option<Time>,
}

/// What this process knows about a plan's inputs without reading them again.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The files that it examined when it made the plan.
    pub witnesses: &'a [Fingerprint],
    /// The wheels that it or another process read.
    pub wheels: &'a Catalogue,
    /// The bytecode that it compiled and could not keep.
    pub bytecode: Option<&'a Bytecode>,
    /// The files of the target that it hashed.
    pub checked: Option<&'a CheckedFiles>,
    /// Compiles bytecode that is gone.
    pub compiler: Option<&'a Compiler<'a>>,
}

impl<'a> Known<'a> {
    /// What is known about a plan that another process made.
    #[must_use]
    pub fn of_saved(wheels: &'a Catalogue, compiler: Option<&'a Compiler<'a>>) -> Self {
        Self {
            witnesses: &[],
            wheels,
            bytecode: None,
            checked: None,
            compiler,
        }
    }
}

#[derive(Debug)]
struct SourceWheel<'a> {
    input: Input,
    pack: OnceCell<Option<Pack<'a>>>,
    opened: OnceCell<Result<Opened, String>>,
    bytecode: Option<SourceBytecode<'a>>,
}

/// A pack whose wheel the plan does not have: it restores files of a damaged distribution.
#[derive(Debug)]
struct SourcePack<'a> {
    key: Digest,
    opened: OnceCell<Option<Pack<'a>>>,
}

/// The bytecode of a wheel.
#[derive(Debug)]
struct SourceBytecode<'a> {
    key: Digest,
    pack: OnceCell<Option<Pack<'a>>>,
    planned: PlannedBytecode,
    /// What was not compiled here.
    foreign: OnceCell<Option<Pack<'a>>>,
    made: OnceCell<Result<BTreeMap<Digest, Vec<u8>>, BytecodeLost>>,
}

/// A wheel and the index of its members by content.
#[derive(Debug)]
struct Opened {
    wheel: Arc<Wheel>,
    by_digest: BTreeMap<Digest, usize>,
}

impl<'a> Provision<'a> {
    /// The provision for a plan; `store_access` has the store, `known` what this process examined.
    #[must_use]
    pub fn new(store_access: StoreAccess<'a>, plan: &Plan, known: Known<'a>) -> Self {
        let of_role = |role| plan.inputs().iter().filter(move |input| input.role == role);
        let keys = of_role(roles::BYTECODE).map(|input| (input.path.as_str(), input.digest));
        let keys: BTreeMap<&str, Digest> = keys.collect();
        let mut planned = if keys.is_empty() {
            BTreeMap::new()
        } else {
            PlannedBytecode::of(plan)
        };
        let mut bytecode = |wheel: &Input| {
            let path = wheel.path.as_str();
            Some(SourceBytecode {
                key: *keys.get(path)?,
                pack: OnceCell::new(),
                planned: planned.remove(path).unwrap_or_default(),
                foreign: OnceCell::new(),
                made: OnceCell::new(),
            })
        };
        let source = |input: &Input| SourceWheel {
            input: input.clone(),
            pack: OnceCell::new(),
            opened: OnceCell::new(),
            bytecode: bytecode(input),
        };
        let sources: Vec<_> = of_role(roles::WHEEL).map(source).collect();
        let pack = |input: &Input| SourcePack {
            key: input.digest,
            opened: OnceCell::new(),
        };
        let packs: Vec<_> = of_role(roles::PACK).map(pack).collect();
        let needs_store = !sources.is_empty() || !packs.is_empty();
        let cache = store_access.cache.filter(|_| needs_store);
        let umask = umask_of(plan);
        Self {
            store_access,
            store: open_store(store_access.fs, cache),
            sources,
            last_source: Cell::default(),
            packs,
            own: OwnFiles::of(store_access.fs, plan, known.checked),
            interpreter: of_role(roles::INTERPRETER).next().cloned(),
            known,
            umask,
            now: None,
        }
    }

    /// The same provision, which records that it used the store at this time.
    #[must_use]
    pub fn at(self, now: Option<Time>) -> Self {
        Self { now, ..self }
    }

    /// Records which objects of the store were examined; to be called once no more of them are
    /// linked or unlinked. A failure to record it only costs hashing them again.
    pub fn note_examined(&self) {
        for pack in self.packs.iter().filter_map(|pack| pack.opened.get()) {
            let _noted = pack.as_ref().map(Pack::note_examined);
        }
        for source in &self.sources {
            let bytecode = source.bytecode.as_ref();
            let bytecode = bytecode.map(|own| [&own.pack, &own.foreign]);
            for pack in bytecode.into_iter().flatten().chain([&source.pack]) {
                if let Some(Some(pack)) = pack.get() {
                    let _noted = pack.note_examined();
                }
            }
        }
    }

    fn stored(&self, source: &SourceWheel<'a>, wanted: &Wanted) -> Option<Fetched> {
        let pack = source.pack.get_or_init(|| self.pack(source)).as_ref()?;
        pack.locate(wanted).ok()?
    }

    /// An object to link, from the packs of the source at this index.
    fn linkable(&self, at: usize, wanted: &Wanted) -> Option<Fetched> {
        let source = self.sources.get(at)?;
        let is_linkable = |found: &Fetched| matches!(found, Fetched::Stored { .. });
        let stored = self.stored(source, wanted).filter(is_linkable);
        stored.or_else(|| self.kept_bytecode(source, wanted).filter(is_linkable))
    }

    /// Content of the packs that the plan names.
    fn packed(&self, wanted: &Wanted) -> Option<Fetched> {
        let pack = |source: &SourcePack<'a>| {
            let pack = self.store.as_ref()?.pack(source.key).ok()??;
            Some(self.used(pack))
        };
        self.packs.iter().find_map(|source| {
            let opened = source.opened.get_or_init(|| pack(source)).as_ref()?;
            opened.locate(wanted).ok()?
        })
    }

    fn member(
        &self,
        source: &SourceWheel<'a>,
        wanted: &Wanted,
    ) -> Result<Option<Vec<u8>>, ContentError> {
        let opened = self.opened(source)?;
        let Some(member) = opened.member(wanted.digest) else {
            return Ok(None);
        };
        let failed = |error: WheelError| source.unreadable(Box::new(error));
        let bytes = opened.wheel.read(member).map_err(failed)?;
        mend(source.pack.get(), wanted.digest, &bytes);
        Ok(Some(bytes))
    }

    /// Content of a file of the target.
    fn own_content(&self, wanted: &Wanted) -> Option<Fetched> {
        if wanted.len <= WHOLE_BYTES_MAX {
            return self.own.bytes(wanted).map(Fetched::Bytes);
        }
        matches!(self.own.pour(wanted, None), Ok(true)).then_some(Fetched::Pieces)
    }

    /// Passes a member of a wheel to `write` in pieces; returns whether the wheel has it.
    fn pour_member(
        &self,
        source: &SourceWheel<'a>,
        wanted: &Wanted,
        write: &mut WriteContent<'_>,
    ) -> Result<bool, PourError> {
        let Opened { wheel, .. } = self.opened(source)?;
        let Some(member) = self.opened(source)?.member(wanted.digest) else {
            return Ok(false);
        };
        let failed = |error: WheelError| source.unreadable(Box::new(error));
        wheel
            .read_in_pieces(member, |reader| write(reader))
            .map_err(failed)??;
        if let Some(Some(pack)) = source.pack.get() {
            for object in pack.entered(wanted.digest) {
                let _mended =
                    wheel.read_in_pieces(member, |reader| pack.enter_again_from(*object, reader));
            }
        }
        Ok(true)
    }

    /// Content that neither the store nor a wheel has: a file of the target that is damaged, or
    /// else bytecode.
    fn last(&self, wanted: &Wanted) -> Result<Vec<u8>, ContentError> {
        match self.own.listed(wanted) {
            Some(what) => Err(ContentError::Damaged { what }),
            None => self.new_bytecode(wanted),
        }
    }

    fn opened<'s>(&self, source: &'s SourceWheel<'a>) -> Result<&'s Opened, ContentError> {
        let open = || {
            let wheel = self.open(&source.input)?;
            let members = wheel.members().iter().enumerate();
            let by_digest = members
                .map(|(index, member)| (member.digest, index))
                .collect();
            Ok(Opened { wheel, by_digest })
        };
        match source.opened.get_or_init(open) {
            Ok(opened) => Ok(opened),
            Err(why) => Err(source.unreadable(why.clone().into())),
        }
    }

    /// Opens a wheel from the first of its places that has it; the error is that of the first.
    fn open(&self, input: &Input) -> Result<Arc<Wheel>, String> {
        let mut first = None;
        for path in self.places(input) {
            let why = match self.known.wheels.open(&path) {
                Ok(wheel) if wheel.digest() == input.digest => return Ok(wheel),
                Ok(_) => "it is not the wheel that the plan was made from".to_owned(),
                Err(error) => chain(&error),
            };
            first.get_or_insert(why);
        }
        Err(first.unwrap_or_default())
    }

    /// Where an input may be: where it was found, and for a wheel where the cache of this user
    /// has what was fetched, since a saved plan may have been made with another cache.
    fn places(&self, input: &Input) -> Vec<PathBuf> {
        let mut places = vec![PathBuf::from(input.file())];
        if let Some(cache) = self.store_access.cache
            && input.role == roles::WHEEL
            && let Some(name) = Path::new(&input.path).file_name()
        {
            let fetched = cache.path().join(FETCHED).join(input.digest.to_string());
            places.push(fetched.join(name));
        }
        places
    }

    /// Whether the store has all files of a wheel, and of its bytecode if the plan has that.
    fn is_stored(&self, source: &SourceWheel<'a>) -> bool {
        let is_pack = |key, slot: &OnceCell<Option<Pack<'a>>>| {
            if matches!(slot.get(), Some(Some(_))) {
                return true;
            }
            let store = self.store.as_ref();
            let Some(pack) = store.and_then(|store| store.pack(key).ok()?) else {
                return false;
            };
            // What another process deleted meanwhile was looked for before, and stays unused.
            let _kept = slot.set(Some(self.used(pack)));
            true
        };
        let bytecode = source.bytecode.as_ref();
        is_pack(source.input.digest, &source.pack)
            && bytecode.is_none_or(|own| {
                is_pack(own.key, &own.pack) || is_pack(own.foreign_name(), &own.foreign)
            })
    }

    /// The wheels of the plan of which the store does not have all files.
    #[must_use]
    pub fn not_stored(&self) -> Vec<&Input> {
        let sources = self.sources.iter().filter(|one| !self.is_stored(one));
        sources.map(|source| &source.input).collect()
    }

    /// Whether a wheel need not be hashed: this process read it when it made the plan, or the store
    /// has its files.
    fn is_known(&self, input: &Input) -> bool {
        let read = self.known.wheels.examined(Path::new(input.file()));
        let mut sources = self.sources.iter();
        let source = sources.find(|source| source.input == *input);
        read == Some(input.digest) || source.is_some_and(|source| self.is_stored(source))
    }

    /// Whether the file at a path is the input.
    fn is_at(&self, fs: &dyn Fs, input: &Input, path: &Path) -> Result<bool, FsError> {
        let mut witnesses = self.known.witnesses.iter();
        let known = witnesses.find(|witness| witness.path == path);
        if known.is_some_and(Fingerprint::holds) {
            return Ok(true);
        }
        let (digest, len) = fs.digest_path(path)?;
        Ok(digest == input.digest && len == input.len)
    }

    /// Marks a pack as used, so that pruning spares it; a failure is ignored.
    fn used(&self, pack: Pack<'a>) -> Pack<'a> {
        let _noted = self.now.map(|now| pack.mark_used(now));
        pack
    }

    /// The wheel's pack, entered now if it is not in the store; `None` if the store cannot be used.
    fn pack(&self, source: &SourceWheel<'a>) -> Option<Pack<'a>> {
        let store = self.store.as_ref()?;
        match store.pack(source.input.digest) {
            Ok(Some(pack)) => Some(self.used(pack)),
            Ok(None) => {
                let opened = self.opened(source).ok()?;
                let unpacked = Unpacked {
                    files: Files::Wheel(&opened.wheel),
                    umask: self.umask,
                };
                store.enter(source.input.digest, &unpacked).ok()
            }
            Err(_) => None,
        }
    }
}

impl ContentSource for Provision<'_> {
    fn fetch(&self, wanted: &Wanted) -> Result<Fetched, ContentError> {
        if let Some(own) = self.own.fetch(wanted) {
            return Ok(own);
        }
        // A plan has the files of a package one after the other.
        if let Some(linkable) = self.linkable(self.last_source.get(), wanted) {
            return Ok(linkable);
        }
        let sources = || self.sources.iter();
        let stored = sources().enumerate().find_map(|(at, source)| {
            let found = self.stored(source, wanted)?;
            self.last_source.set(at);
            Some(found)
        });
        let kept = || sources().find_map(|source| self.kept_bytecode(source, wanted));
        let packed = || self.packed(wanted);
        let own = || self.own_content(wanted);
        if let Some(fetched) = stored.or_else(packed).or_else(kept).or_else(own) {
            return Ok(fetched);
        }
        for source in sources() {
            let found = if wanted.len > WHOLE_BYTES_MAX {
                let member = self.opened(source)?.member(wanted.digest);
                member.map(|_| Fetched::Pieces)
            } else {
                self.member(source, wanted)?.map(Fetched::Bytes)
            };
            if let Some(fetched) = found {
                return Ok(fetched);
            }
        }
        self.last(wanted).map(Fetched::Bytes)
    }

    fn fetch_bytes(&self, wanted: &Wanted) -> Result<Vec<u8>, ContentError> {
        if let Some(bytes) = self.own.bytes(wanted) {
            return Ok(bytes);
        }
        // An object with another time cannot be linked, so its bytes are read.
        let unlinked = Wanted {
            mtime: None,
            ..*wanted
        };
        if let Some(Fetched::Bytes(bytes)) = self.packed(&unlinked) {
            return Ok(bytes);
        }
        for source in &self.sources {
            if let Some(bytes) = self.member(source, wanted)? {
                return Ok(bytes);
            }
        }
        self.last(wanted)
    }

    fn pour(&self, wanted: &Wanted, write: &mut WriteContent<'_>) -> Result<(), PourError> {
        if self.own.pour(wanted, Some(&mut *write))? {
            return Ok(());
        }
        let packs = self.packs.iter().map(|pack| &pack.opened);
        let packs = packs.chain(self.sources.iter().map(|source| &source.pack));
        let bytecode = self
            .sources
            .iter()
            .filter_map(|source| source.bytecode.as_ref());
        let bytecode = bytecode.flat_map(|own| self.bytecode_packs_of(own));
        for pack in packs
            .filter_map(|pack| pack.get()?.as_ref())
            .chain(bytecode)
        {
            if pack.pour(wanted.digest, &mut *write)? {
                return Ok(());
            }
        }
        for source in &self.sources {
            if self.pour_member(source, wanted, &mut *write)? {
                return Ok(());
            }
        }
        let bytes = self.last(wanted)?;
        Ok(write(&mut bytes.as_slice())?)
    }

    /// A file that this process read when it made the plan is current while its fingerprint holds.
    fn is_current(&self, fs: &dyn Fs, input: &Input) -> Result<bool, FsError> {
        // Bytecode is not a file: the wheel and the interpreter that it is made from are inputs of
        // their own. The objects of a pack are hashed one by one. `installed_inputs.rs` has
        // compared the distributions, and names what changed.
        let elsewhere = [roles::BYTECODE, roles::DISTRIBUTION, roles::PACK];
        if elsewhere.contains(&input.role.as_str()) {
            return Ok(true);
        }
        if input.role == roles::WHEEL && self.is_known(input) {
            return Ok(true);
        }
        let found = self.is_at(fs, input, Path::new(input.file()));
        if matches!(found, Ok(true)) {
            return found;
        }
        let is_there = |path: &PathBuf| matches!(self.is_at(fs, input, path), Ok(true));
        if self.places(input).iter().skip(1).any(is_there) {
            return Ok(true);
        }
        found
    }
}

impl SourceBytecode<'_> {
    /// The name under which the store has what was not compiled here.
    fn foreign_name(&self) -> Digest {
        self.planned.name(self.key)
    }
}

impl SourceWheel<'_> {
    fn lost(&self, why: BytecodeLost) -> ContentError {
        ContentError::Read {
            what: format!("the bytecode of {}", self.input.file()),
            source: why.into(),
        }
    }

    fn unreadable(&self, source: Box<dyn std::error::Error + Send + Sync>) -> ContentError {
        ContentError::Read {
            what: self.input.file().to_owned(),
            source,
        }
    }
}

impl Opened {
    fn member(&self, digest: Digest) -> Option<&Member> {
        self.wheel.members().get(*self.by_digest.get(&digest)?)
    }
}

/// The umask of the plan's files, as far as it matters to files; the root may have existed before.
fn umask_of(plan: &Plan) -> u32 {
    let data = plan
        .operations()
        .values()
        .find_map(|operation| match &operation.node {
            Node::File {
                mode,
                content: Content::Object { .. },
                ..
            } if mode.bits() & 0o111 == 0 && is_of_wheel(operation) => Some(*mode),
            Node::File { .. } | Node::Dir { .. } | Node::Symlink { .. } => None,
        });
    let root = plan.root_mode().bits();
    data.map_or(!root & 0o777, |mode| !mode.bits() & 0o666 | !root & 0o111)
}

/// Whether an operation installs a file of a wheel, with the mode that the umask gives it.
fn is_of_wheel(operation: &Operation) -> bool {
    let group = operation.group.as_deref().map(Path::new);
    group.is_none_or(|group| group.extension() == Some(OsStr::new("whl")))
}

fn open_store<'a>(fs: &'a dyn Fs, cache: Option<&Cache>) -> Option<Store<'a>> {
    let dir = cache?.make().ok()?;
    Store::open(fs, &dir).ok()
}

/// Enters an object again that was edited in place: the store gets a new inode, and can be used
/// further.
fn mend(pack: Option<&Option<Pack<'_>>>, digest: Digest, bytes: &[u8]) {
    if let Some(Some(pack)) = pack {
        for object in pack.entered(digest) {
            let _mended = pack.enter_again(*object, bytes);
        }
    }
}

/// An error and its causes in one line, which can be kept after the error itself is gone.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
