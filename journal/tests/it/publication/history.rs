//! Histories: publications that died before or after a named step.

use std::ffi::OsStr;
use std::path::Path;

use rvenv_journal::fs::sim::{Options, SimFs, Support};
use rvenv_journal::fs::{Dir, Flush, Fs, NewFile, Rename};
use rvenv_journal::raw::{Decision, RecoverError, Refusal};
use rvenv_journal::{LinkMode, NoContent, Publication, ReadyError, StageOptions};

use super::{Case, Tree, inspected, numbered, parent, recover, run};

pub const NAMED: &str = "rename /p/.t.rvenv.new-* -> /p/.t.rvenv.new-*";
pub const SWITCH_PUT: &str = "rename /p/.t.rvenv.new-* -> /p/t";
pub const SWITCH: &str = "exchange /p/.t.rvenv.new-* ";
pub const DECIDED: &str = "rename /p/.t.rvenv.journal -> /p/.t.rvenv.journal.settle";

/// The name of the stage, or of what was exchanged for it, beside the target.
pub fn stage(disk: &SimFs) -> String {
    let names = disk.list(&parent(disk)).unwrap().into_iter();
    let mut names = names.map(|name| name.into_string().unwrap());
    let is_stage = |name: &String| name.starts_with(".t.rvenv.new-");
    names.find(is_stage).expect("there is a stage")
}

/// The name of the directory of the slots, from the directory of the target.
pub fn slots(disk: &SimFs) -> String {
    let within = disk.open_path(Path::new("/p/t/.rvenv")).unwrap();
    let names = disk.list(&within).unwrap().into_iter();
    let mut names = names.map(|name| format!("t/.rvenv/{}", name.display()));
    let is_stage = |name: &String| name.starts_with("t/.rvenv/new-");
    names.find(is_stage).expect("there are slots")
}

pub fn put() -> Case {
    Case::of("put", Publication::Put)
}

pub fn swap() -> Case {
    Case::of("swap", Publication::Replace)
}

pub fn take_and_put() -> Case {
    swap().on(Options {
        exchange: Support::Absent,
        ..Options::default()
    })
}

/// The number of steps before the `nth` that begins with `text`.
pub fn steps_before(case: &Case, text: &str, nth: usize) -> usize {
    let steps = case.steps();
    let mut found = steps.iter().enumerate();
    let mut found = found.by_ref().filter(|(_, step)| step.starts_with(text));
    let found = found.nth(nth - 1).map(|(index, _)| index);
    found.unwrap_or_else(|| panic!("no step {text}:\n{}", numbered(&steps)))
}

/// The disk of a run that was killed before the first step that begins with `text`.
pub fn killed_before(case: &Case, text: &str) -> SimFs {
    killed_at(case, steps_before(case, text, 1))
}

/// The disk of a run that was killed after its steps and before its end: before the decision was
/// written, or, where the steps are the decision, before the journal was removed.
pub fn killed_before_the_end(case: &Case) -> SimFs {
    let steps = case.steps();
    let is_unlinked = |step: &str| {
        let name = step.strip_prefix("remove /p/.t.rvenv.journal");
        matches!(name, Some("" | ".tmp"))
    };
    let ends = |step: &String| step.starts_with(DECIDED) || is_unlinked(step);
    let end = steps.iter().position(ends);
    killed_at(case, end.unwrap_or_else(|| panic!("{}", numbered(&steps))))
}

/// The disk of a run that was killed right after the `nth` step that begins with `text`.
pub fn killed_after(case: &Case, text: &str, nth: usize) -> SimFs {
    killed_at(case, steps_before(case, text, nth) + 1)
}

pub fn killed_at(case: &Case, steps: usize) -> SimFs {
    let disk = case.disk();
    let plan = case.plan(&disk);
    disk.crash_after(steps);
    run(&disk, &plan, case);
    disk.killed()
}

/// Everything but the lock file.
pub fn state(disk: &SimFs) -> Tree {
    let mut tree = disk.tree(Path::new("/"));
    tree.remove("p/.t.rvenv.lock");
    tree
}

/// Checks that nothing is touched, and that the error names the row.
#[track_caller]
pub fn check_refused(disk: &SimFs, expected: Refusal) {
    let before = state(disk);
    let decision = inspected(disk).decision.unwrap();
    assert_eq!(decision, Decision::Refuse(expected));
    let error = recover(disk).unwrap_err();
    assert!(
        matches!(error, ReadyError::Recover(RecoverError::Refused { .. })),
        "{error:?}"
    );
    assert!(state(disk) == before, "something was touched");
}

/// Renames by paths from the directory of the target.
pub fn rename(disk: &SimFs, from: &str, to: &str) {
    let ((from_dir, from), (to_dir, to)) = (below(disk, from), below(disk, to));
    disk.rename(from_dir.at(from), to_dir.at(to), Rename::NoReplace)
        .unwrap();
}

fn below<'p>(disk: &SimFs, path: &'p str) -> (Dir, &'p OsStr) {
    match path.rsplit_once('/') {
        None => (parent(disk), OsStr::new(path)),
        Some((above, name)) => {
            let above = Path::new(super::PARENT).join(above);
            (disk.open_path(&above).unwrap(), OsStr::new(name))
        }
    }
}

pub fn read(disk: &SimFs, name: &str) -> Vec<u8> {
    disk.read_file(&parent(disk), OsStr::new(name), 1 << 20)
        .unwrap()
}

pub fn replace(disk: &SimFs, name: &str, mode: u32, bytes: &[u8]) {
    let parent = parent(disk);
    disk.remove_file(&parent, OsStr::new(name)).unwrap();
    let file = NewFile {
        mode,
        mtime: None,
        bytes,
        flush: Flush::Now,
    };
    disk.write_file(&parent, OsStr::new(name), &file).unwrap();
}

pub fn make_dir(disk: &SimFs, name: &str) {
    let (dir, name) = below(disk, name);
    disk.make_dir(&dir, name, 0o755).unwrap();
}

pub fn options() -> StageOptions<'static> {
    StageOptions {
        content: &NoContent,
        link_mode: LinkMode::Copy,
        interrupted: &|| false,
    }
}
