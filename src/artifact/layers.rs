//! The layers of an image: which paths of an environment are in which.
//!
//! Promises that the same tree gives the same layers; that all paths of a package are in one layer;
//! and that another version of a package changes its own layer and the last one, which has what no
//! package brought. So a machine that has the image of yesterday fetches little.
//!
//! Does not promise that each package has a layer: a filesystem of stacked layers takes about 127
//! of them, so packages of few bytes share some, by their names.
//!
//! Read next: `image.rs`, the text of an image; `../front/imaging/layer.rs`, the bytes of a layer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rvenv_journal::{Digest, Node, Operation, RelPath};

use crate::wheel::Named;

/// How many layers an image may have, those of its base included.
pub const LAYERS_MAX: usize = 127;
/// How many layers the packages of few bytes share.
const SHARED: usize = 16;
/// From how many bytes on a package has a layer of its own.
const LARGE: u64 = 4 << 20;

/// A tree, as an image has it: every path, and what is there.
pub type Tree = BTreeMap<RelPath, Operation>;

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// What is in it, for people.
    pub what: String,
    /// Its paths, each after the directory that it is in.
    pub paths: BTreeSet<RelPath>,
}

/// How many layers a base may have, so that its images have a layer for each kind.
pub const BASE_LAYERS_MAX: usize = LAYERS_MAX - SHARED - 1;

/// Divides a tree into layers, for an image whose base has so many.
#[must_use]
pub fn layers(tree: &Tree, base_layers: usize) -> Vec<Layer> {
    let mut packages: BTreeMap<&str, Package<'_>> = BTreeMap::new();
    let mut own = BTreeSet::new();
    for (path, operation) in tree {
        let is_dir = matches!(operation.node, Node::Dir { .. });
        match operation.group.as_deref() {
            // Each layer has the directories of its paths.
            Some(_) if is_dir => {}
            Some(wheel) => {
                let package = packages.entry(wheel).or_default();
                package.bytes += len(&operation.node);
                package.paths.insert(path);
            }
            None => {
                own.insert(path);
            }
        }
    }
    let room = BASE_LAYERS_MAX.saturating_sub(base_layers);
    let mut large: Vec<(&str, u64)> = packages
        .iter()
        .map(|(wheel, package)| (*wheel, package.bytes))
        .filter(|(_, bytes)| *bytes >= LARGE)
        .collect();
    large.sort_by_key(|(wheel, bytes)| (std::cmp::Reverse(*bytes), *wheel));
    large.truncate(room);
    let large: BTreeSet<&str> = large.into_iter().map(|(wheel, _)| wheel).collect();
    let mut alone = Vec::new();
    let mut shared: BTreeMap<usize, Vec<(&str, Package<'_>)>> = BTreeMap::new();
    for (wheel, package) in packages {
        if large.contains(wheel) {
            alone.push(layer(tree, &[wheel], package.paths));
        } else {
            shared
                .entry(share(wheel))
                .or_default()
                .push((wheel, package));
        }
    }
    let shared = shared.into_values().map(|packages| {
        let names: Vec<&str> = packages.iter().map(|(wheel, _)| *wheel).collect();
        let paths = packages.into_iter().flat_map(|(_, package)| package.paths);
        layer(tree, &names, paths.collect())
    });
    let last = layer(tree, &["the environment itself"], own);
    alone.into_iter().chain(shared).chain([last]).collect()
}

#[derive(Default)]
struct Package<'t> {
    bytes: u64,
    paths: BTreeSet<&'t RelPath>,
}

fn len(node: &Node) -> u64 {
    match node {
        Node::File { content, .. } => content.len(),
        Node::Dir { .. } | Node::Symlink { .. } => 0,
    }
}

/// Which of the shared layers has a package: one for all of its versions.
fn share(wheel: &str) -> usize {
    let named = Named::of(Path::new(wheel));
    let name = named.map_or_else(|| wheel.to_owned(), |named| named.name);
    let first = Digest::of(name.as_bytes()).as_bytes().first().copied();
    usize::from(first.unwrap_or_default()) % SHARED
}

/// A layer of these paths, and of the directories that they are in.
fn layer(tree: &Tree, what: &[&str], paths: BTreeSet<&RelPath>) -> Layer {
    let mut all = BTreeSet::new();
    for path in paths {
        let above = std::iter::successors(path.parent(), RelPath::parent);
        let above = above.filter(|dir| tree.contains_key(dir));
        all.extend(above);
        all.insert(path.clone());
    }
    Layer {
        what: what.join(" "),
        paths: all,
    }
}

#[cfg(test)]
mod tests {
    use rvenv_journal::{Content, Mode};

    use super::*;

    fn tree(files: &[(&str, Option<&str>, u64)]) -> Tree {
        let mut tree = Tree::new();
        let mut add = |path: RelPath, group: Option<&str>, node| {
            let part = "test".into();
            let group = group.map(Into::into);
            tree.entry(path).or_insert(Operation { part, group, node });
        };
        for (path, group, len) in files {
            let path = RelPath::new(path).unwrap();
            for dir in std::iter::successors(path.parent(), RelPath::parent) {
                let mode = Mode::SHARED_DIR;
                add(dir, *group, Node::Dir { mode });
            }
            let content = Content::Object {
                digest: Digest::of(path.as_str().as_bytes()),
                len: *len,
            };
            let node = Node::File {
                mode: Mode::SHARED_FILE,
                mtime: None,
                content,
            };
            add(path, *group, node);
        }
        tree
    }

    fn paths(layer: &Layer) -> Vec<&str> {
        layer.paths.iter().map(RelPath::as_str).collect()
    }

    #[test]
    fn large_packages_have_layers_of_their_own_and_the_last_layer_is_what_no_package_brought() {
        let tree = tree(&[
            ("bin/python", None, 1),
            ("lib/a/x", Some("a-1-py3-none-any.whl"), LARGE),
            ("lib/b/y", Some("b-1-py3-none-any.whl"), LARGE - 1),
            ("bin/b", Some("b-1-py3-none-any.whl"), 1),
        ]);
        let found = layers(&tree, 0);
        let whats: Vec<&str> = found.iter().map(|layer| layer.what.as_str()).collect();
        assert_eq!(
            whats,
            [
                "a-1-py3-none-any.whl",
                "b-1-py3-none-any.whl",
                "the environment itself"
            ]
        );
        assert_eq!(paths(&found[0]), ["lib", "lib/a", "lib/a/x"]);
        assert_eq!(
            paths(&found[1]),
            ["bin", "bin/b", "lib", "lib/b", "lib/b/y"]
        );
        assert_eq!(paths(&found[2]), ["bin", "bin/python"]);
    }

    #[test]
    fn another_version_of_a_small_package_stays_in_its_layer() {
        let names: Vec<String> = (0..60).map(|number| format!("p{number}")).collect();
        let of = |changed: &str| {
            let files: Vec<_> = names
                .iter()
                .map(|name| {
                    let version = if name == changed { 2 } else { 1 };
                    (
                        format!("lib/{name}"),
                        format!("{name}-{version}-py3-none-any.whl"),
                    )
                })
                .collect();
            let files: Vec<_> = files
                .iter()
                .map(|(path, wheel)| (path.as_str(), Some(wheel.as_str()), 1))
                .collect();
            layers(&tree(&files), 0)
        };
        let (old, new) = (of(""), of("p7"));
        assert_eq!(old.len(), new.len());
        assert!(old.len() <= SHARED + 1);
        let same = old.iter().zip(&new).filter(|(old, new)| old == new).count();
        assert_eq!(same, old.len() - 1);
    }

    #[test]
    fn no_image_has_more_layers_than_can_be_stacked() {
        let files: Vec<_> = (0..300)
            .map(|number| {
                (
                    format!("lib/p{number}"),
                    format!("p{number}-1-py3-none-any.whl"),
                )
            })
            .collect();
        let files: Vec<_> = files
            .iter()
            .map(|(path, wheel)| (path.as_str(), Some(wheel.as_str()), LARGE))
            .collect();
        let tree = tree(&files);
        for base in [0, 5, BASE_LAYERS_MAX] {
            let found = layers(&tree, base);
            assert!(base + found.len() <= LAYERS_MAX, "{base}: {}", found.len());
            let paths: BTreeSet<_> = found.iter().flat_map(|layer| &layer.paths).collect();
            assert_eq!(paths.len(), tree.len());
        }
    }
}
