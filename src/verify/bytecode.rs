//! Published bytecode that is no longer as it was published.
//!
//! Promises that bytecode which somebody deleted, or which Python wrote anew because it had to, is no drift: nothing that
//! is imported differs by it. Python says in the file for which time and size of the source it wrote it, and writes it
//! later than that; what claims to be for this source and is as old as what was published is damage.
//! Does not tell what Python wrote from what somebody forged to look so.
//!
//! Read next: `managed.rs`, which asks.

use std::ffi::OsStr;

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError, Kind, Meta};

use super::within::{Sight, Within};

/// Bytes of bytecode that are read; more than any file has.
const BYTES_MAX: u64 = 256 << 20;

/// Whether Python may have written this file of bytecode for the source that lies beside it.
pub(super) fn is_rewritten(
    fs: &dyn Fs,
    within: &mut Within<'_>,
    path: &str,
    (dir, meta): (&Dir, &Meta),
) -> Result<bool, FsError> {
    let Some(source) = source_of(path) else {
        return Ok(false);
    };
    let name = OsStr::new(path.rsplit('/').next().unwrap_or(path));
    let bytes = fs.read_file(dir, name, BYTES_MAX)?;
    let Sight::There(_, _, source) = within.look(&source)? else {
        return Ok(false);
    };
    let is_for = |(time, size): (u32, u32)| {
        time.to_le_bytes() == low(source.mtime.seconds.to_le_bytes())
            && size.to_le_bytes() == low(source.len.to_le_bytes())
    };
    let time = |of: &Meta| (of.mtime.seconds, of.mtime.nanos);
    let is_later = time(meta) > time(&source);
    Ok(source.kind == Kind::File && is_later && headers(&bytes).into_iter().flatten().any(is_for))
}

/// The four bytes that a header has of a number.
fn low([a, b, c, d, ..]: [u8; 8]) -> [u8; 4] {
    [a, b, c, d]
}

/// `a/b.py` for `a/__pycache__/b.TAG.pyc`.
fn source_of(path: &str) -> Option<String> {
    let (cache, name) = path.rsplit_once('/')?;
    let above = cache.strip_suffix("__pycache__")?;
    let (stem, _) = name.strip_suffix(".pyc")?.rsplit_once('.')?;
    Some(format!("{above}{stem}.py"))
}

/// Time and size of the source as the header says them: as Python 3.7 and later write it, and as 3.6 does.
fn headers(bytes: &[u8]) -> [Option<(u32, u32)>; 2] {
    let number = |at: usize| {
        let bytes = bytes.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let is_bytecode = bytes.get(2..4) == Some(b"\r\n".as_slice());
    let pair = |at| number(at).zip(number(at + 4)).filter(|_| is_bytecode);
    // With another flag there is a hash in the place of time and size.
    [pair(8).filter(|_| number(4) == Some(0)), pair(4)]
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
        check("__pycache__/six.pypy39.pyc", Some("six.py"));
        check("a/__pycache__/b.pyc", None);
        check("a/b.cpython-313.pyc", None);
    }

    #[test]
    fn a_header_says_the_time_and_size_of_its_source() {
        let new = b"\xa7\x0d\r\n\0\0\0\0\x01\0\0\0\x02\0\0\0code";
        assert_eq!(headers(new)[0], Some((1, 2)));
        let old = b"\x33\x0d\r\n\x01\0\0\0\x02\0\0\0code";
        assert_eq!(headers(old)[1], Some((1, 2)));
        let hashed = b"\xa7\x0d\r\n\x01\0\0\0\x01\0\0\0\x02\0\0\0code";
        assert_eq!(headers(hashed)[0], None);
        assert_eq!(headers(&[0; 64]), [None, None]);
        assert_eq!(headers(b""), [None, None]);
    }
}
