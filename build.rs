//! Asks which commit is built, for `rvenv --version`.
//!
//! A release build has the commit and its date: of the repository, or of the crate's archive, which
//! has no date. `SOURCE_DATE_EPOCH` is the date if it is set. So the same sources give the same
//! program. Where there is no commit to be found, the version is all that there is.
//!
//! A build of a developer asks nothing: each commit would compile
//! everything again.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script asks its environment, and starts git"
)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets it");
    let version = match build() {
        Some(build) => format!("{version} ({build})"),
        None => version,
    };
    println!("cargo::rustc-env=RVENV_VERSION={version}");
}

/// The commit, and its date if that is known.
fn build() -> Option<String> {
    if env::var("PROFILE").ok()? != "release" {
        return None;
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let (commit, date) = archived(&root)
        .map(|commit| (commit, None))
        .or_else(|| checked_out(&root))?;
    let short = commit.get(..7)?;
    let given = env::var("SOURCE_DATE_EPOCH").ok();
    let given = given.and_then(|seconds| date_of(seconds.parse().ok()?));
    Some(match given.or(date) {
        Some(date) => format!("{short} {date}"),
        None => short.to_owned(),
    })
}

/// The commit that cargo wrote into the archive of the crate.
fn archived(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join(".cargo_vcs_info.json")).ok()?;
    let (_, rest) = text.split_once("\"sha1\": \"")?;
    let (commit, _) = rest.split_once('"')?;
    Some(commit.to_owned())
}

/// The commit of the repository, if that is one of rvenv, and its date.
fn checked_out(root: &Path) -> Option<(String, Option<String>)> {
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.args(words).current_dir(root);
        // Set where a hook of another repository builds this one.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        let asked = command.output().ok()?;
        let text = String::from_utf8(asked.stdout).ok()?;
        asked.status.success().then(|| text.trim().to_owned())
    };
    // Sources without a repository may lie in another one.
    if !git(&["rev-parse", "--show-prefix"])?.is_empty() {
        return None;
    }
    for name in ["HEAD", "logs/HEAD"] {
        let path = root.join(git(&["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    let time = git(&["log", "-1", "--format=%ct"])?;
    Some((git(&["rev-parse", "HEAD"])?, date_of(time.parse().ok()?)))
}

/// The day, in UTC, of seconds since the epoch.
fn date_of(seconds: i64) -> Option<String> {
    // Days since 0000-03-01, in eras of 400 years: leap days come last in a year that begins in
    // March.
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = year + era * 400 + later;
    (0..=9999)
        .contains(&year)
        .then(|| format!("{year:04}-{month:02}-{day:02}"))
}
