//! Runs other transactional engines, which replace files as their own documentation shows, and
//! times them from their first call to their last.
//!
//! `engines fstx|fs-transaction all|ten FILES EDITION DIR` prints nanoseconds, or the error.
//! Read next: `../../lab/engine.rs`, which starts this and compares every byte afterwards.

#[path = "../../lab/small_files.rs"]
mod small_files;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use fs_transaction::{ChangeSet, StdFs, exec::block_on, recover};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(nanos) => {
            println!("{nanos}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<u128, Failure> {
    let [engine, workload, files, edition, dir] = words else {
        return Err("engines ENGINE all|ten FILES EDITION DIR".into());
    };
    let (files, edition) = (files.parse()?, edition.parse()?);
    let replaced = small_files::replaced(workload, files);
    let bytes: Vec<_> = replaced
        .into_iter()
        .map(|file| (small_files::path(file), small_files::bytes(file, edition)))
        .collect();
    let start = Instant::now();
    match engine.as_str() {
        "fstx" => fstx(Path::new(dir), bytes)?,
        "fs-transaction" => fs_transaction(Path::new(dir), bytes)?,
        _ => return Err(format!("there is no engine {engine}").into()),
    }
    Ok(start.elapsed().as_nanos())
}

fn fstx(dir: &Path, files: Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
    let mut transaction = fstx::Transaction::begin(dir)?;
    for (path, bytes) in files {
        transaction.write(path, bytes)?;
    }
    Ok(transaction.commit()?)
}

fn fs_transaction(dir: &Path, files: Vec<(String, Vec<u8>)>) -> Result<(), Failure> {
    block_on(recover(&StdFs, dir))?;
    let mut change = ChangeSet::new();
    for (path, bytes) in files {
        change.write(path, bytes);
    }
    Ok(block_on(change.apply(&StdFs, dir))?)
}
