//! Bytecode, on every Python of this machine: the bytecode made ahead of time is what Python itself
//! would use.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::machine::{self, Python, Scratch, supported};
use rvenv::bytecode::{CompileFailed, Compiler, SourceFile};
use rvenv::python::{self, Control, Interpreter, Request, Surroundings};
use rvenv::wheel::Wheel;

/// The time of a file in a wheel without times.
const MTIME: i64 = 315_532_800;

fn surroundings() -> Surroundings {
    Surroundings {
        environment: std::env::vars_os().collect(),
        cwd: std::env::temp_dir(),
        ..Surroundings::default()
    }
}

fn asked(python: &Path) -> Interpreter {
    let request = Request::Path(python.to_owned());
    python::find(&request, &surroundings(), &Control::default()).unwrap()
}

fn source(name: &str, text: &str) -> SourceFile {
    SourceFile {
        name: name.to_owned(),
        mtime: MTIME,
        text: text.as_bytes().to_vec(),
    }
}

fn compile(
    interpreter: &Interpreter,
    sources: &[SourceFile],
    workers: usize,
) -> Result<Vec<Option<Vec<u8>>>, CompileFailed> {
    let compiler = Compiler {
        around: &surroundings(),
        control: &Control::default(),
        workers: NonZeroUsize::new(workers).unwrap(),
    };
    compiler.compile(interpreter, sources)
}

fn sources_of(wheel: &Path) -> Vec<SourceFile> {
    let wheel = Wheel::open(wheel).unwrap();
    let members = wheel.members().iter();
    let sources =
        members.filter(|member| Path::new(member.path.as_str()).extension() == Some("py".as_ref()));
    let read = |member| wheel.read(member).unwrap();
    let mut sources: Vec<SourceFile> = sources
        .map(|member| SourceFile {
            name: member.path.to_string(),
            mtime: member.mtime,
            text: read(member),
        })
        .collect();
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    sources
}

/// Puts a source and its bytecode where Python looks for them.
fn place(scratch: &Scratch, interpreter: &Interpreter, source: &SourceFile, bytecode: &[u8]) {
    let tag = &interpreter.caching.as_ref().unwrap().tag;
    let path = rvenv_journal::RelPath::new(&source.name).unwrap();
    let cached = rvenv::bytecode::path_of(&path, tag).unwrap().unwrap();
    for (path, bytes) in [(&path, source.text.as_slice()), (&cached, bytecode)] {
        let path = scratch.path(path.as_str());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(source.mtime).unwrap());
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
    }
}

fn said(python: &Python, dir: &Path, code: &str) -> String {
    let program = format!(
        "import sys; sys.path.insert(0, {:?})\n{code}",
        dir.to_str().unwrap()
    );
    let output = std::process::Command::new(&python.path)
        .args(["-I", "-B", "-c", &program])
        .output()
        .unwrap();
    let all = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn what_one_process_compiles_and_what_many_compile_is_the_same_to_the_byte() {
    let pythons = supported();
    for (number, python) in pythons.iter().enumerate() {
        let interpreter = asked(&python.path);
        // Every source for the newest interpreter; a hundred of them, from both wheels, for each
        // other one.
        let is_newest = number + 1 == pythons.len();
        let every = if is_newest { 1 } else { 8 };
        for wheel in interpreter.bundled.wheels() {
            let sources = sources_of(wheel).into_iter();
            let sources: Vec<SourceFile> = sources.step_by(every).collect();
            let one = compile(&interpreter, &sources, 1).unwrap();
            let many = compile(&interpreter, &sources, 3).unwrap();
            assert_eq!(one.len(), sources.len());
            let differ = sources.iter().zip(one.iter().zip(&many));
            let differ: Vec<&str> = differ
                .filter(|(_, (one, many))| one != many)
                .map(|(source, _)| source.name.as_str())
                .collect();
            assert!(differ.is_empty(), "{python:?} {wheel:?}: {differ:?}");
            let made = one.iter().flatten().count();
            assert!(made > sources.len() * 9 / 10, "{python:?}: {made}");
        }
    }
}

#[test]
fn a_set_with_a_none_in_it_is_written_in_one_order_and_is_the_same_set() {
    let text = "def has(x): return x in {None, 'a', 'b', ..., (1, None), 7}\n\
                def inner(x): return x in {frozenset, 5} or x in {(None, ('c', 'd')), 'e'}\n";
    for python in supported() {
        let interpreter = asked(&python.path);
        let sources = [source("sets.py", text)];
        let first = compile(&interpreter, &sources, 1).unwrap();
        for _ in 0..8 {
            // The address of None differs from process to process.
            assert_eq!(
                compile(&interpreter, &sources, 1).unwrap(),
                first,
                "{python:?}"
            );
        }
        let scratch = Scratch::cold();
        place(
            &scratch,
            &interpreter,
            &sources[0],
            first[0].as_ref().unwrap(),
        );
        fs::write(scratch.path("other.py"), text).unwrap();
        let code = "import sets, other\n\
                    for x in (None, 'a', 'b', ..., (1, None), 7, 8, 'c'):\n \
                    assert sets.has(x) == other.has(x), x\n\
                    for x in (frozenset, 5, (None, ('c', 'd')), 'e', 'f'):\n \
                    assert sets.inner(x) == other.inner(x), x\n\
                    print('same')";
        assert_eq!(
            said(&python, &scratch.path(""), code),
            "same\n",
            "{python:?}"
        );
    }
}

#[test]
fn python_takes_the_bytecode_without_reading_the_source_and_shows_the_real_path() {
    for python in supported() {
        let interpreter = asked(&python.path);
        let text = "import sys\ndef fail():\n    return [1 // 0 for _ in '1']\nVALUE = 'made'\n";
        let source = source("package/module.py", text);
        let files = compile(&interpreter, std::slice::from_ref(&source), 1).unwrap();
        let bytecode = files[0].as_ref().unwrap();
        // Two places, as two environments are.
        for _ in 0..2 {
            let scratch = Scratch::cold();
            let read = SourceFile {
                text: text.replace("made", "read").into_bytes(),
                ..source.clone()
            };
            place(&scratch, &interpreter, &read, bytecode);
            let at = scratch.path("");
            let value = said(
                &python,
                &at,
                "import package.module; print(package.module.VALUE)",
            );
            assert_eq!(value, "made\n", "{python:?}");
            let traceback = said(&python, &at, "import package.module as m; m.fail()");
            let path = scratch.path("package/module.py");
            let shown = format!("File \"{}\", line 3, in", path.display());
            assert!(traceback.contains(&shown), "{python:?}: {traceback}");
            assert!(
                !traceback.contains("File \"package/"),
                "{python:?}: {traceback}"
            );
        }
    }
}

#[test]
fn a_source_that_python_refuses_has_no_bytecode_and_does_no_harm_to_others() {
    for python in supported() {
        let interpreter = asked(&python.path);
        let deep = format!("{}1{}\n", "(".repeat(5000), ")".repeat(5000));
        let sources = [
            source("a.py", "x = 1\n"),
            source("b.py", "class {{ name }}:\n"),
            source("c.py", "x = '\0'\n"),
            source("d.py", "print 'for another Python'\n"),
            source("e.py", &deep),
            SourceFile {
                text: b"x = '\xff'\n".to_vec(),
                ..source("f.py", "")
            },
            source("g.py", "'\\d' is 1; assert (1, 2)\n"),
            source("h.py", ""),
        ];
        let files = compile(&interpreter, &sources, 1).unwrap();
        let made: Vec<&str> = sources
            .iter()
            .zip(&files)
            .filter(|(_, file)| file.is_some())
            .map(|(source, _)| source.name.as_str())
            .collect();
        assert_eq!(made, ["a.py", "g.py", "h.py"], "{python:?}");
    }
}

#[test]
fn an_interpreter_that_crashes_or_is_another_by_now_is_named() {
    let Some(python) = supported().pop() else {
        return;
    };
    let scratch = Scratch::cold();
    let check = |body: &str, expect: &str| {
        let mut interpreter = asked(&python.path);
        interpreter.executable = scratch.path("python");
        machine::script(&interpreter.executable, body);
        let failed = compile(&interpreter, &[source("a.py", "x = 1\n")], 2).unwrap_err();
        let shown = failed.to_string();
        assert!(shown.contains(expect), "{shown}");
        assert!(shown.contains("/python`"), "{shown}");
    };
    check("kill -SEGV $$", "killed by signal 11 (SIGSEGV)");
    check("echo no >&2; exit 3", "exit code 3\n  no");
    check("exit 0", "there is no answer");
    check(
        "printf '\\nrvenv-bytecode-1:00:x\\n'",
        "it is another Python by now",
    );
    let mut interpreter = asked(&python.path);
    interpreter.caching = None;
    let failed = compile(&interpreter, &[], 1).unwrap_err();
    assert!(
        matches!(failed, CompileFailed::NoCache { .. }),
        "{failed:?}"
    );
}

#[test]
fn who_asks_to_stop_need_not_wait_for_the_interpreter() {
    let Some(python) = supported().pop() else {
        return;
    };
    let scratch = Scratch::cold();
    let mut interpreter = asked(&python.path);
    interpreter.executable = scratch.path("python");
    machine::script(&interpreter.executable, "sleep 60");
    let control = Control {
        interrupted: &|| true,
        ..Control::default()
    };
    let compiler = Compiler {
        around: &surroundings(),
        control: &control,
        workers: NonZeroUsize::MIN,
    };
    let begun = std::time::Instant::now();
    let failed = compiler
        .compile(&interpreter, &[source("a.py", "")])
        .unwrap_err();
    assert!(
        matches!(failed, CompileFailed::Interrupted { .. }),
        "{failed:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(30));
}
