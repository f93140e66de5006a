//! The engine for trees that are not Python: what `rvenv.transaction` collected, in one change.
//!
//! Promises what the engine does: the tree is the old one or the new one; `check` runs between
//! publication and decision, and what it raises takes everything back.
//!
//! # Crash
//! As the engine's `Ready::prepare` and the states after it: the next transaction, or
//! `rvenv recover`, finishes or undoes it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use rvenv::caller::Listener;
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::raw::{Ending, Expected};
use rvenv_journal::{
    Content, Durability, Fs, LinkMode, Mode, NoContent, Node, Operation, Parents, Patience, Plan,
    PlanBuilder, Publication, Published, Ready, RelPath, Retention, RollbackTerms, StageOptions,
    Target, Terms, Verdict, observe,
};

use crate::errors::raise;
use crate::recorded::Step;
use crate::watch::Watcher;

/// How long a busy lock is waited for.
const WAIT: Duration = Duration::from_mins(1);
/// The part of the plan, and the name in the lock.
const PART: &str = "transaction";

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Why a transaction failed: an error of the engine by the class of its exception, or an exception.
enum Failed {
    Engine(&'static str, AnyError),
    Python(PyErr),
}

/// Fails with an exception of a class.
fn as_class<E: Into<AnyError>>(class: &'static str) -> impl Fn(E) -> Failed {
    move |error| Failed::Engine(class, error.into())
}

/// The arguments of a transaction.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Asked {
    target: PathBuf,
    steps: Vec<Step>,
    removed: Vec<String>,
    replace: bool,
    keep: bool,
    durable: bool,
    umask: u32,
}

/// Publishes what a transaction collected; returns the number of the generation that was kept.
#[pyfunction]
#[pyo3(signature = (request, check = None))]
pub(crate) fn publish_tree(
    py: Python<'_>,
    request: Asked,
    check: Option<Py<PyAny>>,
) -> PyResult<Option<u32>> {
    let ended = py.detach(|| {
        let watcher = Watcher::new();
        let ended = publish(&request, check.as_ref(), &watcher);
        or_raised(ended, watcher)
    });
    let ended = ended.map_err(|failed| exception(py, &failed, &request.target))?;
    Ok(ended.kept.map(|kept| kept.generation))
}

/// Brings the newest generation of a tree back; returns the number under which the present one is
/// kept.
#[pyfunction]
pub(crate) fn rollback_tree(py: Python<'_>, target: PathBuf) -> PyResult<Option<u32>> {
    let ended = py.detach(|| {
        let watcher = Watcher::new();
        let ended = rollback(&target, &watcher);
        or_raised(ended, watcher)
    });
    let ended = ended.map_err(|failed| exception(py, &failed, &target))?;
    Ok(ended.kept.map(|kept| kept.generation))
}

fn or_raised(ended: Result<Ending, Failed>, watcher: Watcher) -> Result<Ending, Failed> {
    match (ended, watcher.raised.into_inner()) {
        (Err(_), Some(raised)) => Err(Failed::Python(raised)),
        (ended, _) => ended,
    }
}

fn exception(py: Python<'_>, failed: &Failed, path: &Path) -> PyErr {
    match failed {
        Failed::Python(raised) => raised.clone_ref(py),
        Failed::Engine(class, error) => raise(py, class, &**error, Some(&path.to_string_lossy())),
    }
}

fn lock<'a>(fs: &'a RealFs, path: &Path, watcher: &Watcher) -> Result<Ready<'a>, Failed> {
    let target = Target::open(fs, path, Parents::Make).map_err(as_class("TargetError"))?;
    let owner = format!("process {}", std::process::id());
    let since = Instant::now();
    let locked = target.lock(&owner, &mut |_| {
        std::thread::sleep(Duration::from_millis(20));
        if since.elapsed() < WAIT && !watcher.interrupted() {
            Patience::Again
        } else {
            Patience::GiveUp
        }
    });
    Ok(locked.map_err(as_class("BusyError"))?.0)
}

fn publish(asked: &Asked, check: Option<&Py<PyAny>>, watcher: &Watcher) -> Result<Ending, Failed> {
    let fs = RealFs::new();
    let ready = lock(&fs, &asked.target, watcher)?;
    let plan = plan(asked, ready.target())?;
    if plan.publication() == Publication::Nothing {
        return Ok(Ending::default());
    }
    let terms = Terms {
        durability: if asked.durable {
            Durability::Power
        } else {
            Durability::Process
        },
        retention: if asked.keep {
            Retention::Keep
        } else {
            Retention::Discard
        },
        verdict: if check.is_some() {
            Verdict::Awaited
        } else {
            Verdict::BySteps
        },
        ..Terms::default()
    };
    let options = StageOptions {
        content: &NoContent,
        link_mode: LinkMode::Auto,
        interrupted: &|| watcher.interrupted(),
    };
    let prepared = ready.prepare_fresh(&plan, terms, &NoContent);
    let staged = prepared.map_err(as_class("TargetError"))?.stage(&options);
    let published = staged
        .map_err(as_class("DiskError"))?
        .publish(&|| watcher.interrupted());
    decide(published.map_err(as_class("DiskError"))?, check)
}

/// Settles what passes the check; otherwise takes it back and fails with what the check raised.
fn decide(published: Published<'_>, check: Option<&Py<PyAny>>) -> Result<Ending, Failed> {
    let raised = RefCell::new(None);
    if let Some(check) = check {
        Python::attach(|py| {
            if let Err(error) = check.call0(py) {
                *raised.borrow_mut() = Some(error);
            }
        });
    }
    match raised.into_inner() {
        None => published.settle().map_err(as_class("UndoError")),
        Some(raised) => match published.undo() {
            Ok(_) => Err(Failed::Python(raised)),
            Err(failed) => Err(Failed::Python(Python::attach(|py| {
                let exception = raise(py, "UndoError", &failed, None);
                exception.set_cause(py, Some(raised));
                exception
            }))),
        },
    }
}

fn rollback(path: &Path, watcher: &Watcher) -> Result<Ending, Failed> {
    let fs = RealFs::new();
    let ready = lock(&fs, path, watcher)?;
    if watcher.interrupted() {
        return Err(Failed::Python(PyKeyboardInterrupt::new_err(())));
    }
    let terms = RollbackTerms::of(Durability::Power, Verdict::BySteps);
    let published = ready.rollback(&terms).map_err(as_class("TargetError"))?;
    published.settle().map_err(as_class("UndoError"))
}

/// The plan of a transaction for what exists now.
fn plan(asked: &Asked, target: &Target<'_>) -> Result<Plan, Failed> {
    let fs = target.disk();
    let disk = as_class("DiskError");
    let planned = || as_class("PlanError");
    let text = target.path().to_str().map(str::to_owned);
    let text = text.ok_or_else(|| as_class("RequestError")("the path is not UTF-8"))?;
    let dirs = Mode::ALL.masked(asked.umask);
    let mut plan = PlanBuilder::new(&text, dirs).map_err(planned())?;
    let meta = target.meta();
    if let Some(meta) = meta.map_err(&disk)?
        && let Ok(mode) = Mode::new(meta.mode & 0o777)
    {
        plan.adopt_root_mode(mode);
    }
    for step in &asked.steps {
        let (path, node) = node(step, asked.umask)?;
        plan.leave(&path);
        plan.add_parents(&path, PART, None, dirs)
            .map_err(planned())?;
        let operation = Operation {
            part: PART.into(),
            group: None,
            node,
        };
        plan.add(path, operation).map_err(planned())?;
    }
    for path in &asked.removed {
        let path = RelPath::new(path).map_err(as_class("RequestError"))?;
        if !asked.replace {
            plan.retire(path).map_err(planned())?;
        }
    }
    adopt(fs, target, &mut plan, asked.replace).map_err(&disk)?;
    let seen = observe(fs, target.place(), plan.operations(), plan.retired()).map_err(&disk)?;
    let publication = match seen.target {
        Expected::Absent => Publication::Put,
        Expected::Tree { .. } if asked.replace => Publication::Replace,
        Expected::Tree { .. } => Publication::Merge,
    };
    if publication == Publication::Put {
        plan.clear_retired();
    }
    plan.finish(seen, publication).map_err(planned())
}

/// Directories that exist keep their modes.
fn adopt(
    fs: &dyn Fs,
    target: &Target<'_>,
    plan: &mut PlanBuilder,
    is_replaced: bool,
) -> Result<(), rvenv_journal::FsError> {
    let seen = observe(fs, target.place(), plan.operations(), plan.retired())?;
    if is_replaced {
        return Ok(());
    }
    for (path, observed) in seen.paths {
        if let rvenv_journal::raw::Observed::Dir { mode } = observed
            && let Ok(mode) = Mode::new(mode & 0o777)
        {
            plan.adopt_mode(&path, mode);
        }
    }
    Ok(())
}

fn node(step: &Step, umask: u32) -> Result<(RelPath, Node), Failed> {
    let at = |path: &str| RelPath::new(path).map_err(as_class("RequestError"));
    Ok(match step {
        Step::File(path, bytes, mode) => {
            let mode = match mode {
                Some(bits) => Mode::new(*bits).map_err(as_class("RequestError"))?,
                None => Mode::ALL_DATA.masked(umask),
            };
            let content = Content::Inline(bytes.clone());
            let mtime = None;
            (
                at(path)?,
                Node::File {
                    mode,
                    mtime,
                    content,
                },
            )
        }
        Step::Link(path, target) => {
            let target = target.clone();
            (at(path)?, Node::Symlink { target })
        }
        Step::Dir(path) => {
            let mode = Mode::ALL.masked(umask);
            (at(path)?, Node::Dir { mode })
        }
        Step::Wheel(_) | Step::Base => {
            return Err(as_class("PlanError")("only files, links and directories"));
        }
    })
}
