//! The states of many entries below a directory as one digest, by one `lstat` for each.
//!
//! Promises that the digest differs once an entry came, went or got another kind, mode, size, time,
//! inode number or, as long as it has a single name, ctime: a link to a file in another environment
//! changes that too. Does not notice a change within the same tick of the filesystem's clock, which
//! is why a caller can demand that everything is older than a time.
//!
//! Read next: `../front/up_to_date.rs`, which keeps such digests.

#[cfg(unix)]
use std::ffi::CStr;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::Path;

#[cfg(unix)]
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rvenv_journal::Digest;
#[cfg(unix)]
use rvenv_journal::raw::{Hasher, Observed};

/// Paths as lines; `None` if one of them cannot be a line.
pub(crate) fn lines<'a>(paths: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut lines = String::new();
    for path in paths {
        if path.contains(['\n', '\0']) {
            return None;
        }
        lines.push_str(path);
        lines.push('\n');
    }
    Some(lines)
}

/// The digest of the states of the entries whose paths below a directory are lines; `None` if
/// the directory cannot be opened, or if one of them changed at or after `settled_ns`, in
/// nanoseconds since 1970.
#[cfg(unix)]
pub(crate) fn states(below: &Path, lines: &str, settled_ns: Option<i128>) -> Option<Digest> {
    let below = Below::open(below)?;
    let mut names = lines.as_bytes().to_vec();
    for byte in &mut names {
        if *byte == b'\n' {
            *byte = 0;
        }
    }
    let mut hasher = Hasher::default();
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Some(found) = below.entry(CStr::from_bytes_with_nul(name).ok()?) else {
            hasher.update(b"none");
            continue;
        };
        let changed = if found.has_other_names {
            found.mtime_ns
        } else {
            found.ctime_ns
        };
        if settled_ns.is_some_and(|settled| changed >= settled) {
            return None;
        }
        let state = [
            found.kind.as_raw_mode().into(),
            found.mode.into(),
            found.len.into(),
            found.mtime_ns,
            changed,
            found.inode.into(),
        ];
        hasher.update(state.map(i128::to_le_bytes).as_flattened());
    }
    Some(hasher.finish())
}

/// No system but POSIX has times that no program can set back.
#[cfg(not(unix))]
pub(crate) fn states(_below: &Path, _lines: &str, _settled_ns: Option<i128>) -> Option<Digest> {
    None
}

/// An open directory, of which entries at any depth are looked at.
#[cfg(unix)]
pub(crate) struct Below(OwnedFd);

/// What an `lstat` says about an entry.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    kind: FileType,
    /// The permission bits, up to 07777.
    mode: u32,
    len: u64,
    mtime_ns: i128,
    ctime_ns: i128,
    inode: u64,
    has_other_names: bool,
}

#[cfg(unix)]
impl Below {
    pub(crate) fn open(dir: &Path) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(dir, flags, Mode::empty()).ok().map(Self)
    }

    /// The entry at a relative path; `None` if there is none. A symbolic link at its end is not
    /// followed; those above it are, so that a caller looks at the directories too.
    pub(crate) fn entry<P: rustix::path::Arg>(&self, path: P) -> Option<Entry> {
        // The types of the fields differ between systems.
        fn wide(number: impl Into<i128>) -> i128 {
            number.into()
        }
        let found = rustix::fs::statat(&self.0, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let ns = |seconds, nanos| seconds * 1_000_000_000 + nanos;
        let kind = FileType::from_raw_mode(found.st_mode);
        Some(Entry {
            kind,
            mode: u32::try_from(wide(found.st_mode) & 0o7777).ok()?,
            len: u64::try_from(wide(found.st_size)).ok()?,
            mtime_ns: ns(wide(found.st_mtime), wide(found.st_mtime_nsec)),
            ctime_ns: ns(wide(found.st_ctime), wide(found.st_ctime_nsec)),
            inode: u64::try_from(wide(found.st_ino)).ok()?,
            has_other_names: kind != FileType::Directory && wide(found.st_nlink) > 1,
        })
    }
}

#[cfg(unix)]
impl Entry {
    /// The same as a look of the engine has it, without the text of a symbolic link.
    pub(crate) fn observed(&self) -> Observed {
        if self.kind == FileType::Directory {
            Observed::Dir { mode: self.mode }
        } else if self.kind == FileType::RegularFile {
            Observed::File {
                mode: self.mode,
                len: self.len,
                mtime_ns: self.mtime_ns,
                inode: self.inode,
                digest: None,
            }
        } else {
            Observed::Other
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests change a directory by hand, as another program would"
)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::{Duration, SystemTime};

    use tempfile::TempDir;

    use super::*;

    fn all(dir: &TempDir) -> Digest {
        states(dir.path(), "file\ndir\nlink\nnone\n", None).unwrap()
    }

    fn directory() -> TempDir {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("file"), "text").unwrap();
        fs::create_dir(dir.path().join("dir")).unwrap();
        symlink("file", dir.path().join("link")).unwrap();
        dir
    }

    fn date(path: &Path, seconds: u64) {
        let file = fs::File::options().append(true).open(path).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(time).unwrap();
    }

    #[test]
    fn every_change_of_an_entry_is_another_digest() {
        let changes: [fn(&Path); 7] = [
            |dir| date(&dir.join("file"), 9),
            |dir| fs::write(dir.join("file"), "longer").unwrap(),
            |dir| fs::set_permissions(dir.join("file"), fs::Permissions::from_mode(0o600)).unwrap(),
            |dir| fs::remove_file(dir.join("file")).unwrap(),
            |dir| fs::write(dir.join("dir/new"), "").unwrap(),
            |dir| {
                fs::remove_file(dir.join("link")).unwrap();
                symlink("none", dir.join("link")).unwrap();
            },
            |dir| fs::write(dir.join("none"), "").unwrap(),
        ];
        for (number, change) in changes.iter().enumerate() {
            let dir = directory();
            let before = all(&dir);
            assert_eq!(all(&dir), before);
            // The clock of a filesystem has ticks of some milliseconds.
            std::thread::sleep(Duration::from_millis(20));
            change(dir.path());
            assert_ne!(all(&dir), before, "change {number}");
        }
    }

    #[test]
    fn a_further_name_of_a_file_that_has_several_is_no_change() {
        let dir = directory();
        let linked = |name: &str| {
            fs::hard_link(dir.path().join("file"), dir.path().join("dir").join(name)).unwrap();
        };
        let of_file = || states(dir.path(), "file\n", None).unwrap();
        linked("one");
        let before = of_file();
        std::thread::sleep(Duration::from_millis(20));
        linked("two");
        assert_eq!(of_file(), before);
        date(&dir.path().join("dir/two"), 9);
        assert_ne!(of_file(), before);
    }

    #[test]
    fn what_is_too_new_has_no_states() {
        let dir = directory();
        assert_eq!(states(dir.path(), "file\n", Some(0)), None);
        assert!(states(dir.path(), "file\n", Some(i128::MAX)).is_some());
        assert_eq!(states(&dir.path().join("none"), "", None), None);
    }

    #[test]
    fn what_is_no_line_is_no_path() {
        assert_eq!(lines(["a", "b c"].into_iter()).as_deref(), Some("a\nb c\n"));
        assert_eq!(lines(["two\nlines"].into_iter()), None);
    }
}
