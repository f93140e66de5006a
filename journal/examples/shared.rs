//! Builds trees from a content store, so that trees on one filesystem share their bytes.
//!
//!     cargo run -p rvenv-journal --example shared -- STORE SOURCE TREE...
//!
//! The files of the directory SOURCE are entered into STORE once. Each TREE is then created from
//! the store by links or shared blocks. STORE is a directory that only its user may write.

use std::error::Error;
use std::fs;
use std::path::Path;

use rvenv_journal::fs::real::RealFs;
use rvenv_journal::{
    Content, ContentError, ContentSource, Digest, Fetched, Fs, LinkMode, Mode, NoContent, Node,
    ObjectMeta, Operation, PackSource, Parents, Patience, PlanBuilder, Publication, RelPath,
    StageOptions, Store, StoreError, Target, Terms, Wanted, observe,
};

/// The modification time of every file, so that equal files are one object.
const MTIME: i64 = 1_500_000_000;

/// A directory of files, in memory.
pub(crate) struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    /// Reads the files directly in a directory.
    pub(crate) fn read(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let name = entry.file_name().into_string();
                files.push((
                    name.map_err(|_| "a name is not UTF-8")?,
                    fs::read(entry.path())?,
                ));
            }
        }
        files.sort();
        Ok(Self(files))
    }

    /// The digest under which the store keeps all of them.
    fn digest(&self) -> Digest {
        let digests = self
            .0
            .iter()
            .map(|(_, bytes)| Digest::of(bytes).to_string());
        Digest::of(digests.collect::<Vec<_>>().join("\n").as_bytes())
    }
}

impl PackSource for Files {
    fn unpack(
        &self,
        visit: &mut dyn FnMut(ObjectMeta, &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for (_, bytes) in &self.0 {
            let object = ObjectMeta {
                digest: Digest::of(bytes),
                len: bytes.len() as u64,
                mode: Mode::SHARED_FILE,
                mtime: MTIME,
            };
            visit(object, bytes)?;
        }
        Ok(())
    }
}

/// Content from the store, or from memory where the store fails.
struct Stored<'a> {
    files: &'a Files,
    store: Option<Store<'a>>,
}

impl ContentSource for Stored<'_> {
    fn fetch(&self, wanted: &Wanted) -> Result<Fetched, ContentError> {
        let key = self.files.digest();
        let pack = self.store.as_ref().and_then(|store| match store.pack(key) {
            Ok(None) => store.enter(key, self.files).ok(),
            found => found.ok().flatten(),
        });
        let found = pack.and_then(|pack| pack.fetch(wanted).ok().flatten());
        found.map_or_else(|| self.fetch_bytes(wanted).map(Fetched::Bytes), Ok)
    }

    fn fetch_bytes(&self, wanted: &Wanted) -> Result<Vec<u8>, ContentError> {
        let mut all = self.files.0.iter().map(|(_, bytes)| bytes);
        let found = all.find(|bytes| Digest::of(bytes) == wanted.digest);
        found.cloned().ok_or(ContentError::Unknown(wanted.digest))
    }
}

/// Creates a tree with the files; returns how many of them are shared with the store.
pub(crate) fn create(
    disk: &dyn Fs,
    store: &Path,
    files: &Files,
    tree: &Path,
) -> Result<u64, Box<dyn Error>> {
    let target = Target::open(disk, tree, Parents::Make)?;
    let (ready, _recovered) = target.lock("shared", &mut |_holder| Patience::GiveUp)?;
    let path = ready
        .target()
        .path()
        .to_str()
        .ok_or("the path is not UTF-8")?;
    let mut plan = PlanBuilder::new(path, Mode::SHARED_DIR)?;
    for (name, bytes) in &files.0 {
        let node = Node::File {
            mode: Mode::SHARED_FILE,
            mtime: Some(MTIME),
            content: Content::Object {
                digest: Digest::of(bytes),
                len: bytes.len() as u64,
            },
        };
        let operation = Operation {
            part: "files".into(),
            group: None,
            node,
        };
        plan.add(RelPath::new(name)?, operation)?;
    }
    let seen = observe(
        disk,
        ready.target().place(),
        plan.operations(),
        plan.retired(),
    )?;
    let plan = plan.finish(seen, Publication::Put)?;
    // The store makes this faster, but nothing depends on it.
    let store = disk.open_path(store).ok();
    let source = Stored {
        files,
        store: store.and_then(|dir| Store::open(disk, &dir).ok()),
    };
    let options = StageOptions {
        content: &source,
        link_mode: LinkMode::Auto,
        interrupted: &|| false,
    };
    let staged = ready
        .prepare(&plan, Terms::default(), &NoContent)?
        .stage(&options)?;
    let counts = staged.counts();
    staged.publish(&|| false)?.settle()?;
    Ok(counts.linked + counts.reflinked)
}

#[expect(clippy::print_stdout, reason = "an example tells what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [store, source, trees @ ..] = arguments.as_slice() else {
        return Err("usage: shared STORE SOURCE TREE...".into());
    };
    let files = Files::read(Path::new(source))?;
    let disk = RealFs::new();
    for tree in trees {
        let shared = create(&disk, Path::new(store), &files, Path::new(tree))?;
        println!("{tree}: {shared} files share their bytes with the store");
    }
    Ok(())
}
