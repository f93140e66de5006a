//! The header of a bytecode file: which source it was compiled from.
//!
//! Python matches bytecode to its source by the source's time and size alone (PEP 552). Promises to
//! accept any bytes, even those that are not bytecode.
//!
//! Read next: `change/merge/source_times.rs` and `change/verify/published_bytecode.rs`, which use
//! this.

/// More bytes than any real bytecode file has.
pub(crate) const BYTES_MAX: u64 = 256 << 20;

/// The time and the size of a source as a header stores them: each modulo 2³².
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SourceStamp {
    time: u32,
    len: u32,
}

impl SourceStamp {
    /// The stamp of a source with this time, in seconds since 1970, and this length.
    pub(crate) fn of(time: i64, len: u64) -> Self {
        let low = |[a, b, c, d, ..]: [u8; 8]| u32::from_le_bytes([a, b, c, d]);
        Self {
            time: low(time.to_le_bytes()),
            len: low(len.to_le_bytes()),
        }
    }
}

/// The stamps of the sources that Python may match this bytecode to: read as Python 3.7 and later
/// read the header, and as 3.6 does.
pub(crate) fn claims(bytes: &[u8]) -> impl Iterator<Item = SourceStamp> {
    let number = |at: usize| {
        let bytes = bytes.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let is_bytecode = bytes.get(2..4) == Some(b"\r\n".as_slice());
    let stamp = |at| {
        let (time, len) = number(at).zip(number(at + 4)).filter(|_| is_bytecode)?;
        Some(SourceStamp { time, len })
    };
    // With any other flag, a hash is in the place of time and size.
    let new = stamp(8).filter(|_| number(4) == Some(0));
    [new, stamp(4)].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_the_time_and_size_of_its_source() {
        let said = |bytes: &[u8]| claims(bytes).collect::<Vec<_>>();
        let new = b"\xa7\x0d\r\n\0\0\0\0\x01\0\0\0\x02\0\0\0code";
        let own = SourceStamp::of(1, 2);
        assert!(said(new).contains(&own));
        let old = b"\x33\x0d\r\n\x01\0\0\0\x02\0\0\0code";
        assert_eq!(said(old), [own]);
        let hashed = b"\xa7\x0d\r\n\x01\0\0\0\x01\0\0\0\x02\0\0\0code";
        assert!(!said(hashed).contains(&own));
        assert_eq!(said(&[0; 64]), []);
        assert_eq!(said(b""), []);
        assert_eq!(SourceStamp::of((1 << 32) + 1, (1 << 32) + 2), own);
    }
}
