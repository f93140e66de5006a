//! Alternatives: the interpreters that a Debian administrator registered under a common name.
//!
//! Promises to read what `update-alternatives` keeps, in the order of priority, and to start
//! nothing. Does not promise that a registered file still exists.
//!
//! Read next: `candidates.rs`, which tries the files.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::base::regular_file;

/// More than any real file has.
const BYTES_MAX: u64 = 1 << 16;

/// The files that are registered under one name, such as `python3`, in a directory of alternatives.
pub(super) fn registered(directory: &Path, name: &str) -> Vec<PathBuf> {
    let mut text = String::new();
    let Ok(file) = regular_file::open(&directory.join(name)) else {
        return Vec::new();
    };
    // A file that cannot be read to its end counts as far as it was read.
    let _enough = file.take(BYTES_MAX).read_to_string(&mut text);
    parse(&text)
}

/// A file has the mode and the link, then names and links of the slaves, and after an empty line
/// the alternatives: path, priority, and one line for each slave.
fn parse(text: &str) -> Vec<PathBuf> {
    let mut lines = text.lines();
    let head: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let followers = head.len().saturating_sub(2) / 2;
    let mut found = Vec::new();
    while let Some(path) = lines.next().filter(|path| path.starts_with('/')) {
        let Some(priority) = lines.next().and_then(|line| line.parse::<i64>().ok()) else {
            break;
        };
        found.push((priority, PathBuf::from(path)));
        for _ in 0..followers {
            lines.next();
        }
    }
    // Equal priorities stay in the order of the file.
    found.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[&str]) {
        let expect: Vec<PathBuf> = expect.iter().map(PathBuf::from).collect();
        assert_eq!(parse(text), expect, "{text}");
    }

    #[test]
    fn alternatives_come_in_the_order_of_priority() {
        check(
            "auto\n/usr/bin/python3\n\n/usr/bin/python3.11\n1\n/opt/python/bin/python3.12\n20\n\n",
            &["/opt/python/bin/python3.12", "/usr/bin/python3.11"],
        );
        let followed = "manual\n/usr/bin/python3\npython3.1.gz\n\
                        /usr/share/man/man1/python3.1.gz\n\n\
                        /usr/bin/python3.11\n1\n\n\
                        /opt/bin/python3.12\n2\n/opt/man/python3.1.gz\n\n";
        check(followed, &["/opt/bin/python3.12", "/usr/bin/python3.11"]);
    }

    #[test]
    fn what_is_no_such_file_registers_nothing() {
        for text in [
            "",
            "\n",
            "auto",
            "auto\n/usr/bin/python3\n",
            "a\nb\n\npython3\n1\n",
        ] {
            check(text, &[]);
        }
        check("auto\n/l\n\n/usr/bin/python3\nhigh\n/opt/python3\n1\n", &[]);
    }
}
