//! Bounds: lists of millions of rows and files of any length are read in pieces, or not at all.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use crate::machine::{Ended, ended};
use crate::sandbox::{Sandbox, sandbox};

const RVENV: &str = env!("CARGO_BIN_EXE_rvenv");
/// Kilobytes that a run may take above one that has nothing to do.
const ABOVE_KB_MAX: u64 = 64 * 1024;
/// Seconds of processor time, too few to hash 100 GB.
const CPU_SECONDS_MAX: u32 = 20;

/// Runs a program and prints its peak memory, in kilobytes, on a line before its output.
const MEASURED: &str = "
import resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, flush=True)
sys.stdout.buffer.write(ended.stdout)
sys.exit(ended.returncode)
";

/// The peak memory, in kilobytes, of a command of rvenv, and how it ended.
fn measured(sandbox: &Sandbox, words: &[&str]) -> (u64, Ended) {
    let mut measured = sandbox.scratch.program(&sandbox.python.path, "022");
    measured.args(["-c", MEASURED, RVENV]).args(words);
    let mut ended = ended(&mut measured);
    let (kilobytes, output) = ended.stdout.split_once('\n').expect(&ended.stderr);
    let kilobytes = kilobytes.parse().unwrap();
    ended.stdout = output.to_owned();
    (kilobytes, ended)
}

/// The peak memory, in kilobytes, and the exit code of a command of rvenv.
fn memory_of(sandbox: &Sandbox, words: &[&str]) -> (u64, Option<i32>) {
    let (kilobytes, ended) = measured(sandbox, words);
    (kilobytes, ended.code)
}

/// A distribution whose RECORD has so many rows.
fn list(dir: &Path, rows: u32, row: impl Fn(u32) -> String) {
    let info = dir.join("endless-1.dist-info");
    fs::create_dir_all(&info).unwrap();
    fs::write(info.join("METADATA"), "Name: endless\nVersion: 1\n").unwrap();
    let mut list = BufWriter::new(fs::File::create(info.join("RECORD")).unwrap());
    for number in 0..rows {
        writeln!(list, "{}", row(number)).unwrap();
    }
    list.flush().unwrap();
}

/// I6: the cost of verifying is bounded, whatever a list contains: absent files, one row that never
/// ends.
#[test]
fn a_list_of_more_than_a_million_rows_is_read_row_by_row() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    let python = sandbox.python.version;
    let site = format!("E/lib/python{}.{}/site-packages", python.0, python.1);
    let (idle, code) = memory_of(&sandbox, &["verify", "E"]);
    assert_eq!(code, Some(0));

    list(&sandbox.path(&site), 1_500_000, |number| {
        format!("e/{number},,")
    });
    let (taken, ended) = measured(&sandbox, &["verify", "E"]);
    assert_eq!(
        ended.code,
        Some(4),
        "files that are listed and absent differ"
    );
    assert!(taken <= idle + ABOVE_KB_MAX, "{taken} kB above {idle} kB");
    let found = ended.stdout;
    assert!(found.contains("and 1490000 more rows differ"), "{found}");

    // An unclosed quote makes everything after it one row.
    list(&sandbox.path(&site), 500_000, |number| match number {
        0 => "\"e".to_owned(),
        _ => "x,,".to_owned(),
    });
    let (taken, code) = memory_of(&sandbox, &["verify", "E"]);
    assert_eq!(code, Some(4));
    assert!(taken <= idle + ABOVE_KB_MAX, "{taken} kB above {idle} kB");
}

/// I6: a file that differs already in its length is not read.
#[test]
fn a_sparse_file_of_a_hundred_gigabytes_is_not_read_through() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.create(&["E"]).ok();
    let script = sandbox.path("E/bin/activate");
    fs::remove_file(&script).unwrap();
    let sparse = fs::File::create(&script).unwrap();
    sparse.set_len(100 << 30).unwrap();
    drop(sparse);
    let bounded = |words: &[&str]| {
        let limited = format!("ulimit -t {CPU_SECONDS_MAX}; exec \"$0\" \"$@\"");
        let mut shell = sandbox.scratch.program(Path::new("/bin/sh"), "022");
        ended(shell.args(["-c", &limited, RVENV]).args(words)).ok()
    };
    bounded(&["upgrade", "E", "--without-pip", "--prompt", "other"]);
    bounded(&["plan", "--upgrade", "--without-pip", "E"]);
    assert_eq!(
        fs::metadata(&script).unwrap().len(),
        100 << 30,
        "it is the user's own"
    );
}

/// I6: a directory with endless entries beside a target does not cause an endless message.
#[test]
fn directories_of_many_entries_are_named_within_bounds() {
    let Some(sandbox) = sandbox() else { return };
    let (idle, _) = memory_of(&sandbox, &["--version"]);
    sandbox.create(&["E"]).ok();
    for number in 0..10_000 {
        fs::create_dir(sandbox.path(&format!(".E.rvenv.trash-1-{number}"))).unwrap();
    }
    let (taken, code) = memory_of(&sandbox, &["recover", "E"]);
    assert_eq!(code, Some(5));
    assert!(taken <= idle + ABOVE_KB_MAX, "{taken} kB above {idle} kB");
    let said = sandbox.scratch.rvenv(&["recover", "E"]).stderr;
    assert!(said.contains("Left 9990 more of this kind alone"), "{said}");
}
