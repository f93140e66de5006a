//! The verbs: create, plan and apply.
//!
//! Promises that the interpreter's lock is free during all of it, and that a check of Python's runs
//! between publication and decision: what it raises undoes the publication, and is raised then.
//! What it wrote is durable before the publication is settled (I2).
//!
//! # Crash
//! As the library's `environment::create`; during the check the next run undoes the publication.

use std::cell::RefCell;
use std::path::Path;

use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rvenv::caller::{Caller, Compilation, RunTerms};
use rvenv::checks::CheckFailed;
use rvenv::environment::{self, Checker, Force, Outcome, Permissions, RunFailed};
use rvenv::hooks::Draft;
use rvenv::host::Host;
use rvenv::merge::Lost;
use rvenv::python::Purpose;
use rvenv::render::{self, Detail};
use rvenv::answer::Answer;
use rvenv::request::RequestFailed;
use rvenv::{CreateFailed, Hooks};
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::fs::{Barrier, Dir, Kind};
use rvenv_journal::raw::Ending;
use rvenv_journal::{Content, Fs, FsError, Node, Parents, Patience, Retention, Target};

use crate::errors::{of_create, raise, text};
use crate::receipt;
use crate::recorded::Recorded;
use crate::request::Asked;
use crate::watch::Watcher;

/// An exception of the caller's own code, while it is an error of the library.
#[derive(Debug)]
struct Raised;

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an exception was raised")
    }
}

impl std::error::Error for Raised {}

/// Why native work failed.
enum Failed {
    Create(Box<CreateFailed>),
    /// An exception that is already Python's.
    Python(PyErr),
}

impl<E: Into<CreateFailed>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Create(Box::new(error.into()))
    }
}

/// The hooks of a request.
fn hooks_of(asked: &Asked, answer: &Answer) -> Recorded {
    Recorded {
        hooks: asked.steps.iter().cloned().collect(),
        is_upgrade: asked.upgrade && !answer.context.options.upgrade,
        upgrades_deps: asked.upgrade_deps,
    }
}

fn permissions(host: &Host, is_forced: bool) -> Permissions<'_> {
    Permissions {
        force: if is_forced { Force::Yes } else { Force::No },
        cwd: host.cwd.as_deref(),
        lost: Lost::Refuse,
    }
}

/// What happens to what is replaced; the change itself decides it if no one asked.
fn retention(is_kept: bool) -> Option<Retention> {
    is_kept.then_some(Retention::Keep)
}

fn prepare(asked: &Asked, caller: &Caller<'_>, purpose: Purpose) -> Result<Answer, CreateFailed> {
    let env_dir = caller.host.env_dir(&asked.env_dir)?;
    let request = asked.request(caller.host, env_dir, purpose)?;
    let mut answer = caller.prepare(&request)?;
    answer.context.as_whole = asked.as_whole;
    Ok(answer)
}

/// What a run did, for Python.
struct Made {
    is_published: bool,
    digest: String,
    kept: Option<u32>,
}

/// Creates or changes an environment; `check` is called between publication and decision.
#[pyfunction]
#[pyo3(signature = (request, check=None))]
pub(crate) fn create(
    py: Python<'_>,
    request: Asked,
    check: Option<Py<PyAny>>,
) -> PyResult<Bound<'_, PyDict>> {
    let made = py.detach(|| {
        let watcher = Watcher::new();
        let made = create_detached(&request, check.as_ref(), &watcher);
        match (made, watcher.raised.into_inner()) {
            (Err(_), Some(raised)) => Err(Failed::Python(raised)),
            (made, _) => made,
        }
    });
    let shown = request.env_dir.to_string_lossy();
    let made = made.map_err(|failed| exception(py, failed, &shown))?;
    let dict = PyDict::new(py);
    dict.set_item("published", made.is_published)?;
    dict.set_item("digest", made.digest)?;
    dict.set_item("kept", made.kept)?;
    Ok(dict)
}

fn exception(py: Python<'_>, failed: Failed, path: &str) -> PyErr {
    match failed {
        Failed::Python(raised) => raised,
        Failed::Create(failed) => match *failed {
            CreateFailed::Run(RunFailed::Interrupted { .. }) => {
                PyKeyboardInterrupt::new_err(text(&*failed))
            }
            _ => of_create(py, &failed, path),
        },
    }
}

fn create_detached(
    asked: &Asked,
    check: Option<&Py<PyAny>>,
    watcher: &Watcher,
) -> Result<Made, Failed> {
    let host = Host::read()?;
    let fs = RealFs::new();
    let caller = Caller {
        fs: &fs,
        host: &host,
        listener: watcher,
    };
    let answer = prepare(asked, &caller, Purpose::Change)?;
    let hooks = hooks_of(asked, &answer);
    let intent = if answer.context.options.upgrade {
        rvenv::request::Intent::Upgrade
    } else {
        rvenv::request::Intent::Create
    };
    let checks = answer.checks(intent, &[], &[]);
    if !checks.is_empty() {
        answer.other_owner().map_or(Ok(()), Err)?;
    }
    let env = answer.env_at();
    let raised = RefCell::new(None);
    let checker = || {
        caller.check(&env, &checks)?;
        let Some(check) = check else { return Ok(()) };
        let root = fs.open_path(&env.dir);
        let root = root.map_err(|error| CheckFailed::Caller(Box::new(error)))?;
        call(check, &raised)?;
        let noted = receipt::refresh(&fs, &root);
        noted.map_err(|error| CheckFailed::Caller(Box::new(error)))?;
        sync(&fs, &root)
    };
    let terms = RunTerms {
        retention: intent.retention(retention(asked.keep)),
        permissions: permissions(&host, asked.force),
        check: (check.is_some() || !checks.is_empty()).then_some(&checker as &Checker<'_>),
        compilation: Compilation::Refused,
        ..RunTerms::default()
    };
    let ended = caller.run(&terms, |run| {
        environment::create(run, &hooks, &answer.context)
    });
    match (ended, raised.into_inner()) {
        (Ok(outcome), _) => Ok(made(&outcome)),
        // The undo worked, so that what was raised is all that there is to say.
        (Err(RunFailed::Check { ending, .. }), Some(raised)) => {
            discard(&caller, &env.dir, &ending);
            Err(Failed::Python(raised))
        }
        (Err(failed), Some(raised)) => Err(Failed::Python(Python::attach(|py| {
            let path = env.dir.to_string_lossy();
            let exception = of_create(py, &CreateFailed::from(failed), &path);
            exception.set_cause(py, Some(raised));
            exception
        }))),
        (Err(failed), None) => Err(failed.into()),
    }
}

/// Calls Python's check; keeps what it raises.
fn call(check: &Py<PyAny>, raised: &RefCell<Option<PyErr>>) -> Result<(), CheckFailed> {
    Python::attach(|py| {
        check.call0(py).map(drop).map_err(|error| {
            *raised.borrow_mut() = Some(error);
            CheckFailed::Caller(Box::new(Raised))
        })
    })
}

/// Makes durable what the check wrote; `root` was opened before it wrote anything.
fn sync(fs: &RealFs, root: &Dir) -> Result<(), CheckFailed> {
    let synced = match fs.sync_filesystem(root) {
        Ok(Barrier::PerObject) => sync_objects(fs, root),
        Ok(Barrier::Filesystem) => Ok(()),
        Err(error) => Err(error),
    };
    synced.map_err(|error| CheckFailed::Caller(Box::new(error)))
}

fn sync_objects(fs: &RealFs, dir: &Dir) -> Result<(), FsError> {
    for name in fs.list(dir)? {
        match fs.meta(dir, &name)?.map(|meta| meta.kind) {
            Some(Kind::Dir) => sync_objects(fs, &fs.open_dir(dir, &name)?)?,
            Some(Kind::File) => fs.sync_file(dir, &name)?,
            Some(Kind::Symlink | Kind::Other) | None => {}
        }
    }
    fs.sync_dir(dir)
}

/// Deletes the tree that the caller's own code changed before it failed: the engine keeps a changed
/// tree, since it cannot know what it is worth. What cannot be deleted stays a generation.
fn discard(caller: &Caller<'_>, env_dir: &Path, ending: &Ending) {
    let Some(kept) = &ending.kept else { return };
    let Ok(target) = Target::open(caller.fs, env_dir, Parents::Require) else {
        return;
    };
    let owner = format!("process {}", std::process::id());
    if let Ok((ready, _)) = target.lock(&owner, &mut |_| Patience::GiveUp) {
        drop(ready.discard_generation(kept.generation));
    }
}

fn made(outcome: &Outcome) -> Made {
    let digest = outcome.plan().digest().to_string();
    match outcome {
        Outcome::NoChanges(_) => Made {
            is_published: false,
            digest,
            kept: None,
        },
        Outcome::Published(report) => Made {
            is_published: true,
            digest,
            kept: report.ending.kept.as_ref().map(|kept| kept.generation),
        },
    }
}

/// The texts that a hook of venv would write: path, bytes and permissions of each file.
#[pyfunction]
pub(crate) fn texts(
    py: Python<'_>,
    request: Asked,
    hook: &str,
) -> PyResult<Vec<(String, Vec<u8>, u32)>> {
    let shown = request.env_dir.to_string_lossy().into_owned();
    let made = py.detach(|| texts_detached(&request, hook));
    made.map_err(|failed| exception(py, failed, &shown))
}

fn texts_detached(asked: &Asked, hook: &str) -> Result<Vec<(String, Vec<u8>, u32)>, Failed> {
    let host = Host::read()?;
    let fs = RealFs::new();
    let watcher = Watcher::new();
    let caller = Caller {
        fs: &fs,
        host: &host,
        listener: &watcher,
    };
    let answer = prepare(asked, &caller, Purpose::Show)?;
    let hooks = hooks_of(asked, &answer);
    let context = &answer.context;
    let mut draft = Draft::new(context).map_err(RequestFailed::from)?;
    let written = match hook {
        "create_configuration" => hooks.create_configuration(context, &mut draft),
        "setup_scripts" => hooks.setup_scripts(context, &mut draft),
        _ => Ok(()),
    };
    written.map_err(RequestFailed::from)?;
    let files = draft.plan().operations().iter();
    let files = files.filter_map(|(path, operation)| match &operation.node {
        Node::File {
            mode,
            content: Content::Inline(bytes),
            ..
        } => Some((path.to_string(), bytes.clone(), mode.bits())),
        Node::File { .. } | Node::Dir { .. } | Node::Symlink { .. } => None,
    });
    Ok(files.collect())
}

/// What a creation would do, as a value that can be saved and applied.
#[pyclass(frozen, module = "rvenv")]
pub(crate) struct Plan {
    plan: rvenv_journal::Plan,
    /// Downloaded wheels that the plan names; they are deleted with it.
    _downloads: Option<Answer>,
}

/// Plans what `create` would do; writes nothing to the environment.
#[pyfunction]
pub(crate) fn plan(py: Python<'_>, request: Asked) -> PyResult<Plan> {
    let shown = request.env_dir.to_string_lossy().into_owned();
    let made = py.detach(|| {
        let watcher = Watcher::new();
        let made = plan_detached(&request, &watcher);
        match (made, watcher.raised.into_inner()) {
            (Err(_), Some(raised)) => Err(Failed::Python(raised)),
            (made, _) => made,
        }
    });
    made.map_err(|failed| exception(py, failed, &shown))
}

fn plan_detached(asked: &Asked, watcher: &Watcher) -> Result<Plan, Failed> {
    let host = Host::read()?;
    let fs = RealFs::new();
    let caller = Caller {
        fs: &fs,
        host: &host,
        listener: watcher,
    };
    let answer = prepare(asked, &caller, Purpose::Show)?;
    let hooks = hooks_of(asked, &answer);
    let plan = environment::plan(
        &fs,
        &hooks,
        &answer.context,
        permissions(&host, asked.force),
    );
    Ok(Plan {
        plan: plan.map_err(CreateFailed::from)?,
        _downloads: Some(answer),
    })
}

/// Reads a plan that `Plan.to_json` or `rvenv plan --json` wrote.
#[pyfunction]
pub(crate) fn read_plan(py: Python<'_>, text: &[u8]) -> PyResult<Plan> {
    let read = rvenv_journal::Plan::from_json(text);
    let plan = read.map_err(|error| raise(py, "PlanError", &error, None))?;
    Ok(Plan {
        plan,
        _downloads: None,
    })
}

#[pymethods]
impl Plan {
    /// The absolute path of the environment.
    #[getter]
    fn env_dir(&self) -> &str {
        self.plan.target()
    }

    /// SHA-256 of the plan, as hexadecimal digits.
    #[getter]
    fn digest(&self) -> String {
        self.plan.digest().to_string()
    }

    /// How it is published: `nothing`, `put`, `replace`, `merge` or `refill`.
    #[getter]
    fn publication(&self) -> String {
        format!("{:?}", self.plan.publication()).to_lowercase()
    }

    /// The planned paths, relative to the environment, sorted.
    #[getter]
    fn paths(&self) -> Vec<String> {
        let operations = self.plan.operations();
        operations.keys().map(ToString::to_string).collect()
    }

    /// The plan as JSON, which `rvenv apply` and `rvenv.read_plan` read.
    fn to_json(&self) -> String {
        self.plan.to_json()
    }

    fn __str__(&self) -> String {
        let replaced = environment::look_at_replaced(&RealFs::new(), &self.plan);
        without_colours(&render::plan(&self.plan, &replaced, Detail::Folded))
    }

    fn __repr__(&self) -> String {
        let Self { plan, .. } = self;
        format!("<rvenv.Plan {} for {:?}>", plan.digest(), plan.target())
    }

    /// Carries the plan out, if it still fits; returns whether anything changed.
    #[pyo3(signature = (*, force = false, keep = false))]
    fn apply(&self, py: Python<'_>, force: bool, keep: bool) -> PyResult<bool> {
        let watcher_and_end = py.detach(|| {
            let watcher = Watcher::new();
            let made = apply_detached(&self.plan, ApplyTerms { force, keep }, &watcher);
            match (made, watcher.raised.into_inner()) {
                (Err(_), Some(raised)) => Err(Failed::Python(raised)),
                (made, _) => made,
            }
        });
        watcher_and_end.map_err(|failed| exception(py, failed, self.plan.target()))
    }
}

/// A text without the sequences by which terminals colour it.
fn without_colours(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    plain
}

/// The arguments of `Plan.apply`.
#[derive(Clone, Copy)]
struct ApplyTerms {
    force: bool,
    keep: bool,
}

fn apply_detached(
    plan: &rvenv_journal::Plan,
    asked: ApplyTerms,
    watcher: &Watcher,
) -> Result<bool, Failed> {
    let host = Host::read()?;
    let fs = RealFs::new();
    let caller = Caller {
        fs: &fs,
        host: &host,
        listener: watcher,
    };
    let terms = RunTerms {
        permissions: permissions(&host, asked.force),
        retention: retention(asked.keep),
        ..RunTerms::default()
    };
    let outcome = caller.run(&terms, |run| environment::apply(run, plan))?;
    Ok(matches!(outcome, Outcome::Published(_)))
}
