//! Where the bytecode of a source lies, and which files are bytecode.
//!
//! Python and pip keep it in `__pycache__` beside the source, under the source's name and the tag
//! of the interpreter (PEP 3147, PEP 488). Promises to judge by names alone; whether a file fits
//! its source, its header says.
//!
//! Read next: `header.rs`, the first bytes of such a file.

use rvenv_journal::RelPath;
use rvenv_journal::raw::RelPathError;

/// The name of the directories that hold bytecode.
pub(crate) const DIR_NAME: &str = "__pycache__";

/// `b` for `b.py`; `None` for what is no source.
pub(crate) fn stem_of_source(name: &str) -> Option<&str> {
    name.strip_suffix(".py").filter(|stem| !stem.is_empty())
}

/// `b` for `b.TAG.pyc` and `b.TAG.opt-1.pyc`.
pub(crate) fn stem_of_bytecode(name: &str) -> Option<&str> {
    let tagged = name.strip_suffix(".pyc")?;
    let (stem, last) = tagged.rsplit_once('.')?;
    if last.starts_with("opt-") {
        return Some(stem.rsplit_once('.')?.0);
    }
    Some(stem)
}

/// The directory of the bytecode of a source: `a/__pycache__` for `a/b.py`.
///
/// # Errors
/// A path that would be too long.
pub(crate) fn dir_of(source: &RelPath) -> Result<RelPath, RelPathError> {
    match source.parent() {
        Some(above) => above.join(DIR_NAME),
        None => RelPath::new(DIR_NAME),
    }
}

/// The path where Python looks for the bytecode of a source: `a/__pycache__/b.TAG.pyc` for
/// `a/b.py`; `None` for any other file.
///
/// # Errors
/// A path that would be too long.
pub fn path_of(source: &RelPath, tag: &str) -> Result<Option<RelPath>, RelPathError> {
    let Some(stem) = stem_of_source(source.name()) else {
        return Ok(None);
    };
    dir_of(source)?.join(&format!("{stem}.{tag}.pyc")).map(Some)
}

/// The source of bytecode: `a/b.py` for `a/__pycache__/b.TAG.pyc`.
pub(crate) fn source_of(path: &str) -> Option<String> {
    let (dir, name) = path.rsplit_once('/')?;
    let above = dir.strip_suffix(DIR_NAME)?;
    Some(format!("{above}{}.py", stem_of_bytecode(name)?))
}

/// Whether a path is bytecode that Python may write at any time.
pub(crate) fn is_bytecode(path: &str) -> bool {
    path.rsplit_once('/')
        .is_some_and(|(dir, name)| is_compiled(name) && is_dir(dir))
}

/// Whether a path is a directory of bytecode.
pub(crate) fn is_dir(path: &str) -> bool {
    path.rsplit('/').next() == Some(DIR_NAME)
}

/// Whether a name is that of compiled code, in such a directory or beside a source.
pub(crate) fn is_compiled(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "pyc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_has_its_path_beside_the_source() {
        let check = |source: &str, expect: Option<&str>| {
            let found = path_of(&RelPath::new(source).unwrap(), "cpython-313").unwrap();
            assert_eq!(found.as_ref().map(RelPath::as_str), expect);
            let back = found.and_then(|found| source_of(found.as_str()));
            assert_eq!(back.as_deref(), expect.map(|_| source));
        };
        check("a/b.py", Some("a/__pycache__/b.cpython-313.pyc"));
        check("six.py", Some("__pycache__/six.cpython-313.pyc"));
        check("a/b.c.py", Some("a/__pycache__/b.c.cpython-313.pyc"));
        check("a/b.pyi", None);
        check("a/b.so", None);
        check("a/.py", None);
    }

    #[test]
    fn the_source_of_bytecode_lies_above_it() {
        let check = |path: &str, expect: Option<&str>| {
            assert_eq!(source_of(path).as_deref(), expect, "{path}");
        };
        check("a/__pycache__/b.cpython-313.pyc", Some("a/b.py"));
        check("a/__pycache__/b.cpython-313.opt-2.pyc", Some("a/b.py"));
        check("__pycache__/six.pypy39.pyc", Some("six.py"));
        check("a/__pycache__/b.pyc", None);
        check("a/__pycache__/b.opt-1.pyc", None);
        check("a/b.cpython-313.pyc", None);
    }

    #[test]
    fn bytecode_is_what_lies_in_pycache_and_ends_as_such() {
        assert!(is_bytecode("a/__pycache__/b.cpython-312.pyc"));
        assert!(is_bytecode("__pycache__/b.pyc"));
        assert!(!is_bytecode("a/b.pyc"));
        assert!(!is_bytecode("a/__pycache__/b.py"));
        assert!(!is_bytecode("a/__pycache__/b/c.pyc"));
    }
}
