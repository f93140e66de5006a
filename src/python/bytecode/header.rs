//! The name and the header of a bytecode file: which source it was compiled from.
//!
//! Python matches bytecode to its source by the source's time and size alone (PEP 3147, PEP 488,
//! PEP 552). Promises to accept any bytes, even those that are not bytecode.
//!
//! Read next: `change/merge/source_times.rs` and `change/verify/published_bytecode.rs`, which use
//! this.

/// `a/b.py` for `a/__pycache__/b.TAG.pyc`.
pub(crate) fn source_of(path: &str) -> Option<String> {
    let (cache, name) = path.rsplit_once('/')?;
    let above = cache.strip_suffix("__pycache__")?;
    Some(format!("{above}{}.py", stem_of(name)?))
}

/// `b` for `b.TAG.pyc` and `b.TAG.opt-1.pyc`.
pub(crate) fn stem_of(name: &str) -> Option<&str> {
    let tagged = name.strip_suffix(".pyc")?;
    let (stem, last) = tagged.rsplit_once('.')?;
    if last.starts_with("opt-") {
        return Some(stem.rsplit_once('.')?.0);
    }
    Some(stem)
}

/// The times and sizes of the sources that Python may match this bytecode to, each modulo 2³²: read
/// as Python 3.7 and later read the header, and as 3.6 does.
pub(crate) fn claims(bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let number = |at: usize| {
        let bytes = bytes.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let is_bytecode = bytes.get(2..4) == Some(b"\r\n".as_slice());
    let pair = |at| number(at).zip(number(at + 4)).filter(|_| is_bytecode);
    // With any other flag, a hash is in the place of time and size.
    let new = pair(8).filter(|_| number(4) == Some(0));
    [new, pair(4)].into_iter().flatten()
}

/// A time or a size as a header stores it: modulo 2³².
pub(crate) fn low([a, b, c, d, ..]: [u8; 8]) -> u32 {
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_header_says_the_time_and_size_of_its_source() {
        let said = |bytes: &[u8]| claims(bytes).collect::<Vec<_>>();
        let new = b"\xa7\x0d\r\n\0\0\0\0\x01\0\0\0\x02\0\0\0code";
        assert!(said(new).contains(&(1, 2)));
        let old = b"\x33\x0d\r\n\x01\0\0\0\x02\0\0\0code";
        assert_eq!(said(old), [(1, 2)]);
        let hashed = b"\xa7\x0d\r\n\x01\0\0\0\x01\0\0\0\x02\0\0\0code";
        assert!(!said(hashed).contains(&(1, 2)));
        assert_eq!(said(&[0; 64]), []);
        assert_eq!(said(b""), []);
    }
}
