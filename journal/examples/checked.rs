//! Changes one file of a tree, checks the change before it is final, and explains every failure.
//!
//!     cargo run -p rvenv-journal --example checked -- set TREE TEXT
//!     cargo run -p rvenv-journal --example checked -- back TREE
//!     cargo run -p rvenv-journal --example checked -- status TREE
//!
//! `set` publishes the file `settings` in a directory that exists. Readers see the new file while
//! it is checked; without an `=` in it, the old one comes back. `back` returns to what the last
//! `set` replaced. `status` writes nothing: it shows what an interrupted run left, which
//! generations exist, and whether the file is still as it was published.

use std::error::Error;
use std::ffi::OsStr;
use std::path::Path;

use rvenv_journal::fs::real::RealFs;
use rvenv_journal::{
    Aftermath, Content, Durability, EndFailed, Fs, FsError, LinkMode, Mode, NoContent, Node,
    Operation, Parents, Patience, Plan, PlanBuilder, PrepareError, Publication, PublishFailed,
    Published, Ready, ReadyError, Receipt, Recovered, RelPath, Retention, RollbackError,
    RollbackTerms, StageFailed, StageOptions, Target, Terms, Verdict, drift, generations, inspect,
    observe,
};

/// The file that this program owns.
const SETTINGS: &str = "settings";
/// The longest receipt that `status` reads.
const RECEIPT_BYTES_MAX: u64 = 1 << 20;

/// Publishes a text; returns whether it passed the check and stays.
pub(crate) fn set(disk: &dyn Fs, tree: &Path, text: &str) -> Result<bool, Box<dyn Error>> {
    let ready = lock(disk, tree)?;
    let plan = plan(disk, ready.target(), text)?;
    let terms = Terms {
        retention: Retention::Keep,
        verdict: Verdict::Awaited,
        ..Terms::default()
    };
    let options = StageOptions {
        content: &NoContent,
        link_mode: LinkMode::Auto,
        interrupted: &|| false,
    };
    let prepared = ready.prepare(&plan, terms, &NoContent)?;
    let published = prepared.stage(&options)?.publish(&|| false)?;
    decide(disk, tree, published)
}

/// Checks what readers see now, and makes it final or takes it back.
fn decide(disk: &dyn Fs, tree: &Path, published: Published<'_>) -> Result<bool, Box<dyn Error>> {
    let seen = disk.read_file(&disk.open_path(tree)?, OsStr::new(SETTINGS), 1 << 20)?;
    let is_valid = seen.contains(&b'=');
    if is_valid {
        published.settle()?;
    } else {
        published.undo()?;
    }
    Ok(is_valid)
}

fn plan(disk: &dyn Fs, target: &Target<'_>, text: &str) -> Result<Plan, Box<dyn Error>> {
    let path = target.path().to_str().ok_or("the path is not UTF-8")?;
    let mut plan = PlanBuilder::new(path, Mode::SHARED_DIR)?;
    let node = Node::File {
        mode: Mode::SHARED_FILE,
        mtime: None,
        content: Content::Inline(text.into()),
    };
    let operation = Operation {
        part: SETTINGS.into(),
        group: None,
        node,
    };
    plan.add(RelPath::new(SETTINGS)?, operation)?;
    let seen = observe(disk, target.place(), plan.operations(), plan.retired())?;
    // The other entries of the tree stay as they are.
    Ok(plan.finish(seen, Publication::Merge)?)
}

/// Returns to what the last publication replaced.
pub(crate) fn back(disk: &dyn Fs, tree: &Path) -> Result<(), Box<dyn Error>> {
    let terms = RollbackTerms::of(Durability::Power, Verdict::BySteps);
    lock(disk, tree)?.rollback(&terms)?.settle()?;
    Ok(())
}

/// Locks a tree; this first finishes or undoes what an interrupted run left.
#[expect(clippy::print_stderr, reason = "an example tells what it did")]
fn lock<'a>(disk: &'a dyn Fs, tree: &Path) -> Result<Ready<'a>, Box<dyn Error>> {
    let target = Target::open(disk, tree, Parents::Require)?;
    let (ready, recovered) = target.lock("checked", &mut |_holder| Patience::GiveUp)?;
    if let Some(left) = orphans(&recovered) {
        eprintln!("{left}");
    }
    Ok(ready)
}

/// A line about names of the engine that it did not dare to delete.
fn orphans(recovered: &Recovered) -> Option<String> {
    let names = recovered.orphans.join(", ");
    (!names.is_empty()).then(|| format!("no journal owns these names, so they stay: {names}"))
}

/// What exists in and beside a tree, one fact a line.
pub(crate) fn status(disk: &dyn Fs, tree: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let target = Target::open(disk, tree, Parents::Require)?;
    let mut lines = match inspect(&target)?.decision {
        Ok(decision) => vec![format!("the next run begins with: {decision:?}")],
        Err(error) => vec![format!("the next run will refuse: {error}")],
    };
    for generation in generations(&target)? {
        lines.push(format!("generation {} is kept", generation.number));
    }
    let receipt = Receipt::path();
    let root = target.root()?;
    let dir = receipt.parent().ok_or("the receipt is in a directory")?;
    let bytes = disk
        .open_dir(&root, OsStr::new(dir.as_str()))
        .and_then(|dir| disk.read_file(&dir, OsStr::new(receipt.name()), RECEIPT_BYTES_MAX));
    // Everything else in the tree has other owners, so the receipt does not list it.
    if let Ok(bytes) = bytes {
        let differences = drift(disk, &root, &Receipt::from_json(&bytes)?)?;
        let own = differences.iter().filter(|found| found.path == SETTINGS);
        lines.extend(own.map(|found| format!("{SETTINGS}: {:?}", found.difference)));
    }
    Ok(lines)
}

/// What a user should know after a failure, besides its message.
pub(crate) fn advice(error: &(dyn Error + 'static)) -> &'static str {
    let staging = error
        .downcast_ref::<StageFailed>()
        .map(|failed| failed.aftermath);
    let publishing = error
        .downcast_ref::<PublishFailed>()
        .map(|failed| failed.aftermath);
    let ending = error
        .downcast_ref::<EndFailed>()
        .map(|failed| failed.aftermath);
    match staging.or(publishing).or(ending) {
        Some(Aftermath::Unchanged) => return "nothing was changed",
        Some(Aftermath::NeedsRecovery) => return "the next run cleans up; run any command again",
        Some(Aftermath::InDoubt) => return "reboot, then look: the disk failed to sync",
        None => {}
    }
    match (
        error.downcast_ref::<ReadyError>(),
        error.downcast_ref::<PrepareError>(),
        error.downcast_ref::<RollbackError>(),
    ) {
        (Some(ReadyError::Lock(_)), _, _) => "another process is at work, or may not be excluded",
        (Some(ReadyError::Recover(_)), _, _) => "an interrupted run left what cannot be recovered",
        (_, Some(PrepareError::NothingToDo(_)), _) => "the tree is already as it should be",
        (_, Some(PrepareError::Stale { .. }), _) => "another program changed the tree; try again",
        (_, Some(_), _) => "the tree cannot be changed in this way",
        (_, _, Some(RollbackError::NoGeneration(_))) => "nothing was replaced yet",
        (_, _, Some(_)) => "what was replaced cannot come back",
        (None, None, None) if error.is::<FsError>() => "the disk refused",
        (None, None, None) => "see the message",
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example tells what it did"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let disk = RealFs::new();
    let done = match words.as_slice() {
        ["set", tree, text] => set(&disk, Path::new(tree), text).map(|stays| {
            let now = if stays { "new" } else { "old" };
            vec![format!("the {now} settings are in use")]
        }),
        ["back", tree] => back(&disk, Path::new(tree)).map(|()| vec!["done".to_owned()]),
        ["status", tree] => status(&disk, Path::new(tree)),
        _ => return Err("usage: checked set TREE TEXT | back TREE | status TREE".into()),
    };
    match done {
        Ok(lines) => println!("{}", lines.join("\n")),
        Err(error) => {
            eprintln!("{}", advice(error.as_ref()));
            return Err(error);
        }
    }
    Ok(())
}
