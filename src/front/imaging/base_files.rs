//! What a base image has: as much of its tree as it takes to find an interpreter.
//!
//! Promises that links are followed as in the root of a container, whatever layer has them, and
//! that a name which a later layer deletes or replaces does not count. In memory are the links of
//! the base, and the files that are the interpreter.
//!
//! Read next: `base.rs`.

use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use rvenv_journal::Digest;
use rvenv_journal::raw::{Hasher, Input};
use tar::{Archive, Entry, EntryType};

/// As many links as the kernel follows.
const LINKS_MAX: usize = 40;
/// The beginning of a name that deletes another one from the layers below.
const WHITEOUT: &str = ".wh.";
/// The name that deletes everything in its directory from the layers below.
const OPAQUE: &str = ".wh..wh..opq";

/// A tree that layers make.
pub(super) struct BaseFiles<'a> {
    wanted: &'a Input,
    found: BTreeMap<String, Found>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// A link with this text.
    Link(String),
    /// A file with the bytes of the interpreter.
    Interpreter,
}

impl<'a> BaseFiles<'a> {
    /// The empty tree, in which this interpreter is looked for.
    pub(super) fn new(wanted: &'a Input) -> Self {
        Self {
            wanted,
            found: BTreeMap::new(),
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
        for entry in Archive::new(layer).entries()? {
            // Some tools leave out the end of an archive. The bytes have the digest of the layer,
            // so what is missing was never there.
            let Ok(mut entry) = entry else { break };
            let path = entry.path_bytes();
            let path = normal(&String::from_utf8_lossy(&path));
            let (dir, name) = path.rsplit_once('/').unwrap_or_default();
            if name == OPAQUE {
                self.forget_below(dir);
            } else if let Some(deleted) = name.strip_prefix(WHITEOUT) {
                let deleted = format!("{dir}/{deleted}");
                self.forget_below(&deleted);
                self.found.remove(&deleted);
            } else {
                let is_dir = entry.header().entry_type() == EntryType::Directory;
                if !is_dir {
                    self.forget_below(&path);
                }
                let found = self.look(&mut entry)?;
                match found {
                    Some(found) => self.found.insert(path, found),
                    None => self.found.remove(&path),
                };
            }
        }
        Ok(())
    }

    fn look(&self, entry: &mut Entry<'_, impl Read>) -> io::Result<Option<Found>> {
        let kind = entry.header().entry_type();
        let text = |entry: &Entry<'_, _>| {
            let text = entry.link_name_bytes().unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        };
        if kind.is_symlink() {
            return Ok(Some(Found::Link(text(entry))));
        }
        if kind.is_hard_link() {
            // Another name of the same file, from the root of the layer.
            return Ok(Some(Found::Link(normal(&text(entry)))));
        }
        let may_be = kind.is_file() && entry.size() == self.wanted.len;
        let is_it = may_be && digest(entry)? == self.wanted.digest;
        Ok(is_it.then_some(Found::Interpreter))
    }

    fn forget_below(&mut self, dir: &str) {
        let start = format!("{dir}/");
        let below = self.found.range(start.clone()..);
        let below = below.take_while(|(path, _)| path.starts_with(&start));
        let below: Vec<String> = below.map(|(path, _)| path.clone()).collect();
        for path in below {
            self.found.remove(&path);
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
            if name == ".." {
                at.truncate(at.rfind('/').unwrap_or(0));
                continue;
            }
            let next = format!("{at}/{name}");
            match self.found.get(&next) {
                Some(Found::Interpreter) => return rest.is_empty(),
                Some(Found::Link(text)) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return false;
                    }
                    if text.starts_with('/') {
                        at.clear();
                    }
                    rest.extend(names(text));
                }
                // A directory, or nothing.
                None => at = next,
            }
        }
        false
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
}
