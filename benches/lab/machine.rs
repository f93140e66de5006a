//! The machine on which the numbers were measured.

use std::path::Path;
use std::process::Command;

use super::field::filesystem;
use super::settings::Settings;

/// Describes this machine, so that a reader sees whether two runs are comparable.
pub(crate) fn described(settings: &Settings) -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = said("uname", &["-sr"]);
    let at = filesystem(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let mut text = format!(
        "rvenv {}, {kernel}, {processors} processors, {at}; {} rounds, {} for what takes long; \
         load when it began: {load}.",
        env!("CARGO_PKG_VERSION"),
        settings.rounds,
        settings.fewer_rounds()
    );
    if settings.quick {
        text.push_str(" **A quick run: it shows that everything runs, and nothing else.**");
    }
    text
}

fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}
