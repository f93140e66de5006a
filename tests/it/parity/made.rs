//! A created environment, read for comparison, and the differences between two of them.
//!
//! The comparison covers every path, kind, mode, owner, group, ACL, link target and byte. It reads
//! `pyvenv.cfg` key by key and a RECORD row by row: `pyvenv.cfg: home` and
//! `pip-24.2.dist-info/RECORD: pip/__init__.py` are paths here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rvenv_journal::Digest;

use crate::machine::{Entry, Kind, tree};
use crate::parity::rules::What;

/// The path of a difference that concerns the whole environment.
pub(crate) const ALL: &str = "the environment";

/// The line that a user added to a script, and the name of its entry in the comparison.
pub(crate) const EDIT: &str = "# the user's own line\n";
const EDITED: &str = "bin/activate: the line that the user added";

#[derive(Clone, PartialEq)]
pub(crate) struct Made {
    tree: BTreeMap<String, Entry>,
    shares: BTreeMap<String, Share>,
    /// Keys and rows, each with the name of its file as prefix.
    lines: BTreeMap<String, String>,
    /// The keys of the configuration in their order.
    keys: Vec<String>,
}

/// The owner and group of an object, and its ACLs; its setgid bit is in its mode.
#[derive(Clone, Debug, PartialEq)]
struct Share {
    owner: (u32, u32),
    /// Its access ACL, and its default ACL.
    acls: [Vec<u8>; 2],
}

impl Share {
    fn of(path: &Path) -> Self {
        let meta = fs::symlink_metadata(path).unwrap();
        let acls = ["system.posix_acl_access", "system.posix_acl_default"].map(|name| {
            let mut bytes = vec![0; 4096];
            let len = rustix::fs::lgetxattr(path, name, &mut bytes[..]).unwrap_or(0);
            bytes.truncate(len);
            bytes
        });
        Self {
            owner: (meta.uid(), meta.gid()),
            acls,
        }
    }
}

/// A difference, and its description.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) path: String,
    /// `None` means that no rule can allow it.
    pub(crate) what: Option<What>,
    pub(crate) detail: String,
}

impl Made {
    /// Reads an environment, and deletes it.
    pub(crate) fn take(env: &Path) -> Self {
        let made = Self::read(env);
        fs::remove_dir_all(env).unwrap();
        made
    }

    pub(crate) fn read(env: &Path) -> Self {
        let mut tree = tree(env);
        let text = |path: &str| fs::read_to_string(env.join(path)).unwrap();
        let config = text("pyvenv.cfg");
        assert!(
            config.ends_with('\n') && !config.contains('\r'),
            "{config:?}"
        );
        let pairs = config
            .lines()
            .map(|line| line.split_once(" = ").unwrap_or((line, "")));
        let keys = pairs.clone().map(|(key, _)| key.to_owned()).collect();
        let mut lines: BTreeMap<_, _> = pairs
            .map(|(key, value)| (format!("pyvenv.cfg: {key}"), value.to_owned()))
            .collect();
        for record in tree.keys().filter(|path| is_record(path)) {
            for row in text(record).lines() {
                let mut fields = row.rsplitn(3, ',');
                let (len, hash) = (fields.next().unwrap(), fields.next().unwrap());
                let path = fields.next().unwrap();
                lines.insert(format!("{record}: {path}"), format!("{hash},{len}"));
            }
        }
        for (path, entry) in &mut tree {
            // Compared line by line.
            if path == "pyvenv.cfg" || is_record(path) {
                entry.kind = Kind::File(Digest::of(b""));
            }
        }
        if text("bin/activate").ends_with(EDIT) {
            lines.insert(EDITED.to_owned(), String::new());
        }
        let share = |path: &String| (path.clone(), Share::of(&env.join(path)));
        let shares = tree.keys().map(share).collect();
        Self {
            tree,
            shares,
            lines,
            keys,
        }
    }

    /// The environment with pip for these flags, composed of one without pip, and of one with pip
    /// that has another prompt and another choice of system packages.
    ///
    /// The result of installing pip does not depend on these two, and takes seconds.
    pub(crate) fn with_pip_of(self, other: &Self) -> Self {
        let mut tree = other.tree.clone();
        tree.extend(self.tree);
        let mut shares = other.shares.clone();
        shares.extend(self.shares);
        let mut lines = other.lines.clone();
        lines.retain(|path, _| !path.starts_with("pyvenv.cfg: "));
        lines.extend(self.lines);
        if let Some(command) = lines.get_mut("pyvenv.cfg: command") {
            *command = command.replacen(" --without-pip", "", 1);
        }
        Self {
            tree,
            shares,
            lines,
            keys: self.keys,
        }
    }
}

fn is_record(path: &str) -> bool {
    path.ends_with(".dist-info/RECORD")
}

/// Everything in which the second differs from the first.
pub(crate) fn differences(venv: &Made, rvenv: &Made) -> Vec<Difference> {
    let mut found = Vec::new();
    for path in both(&venv.tree, &rvenv.tree) {
        let found_by = (venv.tree.get(path), rvenv.tree.get(path));
        let shares = (venv.shares.get(path), rvenv.shares.get(path));
        let has_acl = [shares.0, shares.1]
            .iter()
            .any(|share| share.is_some_and(|share| !share.acls[0].is_empty()));
        // With an ACL the group bits are its mask, and are compared with it.
        let bits = if has_acl { !0o070 } else { !0 };
        found.extend(differ(path, found_by, |venv, rvenv| {
            entry(bits, venv, rvenv)
        }));
        if let (Some(_), Some(_)) = shares {
            found.extend(differ(path, shares, share));
        }
    }
    for path in both(&venv.lines, &rvenv.lines) {
        let found_by = (venv.lines.get(path), rvenv.lines.get(path));
        found.extend(differ(path, found_by, |venv, rvenv| {
            (venv != rvenv).then(|| (Some(What::Bytes), format!("`{venv}` and not `{rvenv}`")))
        }));
    }
    let order = |one: &Made, other: &Made| -> Vec<String> {
        let known = one.keys.iter().filter(|key| other.keys.contains(key));
        known.cloned().collect()
    };
    let (venv, rvenv) = (order(venv, rvenv), order(rvenv, venv));
    if venv != rvenv {
        found.push(Difference {
            path: "pyvenv.cfg".to_owned(),
            what: None,
            detail: format!("the order {venv:?} and not {rvenv:?}"),
        });
    }
    found
}

fn both<'a, T>(
    one: &'a BTreeMap<String, T>,
    other: &'a BTreeMap<String, T>,
) -> BTreeSet<&'a String> {
    one.keys().chain(other.keys()).collect()
}

fn differ<T>(
    path: &str,
    found_by: (Option<&T>, Option<&T>),
    compare: impl Fn(&T, &T) -> Option<(Option<What>, String)>,
) -> Option<Difference> {
    let (what, detail) = match found_by {
        (Some(venv), Some(rvenv)) => compare(venv, rvenv)?,
        (Some(_), _) => (Some(What::VenvAlone), "only venv has it".to_owned()),
        (None, _) => (Some(What::RvenvAlone), "only rvenv has it".to_owned()),
    };
    let path = path.to_owned();
    Some(Difference { path, what, detail })
}

fn share(venv: &Share, rvenv: &Share) -> Option<(Option<What>, String)> {
    if venv.owner != rvenv.owner {
        let detail = format!("owner {:?} and not {:?}", venv.owner, rvenv.owner);
        return Some((None, detail));
    }
    (venv.acls != rvenv.acls).then(|| (Some(What::Acl), "another ACL".to_owned()))
}

fn entry(bits: u32, venv: &Entry, rvenv: &Entry) -> Option<(Option<What>, String)> {
    if (venv.mode ^ rvenv.mode) & bits != 0 && !matches!(venv.kind, Kind::Link(_)) {
        let (venv, rvenv) = (venv.mode, rvenv.mode);
        return Some((None, format!("mode {venv:o} and not {rvenv:o}")));
    }
    match (&venv.kind, &rvenv.kind) {
        (venv, rvenv) if venv == rvenv => None,
        (Kind::File(_), Kind::File(_)) => Some((Some(What::Bytes), "other bytes".to_owned())),
        (venv, rvenv) => Some((None, format!("{venv:?} and not {rvenv:?}"))),
    }
}
