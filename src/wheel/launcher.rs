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
use std::path::PathBuf;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::contents::Wheel;
use super::entry_points::Window;
use super::fault::WheelError;

/// Where pip keeps its launchers.
const DIRECTORY: &str = "pip/_vendor/distlib";
/// More bytes than any launcher with its script has.
pub(crate) const PROGRAM_BYTES_MAX: u64 = 8 << 20;
/// The longest interpreter line.
const LINE_BYTES_MAX: usize = 16 << 10;
/// The last record of an archive, with the longest comment.
const END_BYTES_MAX: usize = 22 + 0xffff;

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

/// The interpreter that a launcher starts; `None` for any other program.
pub(crate) fn interpreter(program: &[u8]) -> Option<PathBuf> {
    let before = program.get(..start_of_archive(program)?)?;
    let line = before.get(before.len().saturating_sub(LINE_BYTES_MAX)..)?;
    let start = line.windows(2).rposition(|mark| mark == b"#!")? + 2;
    let line = std::str::from_utf8(line.get(start..)?).ok()?;
    let line = line.strip_suffix('\n')?.trim();
    let path = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?.0,
        None => line.split([' ', '\t']).next()?,
    };
    (!path.is_empty()).then(|| PathBuf::from(path))
}

/// Where the archive at the end of a program begins, as its last record says.
fn start_of_archive(program: &[u8]) -> Option<usize> {
    let from = program.len().saturating_sub(END_BYTES_MAX);
    let end = program.get(from..)?.windows(4);
    let end = from + end.into_iter().rposition(|mark| mark == b"PK\x05\x06")?;
    let number = |at: usize| {
        let bytes = program.get(end + at..end + at + 4)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    end.checked_sub(number(12)?.checked_add(number(16)?)?)
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

    #[test]
    fn a_program_says_which_interpreter_it_starts() {
        let check = |program: &[u8], expected: Option<&str>| {
            let found = interpreter(program);
            assert_eq!(found, expected.map(PathBuf::from), "{program:?}");
        };
        for python in [
            r"C:\E\Scripts\python.exe",
            r"C:\my E\python.exe",
            "/e/python",
        ] {
            let program = launchers().program(Window::Console, python, b"print(1)\n");
            check(&program, Some(python));
            for len in 0..program.len() {
                let _any_bytes = interpreter(&program[..len]);
            }
            // The longest comment still has the archive before it.
            let commented = [&program, [b' '; 100].as_slice()].concat();
            check(&commented, Some(python));
        }
        let end = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let with = |text: &[u8]| [text, end].concat();
        check(&with(b"MZ#!/e/python -sE\r\n"), Some("/e/python"));
        check(&with(b"MZ#!\"/a b/python\" -sE\n"), Some("/a b/python"));
        check(&with(b"MZ#!/e/python"), None);
        check(&with(b"MZ\n"), None);
        check(&with(b"MZ#!\n"), None);
        check(b"MZ#!/e/python\n", None);
        check(b"", None);
        // The record leads before the beginning.
        let mut wrong = with(b"#!/e/python\n");
        let at = wrong.len() - 6;
        wrong[at] = 0xff;
        check(&wrong, None);
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
