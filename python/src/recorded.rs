//! The hooks of a Python builder, as the steps that they planned.
//!
//! Promises that a step does what the library's hook or draft does: Python records, and this plays
//! it under the lock of the target.
//! Read next: the library's `hooks.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use rvenv::hooks::{Context, Draft, Venv};
use rvenv::{HookError, Hooks, pyvenv_cfg};
use rvenv_journal::{Mode, RelPath};

/// One thing that a hook planned.
#[derive(Clone)]
pub(crate) enum Step {
    /// A file: path, bytes, permissions (those of the umask if `None`).
    File(String, Vec<u8>, Option<u32>),
    /// A link: path, target.
    Link(String, String),
    /// A directory.
    Dir(String),
    /// A wheel.
    Wheel(PathBuf),
    /// What venv does.
    Base,
}

impl<'py> FromPyObject<'_, 'py> for Step {
    type Error = PyErr;

    /// A tuple whose first item says what it is; `base` is alone.
    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if given.is_instance_of::<PyString>() {
            return Ok(Self::Base);
        }
        let at = |index: usize| given.get_item(index);
        let kind: String = at(0)?.extract()?;
        Ok(match kind.as_str() {
            "file" => Self::File(at(1)?.extract()?, at(2)?.extract()?, at(3)?.extract()?),
            "link" => Self::Link(at(1)?.extract()?, at(2)?.extract()?),
            "dir" => Self::Dir(at(1)?.extract()?),
            "wheel" => Self::Wheel(at(1)?.extract()?),
            _ => return Err(PyValueError::new_err(format!("no step is called {kind:?}"))),
        })
    }
}

/// What was recorded, by hook.
pub(crate) struct Recorded {
    pub(crate) hooks: BTreeMap<String, Vec<Step>>,
    /// Whether `pyvenv.cfg` names `--upgrade` although the environment is new.
    pub(crate) is_upgrade: bool,
    /// Whether it names `--upgrade-deps` although an override does that.
    pub(crate) upgrades_deps: bool,
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> HookError {
    HookError::Other(Box::new(error))
}

/// Takes away what an earlier step planned at a path, so that the later one counts, as on a disk.
fn make_room(path: &str, draft: &mut Draft) -> Result<(), HookError> {
    let path = RelPath::new(path)?;
    draft.plan().leave(&path);
    Ok(())
}

type Base<'a> = &'a dyn Fn(&mut Draft) -> Result<(), HookError>;

impl Recorded {
    /// Plays the steps of a hook.
    fn play(
        &self,
        hook: &str,
        context: &Context,
        draft: &mut Draft,
        base: Base<'_>,
    ) -> Result<(), HookError> {
        let Some(steps) = self.hooks.get(hook) else {
            return base(draft);
        };
        for step in steps {
            match step {
                Step::Base => base(draft)?,
                Step::File(path, bytes, mode) => {
                    make_room(path, draft)?;
                    match mode {
                        Some(bits) => {
                            let mode = Mode::new(*bits).map_err(other)?;
                            draft.file_with_mode(path, bytes.clone(), mode)?;
                        }
                        None => draft.file(path, bytes.clone())?,
                    }
                }
                Step::Link(path, target) => {
                    make_room(path, draft)?;
                    draft.symlink(path, target)?;
                }
                Step::Dir(path) => draft.dir(path)?,
                Step::Wheel(path) => draft.install(context, path)?,
            }
        }
        Ok(())
    }
}

impl Hooks for Recorded {
    fn ensure_directories(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        self.play("ensure_directories", context, draft, &|draft| {
            Venv.ensure_directories(context, draft)
        })
    }

    fn create_scm_ignore_file(
        &self,
        scm: &str,
        context: &Context,
        draft: &mut Draft,
    ) -> Result<(), HookError> {
        self.play(
            &format!("create_{scm}_ignore_file"),
            context,
            draft,
            &|draft| Venv.create_scm_ignore_file(scm, context, draft),
        )
    }

    fn create_configuration(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        self.play("create_configuration", context, draft, &|draft| {
            let mut options = context.options.clone();
            options.upgrade |= self.is_upgrade;
            options.upgrade_deps |= self.upgrades_deps;
            let Context {
                interpreter,
                layout,
                env_dir,
                ..
            } = context;
            let text = pyvenv_cfg::render(interpreter, layout, &options, env_dir);
            draft.file(pyvenv_cfg::CONFIG_NAME, text)
        })
    }

    fn setup_python(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        self.play("setup_python", context, draft, &|draft| {
            Venv.setup_python(context, draft)
        })
    }

    fn setup_pip(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        self.play("_setup_pip", context, draft, &|draft| {
            Venv.setup_pip(context, draft)
        })
    }

    fn setup_scripts(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        self.play("setup_scripts", context, draft, &|draft| {
            Venv.setup_scripts(context, draft)
        })
    }

    fn post_setup(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        self.play("post_setup", context, draft, &|_| Ok(()))
    }

    fn upgrade_dependencies(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        self.play("upgrade_dependencies", context, draft, &|draft| {
            Venv.upgrade_dependencies(context, draft)
        })
    }
}
