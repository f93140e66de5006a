//! What the command reports when something cannot be attached in a registry, or read back.
//!
//! Read next: `../advice.rs`.

use rvenv::attaching::AttachFailed;
use rvenv::fetch::RegistryFailed;
use rvenv::wheel::WheelError;

use super::registry::way_out;
use super::{CliError, Code, interruption, of_pull};

/// Describes why something could not be attached, or what is attached could not be had.
pub(crate) fn of_attach(failed: AttachFailed, terminated: bool) -> CliError {
    match failed {
        AttachFailed::Pull(failed) => of_pull(&failed, terminated),
        AttachFailed::Registry(RegistryFailed::Interrupted) => {
            CliError::of(interruption(terminated), &failed)
        }
        AttachFailed::Registry(ref why) => {
            let code = match why {
                RegistryFailed::Blob { .. } | RegistryFailed::PutManifest { .. } => {
                    Code::PushFailed
                }
                RegistryFailed::GetManifest { .. }
                | RegistryFailed::Referrers { .. }
                | RegistryFailed::Thread(_)
                | RegistryFailed::Interrupted
                | _ => Code::FetchFailed,
            };
            CliError::of(code, &failed).hint(way_out(why))
        }
        AttachFailed::Absent(_) => CliError::of(Code::FetchFailed, &failed)
            .hint("`rvenv push` prints the reference of what it pushed"),
        AttachFailed::MediaType(_) => CliError::of(Code::Usage, &failed).hint(
            "write `TYPE/SUBTYPE`, as in `--type application/vnd.dev.cosign.simplesigning.v1+json`",
        ),
        AttachFailed::Name(_) => {
            CliError::of(Code::Usage, &failed).hint("give the file a name that is UTF-8")
        }
        AttachFailed::File { .. } => CliError::of(Code::Disk, &failed),
        AttachFailed::List { .. } => CliError::of(Code::FetchFailed, &failed)
            .hint("another tool wrote it; delete its tag `sha256-DIGEST` in the registry"),
        AttachFailed::Raced(_) => CliError::of(Code::PushFailed, &failed)
            .hint("the file is there, and no list has it: run the same command again"),
        AttachFailed::Settings(_) => CliError::of(Code::BadSetting, &failed),
    }
}

/// Describes why a wheel could not be described.
pub(crate) fn of_described(failed: &WheelError) -> CliError {
    CliError::of(Code::BadWheel, failed)
}
