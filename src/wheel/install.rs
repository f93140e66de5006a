//! Installation: which files an environment gets from a wheel.
//!
//! Promises the files, modes, REQUESTED and RECORD that `ensurepip` gives for the same wheel, with
//! exactly the notes and the bytecode that the caller passes; that no two files collide; and that
//! none takes a name that belongs to the environment itself, such as `bin/python`, or to the
//! metadata of another distribution (I6). The decision is pure: one wheel and one target give one
//! list. Does not promise that the paths are free; the plan that contains them checks that.
//!
//! Read next: `script_text.rs`, the text of the scripts.

use std::collections::{BTreeMap, BTreeSet};

use rvenv_journal::raw::RelPathError;
use rvenv_journal::{Digest, Mode, RelPath};
use thiserror::Error;

use super::contents::{Library, Member, Wheel};
use super::entry_points::{self, EntryPoint, EntryPointError};
use super::fault::{WheelError, shown};
use super::launcher::{self, Launchers};
use super::taken_paths::{Collision, Places};
use super::{record, script_text};
use crate::python::bytecode;

/// Where an environment puts the files of a wheel; all paths are relative to it.
#[derive(Clone, Debug)]
pub struct InstallScheme<'a> {
    /// Python code for any platform, such as `lib/python3.12/site-packages`.
    pub purelib: RelPath,
    /// Code for this platform.
    pub platlib: RelPath,
    /// Executables, such as `bin`.
    pub scripts: RelPath,
    /// The directory above a distribution's C headers, such as `include/site/python3.12`.
    pub headers: RelPath,
    /// The absolute path of the interpreter in the first line of scripts.
    pub python: &'a str,
    /// The programs that start scripts on Windows; `None` elsewhere, where the system reads
    /// interpreter lines.
    pub launchers: Option<&'a Launchers>,
    /// The interpreter's major and minor version.
    pub version: (u8, u8),
    /// What is noted beside the distribution.
    pub notes: Notes<'a>,
    /// The bytecode of the sources, if it is wanted.
    pub bytecode: Option<WheelBytecode<'a>>,
}

/// The `INSTALLER` of what rvenv installs itself, rather than as pip does.
pub const INSTALLER: &str = "rvenv";

/// What an installer notes beside a distribution.
#[derive(Clone, Copy, Debug)]
pub struct Notes<'a> {
    /// Its own name.
    pub installer: &'a str,
    /// Whether the user requested this distribution itself.
    pub requested: Requested,
    /// The text of `direct_url.json`, for a wheel that was asked for by its place.
    pub direct_url: Option<&'a str>,
}

/// The bytecode of the sources of one wheel.
#[derive(Clone, Copy, Debug)]
pub struct WheelBytecode<'a> {
    /// The cache tag of the interpreter, such as `cpython-313`.
    pub tag: &'a str,
    /// Digest and length of each file, by the path of its source in the wheel.
    pub files: &'a BTreeMap<String, (Digest, u64)>,
}

/// Whether a distribution is marked as requested, rather than needed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// It gets a `REQUESTED` file.
    Marked,
    /// It gets none.
    Unmarked,
}

/// One file to place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its path, relative to the environment.
    pub path: RelPath,
    /// Whether its mode is 0755 rather than 0644.
    pub executable: bool,
    /// Its modification time, if the wheel has one.
    pub mtime: Option<i64>,
    /// Its bytes.
    pub content: FileContent,
}

/// Where the bytes of a planned file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileContent {
    /// An unmodified member of the wheel.
    Member {
        /// Its index in [`Wheel::members`].
        member: usize,
        /// Its SHA-256.
        digest: Digest,
        /// How many bytes it has.
        len: u64,
    },
    /// The bytecode of an unmodified member.
    Bytecode {
        /// Its SHA-256.
        digest: Digest,
        /// How many bytes it has.
        len: u64,
    },
    /// Bytes written for this environment.
    Bytes(Vec<u8>),
}

/// The mode of an executable member: pip lets every user run it, whatever the umask.
#[must_use]
pub const fn program_mode(umask: u32) -> Mode {
    Mode::ALL.masked(umask & !0o111)
}

/// The mode of a written script: pip lets every user read and run it, whatever the umask.
#[must_use]
pub const fn script_mode(umask: u32) -> Mode {
    Mode::ALL.masked(umask & !0o555)
}

/// A wheel that cannot be installed, and why.
#[derive(Debug, Error)]
#[error("cannot install the wheel `{wheel}`")]
pub struct InstallError {
    /// The file name of the wheel.
    pub wheel: String,
    /// Why it cannot be installed.
    #[source]
    pub fault: Box<InstallFault>,
}

/// Why a wheel cannot be installed.
#[derive(Debug, Error)]
pub enum InstallFault {
    /// A member that had to be read is bad.
    #[error("one of its scripts cannot be read")]
    Member(#[source] WheelError),
    /// The entry points are malformed.
    #[error("its entry_points.txt is malformed")]
    EntryPoints(#[source] EntryPointError),
    /// A data directory that has no category of the specification, or does not belong to this
    /// wheel.
    #[error("there is no place to install the entry `{0}` to")]
    Category(String),
    /// A path that is not valid after joining.
    #[error("a path is too long")]
    Path(#[source] RelPathError),
    /// A name that belongs to the environment.
    #[error("`{0}` belongs to the environment itself")]
    Reserved(RelPath),
    /// Metadata that another distribution would have.
    #[error("`{0}` would be the metadata of another distribution")]
    OtherMetadata(RelPath),
    /// Two files with one path.
    #[error("its files collide")]
    Collision(#[source] Collision),
}

impl Requested {
    /// What this version of pip does for a distribution that it was asked to install; 20.2 began to
    /// mark them.
    #[must_use]
    pub fn by_pip(version: &str) -> Self {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        let (major, minor) = (parts.next().flatten(), parts.next().flatten());
        if (major, minor) >= (Some(20), Some(2)) {
            Self::Marked
        } else {
            Self::Unmarked
        }
    }
}

/// The files that this wheel consists of in this target, sorted by path.
///
/// # Errors
/// A wheel whose files have no place in an environment, and malformed scripts.
pub fn installation(
    wheel: &Wheel,
    target: &InstallScheme<'_>,
) -> Result<Vec<Planned>, InstallError> {
    plan(wheel, target).map_err(|fault| InstallError {
        wheel: wheel.file_name().to_owned(),
        fault: Box::new(fault),
    })
}

fn plan(wheel: &Wheel, target: &InstallScheme<'_>) -> Result<Vec<Planned>, InstallFault> {
    let entries = entry_points::scripts(wheel.entry_points().unwrap_or_default())
        .map_err(InstallFault::EntryPoints)?;
    let (major, minor) = target.version;
    let entries = for_version(entries, major, minor);
    let layout = Paths {
        wheel,
        target,
        commands: entries.iter().map(|entry| entry.name.as_str()).collect(),
    };
    let mut files = Vec::with_capacity(wheel.members().len() + entries.len() + 3);
    for (index, member) in wheel.members().iter().enumerate() {
        files.extend(layout.member(index, member)?);
    }
    if let Some(bytecode) = &target.bytecode {
        files.extend(layout.bytecode(bytecode, &files)?);
    }
    for entry in &entries {
        files.push(layout.script(entry)?);
    }
    let notes = &target.notes;
    let installer = format!("{}\n", notes.installer);
    files.push(layout.metadata("INSTALLER", installer.into_bytes())?);
    if notes.requested == Requested::Marked {
        files.push(layout.metadata("REQUESTED", Vec::new())?);
    }
    if let Some(text) = notes.direct_url {
        files.push(layout.metadata("direct_url.json", text.as_bytes().to_vec())?);
    }
    let record = layout.metadata("RECORD", Vec::new())?;
    let rows = layout.rows(&files, &record);
    files.push(Planned {
        content: FileContent::Bytes(record::write(&rows)),
        ..record
    });
    files.sort_by(|one, other| one.path.cmp(&other.path));
    check(&files, wheel, target)?;
    Ok(files)
}

/// Renames the commands that have a Python version in their names, as pip does for `pip` and
/// `easy_install`: the wheel was built with some Python, but the names must have the version of
/// this one.
fn for_version(entries: Vec<EntryPoint>, major: u8, minor: u8) -> Vec<EntryPoint> {
    let version = format!("{major}.{minor}");
    let pip = [major.to_string(), version.clone()];
    let easy_install = [format!("-{version}")];
    let special: [(&str, &[String]); 2] = [("pip", &pip), ("easy_install", &easy_install)];
    let special = special.map(|(base, suffixes)| {
        let entry = entries.iter().find(|entry| entry.name == base);
        (base, suffixes, entry.cloned())
    });
    let mut kept: Vec<EntryPoint> = entries
        .into_iter()
        .filter(|entry| {
            !special
                .iter()
                .any(|(base, _, found)| found.is_some() && is_versioned(&entry.name, base))
        })
        .collect();
    for (_, suffixes, entry) in special {
        let Some(entry) = entry else { continue };
        kept.extend(suffixes.iter().map(|suffix| EntryPoint {
            name: format!("{}{suffix}", entry.name),
            ..entry.clone()
        }));
    }
    kept
}

/// `pip3`, `pip3.9`, `easy_install-3.9`: the name and a version.
fn is_versioned(name: &str, base: &str) -> bool {
    name.strip_prefix(base).is_some_and(|rest| {
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
    })
}

/// Where a member of the wheel goes.
enum Destination<'m> {
    /// This path, if it is valid.
    File(Result<RelPath, RelPathError>),
    /// The directory of scripts, under this name.
    Script(&'m str),
}

/// A wheel and the target that it is installed into.
struct Paths<'a> {
    wheel: &'a Wheel,
    target: &'a InstallScheme<'a>,
    /// The names of the scripts that are written for entry points.
    commands: BTreeSet<&'a str>,
}

impl Paths<'_> {
    fn library(&self) -> &RelPath {
        match self.wheel.library() {
            Library::Pure => &self.target.purelib,
            Library::Platform => &self.target.platlib,
        }
    }

    /// The planned file of a member; `None` if rvenv writes its own in its place.
    fn member(&self, index: usize, member: &Member) -> Result<Option<Planned>, InstallFault> {
        let unmodified = |path: RelPath| Planned {
            path,
            executable: member.executable,
            mtime: Some(member.mtime),
            content: FileContent::Member {
                member: index,
                digest: member.digest,
                len: member.len,
            },
        };
        let path = member.path.as_str();
        let place = match path.split_once('/') {
            Some((top, "INSTALLER" | "REQUESTED" | "direct_url.json"))
                if top == self.wheel.dist_info() =>
            {
                return Ok(None);
            }
            Some((top, rest)) => match top.strip_suffix(".data") {
                Some(stem) => self.data_place(member, stem, rest)?,
                None => Destination::File(self.library().join(path)),
            },
            None => Destination::File(self.library().join(path)),
        };
        match place {
            Destination::File(path) => path
                .map(|path| Some(unmodified(path)))
                .map_err(InstallFault::Path),
            Destination::Script(name) => self.wheel_script(member, name, unmodified),
        }
    }

    /// Decides where a member of a data directory goes.
    fn data_place<'m>(
        &self,
        member: &Member,
        stem: &str,
        rest: &'m str,
    ) -> Result<Destination<'m>, InstallFault> {
        let fail = || InstallFault::Category(shown(member.path.as_str()));
        // Some installers would take a data directory of another name for the wheel's own, and
        // others would not.
        if self.wheel.dist_info().strip_suffix(".dist-info") != Some(stem) {
            return Err(fail());
        }
        let (category, rest) = rest.split_once('/').ok_or_else(fail)?;
        let target = self.target;
        Ok(match category {
            "purelib" => Destination::File(target.purelib.join(rest)),
            "platlib" => Destination::File(target.platlib.join(rest)),
            "data" => Destination::File(RelPath::new(rest)),
            "headers" => {
                let below = format!("{}/{rest}", self.wheel.name());
                Destination::File(target.headers.join(&below))
            }
            "scripts" if !rest.contains('/') => Destination::Script(rest),
            _ => return Err(fail()),
        })
    }

    /// Plans a ready-made script of the wheel, unless it is the wrapper of an entry point.
    fn wheel_script(
        &self,
        member: &Member,
        name: &str,
        unmodified: impl FnOnce(RelPath) -> Planned,
    ) -> Result<Option<Planned>, InstallFault> {
        let wrapped = ["", ".exe", "-script.py", ".pya"]
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix))
            .any(|stem| self.commands.contains(stem));
        if wrapped {
            return Ok(None);
        }
        let path = self.target.scripts.join(name).map_err(InstallFault::Path)?;
        let wheel = self.wheel;
        let mut planned = Planned {
            executable: true,
            ..unmodified(path)
        };
        if wheel
            .begins_with(member, b"#!python")
            .map_err(InstallFault::Member)?
        {
            let text = wheel.read(member).map_err(InstallFault::Member)?;
            let lines = if self.target.launchers.is_some() {
                launcher::interpreter_line(self.target.python)
            } else {
                script_text::interpreter_lines(self.target.python)
            };
            planned.content = FileContent::Bytes(script_text::rewritten(&lines, &text));
        }
        Ok(Some(planned))
    }

    /// Plans the bytecode of sources that are installed unmodified, as pip does when it compiles: a
    /// file for each source that can be compiled, and a row of RECORD without a hash, so that
    /// uninstalling removes it. The wheel's own bytecode has precedence.
    fn bytecode(
        &self,
        bytecode: &WheelBytecode<'_>,
        files: &[Planned],
    ) -> Result<Vec<Planned>, InstallFault> {
        let taken: BTreeSet<&RelPath> = files.iter().map(|file| &file.path).collect();
        let mut found = Vec::with_capacity(bytecode.files.len());
        for file in files {
            let FileContent::Member { member, .. } = file.content else {
                continue;
            };
            let name = self.wheel.members().get(member).map(|m| m.path.as_str());
            let Some((digest, len)) = name.and_then(|name| bytecode.files.get(name)).copied()
            else {
                continue;
            };
            let path = bytecode::path_of(&file.path, bytecode.tag).map_err(InstallFault::Path)?;
            if let Some(path) = path.filter(|path| !taken.contains(path)) {
                found.push(Planned {
                    path,
                    executable: false,
                    mtime: file.mtime,
                    content: FileContent::Bytecode { digest, len },
                });
            }
        }
        Ok(found)
    }

    fn script(&self, entry: &EntryPoint) -> Result<Planned, InstallFault> {
        let python = self.target.python;
        let (name, bytes) = match self.target.launchers {
            Some(launchers) => {
                let program = launchers.program(entry.window, python, &script_text::call(entry));
                (format!("{}.exe", entry.name), program)
            }
            None => (entry.name.clone(), script_text::console(python, entry)),
        };
        let path = self.target.scripts.join(&name);
        Ok(Planned {
            path: path.map_err(InstallFault::Path)?,
            executable: true,
            mtime: None,
            content: FileContent::Bytes(bytes),
        })
    }

    fn metadata(&self, name: &str, bytes: Vec<u8>) -> Result<Planned, InstallFault> {
        let path = self
            .library()
            .join(&format!("{}/{name}", self.wheel.dist_info()));
        Ok(Planned {
            path: path.map_err(InstallFault::Path)?,
            executable: false,
            mtime: None,
            content: FileContent::Bytes(bytes),
        })
    }

    /// The rows of RECORD; the row of RECORD itself has no hash.
    fn rows(&self, files: &[Planned], record: &Planned) -> BTreeMap<String, Option<(Digest, u64)>> {
        let mut rows = BTreeMap::new();
        for file in files {
            let sum = match &file.content {
                FileContent::Member { digest, len, .. } => Some((*digest, *len)),
                // Python may rewrite it, so pip records no hash for it.
                FileContent::Bytecode { .. } => None,
                FileContent::Bytes(bytes) => Some((Digest::of(bytes), bytes.len() as u64)),
            };
            rows.insert(relative(self.library(), &file.path), sum);
        }
        rows.insert(relative(self.library(), &record.path), None);
        rows
    }
}

/// The relative path from a directory to a file of the same tree.
fn relative(from: &RelPath, to: &RelPath) -> String {
    if to.is_below(from) {
        let below = to.as_str().get(from.as_str().len() + 1..);
        return below.unwrap_or_default().to_owned();
    }
    let mut from = from.components().peekable();
    let mut to = to.components().peekable();
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    let way: Vec<&str> = from.map(|_| "..").chain(to).collect();
    way.join("/")
}

fn check(files: &[Planned], wheel: &Wheel, target: &InstallScheme<'_>) -> Result<(), InstallFault> {
    let scripts = target.scripts.folded();
    let mut places = Places::default();
    for file in files {
        if is_reserved_at(&file.path, &scripts) {
            return Err(InstallFault::Reserved(file.path.clone()));
        }
        let libraries = [&target.purelib, &target.platlib];
        if libraries
            .iter()
            .any(|library| is_of_another(&file.path, library, wheel.dist_info()))
        {
            return Err(InstallFault::OtherMetadata(file.path.clone()));
        }
        places.file(&file.path);
    }
    places.check().map_err(InstallFault::Collision)
}

/// Whether a file would be the metadata of another distribution than the one with this directory:
/// the data directories of a wheel lead there too.
fn is_of_another(path: &RelPath, library: &RelPath, dist_info: &str) -> bool {
    const END: &str = ".dist-info";
    let below = path.as_str().strip_prefix(library.as_str());
    let below = below.and_then(|rest| rest.strip_prefix('/'));
    let top = below
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_default();
    let end = top
        .len()
        .checked_sub(END.len())
        .and_then(|start| top.get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(END)) && top != dist_info
}

/// Whether a name is one of those that the environment itself needs, which a distribution must not
/// replace.
pub(crate) fn is_reserved(path: &RelPath, scripts: &RelPath) -> bool {
    is_reserved_at(path, &scripts.folded())
}

fn is_reserved_at(path: &RelPath, scripts: &str) -> bool {
    let folded = path.folded();
    let top = folded.split('/').next();
    if folded == "pyvenv.cfg" || top == Some(".rvenv") {
        return true;
    }
    folded
        .strip_prefix(scripts)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(is_reserved_script)
}

fn is_reserved_script(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    if matches!(stem, "activate" | "deactivate" | "activate_this") {
        return true;
    }
    let name = [".exe", ".py"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name);
    // `pythonw` comes before `python`, after which the rest would not be a version.
    let Some(version) = ["pythonw", "python", "pypy", "graalpy"]
        .iter()
        .find_map(|base| name.strip_prefix(base))
    else {
        return false;
    };
    // `python3.13t` is the build without the global interpreter lock.
    let version = version.strip_suffix('t').unwrap_or(version);
    version.chars().all(|c| c.is_ascii_digit() || c == '.')
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;
    use crate::wheel::sample::{Builder, NAME};

    const SITE: &str = "lib/python3.12/site-packages";

    fn target() -> InstallScheme<'static> {
        InstallScheme {
            purelib: RelPath::new(SITE).unwrap(),
            platlib: RelPath::new("lib64/python3.12/site-packages").unwrap(),
            scripts: RelPath::new("bin").unwrap(),
            headers: RelPath::new("include/site/python3.12").unwrap(),
            python: "/env/bin/python3",
            launchers: None,
            version: (3, 12),
            notes: Notes {
                installer: "pip",
                requested: Requested::Marked,
                direct_url: None,
            },
            bytecode: None,
        }
    }

    fn planned(builder: Builder) -> Result<Vec<Planned>, InstallError> {
        let wheel = Wheel::from_bytes(NAME, builder.bytes()).unwrap();
        installation(&wheel, &target())
    }

    fn bytes<'a>(files: &'a [Planned], path: &str) -> &'a [u8] {
        let file = files.iter().find(|file| file.path.as_str() == path);
        match &file.unwrap().content {
            FileContent::Bytes(bytes) => bytes,
            FileContent::Member { .. } | FileContent::Bytecode { .. } => {
                panic!("`{path}` is a member")
            }
        }
    }

    fn check(builder: Builder, expect: &str) {
        let story = match planned(builder) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => {
                let fault = error.source().unwrap();
                let cause = fault.source().map(ToString::to_string);
                format!("{error}: {fault}: {}", cause.unwrap_or_default())
            }
        };
        assert!(story.contains(expect), "{expect:?} is not in {story:?}");
    }

    #[test]
    fn bytecode_lies_beside_its_source_and_is_listed_without_a_hash() {
        let wheel = Builder::new()
            .file("demo/a.py", "x = 1")
            .file("demo/b.py", "{{")
            .file("demo/c.py", "")
            .file("demo/__pycache__/c.t-3.pyc", "the wheel's own")
            .file("demo_pkg-1.0.data/scripts/run.py", "#!python\n");
        let wheel = Wheel::from_bytes(NAME, wheel.bytes()).unwrap();
        let made = (Digest::of(b"made"), 4);
        let names = ["demo/a.py", "demo/c.py", "demo_pkg-1.0.data/scripts/run.py"];
        let files = names.map(|name| (name.to_owned(), made)).into();
        let target = InstallScheme {
            bytecode: Some(WheelBytecode {
                tag: "t-3",
                files: &files,
            }),
            ..target()
        };
        let planned = installation(&wheel, &target).unwrap();
        let bytecode: Vec<_> = planned
            .iter()
            .filter(|file| matches!(file.content, FileContent::Bytecode { .. }))
            .collect();
        let [bytecode] = bytecode.as_slice() else {
            panic!("{bytecode:?}");
        };
        assert_eq!(
            bytecode.path.as_str(),
            format!("{SITE}/demo/__pycache__/a.t-3.pyc")
        );
        let source = format!("{SITE}/demo/a.py");
        let source = planned.iter().find(|file| file.path.as_str() == source);
        assert_eq!(bytecode.mtime, source.unwrap().mtime);
        assert!(bytecode.mtime.is_some());
        let record = bytes(&planned, &format!("{SITE}/demo_pkg-1.0.dist-info/RECORD"));
        let record = String::from_utf8_lossy(record);
        let row = "demo/__pycache__/a.t-3.pyc,,";
        assert!(record.lines().any(|line| line == row), "{record}");
    }

    #[test]
    fn a_wheel_becomes_its_members_its_scripts_and_its_metadata() {
        let builder = Builder::new()
            .entry_points("[console_scripts]\ndemo = demo_pkg:main\n")
            .file("demo_pkg-1.0.dist-info/INSTALLER", "other\n");
        let files = planned(builder).unwrap();
        let paths: Vec<_> = files
            .iter()
            .map(|file| (file.path.as_str(), file.executable))
            .collect();
        let info = format!("{SITE}/demo_pkg-1.0.dist-info");
        assert_eq!(
            paths,
            [
                ("bin/demo", true),
                (&format!("{SITE}/demo_pkg/__init__.py"), false),
                (&format!("{info}/INSTALLER"), false),
                (&format!("{info}/METADATA"), false),
                (&format!("{info}/RECORD"), false),
                (&format!("{info}/REQUESTED"), false),
                (&format!("{info}/WHEEL"), false),
                (&format!("{info}/entry_points.txt"), false),
            ]
        );
        assert_eq!(bytes(&files, &format!("{info}/INSTALLER")), b"pip\n");
        assert_eq!(bytes(&files, &format!("{info}/REQUESTED")), b"");
        assert_eq!(files[1].mtime, Some(315_532_800));
        let record = String::from_utf8(bytes(&files, &format!("{info}/RECORD")).to_vec()).unwrap();
        let rows: Vec<_> = record.split("\r\n").collect();
        assert!(rows[0].starts_with("../../../bin/demo,sha256="), "{record}");
        assert_eq!(
            rows[1],
            "demo_pkg-1.0.dist-info/INSTALLER,sha256=zuuue4knoyJ-UwPPXg8fezS7VCrXJQrAP7zeNuwvFQg,4"
        );
        assert_eq!(rows[3], "demo_pkg-1.0.dist-info/RECORD,,");
        assert_eq!(rows.len(), files.len() + 1);
    }

    #[test]
    fn data_goes_where_its_category_says() {
        let data = |rest: &str| format!("demo_pkg-1.0.data/{rest}");
        let builder = Builder::new()
            .file(&data("purelib/p.py"), "")
            .file(&data("platlib/q.so"), "")
            .file(&data("headers/sub/h.h"), "")
            .executable(&data("data/share/d"), "")
            .file(&data("scripts/python-tool"), "#!python -u\nprint()\n")
            .file(&data("scripts/shell"), "#!/bin/sh\n")
            .file(&data("scripts/demo-script.py"), "#!python\n")
            .file(&data("scripts/demo.exe"), "MZ")
            .entry_points("[console_scripts]\ndemo = demo_pkg:main\n");
        let files = planned(builder).unwrap();
        let seen: Vec<_> = files
            .iter()
            .filter(|file| !file.path.as_str().contains("demo_pkg-1.0.dist-info"))
            .map(|file| (file.path.as_str(), file.executable))
            .collect();
        assert_eq!(
            seen,
            [
                ("bin/demo", true),
                ("bin/python-tool", true),
                ("bin/shell", true),
                ("include/site/python3.12/demo_pkg/sub/h.h", false),
                (&format!("{SITE}/demo_pkg/__init__.py"), false),
                (&format!("{SITE}/p.py"), false),
                ("lib64/python3.12/site-packages/q.so", false),
                ("share/d", true),
            ]
        );
        assert_eq!(
            bytes(&files, "bin/python-tool"),
            b"#!/env/bin/python3\nprint()\n"
        );
        assert!(matches!(
            files[2].content,
            FileContent::Member { len: 10, .. }
        ));
        let record = bytes(&files, &format!("{SITE}/demo_pkg-1.0.dist-info/RECORD"));
        let record = String::from_utf8_lossy(record);
        assert!(record.contains("\r\n../../../share/d,sha256="), "{record}");
        assert!(
            record.contains("\r\n../../../lib64/python3.12/site-packages/q.so,"),
            "{record}"
        );
    }

    #[test]
    fn data_without_a_place_is_refused() {
        for path in [
            "demo_pkg-1.0.data/other/a",
            "demo_pkg-1.0.data/purelib",
            "demo_pkg-1.0.data/scripts/a/b",
            "demo_pkg-1.1.data/purelib/a",
            "x.data/a",
        ] {
            check(
                Builder::new().file(path, ""),
                "there is no place to install the entry",
            );
        }
        check(Builder::new().file("a/x.data/b", ""), "accepted");
    }

    /// I6: a wheel does not replace the files of the environment itself.
    #[test]
    fn names_of_the_environment_are_refused() {
        for name in [
            "python",
            "Python3",
            "python3.12",
            "python3.13t",
            "pythonw",
            "python.exe",
            "pypy3",
            "graalpy",
            "activate",
            "activate.fish",
            "Activate.ps1",
            "activate_this.py",
            "deactivate.bat",
            "python3.py",
        ] {
            let entry = format!("[console_scripts]\n{name} = a:b\n");
            check(
                Builder::new().entry_points(&entry),
                "belongs to the environment itself",
            );
            let script = format!("demo_pkg-1.0.data/scripts/{name}");
            check(
                Builder::new().file(&script, ""),
                "belongs to the environment itself",
            );
            let data = format!("demo_pkg-1.0.data/data/bin/{name}");
            check(
                Builder::new().file(&data, ""),
                "belongs to the environment itself",
            );
        }
        for path in ["pyvenv.cfg", "PYVENV.CFG", ".rvenv/receipt.json"] {
            let data = format!("demo_pkg-1.0.data/data/{path}");
            check(
                Builder::new().file(&data, ""),
                "belongs to the environment itself",
            );
        }
        for name in [
            "python-config",
            "pythonize",
            "pypyjit",
            "activate-global",
            "pip",
        ] {
            let entry = format!("[console_scripts]\n{name} = a:b\n");
            check(Builder::new().entry_points(&entry), "accepted");
        }
    }

    #[test]
    fn two_files_for_one_place_are_refused() {
        check(
            Builder::new().file("demo_pkg-1.0.data/purelib/demo_pkg/__init__.py", ""),
            "two files have the path",
        );
        check(
            Builder::new()
                .entry_points("[console_scripts]\ndemo = a:b\n")
                .file("demo_pkg-1.0.data/data/bin/Demo", ""),
            "where case is ignored",
        );
        check(
            Builder::new().file("demo_pkg-1.0.data/purelib/demo_pkg", ""),
            "is both a file and a directory",
        );
        check(
            Builder::new().file(
                &format!("demo_pkg-1.0.data/data/{SITE}/demo_pkg-1.0.dist-info/RECORD"),
                "",
            ),
            "two files have the path",
        );
    }

    #[test]
    fn a_malformed_entry_point_names_the_wheel_and_the_line() {
        let builder = Builder::new().entry_points("[console_scripts]\n../x = a:b\n");
        check(
            builder,
            "demo_pkg-1.0-py3-none-any.whl`: its entry_points.txt is malformed: line 2",
        );
    }

    #[test]
    fn a_bad_script_is_noticed_when_it_is_rewritten() {
        let builder = Builder::new().file("demo_pkg-1.0.data/scripts/tool", "#!python\n");
        let record = builder.right_record();
        let builder = builder
            .file("demo_pkg-1.0.data/scripts/tool", "#!python!")
            .record(|_| record);
        check(
            builder,
            "one of its scripts cannot be read: cannot use the wheel",
        );
    }

    fn check_names(lines: &[&str], expect: &[&str]) {
        let text = format!("[console_scripts]\n{}\n", lines.join("\n"));
        let entries = entry_points::scripts(&text).unwrap();
        let names: Vec<_> = for_version(entries, 3, 14)
            .into_iter()
            .map(|entry| format!("{}={}:{}", entry.name, entry.module, entry.attribute))
            .collect();
        assert_eq!(names, expect);
    }

    #[test]
    fn pip_and_easy_install_are_named_after_the_target() {
        check_names(
            &["pip=a:b", "pip3=a:b", "pip3.9=a:b", "pip3x=a:b", "x=a:b"],
            &["pip=a:b", "pip3x=a:b", "x=a:b", "pip3=a:b", "pip3.14=a:b"],
        );
        check_names(
            &["easy_install=a:b", "easy_install-3.6=a:b"],
            &["easy_install=a:b", "easy_install-3.14=a:b"],
        );
        check_names(
            &["pip3=a:b", "easy_install-2.7=a:b"],
            &["pip3=a:b", "easy_install-2.7=a:b"],
        );
    }

    #[test]
    fn pip_marks_requests_since_20_2() {
        for (version, expect) in [
            ("18.1", Requested::Unmarked),
            ("20.1.1", Requested::Unmarked),
            ("20.2", Requested::Marked),
            ("23.0.1", Requested::Marked),
            ("100", Requested::Marked),
            ("", Requested::Unmarked),
        ] {
            assert_eq!(Requested::by_pip(version), expect, "{version}");
        }
    }
}
