//! System calls, as `strace` counts them: of all threads and children of a command.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::rivals::done;

pub(crate) const HEAD: &[&str] = &[
    "command",
    "system calls",
    "files",
    "per file",
    "most of them",
];
/// How many kinds of calls are listed.
const NAMED: usize = 8;

/// The system calls with which a command makes some files.
pub(crate) fn cells(command: &Command, at: &Path, files: usize) -> Vec<String> {
    match count(command, at) {
        Ok((total, kinds)) => {
            let per =
                f64::from(total) / f64::from(u32::try_from(files).unwrap_or(u32::MAX)).max(1.0);
            vec![
                total.to_string(),
                files.to_string(),
                format!("{per:.1}"),
                kinds,
            ]
        }
        Err(why) => vec![why],
    }
}

fn count(command: &Command, at: &Path) -> Result<(u32, String), String> {
    let told = at.join("calls");
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-c", "-S", "calls", "-o"])
        .arg(&told)
        .arg("--");
    traced.arg(command.get_program()).args(command.get_args());
    traced.env_clear().current_dir(at);
    traced.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    done(&mut traced).map_err(|why| format!("not counted: {why}"))?;
    let text = fs::read_to_string(&told).map_err(|error| error.to_string())?;
    // Share of time, seconds, microseconds per call, calls, errors if any, name.
    let rows = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let calls: u32 = words.get(3)?.parse().ok()?;
        Some(((*words.last()?).to_owned(), calls))
    });
    let (totals, kinds): (Vec<_>, Vec<_>) = rows.partition(|(name, _)| name == "total");
    let named = kinds.iter().take(NAMED);
    let named: Vec<String> = named
        .map(|(name, calls)| format!("{name} {calls}"))
        .collect();
    let (_, total) = totals.first().ok_or("not counted: there is no total")?;
    Ok((*total, named.join(", ")))
}
