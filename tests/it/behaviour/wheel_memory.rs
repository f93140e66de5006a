//! How much memory a large wheel takes: that of a few pieces, not that of the wheel or of a member.
//!
//! The reader is this test program, started again with a variable that names the wheel, since only
//! the peak of a whole process can be measured. The peak of the command is that which Python sees
//! of its children.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;

use rvenv::wheel::{Wheel, WheelError};
use rvenv_journal::Digest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::machine::Scratch;
use crate::packages::builds;

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

/// Writes a wheel with one member of so many megabytes, and prints its digest.
const LARGE: &str = r#"
import base64, hashlib, sys, zipfile
path, size, rows = sys.argv[1], int(sys.argv[2]), ""
info = "big-1.0.dist-info/"
chunk = bytes(1 << 20)
texts = {
    "big/big.bin": [chunk] * size,
    info + "METADATA": [b"Metadata-Version: 2.1\nName: big\nVersion: 1.0\n"],
    info + "WHEEL": [b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"],
}
with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
    for name, chunks in texts.items():
        digest = hashlib.sha256()
        with wheel.open(name, "w") as member:
            for chunk in chunks:
                member.write(chunk)
                digest.update(chunk)
        digest = base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
        rows += "%s,sha256=%s,%d\n" % (name, digest, sum(map(len, chunks)))
    wheel.writestr(info + "RECORD", rows + info + "RECORD,,\n")
with open(path, "rb") as wheel:
    print(hashlib.sha256(wheel.read()).hexdigest())
"#;

/// Runs a program, and prints the most memory that it had, in KiB.
const PEAK: &str = "
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
";

#[test]
fn the_reader_of_a_large_wheel() {
    let Some(path) = std::env::var_os(VARIABLE) else {
        return;
    };
    let before = peak().unwrap();
    let wheel = Wheel::open(Path::new(&path)).unwrap();
    let mut bytes = 0;
    let read = wheel.for_each(u64::MAX, |_, member| {
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

/// The member is unpacked, hashed and linked, then copied, then unpacked again because the store's
/// own object was edited.
#[test]
fn a_command_never_has_a_large_member_in_memory() {
    const MEGABYTES: u64 = 200;
    let Some(python) = builds(12, 1).or_else(|| builds(11, 1)) else {
        return;
    };
    let python = python[0].path.as_path();
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("house")).unwrap();
    let wheel = scratch.path("house/big-1.0-py3-none-any.whl");
    let size = MEGABYTES.to_string();
    let words = ["-c", LARGE, wheel.to_str().unwrap(), &size];
    let digest = scratch.run(python, &words).ok();
    let lock = format!("big==1.0 --hash=sha256:{digest}");
    fs::write(scratch.path("lock.txt"), lock).unwrap();
    let measured = |words: &[&str], more: &[&str]| {
        let rvenv = env!("CARGO_BIN_EXE_rvenv");
        let all = [&["-c", PEAK, rvenv], words, more].concat();
        let said = scratch.run(python, &all).ok();
        let peak = said.trim().lines().last().unwrap();
        peak.parse::<u64>().unwrap()
    };
    let python = python.to_str().unwrap();
    let create = |env: &str, more: &[&str]| {
        let words = ["create", "-q", env, "-p", python, "--without-pip"];
        measured(&words, more)
    };
    let empty = create("empty", &[]);
    let locked = ["-r", "lock.txt", "--no-index", "--wheelhouse", "house"];
    let copy = [&locked[..], &["--link-mode", "copy"]].concat();
    let member = |env: &str| {
        let lib = fs::read_dir(scratch.path(env).join("lib")).unwrap().next();
        lib.unwrap()
            .unwrap()
            .path()
            .join("site-packages/big/big.bin")
    };
    for (env, more) in [("one", &locked[..]), ("two", &copy), ("three", &locked)] {
        if env == "three" {
            // Through its other name; the length stays, and so does the time.
            let edited = File::options().write(true).open(member("one")).unwrap();
            let time = edited.metadata().unwrap().modified().unwrap();
            (&edited).write_all(b"edited").unwrap();
            edited.set_modified(time).unwrap();
        }
        let more = create(env, more) - empty;
        assert!(
            more < 64 << 10,
            "{env}: {more} KiB more than an empty environment"
        );
        let found = File::open(member(env)).unwrap();
        assert_eq!(found.metadata().unwrap().len(), MEGABYTES << 20);
        let mut first = [1; 8];
        (&found).read_exact(&mut first).unwrap();
        assert_eq!(first, [0; 8], "{env}");
    }
    let words = [
        "plan",
        "-q",
        "five",
        "-p",
        python,
        "--without-pip",
        "-o",
        "plan.json",
    ];
    measured(&words, &locked);
    let more = measured(&["image", "-q", "plan.json", "-o", "image"], &locked[2..]) - empty;
    assert!(
        more < 64 << 10,
        "image: {more} KiB more than an empty environment"
    );
}
