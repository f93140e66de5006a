//! The interpreter of an environment on Windows: programs of the base installation, under the names
//! that it needs.
//!
//! Promises to plan nothing unless the installation's programs are known: without a program there
//! is no environment. `pip.rs` plans the launchers of packages' programs.
//!
//! Read next: `../windows_programs.rs`, which decides which program goes where.

use rvenv_journal::raw::Input;
use rvenv_journal::{Content, Mode, Node};

use super::{Context, Draft, HookError};
use crate::build::{roles, windows_programs};

/// Plans the programs, as copies or as links.
pub(super) fn setup_python(context: &Context, draft: &mut Draft) -> Result<(), HookError> {
    let interpreter = &context.interpreter;
    let symlinks = context.options.symlinks;
    let chosen = windows_programs::chosen(interpreter, symlinks, &context.programs);
    let main = context.layout.env_exe.name();
    if !chosen.iter().any(|(name, _)| name == main) {
        let shown = interpreter.executable.to_string_lossy();
        return Err(HookError::NoProgram(shown.escape_debug().to_string()));
    }
    for (name, program) in chosen {
        let path = program.path.to_string_lossy().into_owned();
        let (digest, len) = (program.digest, program.len);
        draft.plan().add_input(Input {
            role: roles::INTERPRETER.to_owned(),
            path: path.clone(),
            found: None,
            url: None,
            digest,
            len,
        });
        let node = if symlinks {
            Node::Symlink { target: path }
        } else {
            Node::File {
                mode: Mode::SHARED_DIR,
                mtime: context.options.epoch,
                content: Content::Local { path, digest, len },
            }
        };
        draft.node(context.layout.bin_name.join(&name)?, node)?;
    }
    Ok(())
}
