//! The frame of an environment that was moved, or whose base is gone: its interpreter, its
//! configuration, its activation scripts, and the first lines of its scripts.
//!
//! Promises to plan only what names the old place or the old base, whichever tool wrote it, and
//! that the `RECORD` of a distribution follows its scripts. Activation scripts are written anew, in
//! the languages that exist. Does not change `direct_url.json` and `.pth` files; those that lead
//! into the old place are named by `moved_pth`. Does not write.
//!
//! Read next: `config_edit.rs`; `wheel/shebang.rs`, the first lines of scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::{Dir, FsError, Kind, Meta};
use rvenv_journal::raw::Difference;
use rvenv_journal::{Content, Fs, Mode, Node, PlanBuilder, RelPath};

use super::config_edit::{Edit, edited};
use crate::build::activation::{self, Activation};
use crate::build::hooks::Context;
use crate::build::pyvenv_cfg::CONFIG_NAME;
use crate::change::existing::{Existing, Lib, PythonFile};
use crate::change::verify::{FrameChecked, has_lib64, place};
use crate::wheel::distributions::DistributionKind;
use crate::wheel::record::{self, RowChange};
use crate::wheel::shebang;

/// The longest script that is written again.
const SCRIPT_BYTES_MAX: u64 = 64 << 20;
/// The longest `RECORD` and `pyvenv.cfg`.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// What an environment's frame is to become.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameRepair<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) root: &'a Dir,
    pub(super) existing: &'a Existing,
    /// What is wrong with it.
    pub(super) frame: &'a FrameChecked,
    pub(super) context: &'a Context,
    /// The frame of a new environment.
    pub(super) fresh: &'a PlanBuilder,
    /// Whether the interpreter of the context takes the place of the old one.
    pub(super) has_new_base: bool,
    /// The paths that come back as they were published.
    pub(super) restored: &'a BTreeMap<String, Difference>,
    /// The paths that are planned otherwise.
    pub(super) taken: &'a BTreeSet<RelPath>,
}

/// The `RECORD` of a distribution.
struct Listed<'a> {
    path: RelPath,
    /// The directory of packages that it is in.
    lib: &'a Lib,
    list: &'a [u8],
    meta: &'a Meta,
}

/// New nodes by path.
pub(super) type Nodes = BTreeMap<RelPath, Node>;

/// Whether the links to the interpreter and the configuration need a base.
pub(super) fn needs_base(frame: &FrameChecked) -> bool {
    let mut drift = frame.drift.iter();
    let is_of_base = |path: &str| path == "bin/python" || path == CONFIG_NAME;
    frame.base_lost.is_some() || drift.any(|found| is_of_base(&found.path))
}

impl FrameRepair<'_> {
    /// Everything that changes.
    pub(super) fn nodes(&self) -> Result<Nodes, FsError> {
        let mut nodes = Nodes::new();
        let Ok(bin) = self.fs.open_dir(self.root, OsStr::new("bin")) else {
            return Ok(nodes);
        };
        if self.has_new_base || self.frame.moved_from.is_some() {
            self.pythons(&bin, &mut nodes)?;
            nodes.extend(self.config()?);
        }
        if self.frame.moved_from.is_some() {
            self.activation(&bin, &mut nodes)?;
        }
        let scripts = self.scripts(&bin)?;
        self.records(&scripts, &mut nodes)?;
        nodes.extend(scripts);
        nodes.retain(|path, _| !self.taken.contains(path));
        Ok(nodes)
    }

    /// The names of the interpreter.
    fn pythons(&self, bin: &Dir, nodes: &mut Nodes) -> Result<(), FsError> {
        let old_bin = self.frame.moved_from.as_ref().map(|old| old.join("bin"));
        let executable = self.context.interpreter.executable.to_string_lossy();
        let env_exe = self.fresh.operations().get(&self.context.layout.env_exe);
        for (name, file_of_name) in &self.existing.frame.python.pythons {
            let Some(path) = self.in_bin(name) else {
                continue;
            };
            if *file_of_name == PythonFile::Copied && self.is_file(bin, name)? {
                let copy = env_exe.map(|operation| &operation.node);
                let copy =
                    copy.filter(|node| self.has_new_base && matches!(node, Node::File { .. }));
                nodes.extend(copy.map(|node| (path, node.clone())));
                continue;
            }
            let Ok(target) = self.fs.read_link(bin, OsStr::new(name)) else {
                continue;
            };
            let target = Path::new(&target);
            let is_of_old = target.is_absolute() && target.parent() == old_bin.as_deref();
            let own = target.file_name().and_then(OsStr::to_str);
            let target = match own {
                Some(own) if is_of_old => own.to_owned(),
                _ if target.is_absolute() && self.has_new_base => executable.clone().into_owned(),
                _ => continue,
            };
            nodes.insert(path, Node::Symlink { target });
        }
        if self.existing.frame.python.main().is_none() {
            let of_python = |part: &str| part == "python";
            let fresh = self.fresh.operations().iter();
            let fresh = fresh.filter(|(_, operation)| of_python(&operation.part));
            nodes.extend(fresh.map(|(path, operation)| (path.clone(), operation.node.clone())));
        }
        Ok(())
    }

    fn is_file(&self, bin: &Dir, name: &str) -> Result<bool, FsError> {
        let meta = self.fs.meta(bin, OsStr::new(name))?;
        Ok(meta.is_some_and(|meta| meta.kind == Kind::File))
    }

    /// The configuration with the new place and the new base.
    fn config(&self) -> Result<Option<(RelPath, Node)>, FsError> {
        let name = OsStr::new(CONFIG_NAME);
        let Some((text, meta)) = self.text(self.root, name, LIST_BYTES_MAX)? else {
            return Ok(None);
        };
        let Ok(path) = RelPath::new(CONFIG_NAME) else {
            return Ok(None);
        };
        let new = self.edited(&text);
        Ok((new != text).then(|| (path, file(&meta, new.into_bytes()))))
    }

    /// A configuration with the new place, and the new base if the old one is lost.
    pub(super) fn edited(&self, text: &str) -> String {
        let Context {
            interpreter,
            layout,
            env_dir,
            ..
        } = self.context;
        let edit = Edit {
            env_dir,
            base: self.has_new_base.then_some((interpreter, layout)),
        };
        edited(text, &self.existing.frame.config, edit)
    }

    /// The activation scripts that exist, for this place.
    fn activation(&self, bin: &Dir, nodes: &mut Nodes) -> Result<(), FsError> {
        let layout = &self.context.layout;
        let activation = Activation {
            env_dir: &self.context.env_dir,
            prompt: &self.context.prompt,
            bin_name: layout.bin_name.as_str(),
            site_packages: &[layout.lib_path.to_string()],
        };
        for name in self.fs.list(bin)? {
            let Some(name) = name.to_str() else { continue };
            let Some(script) = activation::script(&activation, name) else {
                continue;
            };
            let meta = self.fs.meta(bin, OsStr::new(name))?;
            let meta = meta.filter(|meta| meta.kind == Kind::File);
            let (Some(path), Some(meta)) = (self.in_bin(name), meta) else {
                continue;
            };
            nodes.insert(path, file(&meta, script.text.into_bytes()));
        }
        Ok(())
    }

    /// The scripts that start an interpreter of the old place, or one that does not exist.
    fn scripts(&self, bin: &Dir) -> Result<Nodes, FsError> {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        names.extend(self.frame.moved_scripts.iter().map(String::as_str));
        let dead = self.frame.drift.iter().map(|found| found.path.as_str());
        let dead: Vec<&str> = dead
            .filter_map(|path| path.strip_prefix("bin/"))
            .filter(|name| *name != "python")
            .collect();
        let listed = if dead.is_empty() {
            BTreeSet::new()
        } else {
            self.listed()?
        };
        names.extend(dead.into_iter().filter(|name| listed.contains(*name)));
        let mut scripts = Nodes::new();
        for name in names {
            let Some(path) = self.in_bin(name) else {
                continue;
            };
            if self.taken.contains(&path) {
                continue;
            }
            let meta = self.fs.meta(bin, OsStr::new(name))?;
            let Some(meta) = meta.filter(|meta| meta.kind == Kind::File) else {
                continue;
            };
            let script = self.fs.read_file(bin, OsStr::new(name), SCRIPT_BYTES_MAX)?;
            let other = |python: &Path| (!self.comes_back(python)).then(|| self.own(python));
            if let Some(new) = shebang::with_interpreter(&script, other) {
                scripts.insert(path, file(&meta, new));
            }
        }
        Ok(scripts)
    }

    /// Whether an interpreter that does not exist is restored.
    fn comes_back(&self, python: &Path) -> bool {
        let below = python.strip_prefix(&self.context.env_dir);
        let below = below.ok().and_then(Path::to_str);
        below.is_some_and(|below| self.restored.contains_key(below))
    }

    /// The interpreter of this environment with the same name, or `python`.
    fn own(&self, python: &Path) -> String {
        let name = python.file_name().and_then(OsStr::to_str);
        let has = |name: &&str| self.existing.frame.python.pythons.contains_key(*name);
        let name = name.filter(has).unwrap_or("python");
        let path = self.in_bin(name);
        path.map_or_else(String::new, |path| self.context.absolute(&path))
    }

    /// The names of the scripts that a distribution lists.
    fn listed(&self) -> Result<BTreeSet<String>, FsError> {
        let mut names = BTreeSet::new();
        self.each_record(&mut |Listed { lib, list, .. }| {
            for (row, _) in record::rows(list).flatten() {
                let path = place(lib.path.as_str(), &row, has_lib64(self.fs, self.root));
                let name = path.ok().and_then(|path| {
                    let name = path.strip_prefix("bin/")?;
                    Some(name.to_owned())
                });
                names.extend(name);
            }
        })?;
        Ok(names)
    }

    /// The lists of the distributions whose scripts change, with the new hashes.
    fn records(&self, scripts: &Nodes, nodes: &mut Nodes) -> Result<(), FsError> {
        if scripts.is_empty() {
            return Ok(());
        }
        let lib64 = has_lib64(self.fs, self.root);
        let sum = |row: &str, lib: &Lib| {
            let path = place(lib.path.as_str(), row, lib64).ok()?;
            match scripts.get(&RelPath::new(&path).ok()?)? {
                Node::File { content, .. } => Some((content.digest(), content.len())),
                Node::Dir { .. } | Node::Symlink { .. } => None,
            }
        };
        self.each_record(&mut |Listed {
                                   path,
                                   lib,
                                   list,
                                   meta,
                               }| {
            let new = record::rewritten(list, |row| match sum(row, lib) {
                Some((digest, len)) => RowChange::Content(digest, len),
                None => RowChange::Keep,
            });
            if new != list {
                nodes.insert(path, file(meta, new));
            }
        })
    }

    /// Shows every `RECORD` that is planned nowhere else.
    fn each_record(&self, show: &mut dyn FnMut(Listed<'_>)) -> Result<(), FsError> {
        for lib in &self.existing.libs {
            let mut dir = self.root.clone();
            for component in lib.path.components() {
                dir = self.fs.open_dir(&dir, OsStr::new(component))?;
            }
            let mut all = lib.distributions.iter();
            let all = all
                .by_ref()
                .filter(|d| d.kind == DistributionKind::DistInfo);
            for distribution in all {
                let path = lib.path.join(&format!("{}/RECORD", distribution.dir));
                let Ok(path) = path.map_err(drop) else {
                    continue;
                };
                if self.taken.contains(&path) {
                    continue;
                }
                let info = self.fs.open_dir(&dir, OsStr::new(&distribution.dir))?;
                let name = OsStr::new("RECORD");
                let meta = self.fs.meta(&info, name)?;
                let Some(meta) = meta.filter(|meta| meta.kind == Kind::File) else {
                    continue;
                };
                let list = self.fs.read_file(&info, name, LIST_BYTES_MAX)?;
                show(Listed {
                    path,
                    lib,
                    list: &list,
                    meta: &meta,
                });
            }
        }
        Ok(())
    }

    fn in_bin(&self, name: &str) -> Option<RelPath> {
        self.context.layout.bin_name.join(name).ok()
    }

    fn text(
        &self,
        dir: &Dir,
        name: &OsStr,
        len_max: u64,
    ) -> Result<Option<(String, Meta)>, FsError> {
        let Some(meta) = self.fs.meta(dir, name)? else {
            return Ok(None);
        };
        if meta.kind != Kind::File {
            return Ok(None);
        }
        let bytes = self.fs.read_file(dir, name, len_max)?;
        Ok(String::from_utf8(bytes).ok().map(|text| (text, meta)))
    }
}

/// A file with other bytes and the permissions that it has.
fn file(meta: &Meta, bytes: Vec<u8>) -> Node {
    let mode = Mode::new(meta.mode & 0o777).unwrap_or(Mode::SHARED_FILE);
    Node::File {
        mode,
        mtime: None,
        content: Content::Inline(bytes),
    }
}

/// The `.pth` files that lead into the old place, below the environment: editable installs of what
/// was in it, which only their installer can follow.
pub(super) fn moved_pth(
    fs: &dyn Fs,
    root: &Dir,
    existing: &Existing,
    old: &Path,
) -> Result<Vec<PathBuf>, FsError> {
    let mut found = Vec::new();
    for lib in &existing.libs {
        let mut dir = root.clone();
        for component in lib.path.components() {
            dir = fs.open_dir(&dir, OsStr::new(component))?;
        }
        let is_pth = |name: &OsStr| Path::new(name).extension() == Some(OsStr::new("pth"));
        for name in fs.list(&dir)?.into_iter().filter(|name| is_pth(name)) {
            let Ok(bytes) = fs.read_file(&dir, &name, 1 << 20) else {
                continue;
            };
            let text = String::from_utf8_lossy(&bytes);
            let mut lines = text.lines();
            if lines.any(|line| Path::new(line.trim()).starts_with(old)) {
                found.push(Path::new(lib.path.as_str()).join(name));
            }
        }
    }
    Ok(found)
}
