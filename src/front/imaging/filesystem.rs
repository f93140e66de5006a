//! A filesystem in one file, with an environment as its root: mounted at the environment's path, it
//! is the environment.
//!
//! Promises the same bytes for the same plan and the same version of the program that writes the
//! filesystem: that program gets a tree in which every time, mode and name is of the plan, and is
//! asked for no owner but root, no attribute, and an identifier that comes from the digest of the
//! plan.
//!
//! On disk meanwhile: the tree, in the private directory beside the image.
//! Read next: `place.rs`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rvenv_journal::fs::{Dir, Flush, NewFile};
use rvenv_journal::{Mode, Node, RelPath};

use super::bytes::PlannedFile;
use super::place::Place;
use super::{Format, ImageFailed, Imaged, Subject, disk, of_fs};
use crate::python::{self, Control, Heard, Job, Surroundings, Unfinished};

/// The name of the tree in the private directory.
const TREE: &str = "tree";
/// Where such programs are, besides PATH.
const MORE_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];
/// The variable by which programs get a time.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// A program that writes a filesystem.
pub(super) struct Tool<'a> {
    format: Format,
    name: &'static str,
    path: PathBuf,
    around: &'a Surroundings,
}

impl<'a> Tool<'a> {
    /// Finds the program for a form of image.
    pub(super) fn of(format: Format, around: &'a Surroundings) -> Result<Self, ImageFailed> {
        let (name, package) = match format {
            Format::Squashfs => ("mksquashfs", "squashfs-tools"),
            Format::Erofs | Format::OciLayout => ("mkfs.erofs", "erofs-utils"),
        };
        let search = around.search_path.iter().flat_map(std::env::split_paths);
        let all = search.chain(MORE_DIRECTORIES.iter().map(PathBuf::from));
        // A relative directory is another one for each working directory.
        let mut all = all
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(name));
        let path = all.find(|path| path.is_file());
        let missing = ImageFailed::NoTool {
            program: name,
            package,
        };
        Ok(Self {
            format,
            name,
            path: path.ok_or(missing)?,
            around,
        })
    }

    /// Writes the filesystem of an environment.
    pub(super) fn make(
        &self,
        subject: &Subject<'_>,
        place: &Place<'_>,
        control: &Control<'_>,
    ) -> Result<Imaged, ImageFailed> {
        let tree = place.beside(TREE);
        build(subject, place, &tree)?;
        let image = place.image();
        self.run(subject, [&tree, &image], control)?;
        let disk = disk(&place.out);
        let written = File::open(&image).and_then(|file| file.sync_all());
        written.map_err(disk)?;
        let found = place.fs.digest_path(&image);
        let (digest, len) = found.map_err(of_fs(&place.out))?;
        Ok(Imaged {
            digest,
            len,
            architecture: subject.architecture,
            base_layers: 0,
            layers: Vec::new(),
        })
    }

    fn run(
        &self,
        subject: &Subject<'_>,
        [tree, image]: [&PathBuf; 2],
        control: &Control<'_>,
    ) -> Result<(), ImageFailed> {
        let words = self.words(subject);
        let paths = match self.format {
            Format::Squashfs => [tree, image],
            Format::Erofs | Format::OciLayout => [image, tree],
        };
        let paths = paths.map(|path| path.as_os_str());
        let words = words.iter().map(OsString::as_os_str);
        let arguments: Vec<&OsStr> = match self.format {
            Format::Squashfs => paths.into_iter().chain(words).collect(),
            Format::Erofs | Format::OciLayout => words.chain(paths).collect(),
        };
        let job = Job {
            program: &self.path,
            arguments,
            environment: self.environment(subject),
            cwd: &self.around.cwd,
            input: None,
            heard: Heard::End,
        };
        let patient = Control {
            timeout: Duration::MAX,
            ..*control
        };
        (control.starting)(&self.path);
        let failed = |how: String, said| ImageFailed::Tool {
            program: self.name,
            how,
            said,
        };
        let end = python::run(&job, &patient).map_err(|why| match why {
            Unfinished::NotStarted(error) => failed(error.to_string(), Vec::new()),
            Unfinished::Interrupted | Unfinished::TimedOut => ImageFailed::Interrupted,
        })?;
        if end.status.is_failure() {
            let said = python::last_lines(&end.stderr);
            return Err(failed(end.status.to_string(), said));
        }
        Ok(())
    }

    fn words(&self, subject: &Subject<'_>) -> Vec<OsString> {
        let (words, last): (&[&str], String) = match self.format {
            Format::Squashfs => (
                &[
                    "-noappend",
                    "-no-progress",
                    "-quiet",
                    "-all-root",
                    "-no-xattrs",
                    "-mkfs-time",
                ],
                subject.time.max(0).to_string(),
            ),
            Format::Erofs | Format::OciLayout => (
                &[
                    "--quiet",
                    "-zlz4hc",
                    "-x-1",
                    "--all-root",
                    "--preserve-mtime",
                    "-U",
                ],
                identifier(subject),
            ),
        };
        let words = words.iter().map(OsString::from);
        words.chain([OsString::from(last)]).collect()
    }

    /// The variables of the program: those of this process, but for the time.
    fn environment(&self, subject: &Subject<'_>) -> Vec<(OsString, OsString)> {
        let mut all = self.around.environment.clone();
        all.retain(|(name, _)| name != EPOCH);
        if self.format == Format::Erofs {
            // Later times would be set back to it, and it is the time of the filesystem.
            let times = subject.tree.values().map(|one| match &one.node {
                Node::File { mtime, .. } => mtime.unwrap_or(subject.time),
                Node::Dir { .. } | Node::Symlink { .. } => subject.time,
            });
            let last = times.max().unwrap_or(subject.time);
            all.push((EPOCH.into(), last.max(0).to_string().into()));
        }
        all
    }
}

/// A UUID from the digest of what the plan makes, in the form of those that are made of a name.
fn identifier(subject: &Subject<'_>) -> String {
    let digits = subject.outcome.to_string();
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-5{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    )
}

/// Builds the tree of an environment for a program that reads it.
fn build(subject: &Subject<'_>, place: &Place<'_>, at: &Path) -> Result<(), ImageFailed> {
    let failed = of_fs(&place.out);
    let root = place.make_dir(at)?;
    let mut open: Vec<(Option<RelPath>, Dir)> = vec![(None, root)];
    for (path, operation) in &subject.tree {
        let parent = path.parent();
        while open.last().is_some_and(|(dir, _)| *dir != parent) {
            open.pop();
        }
        let Some((_, dir)) = open.last() else { break };
        let here = dir.at(path.name());
        match &operation.node {
            Node::Dir { .. } => {
                place
                    .fs
                    .make_dir(here.dir, here.name, 0o700)
                    .map_err(failed)?;
                let below = place.fs.open_dir(here.dir, here.name).map_err(failed)?;
                open.push((Some(path.clone()), below));
            }
            Node::Symlink { target } => {
                let made = place
                    .fs
                    .make_symlink(here.dir, here.name, OsStr::new(target));
                made.map_err(failed)?;
            }
            Node::File {
                mode,
                mtime,
                content,
            } => {
                let new = NewFile {
                    mode: mode.bits(),
                    mtime: Some(mtime.unwrap_or(subject.time)),
                    bytes: &[],
                    flush: Flush::Later,
                };
                let (mode, mtime) = (*mode, *mtime);
                let file = PlannedFile {
                    path,
                    mode,
                    mtime,
                    content,
                };
                subject.bytes.pass(&file, &mut |reader| {
                    let written = place.fs.write_from(here.dir, here.name, &new, reader);
                    written.map_err(failed)
                })?;
            }
        }
    }
    finish(subject, place, at)
}

/// Gives links and directories their time, and directories their mode: what is in one comes before
/// it, because a new entry changes the time of its directory.
fn finish(subject: &Subject<'_>, place: &Place<'_>, at: &Path) -> Result<(), ImageFailed> {
    let failed = disk(&place.out);
    for (path, operation) in subject.tree.iter().rev() {
        let below = at.join(path.as_str());
        match &operation.node {
            Node::File { .. } => {}
            Node::Symlink { .. } => set_time(&below, subject.time).map_err(failed)?,
            Node::Dir { mode } => set_dir(place, &below, *mode, subject.time)?,
        }
    }
    set_dir(place, at, subject.root_mode, subject.time)
}

fn set_dir(place: &Place<'_>, path: &Path, mode: Mode, time: i64) -> Result<(), ImageFailed> {
    set_time(path, time).map_err(disk(&place.out))?;
    let set = || {
        let dir = place.fs.open_path(path)?;
        place.fs.set_mode_of(&dir, mode.bits())
    };
    set().map_err(of_fs(&place.out))
}

/// Sets the times of a path, without following a link.
#[cfg(unix)]
fn set_time(path: &Path, seconds: i64) -> std::io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Elsewhere such programs do not exist.
#[cfg(not(unix))]
fn set_time(_path: &Path, _seconds: i64) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
