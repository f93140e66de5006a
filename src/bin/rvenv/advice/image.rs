//! What the command reports when there is no image.
//!
//! Read next: `../advice.rs`.

use std::io::ErrorKind;

use rvenv::imaging::{BaseFault, ImageFailed};
use rvenv::provision::BytecodeLost;
use rvenv_journal::ContentError;

use super::{CliError, Code, State, interruption, of_pull};

/// Describes why there is no image.
pub(crate) fn of_image(failed: &ImageFailed, terminated: bool) -> CliError {
    let code = match failed {
        ImageFailed::OfExisting(_) | ImageFailed::OtherSystem(_) | ImageFailed::Whiteout(_) => {
            Code::UnsuitedPlan
        }
        ImageFailed::Content { source, .. } => match lost_bytecode(source) {
            Some(BytecodeLost::Interrupted) => interruption(terminated),
            Some(BytecodeLost::OtherPython) => Code::StalePlan,
            Some(BytecodeLost::NoCompiler | BytecodeLost::Failed(_)) => Code::CompileFailed,
            None => Code::Content,
        },
        ImageFailed::NoName(_) => Code::NotSaved,
        ImageFailed::Exists(_) | ImageFailed::Foreign { .. } => Code::ImageExists,
        ImageFailed::Disk { source, .. } => {
            let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
            if full.contains(&source.kind()) {
                Code::NoSpace
            } else {
                Code::NotSaved
            }
        }
        ImageFailed::Doubt { .. } => Code::InDoubt,
        ImageFailed::NoTool { .. } => Code::NoImageTool,
        ImageFailed::Tool { .. } => Code::ImageFailed,
        ImageFailed::BaseOfFilesystem => Code::Usage,
        ImageFailed::Base { source, .. } => match source {
            BaseFault::Pull(why) => {
                return of_pull(why, terminated).leaving(State::ImageNotWritten);
            }
            BaseFault::Absent | BaseFault::Lacks(_) => Code::FetchFailed,
            BaseFault::Read { .. }
            | BaseFault::Malformed { .. }
            | BaseFault::Damaged(_)
            | BaseFault::None(_)
            | BaseFault::Several(..)
            | BaseFault::Layers { .. }
            | BaseFault::NoInterpreter(_)
            | BaseFault::Crowded(_) => Code::BadBase,
        },
        ImageFailed::Interrupted => interruption(terminated),
    };
    let state = if matches!(failed, ImageFailed::Doubt { .. }) {
        State::ImageInDoubt
    } else {
        State::ImageNotWritten
    };
    let told = CliError::of(code, failed).leaving(state);
    match hint(failed) {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

fn lost_bytecode(failed: &ContentError) -> Option<&BytecodeLost> {
    match failed {
        ContentError::Read { source, .. } => source.downcast_ref(),
        ContentError::Unknown(_) | ContentError::Damaged { .. } => None,
    }
}

fn hint(failed: &ImageFailed) -> Option<String> {
    let hint = match failed {
        ImageFailed::OfExisting(_) => {
            "make a plan for a path where nothing exists with `rvenv plan -o FILE`"
        }
        ImageFailed::OtherSystem(_) => "make the plan on Linux",
        ImageFailed::Whiteout(_) => "make a filesystem of it: `--format squashfs`",
        ImageFailed::Content { source, .. } => match lost_bytecode(source) {
            Some(BytecodeLost::NoCompiler) => {
                "with `--compile-bytecode` the interpreter that the plan names may compile it again"
            }
            Some(BytecodeLost::OtherPython) => "make a new plan with `rvenv plan`",
            Some(BytecodeLost::Interrupted | BytecodeLost::Failed(_)) => return None,
            None => {
                "run the command again; `rvenv cache verify` deletes damaged files of the cache"
            }
        },
        ImageFailed::NoName(_) | ImageFailed::Disk { .. } => {
            "name a path in an existing, writable directory with enough room"
        }
        ImageFailed::Doubt { .. } => "check the disk, and make the image again with `--force`",
        ImageFailed::Exists(_) => "name another path, or replace an image with `--force`",
        ImageFailed::Foreign { .. } => "name another path, or delete it by hand",
        ImageFailed::NoTool { package, .. } => {
            return Some(format!("install the package `{package}`"));
        }
        ImageFailed::BaseOfFilesystem => "leave out `--base`, or `--format`",
        ImageFailed::Base { source, .. } => match source {
            BaseFault::Several(..) => "name one by its tag or digest, as in `--base DIR:TAG`",
            BaseFault::Absent => "`skopeo list-tags docker://HOST/REPOSITORY` lists what there is",
            BaseFault::Lacks(_) => "copy the image and all that it lists: `skopeo copy --all`",
            BaseFault::Pull(_) => return None,
            BaseFault::NoInterpreter(_) => {
                "make the plan in a container of the base, or leave out `--base`"
            }
            BaseFault::Read { .. }
            | BaseFault::Malformed { .. }
            | BaseFault::Damaged(_)
            | BaseFault::None(_)
            | BaseFault::Layers { .. }
            | BaseFault::Crowded(_) => {
                "`skopeo copy docker://IMAGE oci:DIR` writes a layout that can be a base"
            }
        },
        ImageFailed::Tool { .. } | ImageFailed::Interrupted => return None,
    };
    Some(hint.to_owned())
}
