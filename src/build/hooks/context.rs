//! The context: everything that a hook may know, as values, under the names that `venv` gives to
//! them.
//!
//! Promises to consist of facts collected beforehand: nothing in it reads a disk except the
//! catalogue of wheels, which only reads files that were named when the context was created. Does
//! not have venv's `script_path`, which one hook would set for another.
//!
//! Read next: `../layout.rs`, where the names come from; `draft.rs`, what a hook does with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rvenv_journal::raw::Statement;
use rvenv_journal::{Digest, Mode, RelPath};

use super::HookError;
use crate::base::early_look::EarlyLook;
use crate::build::layout::Layout;
use crate::build::options::{Options, check_path, check_prompt};
use crate::build::pyvenv_cfg;
use crate::build::supply::{Extraneous, LookedUp, Supply, WheelSource};
use crate::build::windows_programs::Program;
use crate::python::Interpreter;
use crate::python::bytecode::Bytecode;
use crate::wheel::checked_files::CheckedFiles;
use crate::wheel::distributions::Distribution;
use crate::wheel::{Catalogue, Named};

/// Everything that a hook may know: venv's context, as values.
#[derive(Clone, Debug)]
pub struct Context {
    /// The environment's absolute path.
    pub env_dir: String,
    /// The last component of that path.
    pub env_name: String,
    /// The prompt, without parentheses.
    pub prompt: String,
    /// The base interpreter.
    pub interpreter: Interpreter,
    /// Names and paths in the environment.
    pub layout: Layout,
    /// The options of the environment.
    pub options: Options,
    /// The distributions in the layout's own directory of packages; none in a new environment.
    pub installed: Vec<Distribution>,
    /// The wheels that may be installed; those that are bundled with the interpreter come first.
    pub supplies: Vec<Supply>,
    /// What happens to installed distributions that no lock names.
    pub extraneous: Extraneous,
    /// The names of distributions for another Python that go because no lock names them.
    pub leaving: Vec<String>,
    /// The names of installed distributions that go.
    pub removed: BTreeSet<String>,
    /// What the receipt states about wheels of distributions that may stay as they are, by the
    /// digests of the wheels: no file is looked for if a lock names one of these.
    pub keepable: BTreeMap<Digest, Statement>,
    /// What was begun to be looked at of the environment.
    pub early: EarlyLook,
    /// The wheels that were looked up for distributions which do not fit a new Python; `None` if no
    /// caller looked for any.
    pub looked_up: Option<Vec<LookedUp>>,
    /// The files of the environment that this process has hashed.
    pub checked: CheckedFiles,
    /// On Windows, the files of the base installation that the environment may need, found
    /// beforehand.
    pub programs: Vec<Program>,
    /// The bytecode that was compiled for `compile_bytecode`.
    pub bytecode: Bytecode,
    /// The facts about wheels that were read, so that none is read twice.
    pub wheels: Catalogue,
    /// Whether an existing environment is replaced by one tree with everything that it has, rather
    /// than changed entry by entry: what a check of the caller changes in it can then be taken
    /// back.
    pub as_whole: bool,
}

impl Context {
    /// The context for a new environment at `env_dir`, an absolute path in its normal form.
    ///
    /// # Errors
    /// Paths and prompts that are refused, and interpreters without a layout.
    pub fn new(
        env_dir: &str,
        interpreter: Interpreter,
        options: Options,
    ) -> Result<Self, HookError> {
        check_path(env_dir)?;
        let layout = Layout::of(&interpreter)?;
        let windows = interpreter.platform.os_name == "nt";
        let mut components = env_dir.rsplit(|c| c == '/' || (windows && c == '\\'));
        let env_name = components.next().unwrap_or(env_dir).to_owned();
        let asked = options.prompt_for(&interpreter.version);
        let prompt = asked.unwrap_or(&env_name).to_owned();
        check_prompt(&prompt)?;
        let supplies =
            Supply::from_source(interpreter.bundled.wheels(), WheelSource::Bundled).collect();
        Ok(Self {
            env_dir: env_dir.to_owned(),
            env_name,
            prompt,
            interpreter,
            layout,
            options,
            installed: Vec::new(),
            supplies,
            extraneous: Extraneous::Stay,
            leaving: Vec::new(),
            removed: BTreeSet::new(),
            keepable: BTreeMap::new(),
            early: EarlyLook::default(),
            looked_up: None,
            checked: CheckedFiles::default(),
            programs: Vec::new(),
            bytecode: Bytecode::default(),
            wheels: Catalogue::default(),
            as_whole: false,
        })
    }

    /// The version of a distribution that the interpreter brings for new environments.
    #[must_use]
    pub fn bundled_version(&self, name: &str) -> Option<String> {
        let mut bundled = self
            .supplies
            .iter()
            .filter(|supply| supply.source == WheelSource::Bundled);
        let found =
            bundled.find_map(|supply| Named::of(&supply.wheel).filter(|wheel| wheel.name == name));
        found.map(|wheel| wheel.version)
    }

    /// The absolute path of a file in the environment.
    #[must_use]
    pub fn absolute(&self, path: &RelPath) -> String {
        self.below(path.as_str())
    }

    fn below(&self, path: &str) -> String {
        if self.interpreter.platform.os_name == "nt" {
            let dir = self.env_dir.trim_end_matches(['/', '\\']);
            return format!("{dir}\\{}", path.replace('/', "\\"));
        }
        format!("{}/{path}", self.env_dir.trim_end_matches('/'))
    }

    /// The same context for a filesystem without symbolic links: the interpreter is copied, and no
    /// link leads to `lib`.
    #[must_use]
    pub fn without_symlinks(&self) -> Self {
        let mut context = self.clone();
        context.options.symlinks = false;
        context.layout.lib64_link = false;
        context
    }

    /// The base executable, links not resolved: venv's `executable`.
    #[must_use]
    pub fn executable(&self) -> &Path {
        &self.interpreter.executable
    }

    /// The directory of the base executable.
    #[must_use]
    pub fn python_dir(&self) -> &Path {
        &self.layout.python_dir
    }

    /// The name of the base executable in the environment.
    #[must_use]
    pub fn python_exe(&self) -> &str {
        self.layout.env_exe.name()
    }

    /// The absolute path of the directory of C headers.
    #[must_use]
    pub fn inc_path(&self) -> String {
        self.absolute(&self.layout.inc_path)
    }

    /// The absolute path of the directory of packages.
    #[must_use]
    pub fn lib_path(&self) -> String {
        self.absolute(&self.layout.lib_path)
    }

    /// The absolute path of the directory of packages with compiled code.
    #[must_use]
    pub fn platlib_path(&self) -> String {
        self.absolute(&self.layout.platlib_path)
    }

    /// The absolute path of the directory of executables.
    #[must_use]
    pub fn bin_path(&self) -> String {
        self.absolute(&self.layout.bin_name)
    }

    /// The name of the directory of executables: `bin` or `Scripts`.
    #[must_use]
    pub fn bin_name(&self) -> &str {
        self.layout.bin_name.as_str()
    }

    /// The absolute path of the environment's interpreter.
    #[must_use]
    pub fn env_exe(&self) -> String {
        self.absolute(&self.layout.env_exe)
    }

    /// The command that starts the environment's interpreter: [`env_exe`](Self::env_exe), because
    /// the caller has already normalized a path on Windows.
    #[must_use]
    pub fn env_exec_cmd(&self) -> String {
        self.env_exe()
    }

    /// The absolute path of `pyvenv.cfg`.
    #[must_use]
    pub fn cfg_path(&self) -> String {
        self.below(pyvenv_cfg::CONFIG_NAME)
    }

    pub(crate) fn dir_mode(&self) -> Mode {
        Mode::ALL.masked(self.options.umask)
    }

    /// A mode that venv sets whatever the umask. A default ACL overrides even that, as it does for
    /// what `open` creates.
    pub(super) fn fixed_mode(&self, mode: Mode) -> Mode {
        match (self.options.umask_is_of_acl, mode.bits() & 0o111) {
            (false, _) => mode,
            (true, 0) => self.data_mode(),
            (true, _) => self.dir_mode(),
        }
    }

    pub(crate) fn data_mode(&self) -> Mode {
        Mode::ALL_DATA.masked(self.options.umask)
    }
}
