//! How much memory a large wheel takes: that of its largest member, not that of the wheel.
//!
//! The reader is this test program, started again with a variable that names the wheel, since only
//! the peak of a whole process can be measured.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use rvenv::wheel::{Wheel, WheelError};
use rvenv_journal::Digest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const VARIABLE: &str = "RVENV_TEST_LARGE_WHEEL";
const NAME: &str = "demo-1.0-py3-none-any.whl";
const MEMBERS: usize = 24;
const MEMBER_BYTES: usize = 4 << 20;

/// A wheel of a hundred megabytes, all stored.
fn write_wheel(path: &Path) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut record = String::new();
    let mut add = |name: &str, bytes: &[u8]| {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
        let digest = base64(Digest::of(bytes).as_bytes());
        writeln!(record, "{name},sha256={digest},{}", bytes.len()).unwrap();
    };
    let large = vec![7; MEMBER_BYTES];
    for index in 0..MEMBERS {
        add(&format!("demo/{index}.bin"), &large);
    }
    let metadata = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n";
    add("demo-1.0.dist-info/METADATA", metadata.as_bytes());
    add(
        "demo-1.0.dist-info/WHEEL",
        b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
    );
    record += "demo-1.0.dist-info/RECORD,,\n";
    zip.start_file("demo-1.0.dist-info/RECORD", options)
        .unwrap();
    zip.write_all(record.as_bytes()).unwrap();
    zip.finish().unwrap();
}

/// The digits of RECORD.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bit = |index: usize| {
        bytes
            .get(index / 8)
            .map_or(0, |byte| byte >> (7 - index % 8) & 1)
    };
    let digit = |start: usize| (start..start + 6).fold(0, |value, index| value << 1 | bit(index));
    let starts = (0..bytes.len() * 8).step_by(6);
    starts
        .map(|start| char::from(DIGITS[usize::from(digit(start))]))
        .collect()
}

/// The most memory that this process had, in KiB.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[test]
fn the_reader_of_a_large_wheel() {
    let Some(path) = std::env::var_os(VARIABLE) else {
        return;
    };
    let before = peak().unwrap();
    let wheel = Wheel::open(Path::new(&path)).unwrap();
    let mut bytes = 0;
    let read = wheel.for_each(|_, member| {
        bytes += member.len();
        Ok::<(), WheelError>(())
    });
    read.unwrap();
    assert!(bytes > MEMBERS * MEMBER_BYTES);
    println!("peak {} KiB", peak().unwrap() - before);
}

#[test]
fn a_large_wheel_takes_the_memory_of_its_largest_member() {
    if peak().is_none() {
        println!("skipped: this system does not report the memory of a process");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join(NAME);
    write_wheel(&path);
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "behaviour::wheel_memory::the_reader_of_a_large_wheel",
            "--nocapture",
        ])
        .env(VARIABLE, &path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let peak = text
        .split("peak ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let peak: u64 = peak.unwrap().parse().unwrap();
    assert!(peak < 32 << 10, "{peak} KiB more than before");
}
