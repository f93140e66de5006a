//! What the command reports when a request has no answer: no wheel, no bytecode, no environment.
//!
//! Read next: `../advice.rs`.

use rvenv::bytecode::CompileFailed;
use rvenv::download::DownloadFailed;
use rvenv::provision::BytecodeFailed;
use rvenv::render::escape;
use rvenv::request::RequestFailed;

use super::{CliError, Exit, interruption, of_base, of_existing, of_interpreter, of_plan};

/// Describes why a request failed.
pub(crate) fn of_request(failed: RequestFailed, terminated: bool) -> CliError {
    match failed {
        RequestFailed::Interpreter(error) => of_interpreter(&error, terminated),
        RequestFailed::Base(error) => of_base(&error, terminated),
        RequestFailed::Hook(error) => of_plan(&error.into()),
        RequestFailed::Target(error) => of_plan(&error.into()),
        RequestFailed::Existing(error) => of_existing(&error),
        RequestFailed::NoEnvironment { path, source } => {
            let shown = escape(&path.to_string_lossy());
            CliError::new(
                Exit::Precondition,
                format!("there is no environment at `{shown}`"),
            )
            .because(&source)
            .hint("make one with `rvenv create`")
        }
        RequestFailed::NoDownloads(_) => CliError::of(Exit::Failed, &failed),
        RequestFailed::Download(error) => of_download(&error, terminated),
        RequestFailed::Bytecode(error) => of_bytecode(&error, terminated),
    }
}

/// Describes why the newest pip could not be downloaded.
fn of_download(failed: &DownloadFailed, terminated: bool) -> CliError {
    let exit = if matches!(failed, DownloadFailed::Interrupted { .. }) {
        interruption(terminated)
    } else {
        Exit::Failed
    };
    CliError::of(exit, failed)
        .hint("check that pip can reach its index, or leave out `--upgrade-deps`")
}

/// Describes why there is no bytecode.
fn of_bytecode(failed: &BytecodeFailed, terminated: bool) -> CliError {
    match failed {
        BytecodeFailed::Compile(CompileFailed::Interrupted { .. }) => {
            CliError::of(interruption(terminated), failed)
        }
        BytecodeFailed::Compile(_) => CliError::of(Exit::Failed, failed)
            .hint("leave out `--compile-bytecode`: Python compiles what it imports"),
        BytecodeFailed::Wheel(_) => CliError::of(Exit::Failed, failed)
            .hint("reinstall that Python, name another with `--python`, or use `--without-pip`"),
    }
}
