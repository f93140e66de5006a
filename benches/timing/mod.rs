//! What benchmarks of whole processes share: which interpreter, how long a command takes, and the middle of many times.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The interpreter that `python3` leads to, past any virtual environment; empty where there is none.
pub(crate) fn python() -> String {
    let asked = Command::new("python3")
        .args(["-c", "import sys; print(sys._base_executable)"])
        .output();
    let said = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    said.unwrap_or_default()
}

/// How long a command takes that succeeds, after everything before it has settled on the disk that `at` is on.
pub(crate) fn time(command: &mut Command, at: &Path) -> Option<Duration> {
    let _settled = Command::new("sync").arg("-f").arg(at).status();
    std::thread::sleep(Duration::from_millis(50));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().ok()?;
    let took = start.elapsed();
    status.success().then_some(took)
}

/// The time in the middle; `None` of none.
pub(crate) fn median(times: &[Duration]) -> Option<Duration> {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied()
}
