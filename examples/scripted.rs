//! Environments with a team's own scripts, adapted to each environment: venv's `install_scripts`.
//!
//!     cargo run --example scripted -- SCRIPTS ENV_DIR
//!
//! SCRIPTS has the folders `common`, `posix` and `nt`, as in venv. In their files `__VENV_DIR__`,
//! `__VENV_NAME__`, `__VENV_PROMPT__`, `__VENV_BIN_NAME__` and `__VENV_PYTHON__` are replaced by
//! the values of the environment, each quoted as one word of the script's language. A first line
//! `#!__VENV_PYTHON__` starts the environment's interpreter, whatever its path.

use std::error::Error;
use std::path::Path;

use rvenv::hooks::{Context, Draft};
use rvenv::host::Host;
use rvenv::scripts::ScriptTree;
use rvenv::{Created, EnvBuilder, HookError, Hooks};

struct Scripted {
    scripts: ScriptTree,
}

impl Hooks for Scripted {
    fn post_setup(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        self.install_scripts(context, &self.scripts, draft)
    }
}

/// Makes an environment with the scripts of a directory.
pub(crate) fn make(
    host: &Host,
    builder: &EnvBuilder,
    scripts: &Path,
    env_dir: &Path,
) -> Result<Created, Box<dyn Error>> {
    // Read here, because a hook has no disk.
    let scripts = ScriptTree::read(scripts)?;
    Ok(builder.create_on(host, &Scripted { scripts }, env_dir)?)
}

#[expect(clippy::print_stdout, reason = "an example tells what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scripts, env_dir] = arguments.as_slice() else {
        return Err("usage: scripted SCRIPTS ENV_DIR".into());
    };
    let builder = EnvBuilder::command_line();
    let made = make(
        &Host::read()?,
        &builder,
        Path::new(scripts),
        Path::new(env_dir),
    )?;
    println!("the scripts are in {}", made.context.bin_path());
    Ok(())
}
