//! `RECORD`: the list of a distribution's files with their hashes and lengths, as CSV.
//!
//! Promises that reading refuses what it does not understand, and that writing gives rows sorted by
//! path and ended by CR LF, as pip writes them (recording installed projects, PEP 376 and PEP 627).
//! Read next: `contents.rs`, which compares the rows with the archive.

use std::collections::BTreeMap;
use std::io::{self, Read};

use rvenv_journal::Digest;

use super::fault::{WheelFault, shown};
use crate::python::bytecode::path::is_compiled;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The most bytes of a row in a list that is streamed; a path has at most 4096.
const ROW_BYTES_MAX: usize = 64 * 1024;

/// What a row says about its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) hash: Hash,
    pub(crate) len: Option<u64>,
}

impl Row {
    /// Whether a row with this path is bytecode that Python may delete or write at any time. pip
    /// lists it where Python keeps it, with `PYTHONPYCACHEPREFIX` outside of the environment.
    pub(crate) fn is_cache(&self, path: &str) -> bool {
        self.hash == Hash::Absent && is_compiled(path)
    }
}

/// The second column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Absent,
    Sha256(Digest),
    Other(String),
}

/// Reads the rows by path.
pub(super) fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Row>, WheelFault> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let mut rows = BTreeMap::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(WheelFault::Record)?;
        let fail = |reason| WheelFault::RecordRow {
            row: index + 1,
            reason,
        };
        let (path, row) = parse_row(record.iter()).map_err(fail)?;
        // Builders are known to list a file twice; only a contradiction is worth refusing.
        if rows.get(path).is_some_and(|other| *other != row) {
            return Err(fail("it contradicts an earlier row"));
        }
        rows.insert(path.to_owned(), row);
    }
    Ok(rows)
}

/// Reads rows one by one from a list that may have been damaged since: a bad row does not hide the
/// others. It is returned with its first column, escaped, and the reason.
///
/// Holds at most one row in memory. A read error is a row of its own, and the last one.
pub(crate) fn rows(list: impl Read) -> impl Iterator<Item = Result<(String, Row), Unusable>> {
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(Rows::of(list));
    reader.into_byte_records().map(|record| {
        let record = record.map_err(|_| Unusable::of(b"", "it cannot be read as CSV"))?;
        let first = record.iter().next().unwrap_or_default();
        let fields = record.iter().map(std::str::from_utf8);
        let fields: Vec<_> = fields
            .collect::<Result<_, _>>()
            .map_err(|_| Unusable::of(first, "it is not UTF-8"))?;
        let (path, row) =
            parse_row(fields.into_iter()).map_err(|reason| Unusable::of(first, reason))?;
        Ok((path.to_owned(), row))
    })
}

/// The rows of a list without quotes as pairs of path and hash, as they are written; `None` if it
/// has quotes or a row without three columns, and [`rows`] has to read it.
pub(crate) fn plain_rows(list: &[u8]) -> Option<Vec<(&str, &str)>> {
    let text = std::str::from_utf8(list).ok()?;
    if text.contains('"') {
        return None;
    }
    let lines = text.lines().filter(|line| !line.is_empty());
    let rows = lines.map(|line| {
        let (rest, _len) = line.rsplit_once(',')?;
        let (path, hash) = rest.rsplit_once(',')?;
        (!path.contains(',')).then_some((path, hash))
    });
    rows.collect()
}

/// A hash as a row of a list has it.
pub(crate) fn written_hash(bytes: &[u8]) -> String {
    format!("sha256={}", encode(&Digest::of(bytes)))
}

/// A reader that fails if a row is longer than [`ROW_BYTES_MAX`]: a quote that is never closed
/// would make one row of the rest.
struct Rows<R> {
    list: R,
    /// Bytes of the current row so far.
    len: usize,
    is_quoted: bool,
}

impl<R> Rows<R> {
    fn of(list: R) -> Self {
        Self {
            list,
            len: 0,
            is_quoted: false,
        }
    }
}

impl<R: Read> Read for Rows<R> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let read = self.list.read(piece)?;
        for byte in piece.iter().take(read) {
            self.len += 1;
            match byte {
                b'"' => self.is_quoted = !self.is_quoted,
                b'\n' if !self.is_quoted => self.len = 0,
                _ if self.len > ROW_BYTES_MAX => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a row is too long",
                    ));
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

/// A row that is not usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// Its first column, escaped and of bounded length.
    pub(crate) path: String,
    pub(crate) reason: &'static str,
}

impl Unusable {
    fn of(path: &[u8], reason: &'static str) -> Self {
        let path = match std::str::from_utf8(path) {
            Ok(text) => shown(text),
            Err(_) => path
                .iter()
                .take(120)
                .copied()
                .flat_map(std::ascii::escape_default)
                .map(char::from)
                .collect(),
        };
        Self { path, reason }
    }
}

fn parse_row<'a>(
    mut fields: impl Iterator<Item = &'a str>,
) -> Result<(&'a str, Row), &'static str> {
    let (Some(path), Some(hash), Some(len), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err("it does not have three columns");
    };
    let row = Row {
        hash: parse_hash(hash)?,
        len: parse_len(len)?,
    };
    Ok((path, row))
}

fn parse_hash(text: &str) -> Result<Hash, &'static str> {
    if text.is_empty() {
        return Ok(Hash::Absent);
    }
    match text.split_once('=') {
        Some(("sha256", value)) => decode(value)
            .map(Hash::Sha256)
            .ok_or("its hash is not a SHA-256 in URL-safe base64"),
        Some((algorithm, _)) => Ok(Hash::Other(shown(algorithm))),
        None => Err("its hash names no algorithm"),
    }
}

fn parse_len(text: &str) -> Result<Option<u64>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("its length is not a number");
    }
    text.parse()
        .map(Some)
        .map_err(|_| "its length is not a number")
}

/// The hashes and lengths in a list, by path; unusable rows are left out.
pub(crate) fn sums(list: &[u8]) -> BTreeMap<String, Option<(Digest, u64)>> {
    let sum = |row: Row| match (row.hash, row.len) {
        (Hash::Sha256(digest), Some(len)) => Some((digest, len)),
        (Hash::Absent | Hash::Sha256(_) | Hash::Other(_), _) => None,
    };
    let rows = rows(list).filter_map(Result::ok);
    rows.map(|(path, row)| (path, sum(row))).collect()
}

/// Writes rows; a row of a file without a hash has no length either.
pub(crate) fn write(rows: &BTreeMap<String, Option<(Digest, u64)>>) -> Vec<u8> {
    let mut text = String::with_capacity(rows.len() * 110);
    for (path, sum) in rows {
        push_row(
            &mut text,
            path,
            sum.as_ref().map(|(digest, len)| (digest, *len)),
        );
        text.push_str("\r\n");
    }
    text.into_bytes()
}

/// What becomes of a row when a list is written again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RowChange {
    /// It stays, byte for byte.
    Keep,
    /// It goes.
    Drop,
    /// Its file has this content from now on.
    Content(Digest, u64),
    /// Its file has this path and this content from now on.
    Moved(String, Digest, u64),
}

/// The text of a list with some rows changed; all other rows stay, in their order.
///
/// `change` gets the first column of each row, without its quotes. A row whose first column cannot
/// be read stays.
pub(crate) fn rewritten(list: &[u8], mut change: impl FnMut(&str) -> RowChange) -> Vec<u8> {
    let mut text = Vec::with_capacity(list.len());
    let mut rest = list;
    while !rest.is_empty() {
        let (row, after) = rest.split_at(row_len(rest));
        rest = after;
        let path = first_field(row);
        let (path, digest, len) = match path.as_deref().map_or(RowChange::Keep, &mut change) {
            RowChange::Keep => {
                text.extend_from_slice(row);
                continue;
            }
            RowChange::Drop => continue,
            RowChange::Content(digest, len) => (path.unwrap_or_default(), digest, len),
            RowChange::Moved(path, digest, len) => (path, digest, len),
        };
        let mut written = String::new();
        push_row(&mut written, &path, Some((&digest, len)));
        text.extend_from_slice(written.as_bytes());
        let end = row.len() - row.trim_ascii_end().len();
        text.extend_from_slice(row.get(row.len() - end..).unwrap_or_default());
    }
    text
}

/// How long the first row is, with its line end.
fn row_len(list: &[u8]) -> usize {
    let mut is_quoted = false;
    let end = list.iter().position(|byte| {
        is_quoted ^= *byte == b'"';
        *byte == b'\n' && !is_quoted
    });
    end.map_or(list.len(), |end| end + 1)
}

fn first_field(row: &[u8]) -> Option<String> {
    let row = std::str::from_utf8(row).ok()?;
    let Some(quoted) = row.strip_prefix('"') else {
        return row.split_once(',').map(|(path, _)| path.to_owned());
    };
    let mut path = String::new();
    let mut pieces = quoted.split('"');
    path.push_str(pieces.next()?);
    // A quote inside is written twice, so an empty piece follows it.
    while let Some("") = pieces.next() {
        path.push('"');
        path.push_str(pieces.next()?);
    }
    Some(path)
}

fn push_row(text: &mut String, path: &str, sum: Option<(&Digest, u64)>) {
    push_field(text, path);
    match sum {
        Some((digest, len)) => {
            text.push_str(",sha256=");
            text.push_str(&encode(digest));
            text.push(',');
            text.push_str(&len.to_string());
        }
        None => text.push_str(",,"),
    }
}

fn push_field(text: &mut String, field: &str) {
    if field.contains([',', '"', '\r', '\n']) {
        text.push('"');
        text.push_str(&field.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(field);
    }
}

/// URL-safe base64 without padding.
fn encode(digest: &Digest) -> String {
    let mut text = String::with_capacity(43);
    for group in digest.as_bytes().chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            let index = (bits >> (18 - 6 * place)) & 63;
            text.extend(ALPHABET.get(index as usize).map(|byte| char::from(*byte)));
        }
    }
    text
}

fn decode(text: &str) -> Option<Digest> {
    let text = text.trim_end_matches('=');
    if text.len() != 43 {
        return None;
    }
    let mut hex = String::with_capacity(66);
    // Two characters are twelve bits, which are three hexadecimal digits; the last character has no
    // partner.
    for pair in text.as_bytes().chunks(2) {
        let mut bits = 0;
        for byte in pair {
            bits = bits << 6 | sextet(*byte)?;
        }
        if let [_, _] = pair {
            push_hex(&mut hex, &[bits >> 8, bits >> 4, bits]);
        } else if bits.is_multiple_of(4) {
            push_hex(&mut hex, &[bits >> 2]);
        } else {
            return None;
        }
    }
    Digest::parse(&hex).ok()
}

fn push_hex(hex: &mut String, nibbles: &[u32]) {
    hex.extend(
        nibbles
            .iter()
            .filter_map(|nibble| char::from_digit(nibble & 15, 16)),
    );
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

    #[test]
    fn a_digest_is_written_as_url_safe_base64_without_padding() {
        assert_eq!(encode(&Digest::of(b"")), EMPTY);
        assert_eq!(decode(EMPTY), Some(Digest::of(b"")));
        assert_eq!(decode(&format!("{EMPTY}=")), Some(Digest::of(b"")));
        assert_eq!(decode(&EMPTY[1..]), None);
        assert_eq!(decode(&EMPTY.replace('U', "V")), None);
        assert_eq!(decode(&EMPTY.replace('-', "+")), None);
    }

    #[test]
    fn rows_are_sorted_quoted_and_ended_as_pip_does() {
        let mut rows = BTreeMap::new();
        rows.insert("a,\"b\".py".to_owned(), Some((Digest::of(b""), 0)));
        rows.insert("a-1.dist-info/RECORD".to_owned(), None);
        rows.insert("../../../bin/a".to_owned(), Some((Digest::of(b""), 0)));
        let text = String::from_utf8(write(&rows)).unwrap();
        assert_eq!(
            text,
            format!(
                "../../../bin/a,sha256={EMPTY},0\r\n\
                 \"a,\"\"b\"\".py\",sha256={EMPTY},0\r\n\
                 a-1.dist-info/RECORD,,\r\n"
            )
        );
    }

    fn check(text: &str, accepted: bool) {
        let parsed = parse(text.as_bytes());
        assert_eq!(parsed.is_ok(), accepted, "{text:?}: {parsed:?}");
    }

    #[test]
    fn a_row_that_says_nothing_usable_is_refused() {
        check("a,,\n", true);
        check("a,sha512=x,1\n", true);
        check(&format!("a,sha256={EMPTY},0\na,sha256={EMPTY},0\n"), true);
        check(&format!("a,sha256={EMPTY},0\na,sha256={EMPTY},1\n"), false);
        check("a,\n", false);
        check("a,,,\n", false);
        check("a,sha256=x,1\n", false);
        check("a,x,1\n", false);
        check("a,,-1\n", false);
        check("a,,+1\n", false);
        check("a,,99999999999999999999\n", false);
        assert!(parse(b"\xff,,\n").is_err());
    }

    #[test]
    fn a_row_that_says_nothing_usable_does_not_hide_the_others() {
        let text = b"a,,\nb\xff,,\nc,sha256=x,1\n\"d,\",md5=x,1\ne\n";
        let read: Vec<_> = rows(&text[..]).collect();
        let unusable = |path: &str, reason| {
            let path = path.to_owned();
            Err(Unusable { path, reason })
        };
        let row = |path: &str, hash, len| Ok((path.to_owned(), Row { hash, len }));
        assert_eq!(
            read,
            [
                row("a", Hash::Absent, None),
                unusable("b\\xff", "it is not UTF-8"),
                unusable("c", "its hash is not a SHA-256 in URL-safe base64"),
                row("d,", Hash::Other("md5".to_owned()), Some(1)),
                unusable("e", "it does not have three columns"),
            ]
        );
    }

    /// Drops `drop`, gives `new` the content "new", and keeps every other row.
    fn check_rewritten(list: &str, expected: &str) {
        let written = rewritten(list.as_bytes(), |path| match path {
            "drop" => RowChange::Drop,
            "new" | "a,\"b\".py" => RowChange::Content(Digest::of(b""), 0),
            "from" => RowChange::Moved("to,".to_owned(), Digest::of(b""), 0),
            _ => RowChange::Keep,
        });
        assert_eq!(String::from_utf8(written).unwrap(), expected, "{list:?}");
    }

    #[test]
    fn a_list_that_is_written_again_keeps_the_other_rows_and_their_order() {
        check_rewritten("", "");
        check_rewritten(
            "z,,\r\na,md5=1,1\n\n\"q\",x,\n",
            "z,,\r\na,md5=1,1\n\n\"q\",x,\n",
        );
        check_rewritten("drop,,\r\nb,,\ndrop,,", "b,,\n");
        let row = |path: &str, end: &str| format!("{path},sha256={EMPTY},0{end}");
        check_rewritten("new,,\r\n", &row("new", "\r\n"));
        check_rewritten(
            "z,,\nnew,sha256=old,7\nb,,",
            &format!("z,,\n{}b,,", row("new", "\n")),
        );
        check_rewritten("new,,", &row("new", ""));
        check_rewritten("from,,\n", &row("\"to,\"", "\n"));
        let quoted = "\"a,\"\"b\"\".py\"";
        check_rewritten(&format!("{quoted},x,1\r\n"), &row(quoted, "\r\n"));
        check_rewritten(
            "\"new\",,\n\"x\ny\",,\n",
            &format!("{}\"x\ny\",,\n", row("new", "\n")),
        );
        check_rewritten("\"drop,,\nnew", "\"drop,,\nnew");
    }

    proptest! {
        #[test]
        fn keeping_every_row_keeps_every_byte(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let kept = rewritten(&bytes, |_| RowChange::Keep);
            prop_assert_eq!(kept, bytes);
        }

        #[test]
        fn no_bytes_are_too_strange_to_be_read(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _read = rows(&bytes[..]).count();
        }

        #[test]
        fn what_is_written_is_read_back(
            paths in prop::collection::btree_map("[ -~à-ü]{1,20}", any::<[u8; 8]>(), 0..8),
        ) {
            let rows: BTreeMap<_, _> = paths
                .into_iter()
                .map(|(path, bytes)| (path, Some((Digest::of(&bytes), 8))))
                .collect();
            let read = parse(&write(&rows)).unwrap();
            prop_assert_eq!(read.len(), rows.len());
            for (path, sum) in rows {
                let (digest, len) = sum.unwrap();
                prop_assert_eq!(&read[&path], &Row { hash: Hash::Sha256(digest), len: Some(len) });
            }
        }
    }
}
