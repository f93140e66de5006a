//! Walking to a path inside an environment: through open directories, one component at a time.
//!
//! Promises to follow no symbolic link and to look at nothing outside of the environment, whatever
//! a path says and even if the tree changes meanwhile (I6). The only link that may be passed is
//! `lib64`, by its text, if that is `lib`: venv creates it. Paths in order are cheap: the
//! directories above the last one stay open.
//!
//! Read next: `distribution_record.rs`, where the paths come from.

use std::ffi::OsStr;
use std::io;

use rvenv_journal::Fs;
use rvenv_journal::fs::{Dir, FsError, Kind, Meta};

/// An environment that is being checked.
#[derive(Debug)]
pub(crate) struct Within<'a> {
    fs: &'a dyn Fs,
    root: Dir,
    /// The directories down to the last path, each with its name.
    open: Vec<(String, Dir)>,
}

/// What exists at a path.
#[derive(Debug)]
pub(crate) enum Sight<'p> {
    /// Nothing.
    Absent,
    /// A component of the path, this one, is not a directory; a link is not followed.
    Blocked(String, Kind),
    /// An entry: its directory, its name there, and its metadata.
    There(Dir, &'p OsStr, Meta),
}

/// Why a row names no path in the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stray {
    Absolute,
    Outside,
    Nowhere,
}

impl Stray {
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::Absolute => "is listed by an absolute path, which is not followed",
            Self::Outside => "is listed outside of the environment, where verify does not look",
            Self::Nowhere => "is listed, and is not a valid path",
        }
    }
}

impl<'a> Within<'a> {
    pub(crate) fn new(fs: &'a dyn Fs, root: Dir) -> Self {
        Self {
            fs,
            root,
            open: Vec::new(),
        }
    }

    /// Examines a path that [`place`] returned.
    pub(crate) fn look<'p>(&mut self, path: &'p str) -> Result<Sight<'p>, FsError> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let above: Vec<&str> = above.split('/').filter(|part| !part.is_empty()).collect();
        let same = self.open.iter().zip(&above);
        let same = same.take_while(|((open, _), part)| open == *part).count();
        self.open.truncate(same);
        for part in above.iter().skip(same) {
            let opened = self.fs.open_dir(self.last(), OsStr::new(part));
            match opened {
                Ok(dir) => self.open.push(((*part).to_owned(), dir)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Sight::Absent),
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    return self.blocked(part);
                }
                Err(error) => return Err(error),
            }
        }
        let name = OsStr::new(name);
        Ok(match self.fs.meta(self.last(), name)? {
            Some(meta) => Sight::There(self.last().clone(), name, meta),
            None => Sight::Absent,
        })
    }

    /// Opens a directory; `None` if there is none, or something else.
    pub(crate) fn open(&mut self, path: &str) -> Result<Option<Dir>, FsError> {
        match self.look(path)? {
            Sight::There(dir, name, meta) if meta.kind == Kind::Dir => {
                self.fs.open_dir(&dir, name).map(Some)
            }
            Sight::There(..) | Sight::Absent | Sight::Blocked(..) => Ok(None),
        }
    }

    fn last(&self) -> &Dir {
        self.open.last().map_or(&self.root, |(_, dir)| dir)
    }

    fn blocked<'p>(&self, part: &str) -> Result<Sight<'p>, FsError> {
        let Some(meta) = self.fs.meta(self.last(), OsStr::new(part))? else {
            return Ok(Sight::Absent);
        };
        let mut path: Vec<&str> = self.open.iter().map(|(name, _)| name.as_str()).collect();
        path.push(part);
        Ok(Sight::Blocked(path.join("/"), meta.kind))
    }
}

/// Whether `lib64` is the link to `lib` that venv creates.
pub(crate) fn has_lib64(fs: &dyn Fs, root: &Dir) -> bool {
    fs.read_link(root, OsStr::new("lib64"))
        .is_ok_and(|target| target == "lib")
}

/// The path in the environment that a row of a list in `site_packages` names, by its text alone.
pub(crate) fn place(site_packages: &str, row: &str, lib64: bool) -> Result<String, Stray> {
    let is_drive =
        matches!(row.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
    if row.starts_with('/') || is_drive {
        return Err(Stray::Absolute);
    }
    if row.contains('\0') {
        return Err(Stray::Nowhere);
    }
    let mut parts: Vec<&str> = site_packages.split('/').collect();
    for part in row.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(Stray::Outside)?;
            }
            part => parts.push(part),
        }
    }
    if lib64
        && parts.len() > 1
        && let Some(first) = parts.first_mut().filter(|first| **first == "lib64")
    {
        *first = "lib";
    }
    if parts.is_empty() {
        return Err(Stray::Nowhere);
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "lib/python3.12/site-packages";

    fn check(row: &str, expected: Result<&str, Stray>) {
        let found = place(SITE, row, true);
        assert_eq!(
            found.as_deref().map_err(|stray| *stray),
            expected,
            "{row:?}"
        );
    }

    #[test]
    fn a_row_leads_to_a_path_of_the_environment_or_nowhere() {
        check("a/b.py", Ok("lib/python3.12/site-packages/a/b.py"));
        check("./a//b.py", Ok("lib/python3.12/site-packages/a/b.py"));
        check("../../../bin/pip", Ok("bin/pip"));
        check("a/../../x", Ok("lib/python3.12/x"));
        check("../../../lib64/python3.12/x", Ok("lib/python3.12/x"));
        check("../../../lib64", Ok("lib64"));
        check("../../../../bin/pip", Err(Stray::Outside));
        check("../../../../env/bin/pip", Err(Stray::Outside));
        check("../../..", Err(Stray::Nowhere));
        check("a\0b", Err(Stray::Nowhere));
        check("/etc/passwd", Err(Stray::Absolute));
        check("C:/x", Err(Stray::Absolute));
        let own = place(SITE, "../../../lib64/x", false);
        assert_eq!(own.as_deref(), Ok("lib64/x"));
    }
}
