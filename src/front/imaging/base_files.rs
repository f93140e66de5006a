//! What a base image has: as much of its tree as it takes to find an interpreter.
//!
//! Promises that links are followed as in the root of a container, whatever layer has them, and
//! that a name which a later layer deletes or replaces does not count. In memory are the links of
//! the base, and the files that are the interpreter; how much that may be, is bounded, whatever the
//! layers unpack to.
//!
//! Read next: `base.rs`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use rvenv_journal::Digest;
use rvenv_journal::raw::{Hasher, Input};
use tar::{Archive, Entry, EntryType};

/// As many links as the kernel follows.
const LINKS_MAX: usize = 40;
/// The longest path, and the longest text of a link, that the kernel takes.
const PATH_BYTES_MAX: usize = 4096;
/// More than the paths and the texts of all links of any base.
const LINKS_BYTES_MAX: usize = 256 << 20;
/// What the headers of one entry may have: `tar` keeps its extensions in memory.
const HEADERS_BYTES_MAX: u64 = 1 << 20;
/// A block of a tar archive.
const BLOCK: u64 = 512;
/// The beginning of a name that deletes another one from the layers below.
const WHITEOUT: &str = ".wh.";
/// The name that deletes everything in its directory from the layers below.
const OPAQUE: &str = ".wh..wh..opq";

/// A tree that layers make.
pub(super) struct BaseFiles<'a> {
    wanted: &'a Input,
    found: BTreeMap<String, Found>,
    /// How many more bytes `found` may have.
    room: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// A link with this text.
    Link(String),
    /// A file with the bytes of the interpreter.
    Interpreter,
}

impl Found {
    fn len_at(&self, path: &str) -> usize {
        path.len()
            + match self {
                Self::Link(text) => text.len(),
                Self::Interpreter => 0,
            }
    }
}

impl<'a> BaseFiles<'a> {
    /// The empty tree, in which this interpreter is looked for.
    pub(super) fn new(wanted: &'a Input) -> Self {
        Self {
            wanted,
            found: BTreeMap::new(),
            room: LINKS_BYTES_MAX,
        }
    }

    /// Lays a layer over the tree; returns whether it can be read, by the kind of its compression.
    pub(super) fn add(&mut self, kind: &str, layer: impl Read) -> io::Result<bool> {
        if kind.ends_with("gzip") {
            self.add_archive(MultiGzDecoder::new(layer))?;
        } else if kind.ends_with("tar") {
            self.add_archive(layer)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn add_archive(&mut self, layer: impl Read) -> io::Result<()> {
        let bound = Bound::default();
        let mut archive = Archive::new(Bounded {
            inner: layer,
            bound: &bound,
        });
        for entry in archive.entries()? {
            // Some tools leave out the end of an archive. The bytes have the digest of the layer,
            // so what is missing was never there.
            let mut entry = match entry {
                Ok(entry) => entry,
                Err(error) if bound.is_exceeded() => return Err(error),
                Err(_) => break,
            };
            self.add_entry(&mut entry, &bound)?;
        }
        Ok(())
    }

    fn add_entry(&mut self, entry: &mut Entry<'_, impl Read>, bound: &Bound) -> io::Result<()> {
        let header = entry.header();
        let kind = header.entry_type();
        // A sparse file has more bytes than the archive has of it.
        let len = if kind.is_gnu_sparse() {
            header.entry_size()?
        } else {
            entry.size()
        };
        bound.next_entry_after(len);
        let path = entry.path_bytes();
        if path.len() > PATH_BYTES_MAX {
            return Ok(());
        }
        let path = normal(&String::from_utf8_lossy(&path));
        let (dir, name) = path.rsplit_once('/').unwrap_or_default();
        if name == OPAQUE {
            self.forget_below(dir);
        } else if let Some(deleted) = name.strip_prefix(WHITEOUT) {
            let deleted = format!("{dir}/{deleted}");
            self.forget_below(&deleted);
            self.forget(&deleted);
        } else {
            if kind != EntryType::Directory {
                self.forget_below(&path);
            }
            self.forget(&path);
            if let Some(found) = self.look(entry)? {
                self.keep(path, found)?;
            }
        }
        Ok(())
    }

    fn look(&self, entry: &mut Entry<'_, impl Read>) -> io::Result<Option<Found>> {
        let kind = entry.header().entry_type();
        let text = |entry: &Entry<'_, _>| {
            let text = entry.link_name_bytes().unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            (text.len() <= PATH_BYTES_MAX).then(|| text.into_owned())
        };
        if kind.is_symlink() {
            return Ok(text(entry).map(Found::Link));
        }
        if kind.is_hard_link() {
            // Another name of the same file, from the root of the layer.
            return Ok(text(entry).map(|text| Found::Link(normal(&text))));
        }
        let may_be = kind.is_file() && entry.size() == self.wanted.len;
        let is_it = may_be && digest(entry)? == self.wanted.digest;
        Ok(is_it.then_some(Found::Interpreter))
    }

    fn keep(&mut self, path: String, found: Found) -> io::Result<()> {
        let room = self.room.checked_sub(found.len_at(&path));
        self.room = room.ok_or_else(|| io::Error::other("it has more links than any base"))?;
        self.found.insert(path, found);
        Ok(())
    }

    fn forget(&mut self, path: &str) {
        if let Some(found) = self.found.remove(path) {
            self.room += found.len_at(path);
        }
    }

    fn forget_below(&mut self, dir: &str) {
        let start = format!("{dir}/");
        let below = self.found.range(start.clone()..);
        let below = below.take_while(|(path, _)| path.starts_with(&start));
        let below: Vec<String> = below.map(|(path, _)| path.clone()).collect();
        for path in below {
            self.forget(&path);
        }
    }

    /// Whether the interpreter is at its path.
    pub(super) fn has_interpreter(&self) -> bool {
        let mut links = 0;
        let mut at = String::new();
        let names = |text: &str| -> Vec<String> {
            let names = text.split('/').rev();
            let names = names.filter(|name| !matches!(*name, "" | "."));
            names.map(str::to_owned).collect()
        };
        let mut rest = names(&self.wanted.path);
        while let Some(name) = rest.pop() {
            let above = at.len();
            if name == ".." {
                at.truncate(at.rfind('/').unwrap_or(0));
                continue;
            }
            at.push('/');
            at.push_str(&name);
            match self.found.get(&at) {
                Some(Found::Interpreter) => return rest.is_empty(),
                Some(Found::Link(text)) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return false;
                    }
                    at.truncate(if text.starts_with('/') { 0 } else { above });
                    rest.extend(names(text));
                }
                // A directory, or nothing.
                None => {}
            }
        }
        false
    }
}

/// Where in an archive the headers of the next entry must have ended.
#[derive(Default)]
struct Bound {
    at: Cell<u64>,
    end: Cell<Option<u64>>,
}

impl Bound {
    /// An entry with this many bytes begins.
    fn next_entry_after(&self, len: u64) {
        let content = len.saturating_add(BLOCK);
        let end = self.at.get().saturating_add(content);
        self.end.set(Some(end.saturating_add(HEADERS_BYTES_MAX)));
    }

    fn is_exceeded(&self) -> bool {
        self.at.get() > self.end.get().unwrap_or(HEADERS_BYTES_MAX)
    }
}

/// A reader that ends with an error where the headers of an entry are longer than any.
struct Bounded<'a, R> {
    inner: R,
    bound: &'a Bound,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(piece)?;
        self.bound.at.set(self.bound.at.get() + len as u64);
        if self.bound.is_exceeded() {
            return Err(io::Error::other("the headers of an entry are too long"));
        }
        Ok(len)
    }
}

/// A path of an archive, from the root of a container.
fn normal(path: &str) -> String {
    let names = path.split('/').filter(|name| !matches!(*name, "" | "."));
    names.fold(String::new(), |path, name| path + "/" + name)
}

fn digest(reader: &mut impl Read) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut piece = vec![0; 1 << 16];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            len => hasher.update(piece.get(..len).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tar::{Builder, Header};

    use super::*;

    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

    fn input(path: &str) -> Input {
        Input {
            role: "interpreter".to_owned(),
            path: path.to_owned(),
            found: None,
            url: None,
            digest: Digest::of(b"python"),
            len: 6,
        }
    }

    /// A layer of files (`path=content`), links (`path>text`), hard links (`path:name`) and
    /// directories.
    fn layer(entries: &[&str]) -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        for entry in entries {
            let mut header = Header::new_gnu();
            header.set_size(0);
            if let Some((path, content)) = entry.split_once('=') {
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, path, content.as_bytes())
                    .unwrap();
            } else if let Some((path, text)) = entry.split_once('>') {
                header.set_entry_type(EntryType::Symlink);
                tar.append_link(&mut header, path, text).unwrap();
            } else if let Some((path, name)) = entry.split_once(':') {
                header.set_entry_type(EntryType::Link);
                tar.append_link(&mut header, path, name).unwrap();
            } else {
                header.set_entry_type(EntryType::Directory);
                tar.append_data(&mut header, entry, io::empty()).unwrap();
            }
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn an_interpreter_is_found_as_in_the_root_of_a_container() {
        let check = |layers: &[&[&str]], path: &str, expected: bool| {
            let input = input(path);
            let mut files = BaseFiles::new(&input);
            for entries in layers {
                assert!(files.add(LAYER, layer(entries).as_slice()).unwrap());
            }
            assert_eq!(files.has_interpreter(), expected, "{layers:?} {path}");
        };
        let plain: &[&str] = &["usr/", "usr/bin/", "usr/bin/python3=python"];
        check(&[plain], "/usr/bin/python3", true);
        check(&[plain], "/usr/bin/python", false);
        check(&[&["./usr/bin/python3=python"]], "/usr/bin/python3", true);
        check(&[&["usr/bin/python3=pythin"]], "/usr/bin/python3", false);
        check(&[&["usr/bin/python3=other"]], "/usr/bin/python3", false);
        // Links, of directories too, absolute and relative.
        check(&[plain, &["bin>usr/bin"]], "/bin/python3", true);
        check(&[plain, &["opt/py>../usr/bin/python3"]], "/opt/py", true);
        check(
            &[plain, &["opt/py>/bin/python3", "bin>/usr/bin"]],
            "/opt/py",
            true,
        );
        check(&[plain, &["opt/py:usr/bin/python3"]], "/opt/py", true);
        check(&[&["a>b", "b>a"]], "/a", false);
        check(&[plain], "/usr/bin/python3/more", false);
        // What a later layer deletes or replaces.
        for gone in [
            "usr/bin/.wh.python3=",
            "usr/.wh.bin=",
            "usr/bin/.wh..wh..opq=",
            "usr/bin/python3=other",
            "usr/bin/python3/",
            "usr>elsewhere",
        ] {
            check(&[plain, &[gone]], "/usr/bin/python3", false);
            check(&[plain, &[gone], plain], "/usr/bin/python3", true);
        }
    }

    #[test]
    fn a_layer_is_read_to_its_end_unless_it_is_of_another_compression() {
        let input = input("/p");
        let mut files = BaseFiles::new(&input);
        assert!(!files.add(&format!("{LAYER}+zstd"), io::empty()).unwrap());
        assert!(files.add(&format!("{LAYER}+gzip"), &b"no"[..]).unwrap());
        assert!(!files.has_interpreter());
        let whole = layer(&["p=python"]);
        // A header of 512 bytes, and six of content: neither padding nor end.
        assert!(files.add(LAYER, &whole[..518]).unwrap());
        assert!(files.has_interpreter());
    }

    /// A header that says that an entry of a kind has so many bytes.
    fn header(kind: EntryType, len: u64) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_path("p").unwrap();
        header.set_entry_type(kind);
        header.set_size(len);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    /// I6: memory.
    #[test]
    fn headers_longer_than_any_are_refused_and_long_contents_are_not() {
        let input = input("/p");
        let long = 4 * HEADERS_BYTES_MAX;
        for kind in [
            EntryType::GNULongName,
            EntryType::GNULongLink,
            EntryType::XHeader,
        ] {
            let mut files = BaseFiles::new(&input);
            for before in [vec![], layer(&["usr/", "a=content"])[..1536].to_vec()] {
                let start = [before, header(kind, long)].concat();
                let whole = start.chain(io::repeat(0).take(long));
                let refused = files.add(LAYER, whole).unwrap_err();
                assert!(refused.to_string().contains("too long"), "{refused}");
            }
        }
        let mut files = BaseFiles::new(&input);
        let start = header(EntryType::Regular, long);
        let after = layer(&["p=python"]);
        let whole = start.chain(io::repeat(0).take(long)).chain(&*after);
        assert!(files.add(LAYER, whole).unwrap() && files.has_interpreter());
    }

    /// I6: memory.
    #[test]
    fn links_are_kept_as_far_as_there_is_room() {
        let input = input("/p");
        let mut files = BaseFiles::new(&input);
        files.room = 20;
        let replaced = layer(&["abcdefgh>12345678", "abcdefgh>1", "abcdefgh/", "p=python"]);
        assert!(files.add(LAYER, &*replaced).unwrap() && files.has_interpreter());
        assert_eq!(files.room, 18);
        let refused = files.add(LAYER, &*layer(&["a>12345678", "b>12345678"]));
        let refused = refused.unwrap_err();
        assert!(refused.to_string().contains("more links"), "{refused}");
        // What the kernel takes for no path is not kept.
        let long = format!("q>{}", "a".repeat(PATH_BYTES_MAX + 1));
        assert!(files.add(LAYER, &*layer(&[&long])).unwrap());
    }
}
