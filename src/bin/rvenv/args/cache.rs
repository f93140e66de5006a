//! The arguments of the commands on the cache.
//!
//! Read next: `../commands/cache.rs`.

use clap::{Args, Subcommand};

use super::Deferred;
use super::registry::{CachePullArgs, CachePushArgs};
use super::shared::TARGET;

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Print the directory of the cache
    ///
    /// That is `RVENV_CACHE_DIR`, or `rvenv` in the user's cache directory.
    Dir,
    /// Compare every unpacked file with its wheel, and delete what differs
    ///
    /// Compares every byte. What is deleted is unpacked again when it is needed. Exits with 4 when
    /// something differed. `rvenv verify` compares an environment.
    Verify,
    /// Push the wheels that the cache has as files into a registry
    ///
    /// Other machines then find them by their digests, with `--from oci://HOST/REPOSITORY`. What is
    /// there is not sent. Prints the reference with the digest.
    Push(Deferred<CachePushArgs>),
    /// Fetch the wheels of a registry into the cache
    ///
    /// Those that `rvenv cache push` or `rvenv push` put there under one tag or digest. Prints the
    /// reference with the digest.
    Pull(Deferred<CachePullArgs>),
    /// Delete what is unused
    ///
    /// Deletes unfinished work of dead processes, damaged files, notes on interpreters and wheels
    /// that are gone or have changed, and wheels that were not used for a while and share no file
    /// with an environment; deleting shared files would free next to nothing. Environments on
    /// another filesystem, or made with --link-mode copy, share no files. `rvenv cache clear`
    /// deletes everything.
    Prune(CachePruneArgs),
    /// Delete everything, except what another process is unpacking
    ///
    /// Environments keep working. `rvenv cache prune` deletes only what is unused.
    Clear,
}

#[derive(Debug, Args)]
pub(crate) struct CachePruneArgs {
    /// Keep wheels that were used within so many days; 0 keeps only wheels that share files with
    /// environments
    #[arg(long, value_name = "DAYS", default_value_t = 30, help_heading = TARGET)]
    pub(crate) unused_for: u32,
}
