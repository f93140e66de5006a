//! Provision: where the bytes of a plan's wheels come from when it is applied.
//!
//! Promises that the content store is used where it can be and never needed: one that is absent, read-only, damaged
//! or somebody else's costs time, not the environment. An object that was edited through a link is entered again
//! from its wheel. Every wheel is the one that the plan pins, by its digest.
//!
//! On disk: the store, `RVENV_CACHE_DIR/packs`; nothing else.
//! Read next: `environment.rs`, which hands this to the engine.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rvenv_journal::fs::{FsError, Time};
use rvenv_journal::{
    ContentError, ContentSource, Digest, Fetched, Fs, Input, Mode, ObjectMeta, Pack, PackSource,
    Plan, Store, StoreError, Wanted, open_or_make,
};

use crate::wheel::{Catalogue, Member, Wheel, WheelError, program_mode};
use crate::witness::Witness;

/// The role of a plan's inputs that are wheels.
pub const WHEEL_ROLE: &str = "wheel";

/// The bytes of a plan's wheels, out of the store or out of the wheels themselves.
#[derive(Debug)]
pub struct Provision<'a> {
    store: Option<Store<'a>>,
    sources: Vec<SourceWheel<'a>>,
    /// Files that were looked at when the plan was made, in this process.
    witnesses: &'a [Witness],
    wheels: &'a Catalogue,
    umask: u32,
    now: Option<Time>,
}

/// What a process knows of a plan's inputs without reading them again.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Files that it looked at when it made the plan.
    pub witnesses: &'a [Witness],
    /// Wheels that it or another process read.
    pub wheels: &'a Catalogue,
}

#[derive(Debug)]
struct SourceWheel<'a> {
    input: Input,
    pack: OnceCell<Option<Pack<'a>>>,
    opened: OnceCell<Result<Opened, String>>,
}

/// A wheel and its members by their content.
#[derive(Debug)]
struct Opened {
    wheel: Arc<Wheel>,
    by_digest: BTreeMap<Digest, usize>,
}

impl<'a> Provision<'a> {
    /// The provision for a plan; `cache` is where the store may be, `known` what this process looked at.
    #[must_use]
    pub fn new(fs: &'a dyn Fs, plan: &Plan, cache: Option<&Path>, known: Known<'a>) -> Self {
        let wheels = plan
            .inputs()
            .iter()
            .filter(|input| input.role == WHEEL_ROLE);
        let source = |input: &Input| SourceWheel {
            input: input.clone(),
            pack: OnceCell::new(),
            opened: OnceCell::new(),
        };
        let sources: Vec<_> = wheels.map(source).collect();
        let store = cache.filter(|_| !sources.is_empty()).and_then(|cache| {
            let dir = open_or_make(fs, cache).ok()?;
            Store::open(fs, &dir).ok()
        });
        let umask = !plan.root_mode().bits() & 0o777;
        Self {
            store,
            sources,
            witnesses: known.witnesses,
            wheels: known.wheels,
            umask,
            now: None,
        }
    }

    /// The same, which notes that it used the store at this time.
    #[must_use]
    pub fn at(self, now: Option<Time>) -> Self {
        Self { now, ..self }
    }

    fn fetch_from(
        &self,
        source: &SourceWheel<'a>,
        wanted: &Wanted,
    ) -> Result<Option<Fetched>, ContentError> {
        let pack = source.pack.get_or_init(|| self.pack(source));
        if let Some(pack) = pack
            && let Ok(Some(fetched)) = pack.fetch(wanted)
        {
            return Ok(Some(fetched));
        }
        let opened = self.opened(source)?;
        let Some(member) = opened.member(wanted.digest) else {
            return Ok(None);
        };
        let failed = |error: WheelError| source.unreadable(Box::new(error));
        let bytes = opened.wheel.read(member).map_err(failed)?;
        if let Some(pack) = pack {
            for object in pack.entered(wanted.digest) {
                // Somebody edited the object in place: the store gets a new inode, and keeps serving.
                let _mended = pack.enter_again(*object, &bytes);
            }
        }
        Ok(Some(Fetched::Bytes(bytes)))
    }

    fn opened<'s>(&self, source: &'s SourceWheel<'a>) -> Result<&'s Opened, ContentError> {
        let open = || {
            let path = Path::new(&source.input.path);
            let wheel = self.wheels.open(path).map_err(|error| chain(&error))?;
            if wheel.digest() != source.input.digest {
                return Err("it is not the wheel that the plan was made from".to_owned());
            }
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

    /// The wheel's pack, entered now if it never was; `None` where the store does not serve.
    fn pack(&self, source: &SourceWheel<'a>) -> Option<Pack<'a>> {
        let store = self.store.as_ref()?;
        match store.pack(source.input.digest) {
            Ok(Some(pack)) => {
                // Pruning then spares it; whether that could be noted matters to nobody else.
                let _noted = self.now.map(|now| pack.mark_used(now));
                Some(pack)
            }
            Ok(None) => {
                let opened = self.opened(source).ok()?;
                let unpacked = Unpacked {
                    wheel: &opened.wheel,
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
        for source in &self.sources {
            if let Some(fetched) = self.fetch_from(source, wanted)? {
                return Ok(fetched);
            }
        }
        Err(ContentError::Unknown(wanted.digest))
    }

    fn fetch_bytes(&self, wanted: &Wanted) -> Result<Vec<u8>, ContentError> {
        for source in &self.sources {
            let opened = self.opened(source)?;
            if let Some(member) = opened.member(wanted.digest) {
                let read = opened.wheel.read(member);
                return read.map_err(|error| source.unreadable(Box::new(error)));
            }
        }
        Err(ContentError::Unknown(wanted.digest))
    }

    /// A file that this process read when it made the plan is current while its identity is.
    fn is_current(&self, fs: &dyn Fs, input: &Input) -> Result<bool, FsError> {
        let path = Path::new(&input.path);
        let known = self.witnesses.iter().find(|witness| witness.path == path);
        if known.is_some_and(Witness::holds) {
            return Ok(true);
        }
        let (digest, len) = fs.digest_path(path)?;
        Ok(digest == input.digest && len == input.len)
    }
}

impl SourceWheel<'_> {
    fn unreadable(&self, source: Box<dyn std::error::Error + Send + Sync>) -> ContentError {
        ContentError::Read {
            what: self.input.path.clone(),
            source,
        }
    }
}

impl Opened {
    fn member(&self, digest: Digest) -> Option<&Member> {
        self.wheel.members().get(*self.by_digest.get(&digest)?)
    }
}

/// An error and its causes in one line, to be kept after the error itself is gone.
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

/// A wheel as the store takes it: with the modes that an environment under this umask will have.
struct Unpacked<'a> {
    wheel: &'a Wheel,
    umask: u32,
}

impl PackSource for Unpacked<'_> {
    fn unpack(
        &self,
        visit: &mut dyn FnMut(ObjectMeta, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let stopped = self.wheel.for_each(|member, bytes| {
            let mode = if member.executable {
                program_mode(self.umask)
            } else {
                Mode::ALL_DATA.masked(self.umask)
            };
            let object = ObjectMeta {
                digest: member.digest,
                len: member.len,
                mode,
                mtime: member.mtime,
            };
            visit(object, bytes).map_err(Stop::Store)
        });
        stopped.map_err(|stop| match stop {
            Stop::Store(error) => error,
            Stop::Wheel(error) => StoreError::Source(Box::new(error)),
        })
    }
}

/// What ends an unpacking early.
enum Stop {
    Store(StoreError),
    Wheel(WheelError),
}

impl From<WheelError> for Stop {
    fn from(error: WheelError) -> Self {
        Self::Wheel(error)
    }
}
