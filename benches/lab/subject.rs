//! The measured workloads of `rvenv-journal`, each in a separate process.
//!
//! `replace` publishes small files, which the plan contains, over a tree: the whole tree by one
//! switch, or ten of its entries. `grow` publishes a tree of files that are linked out of a store,
//! or verifies it, and reports its peak memory. Everything is power-durable, as by default; the
//! clock covers planning, locking, publishing, settling and deleting.

use std::path::Path;
use std::time::Instant;

use rvenv_journal::fs::Dir;
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::raw::{ENGINE_DIR, RECEIPT_BYTES_MAX, RECEIPT_NAME};
use rvenv_journal::{
    Content, ContentError, ContentSource, Digest, Durability, Fetched, Fs, LinkMode, Mode,
    NoContent, Node, Operation, Parents, Patience, PlanBuilder, Publication, Receipt, RelPath,
    StageOptions, Target, Terms, Wanted, drift, observe,
};

use super::small_files;

/// The number of objects in the store, so that none gets more links than a filesystem allows.
pub(crate) const OBJECTS: usize = 1000;
/// The mtime of all objects, which a linked file must have too.
pub(crate) const OBJECT_MTIME: i64 = 1_700_000_000;

type Failure = Box<dyn std::error::Error>;

/// Replaces files; prints the nanoseconds until the new ones are durable, and until everything is
/// done.
pub(crate) fn replace(words: &[String]) -> Result<String, String> {
    let [workload, files, edition, dir] = words else {
        return Err("engine all|ten FILES EDITION DIR".to_owned());
    };
    let number = |text: &str| text.parse::<usize>().map_err(|error| error.to_string());
    let (files, edition) = (number(files)?, number(edition)?);
    let replaced = small_files::replaced(workload, files);
    let bytes: Vec<_> = replaced
        .iter()
        .map(|&file| (small_files::path(file), small_files::bytes(file, edition)))
        .collect();
    let publication = match workload.as_str() {
        "all" => Publication::Replace,
        _ => Publication::Merge,
    };
    let content = |bytes| (None, Content::Inline(bytes));
    let files = bytes
        .into_iter()
        .map(|(path, bytes)| (path, content(bytes)));
    let clock = publish(Path::new(dir), files, publication, &NoContent);
    let [durable, all] = clock.map_err(|error| error.to_string())?;
    Ok(format!("{durable} {all}"))
}

/// Publishes or verifies a tree of linked files; prints nanoseconds and peak kibibytes.
pub(crate) fn grow(words: &[String]) -> Result<String, String> {
    let [workload, files, dir, store] = words else {
        return Err("grow put|swap|verify FILES DIR STORE".to_owned());
    };
    let files = files.parse().map_err(|_| "FILES is a number".to_owned())?;
    let told = match workload.as_str() {
        "put" => link(Path::new(dir), files, Publication::Put, Path::new(store)),
        "swap" => link(
            Path::new(dir),
            files,
            Publication::Replace,
            Path::new(store),
        ),
        _ => verify(Path::new(dir)),
    };
    let nanos = told.map_err(|error| error.to_string())?;
    let peak = peak_kib().ok_or("this system does not tell a process's peak memory")?;
    Ok(format!("{nanos} {peak}"))
}

fn link(dir: &Path, files: usize, publication: Publication, store: &Path) -> Result<u128, Failure> {
    let disk = RealFs::new();
    let store = Objects {
        dir: disk.open_path(store)?,
    };
    let digests: Vec<_> = (0..OBJECTS)
        .map(|object| Digest::of(&small_files::bytes(object, 0)))
        .collect();
    let len = small_files::bytes(0, 0).len().try_into()?;
    let paths = digests.iter().cycle().take(files).enumerate();
    let files = paths.map(|(file, &digest)| {
        let content = Content::Object { digest, len };
        (small_files::path(file), (Some(OBJECT_MTIME), content))
    });
    let [_, all] = publish(dir, files, publication, &store)?;
    Ok(all)
}

/// Plans and publishes files at their paths, each with its time and bytes.
fn publish(
    dir: &Path,
    files: impl Iterator<Item = (String, (Option<i64>, Content))>,
    publication: Publication,
    content: &dyn ContentSource,
) -> Result<[u128; 2], Failure> {
    let start = Instant::now();
    let disk = RealFs::new();
    let target = Target::open(&disk, dir, Parents::Require)?;
    let text = target.path().to_str().ok_or("the path is UTF-8")?;
    let mut builder = PlanBuilder::new(text, Mode::SHARED_DIR)?;
    for (path, (mtime, content)) in files {
        let path = RelPath::new(&path)?;
        builder.add_parents(&path, "files", None, Mode::SHARED_DIR)?;
        let mode = Mode::SHARED_FILE;
        let operation = Operation {
            part: "files".into(),
            group: None,
            node: Node::File {
                mode,
                mtime,
                content,
            },
        };
        builder.add(path, operation)?;
    }
    let (ready, _recovered) = target.lock("bench", &mut |_| Patience::GiveUp)?;
    let place = ready.target().place();
    let seen = observe(&disk, place, builder.operations(), builder.retired())?;
    let plan = builder.finish(seen, publication)?;
    let terms = Terms {
        durability: Durability::Power,
        ..Terms::default()
    };
    let options = StageOptions {
        content,
        link_mode: LinkMode::Auto,
        interrupted: &|| false,
    };
    let staged = ready.prepare(&plan, terms, content)?.stage(&options)?;
    let published = staged.publish(&|| false)?;
    let durable = start.elapsed().as_nanos();
    let ending = published.settle()?;
    if ending.kept.is_some() || ending.leftovers.count > 0 {
        return Err("something stayed that should have been deleted".into());
    }
    Ok([durable, start.elapsed().as_nanos()])
}

fn verify(dir: &Path) -> Result<u128, Failure> {
    let start = Instant::now();
    let disk = RealFs::new();
    let root = disk.open_path(dir)?;
    let own = disk.open_dir(&root, ENGINE_DIR.as_ref())?;
    let receipt = disk.read_file(&own, RECEIPT_NAME.as_ref(), RECEIPT_BYTES_MAX)?;
    let found = drift(&disk, &root, &Receipt::from_json(&receipt)?)?;
    if let Some(first) = found.first() {
        return Err(format!("{} paths differ, first {first:?}", found.len()).into());
    }
    Ok(start.elapsed().as_nanos())
}

/// Objects by digest, all with the wanted mode and time.
struct Objects {
    dir: Dir,
}

impl ContentSource for Objects {
    fn fetch(&self, wanted: &Wanted) -> Result<Fetched, ContentError> {
        Ok(Fetched::Stored {
            dir: self.dir.clone(),
            name: wanted.digest.to_string().into(),
            custody: None,
        })
    }
}

/// The peak memory of this process, in kibibytes.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
