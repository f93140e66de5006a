//! Launchers: the programs that start a script on Windows, where the system reads no interpreter
//! line.
//!
//! Promises the parts that pip's own scripts consist of: a launcher from pip's wheel, the
//! interpreter line that it reads, and an archive with the script, which Python runs. The same
//! script gives the same bytes. Does not promise a launcher for ARM; there, Windows runs the one
//! for x86-64.
//!
//! Read next: `script_text.rs`, the text of the script; `install.rs`, which places the program.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::contents::Wheel;
use super::entry_points::Window;
use super::fault::WheelError;

/// Where pip keeps its launchers.
const DIRECTORY: &str = "pip/_vendor/distlib";

/// The two launchers for one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launchers {
    console: Vec<u8>,
    windowed: Vec<u8>,
}

impl Launchers {
    /// The launchers in a wheel of pip; `None` for any other wheel.
    ///
    /// # Errors
    /// A launcher that cannot be read.
    pub fn of(wheel: &Wheel, is_64bit: bool) -> Result<Option<Self>, WheelError> {
        let read = |kind: &str| {
            let path = format!(
                "{DIRECTORY}/{kind}{}.exe",
                if is_64bit { "64" } else { "32" }
            );
            let member = wheel.members().iter().find(|m| m.path.as_str() == path);
            member.map(|member| wheel.read(member)).transpose()
        };
        let (console, windowed) = (read("t")?, read("w")?);
        Ok(console
            .zip(windowed)
            .map(|(console, windowed)| Self { console, windowed }))
    }

    /// The program that runs a script, whose text has no interpreter line.
    pub(super) fn program(&self, window: Window, python: &str, script: &[u8]) -> Vec<u8> {
        let launcher = match window {
            Window::Console => &self.console,
            Window::Own => &self.windowed,
        };
        let mut program = launcher.clone();
        program.extend_from_slice(interpreter_line(python).as_bytes());
        program.extend_from_slice(&archive(script));
        program
    }
}

/// The line that a launcher reads: quotes keep a path with spaces together.
pub(super) fn interpreter_line(python: &str) -> String {
    if python.contains(' ') {
        format!("#!\"{python}\"\r\n")
    } else {
        format!("#!{python}\r\n")
    }
}

/// An archive that Python can run.
fn archive(script: &[u8]) -> Vec<u8> {
    const HELD: &str = "memory takes a small archive";
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    // The earliest time of the format, so that the bytes depend on the script alone.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    writer.start_file("__main__.py", options).expect(HELD);
    writer.write_all(script).expect(HELD);
    writer.finish().expect(HELD).into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launchers() -> Launchers {
        Launchers {
            console: b"MZ console".to_vec(),
            windowed: b"MZ window".to_vec(),
        }
    }

    #[test]
    fn a_program_is_a_launcher_a_line_and_an_archive() {
        let program = |window, python| launchers().program(window, python, b"print(1)\n");
        let console = program(Window::Console, r"C:\E\Scripts\python.exe");
        assert!(console.starts_with(b"MZ console#!C:\\E\\Scripts\\python.exe\r\nPK\x03\x04"));
        let own = program(Window::Own, r"C:\my E\python.exe");
        assert!(own.starts_with(b"MZ window#!\"C:\\my E\\python.exe\"\r\nPK"));
        assert_eq!(
            console,
            program(Window::Console, r"C:\E\Scripts\python.exe")
        );
    }

    /// As in Python's `zipimport`, the archive is found from its end.
    #[test]
    fn the_archive_is_read_behind_whatever_precedes_it() {
        let program = launchers().program(Window::Console, "p", b"print(1)\n");
        let mut archive = zip::ZipArchive::new(Cursor::new(program)).unwrap();
        let mut text = String::new();
        let mut script = archive.by_name("__main__.py").unwrap();
        std::io::Read::read_to_string(&mut script, &mut text).unwrap();
        assert_eq!(text, "print(1)\n");
    }
}
