//! Publishes a directory of files as one change, and undoes that, with the engine alone.
//!
//!     cargo run -p rvenv-journal --example site -- publish SOURCE TARGET
//!     cargo run -p rvenv-journal --example site -- back TARGET
//!
//! A reader of TARGET finds the old site or the new one, never a mixture; a power cut at any moment
//! leaves one of the two. The replaced site is kept as a generation. `back` brings it back; run
//! again, it goes forward.

use std::error::Error;
use std::fs;
use std::path::Path;

use rvenv_journal::fs::real::RealFs;
use rvenv_journal::raw::{Ending, Expected};
use rvenv_journal::{
    Content, Durability, LinkMode, Mode, NoContent, Node, Operation, Parents, Patience,
    PlanBuilder, Publication, Ready, RelPath, Retention, RollbackTerms, StageOptions, Target,
    Terms, Verdict, observe,
};

/// Publishes the files of a directory at a target.
pub(crate) fn publish(source: &Path, target: &Path) -> Result<Ending, Box<dyn Error>> {
    let disk = RealFs::new();
    let ready = lock(&disk, target)?;
    let text = ready
        .target()
        .path()
        .to_str()
        .ok_or("the path is not UTF-8")?;
    let mut plan = PlanBuilder::new(text, Mode::SHARED_DIR)?;
    add(&mut plan, source, None)?;
    let seen = observe(
        &disk,
        ready.target().place(),
        plan.operations(),
        plan.retired(),
    )?;
    let publication = match seen.target {
        Expected::Absent => Publication::Put,
        Expected::Tree { .. } => Publication::Replace,
    };
    let plan = plan.finish(seen, publication)?;
    let terms = Terms {
        retention: Retention::Keep,
        ..Terms::default()
    };
    let options = StageOptions {
        content: &NoContent,
        link_mode: LinkMode::Auto,
        interrupted: &|| false,
    };
    let staged = ready.prepare(&plan, terms, &NoContent)?.stage(&options)?;
    Ok(staged.publish(&|| false)?.settle()?)
}

/// Brings back what the last publication replaced.
pub(crate) fn back(target: &Path) -> Result<Ending, Box<dyn Error>> {
    let disk = RealFs::new();
    let terms = RollbackTerms::of(Durability::Power, Verdict::BySteps);
    Ok(lock(&disk, target)?.rollback(&terms)?.settle()?)
}

/// Locks a target; this first finishes or undoes what an earlier run left open.
fn lock<'a>(disk: &'a RealFs, target: &Path) -> Result<Ready<'a>, Box<dyn Error>> {
    let target = Target::open(disk, target, Parents::Require)?;
    let (ready, _recovered) = target.lock("site", &mut |_holder| Patience::GiveUp)?;
    Ok(ready)
}

/// Plans every file of a directory.
fn add(plan: &mut PlanBuilder, dir: &Path, below: Option<&RelPath>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().ok_or("a name is not UTF-8")?;
        let path = match below {
            Some(below) => below.join(name)?,
            None => RelPath::new(name)?,
        };
        let is_dir = entry.file_type()?.is_dir();
        let node = if is_dir {
            let mode = Mode::SHARED_DIR;
            Node::Dir { mode }
        } else {
            Node::File {
                mode: Mode::SHARED_FILE,
                mtime: None,
                content: Content::Inline(fs::read(entry.path())?),
            }
        };
        let operation = Operation {
            part: "site".into(),
            group: None,
            node,
        };
        plan.add(path.clone(), operation)?;
        if is_dir {
            add(plan, &entry.path(), Some(&path))?;
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example tells what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ending = match words.as_slice() {
        ["publish", source, target] => publish(Path::new(source), Path::new(target))?,
        ["back", target] => back(Path::new(target))?,
        _ => return Err("usage: site publish SOURCE TARGET | site back TARGET".into()),
    };
    match ending.kept {
        Some(kept) => println!("done; what was there is generation {}", kept.generation),
        None => println!("done"),
    }
    Ok(())
}
