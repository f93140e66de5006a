//! Which musl an interpreter is linked to: it names its loader, which says its version.
//!
//! An interpreter of this machine plays one for musl: the probe reads another program in its place,
//! whose loader is a script.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::machine::any_python;

const PROBE: &str = include_str!("../../../src/python/probe.py");
/// What makes any Python answer as one whose C library has no name of its own.
const PLAYING: &str = "import os, sys\ndel os.confstr\nsys.executable = sys.argv[1]\n";

/// The first bytes of a program for 64 bits, little endian, that names a loader.
fn program(loader: &Path) -> Vec<u8> {
    let loader = [loader.to_str().unwrap().as_bytes(), b"\0"].concat();
    let mut bytes = vec![0; 64 + 2 * 56];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[32] = 64; // where the table of segments begins
    bytes[54] = 56; // the size of a row
    bytes[56] = 2; // the number of rows
    bytes[64] = 6; // the table itself is the first segment, the name of the loader the second
    bytes[120] = 3;
    // Where a tool puts a longer name: after everything else.
    let at: u32 = 0x9000;
    bytes[128..132].copy_from_slice(&at.to_le_bytes());
    bytes[152] = u8::try_from(loader.len()).unwrap();
    bytes.resize(0x9000, b'/');
    bytes.extend(loader);
    bytes
}

/// The C library that the probe reports for a program.
fn system(loader: &str) -> Option<String> {
    let python = any_python()?;
    let place = tempfile::tempdir().unwrap();
    let loader = place.path().join(loader);
    let says = "#!/bin/sh\nprintf 'musl libc (x86_64)\\nVersion 1.2.5\\n' >&2\nexit 1\n";
    fs::write(&loader, says).unwrap();
    fs::set_permissions(&loader, fs::Permissions::from_mode(0o755)).unwrap();
    let played = place.path().join("python3");
    fs::write(&played, program(&loader)).unwrap();
    let code = format!("{PLAYING}{PROBE}");
    let mut command = Command::new(&python.path);
    let output = command.args(["-c", &code]).arg(&played).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (_, json) = said.split_once("rvenv-probe-3:").expect(&said);
    let answer: serde_json::Value = serde_json::from_str(json).unwrap();
    Some(answer["platform"]["system"].as_str().unwrap().to_owned())
}

#[test]
fn the_loader_of_musl_may_be_in_any_directory() {
    let Some(found) = system("ld-musl-x86_64.so.1") else {
        return;
    };
    assert_eq!(found, "musl 1.2.5");
}

#[test]
fn another_loader_is_not_started() {
    let Some(found) = system("ld-other.so.1") else {
        return;
    };
    assert_eq!(found, "");
}
