//! What the compiling interpreter reads and prints: lengths and bytes, little endian.
//!
//! Promises to refuse an answer as a whole unless it has exactly one file for each source, from the
//! interpreter that was expected; and that no answer can make this program fail.
//!
//! Read next: `compile.py`, the other side.

use super::SourceFile;
use crate::python::Caching;

/// What precedes an answer; a wrapper may print text before it.
const MARKER: &[u8] = b"\nrvenv-bytecode-1:";

/// What is wrong with an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// The sources of a batch as the program reads them.
pub(super) fn question(batch: &[&SourceFile]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(batch.iter().map(|s| s.text.len() + 256).sum());
    for SourceFile { name, mtime, text } in batch {
        lengthened(&mut bytes, name.as_bytes());
        bytes.extend(mtime.to_le_bytes());
        lengthened(&mut bytes, text);
    }
    bytes
}

fn lengthened(to: &mut Vec<u8>, bytes: &[u8]) {
    // No member is longer: a wheel with one is refused when it is opened.
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    to.extend(len.to_le_bytes());
    to.extend(bytes);
}

/// Reads the file of each source of a batch.
pub(super) fn answer(
    bytes: &[u8],
    batch: &[&SourceFile],
    caching: &Caching,
) -> Result<Vec<Option<Vec<u8>>>, Malformed> {
    let start = bytes.windows(MARKER.len()).position(|at| at == MARKER);
    let start = start.ok_or(Malformed("there is no answer"))?;
    let rest = bytes.get(start + MARKER.len()..).unwrap_or_default();
    let line = rest.iter().position(|byte| *byte == b'\n');
    let line = line.ok_or(Malformed("the answer is cut short"))?;
    let (head, rest) = rest.split_at(line);
    let own = format!("{}:{}", caching.magic, caching.tag);
    if head != own.as_bytes() {
        return Err(Malformed("it is another Python by now"));
    }
    let mut rest = rest.get(1..).unwrap_or_default();
    let mut files = Vec::with_capacity(batch.len());
    for _ in batch {
        let short = Malformed("the answer is cut short");
        let Some((len, after)) = rest.split_first_chunk::<4>() else {
            return Err(short);
        };
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let Some((file, after)) = after.split_at_checked(len) else {
            return Err(short);
        };
        files.push((len > 0).then(|| file.to_vec()));
        rest = after;
    }
    if rest.is_empty() {
        Ok(files)
    } else {
        Err(Malformed("there is more than was asked for"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expect: Result<&[Option<&[u8]>], &'static str>) {
        let source = |name: &str| SourceFile {
            name: name.to_owned(),
            mtime: -1,
            text: Vec::new(),
        };
        let caching = Caching {
            tag: "t-3".to_owned(),
            magic: "a70d".to_owned(),
        };
        let found = answer(bytes, &[&source("a.py"), &source("b.py")], &caching);
        let found: Result<Vec<Option<&[u8]>>, &str> = match &found {
            Ok(files) => Ok(files.iter().map(Option::as_deref).collect()),
            Err(Malformed(why)) => Err(why),
        };
        assert_eq!(found, expect.map(<[_]>::to_vec));
    }

    #[test]
    fn an_answer_is_one_file_for_each_source_and_nothing_else() {
        let whole = b"hello\n\nrvenv-bytecode-1:a70d:t-3\n\x02\0\0\0xy\0\0\0\0";
        check(whole, Ok(&[Some(b"xy"), None]));
        check(b"", Err("there is no answer"));
        check(
            b"\nrvenv-bytecode-1:a70d:t-3",
            Err("the answer is cut short"),
        );
        check(
            b"\nrvenv-bytecode-1:a70d:t-4\n\0\0\0\0\0\0\0\0",
            Err("it is another Python by now"),
        );
        check(&whole[..whole.len() - 1], Err("the answer is cut short"));
        let longer = [whole.as_slice(), b"\0"].concat();
        check(&longer, Err("there is more than was asked for"));
        check(
            b"\nrvenv-bytecode-1:a70d:t-3\n\xff\xff\xff\xffx",
            Err("the answer is cut short"),
        );
    }

    #[test]
    fn a_question_names_each_source_and_its_time() {
        let source = SourceFile {
            name: "é.py".to_owned(),
            mtime: 1,
            text: b"x".to_vec(),
        };
        let expect = b"\x05\0\0\0\xc3\xa9.py\x01\0\0\0\0\0\0\0\x01\0\0\0x";
        assert_eq!(question(&[&source]), expect);
    }
}
