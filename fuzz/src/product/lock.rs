//! Locks and requirements files from any author.

use std::io;
use std::path::Path;

use rvenv::lock::{
    ChosenSource, Environment, Files, Kernel, Lock, Selection, SourceTree, choose,
    read_config_settings, read_index_options, read_pylock, read_requirements, refuse_sources,
    write,
};
use rvenv::python::{Bundled, Interpreter, Platform, PythonVersion, Scheme};
use rvenv_journal::{Digest, RelPath};

/// I6: any bytes are refused with a reason, or are a lock of which only wheels with hashes are
/// chosen, and which is the same when it is written and read again.
pub fn pylock_read(bytes: &[u8]) -> bool {
    let path = Path::new("/p/pylock.toml");
    let lock = match read_pylock(path, bytes) {
        Ok(lock) => lock,
        Err(error) => {
            check_message(&error.to_string());
            return false;
        }
    };
    check_choice(&lock);
    let written = write(&lock).expect("what was read can be written");
    let again = read_pylock(path, written.as_bytes()).expect("what was written can be read");
    assert_eq!(write(&again).as_deref(), Ok(written.as_str()));
    true
}

/// I6: any bytes are refused with a reason, or name packages with versions and hashes. Files that
/// the first one may name come after it, with zeros between them.
pub fn requirements_read(bytes: &[u8]) -> bool {
    let parts: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    let files = Files {
        read: &|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            let at = name.and_then(|name| name.parse::<usize>().ok());
            let part = at.and_then(|at| parts.get(at));
            let part = part.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            Ok(part.to_vec())
        },
        variable: &|name| (name == "TOKEN").then(|| "x y".to_owned()),
        cwd: Path::new("/cwd"),
    };
    let path = Path::new("/p/0");
    // What is read of the files that a resolver reads.
    let others = [
        read_index_options(path, &files).err(),
        read_config_settings(path, &files).err(),
        refuse_sources(path, &files).err(),
    ];
    for error in others.iter().flatten() {
        check_message(&error.to_string());
    }
    let lock = match read_requirements(path, &files) {
        Ok(lock) => lock,
        Err(error) => {
            check_message(&error.to_string());
            return false;
        }
    };
    check_choice(&lock);
    true
}

/// A message is on one line, and has no control character of its author.
fn check_message(text: &str) {
    assert!(!text.is_empty());
    assert!(!text.contains(char::is_control), "{text:?}");
}

fn check_choice(lock: &Lock) {
    let environment = Environment::of(&interpreter(), &Kernel::default());
    let extras: Vec<String> = lock.extras.iter().take(2).cloned().collect();
    for selection in [Selection::default(), Selection::new(&extras, Some(&[]))] {
        let chosen = match choose(lock, &environment, &selection) {
            Ok(chosen) => chosen,
            Err(error) => {
                check_message(&error.to_string());
                continue;
            }
        };
        assert!(chosen.is_sorted_by(|one, other| one.name < other.name));
        for one in chosen {
            let is_built = matches!(one.source, ChosenSource::Sources { .. });
            assert!(is_built || !one.version.is_empty());
            let hashes = match &one.source {
                ChosenSource::Sources { tree, direct } => {
                    if let Some(direct) = direct {
                        assert!(!direct.text().contains('\n'));
                    }
                    match &**tree {
                        SourceTree::Archive(archive) => &archive.file.hashes,
                        SourceTree::Directory { .. } | SourceTree::Repository(_) => continue,
                    }
                }
                ChosenSource::Wheel { file, direct } => {
                    assert!(!file.name.contains('/'));
                    assert!(file.url.is_some() || file.path.is_some());
                    if let Some(direct) = direct {
                        assert!(!direct.text().contains('\n'));
                    }
                    &file.hashes
                }
                ChosenSource::Release { hashes, .. } => hashes,
            };
            assert!(!hashes.checked().is_empty());
        }
    }
}

fn interpreter() -> Interpreter {
    let path = |text: &str| RelPath::new(text).expect("it is a path");
    Interpreter {
        executable: "/p/python3.12".into(),
        invoked: "/p/python3.12".into(),
        real_executable: "/p/python3.12".into(),
        executable_digest: Digest::of(b""),
        executable_len: 0,
        version: PythonVersion {
            major: 3,
            minor: 12,
            micro: 1,
            text: "3.12.1".to_owned(),
        },
        platform: Platform {
            implementation: "cpython".to_owned(),
            free_threaded: false,
            abiflags: String::new(),
            is_64bit: true,
            os_name: "posix".to_owned(),
            sys_platform: "linux".to_owned(),
            filesystem_encoding: "utf-8".to_owned(),
            implementation_version: "3.12.1".to_owned(),
            extension_suffix: ".cpython-312-x86_64-linux-gnu.so".to_owned(),
            built_for: "linux-x86_64".to_owned(),
            machine: "x86_64".to_owned(),
            system: "glibc 2.36".to_owned(),
        },
        scheme: Scheme {
            include: path("include"),
            purelib: path("lib/python3.12/site-packages"),
            platlib: path("lib/python3.12/site-packages"),
            scripts: path("bin"),
        },
        caching: None,
        bundled: Bundled::Wheels(Vec::new()),
        witnesses: Vec::new(),
    }
}
