//! Bytecode beside the sources of a wheel: where Python looks for it, and which sources have some.
//!
//! Promises to do what pip does when it compiles: a file in `__pycache__` for each source that can
//! be compiled, and a row of RECORD without a hash, so that uninstalling removes it. Does not
//! compile.
//!
//! Read next: `install.rs`, which places the files; `python/bytecode.rs`, which compiles them.

use std::collections::BTreeMap;

use rvenv_journal::{Digest, RelPath, RelPathError};

/// The bytecode of the sources of one wheel.
#[derive(Clone, Copy, Debug)]
pub struct Cached<'a> {
    /// The cache tag of the interpreter, such as `cpython-313`.
    pub tag: &'a str,
    /// Digest and length of each file, by the path of its source in the wheel.
    pub files: &'a BTreeMap<String, (Digest, u64)>,
}

/// The path where Python looks for the bytecode of a source: `a/__pycache__/b.TAG.pyc` for
/// `a/b.py`; `None` for any other file.
///
/// # Errors
/// A path that would be too long.
pub fn cached(source: &RelPath, tag: &str) -> Result<Option<RelPath>, RelPathError> {
    let Some(stem) = source.name().strip_suffix(".py") else {
        return Ok(None);
    };
    let name = format!("__pycache__/{stem}.{tag}.pyc");
    match source.parent() {
        Some(above) => above.join(&name).map(Some),
        None => RelPath::new(&name).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_has_its_place_beside_the_source() {
        let check = |source: &str, expect: Option<&str>| {
            let found = cached(&RelPath::new(source).unwrap(), "cpython-313").unwrap();
            assert_eq!(found.as_ref().map(RelPath::as_str), expect);
        };
        check("a/b.py", Some("a/__pycache__/b.cpython-313.pyc"));
        check("six.py", Some("__pycache__/six.cpython-313.pyc"));
        check("a/b.c.py", Some("a/__pycache__/b.c.cpython-313.pyc"));
        check("a/b.pyi", None);
        check("a/b.so", None);
    }
}
