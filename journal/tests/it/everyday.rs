//! Everyday use on a real disk, on any operating system: publish, replace, change, roll back and
//! forward.
//!
//! Where a filesystem cannot exchange two names, as on Windows, the engine takes the old tree away
//! and puts the new one; the promises are the same. Read next: `model.rs`, for random histories on
//! Linux; `crash.rs`, for everything that can go wrong.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "these are tests, which work on a real disk and say what they skip"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use rvenv_journal::fs::Rename;
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::raw::{Decision, ENGINE_DIR};
use rvenv_journal::*;

/// The content of files, by path.
type Files = BTreeMap<String, String>;

fn files(pairs: &[(&str, &str)]) -> Files {
    let owned = pairs
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    owned.collect()
}

/// A scratch directory in which the target is `site`.
struct Lab {
    _place: tempfile::TempDir,
    site: PathBuf,
    disk: RealFs,
}

impl Lab {
    /// `None` where an open directory handle does not follow a rename, so that nothing can be
    /// staged: true of an emulation of Windows, not of Windows.
    fn new() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let site = place.path().canonicalize().unwrap().join("site");
        let disk = RealFs::new();
        let at = disk.open_path(place.path()).unwrap();
        let (old, new) = (OsStr::new("old"), OsStr::new("new"));
        disk.make_dir(&at, old, 0o700).unwrap();
        let held = disk.open_dir(&at, old).unwrap();
        disk.rename(at.at(old), at.at(new), Rename::NoReplace)
            .unwrap();
        let is_followed = disk.list(&held).is_ok();
        drop(held);
        disk.remove_dir(&at, new).unwrap();
        if !is_followed {
            eprintln!("skipped: this emulation of Windows tells a path that is no more");
            return None;
        }
        Some(Self {
            _place: place,
            site,
            disk,
        })
    }

    fn plan(&self, target: &Target<'_>, wanted: &Files, how: Publication) -> Plan {
        let text = target.path().to_str().unwrap();
        let mut builder = PlanBuilder::new(text, Mode::SHARED_DIR).unwrap();
        for (path, bytes) in wanted {
            let path = RelPath::new(path).unwrap();
            builder
                .add_parents(&path, "pages", None, Mode::SHARED_DIR)
                .unwrap();
            let node = Node::File {
                mode: Mode::SHARED_FILE,
                mtime: None,
                content: Content::Inline(bytes.as_bytes().to_vec()),
            };
            let operation = Operation {
                part: "pages".into(),
                group: None,
                node,
            };
            builder.add(path, operation).unwrap();
        }
        let seen = observe(
            &self.disk,
            target.place(),
            builder.operations(),
            builder.retired(),
        );
        builder.finish(seen.unwrap(), how).unwrap()
    }

    fn lock(&self) -> Ready<'_> {
        let target = Target::open(&self.disk, &self.site, Parents::Require).unwrap();
        let (ready, recovered) = target.lock("test", &mut |_| Patience::GiveUp).unwrap();
        assert_eq!(recovered.decision, Decision::Nothing);
        ready
    }

    /// Publishes, then settles or undoes.
    fn publish(&self, wanted: &Files, how: Publication, terms: Terms) {
        let ready = self.lock();
        let plan = self.plan(ready.target(), wanted, how);
        let options = StageOptions {
            content: &NoContent,
            link_mode: LinkMode::Auto,
            interrupted: &|| false,
        };
        let prepared = ready.prepare(&plan, terms, &NoContent).unwrap();
        let staged = prepared.stage(&options).unwrap();
        let published = staged.publish(&|| false).unwrap();
        for (path, text) in wanted {
            assert_eq!(&fs::read_to_string(self.site.join(path)).unwrap(), text);
        }
        if terms.verdict == Verdict::Awaited {
            published.undo().unwrap();
        } else {
            published.settle().unwrap();
        }
    }

    fn roll_back(&self) {
        let terms = RollbackTerms::of(Durability::Power, Verdict::BySteps);
        let published = self.lock().rollback(&terms).unwrap();
        published.settle().unwrap();
    }

    /// The content of the site, without the engine's own directory.
    fn holds(&self) -> Files {
        let mut found = Files::new();
        collect(&self.site, &self.site, &mut found);
        found
    }

    /// The names beside the site.
    fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.site.parent().unwrap()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "site").collect();
        names.sort();
        names
    }
}

fn collect(root: &Path, at: &Path, found: &mut Files) {
    let Ok(entries) = fs::read_dir(at) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() == ENGINE_DIR {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, found);
            continue;
        }
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        let name = name.replace('\\', "/");
        found.insert(name, fs::read_to_string(&path).unwrap());
    }
}

fn kept() -> Terms {
    Terms {
        retention: Retention::Keep,
        ..Terms::default()
    }
}

fn awaited() -> Terms {
    Terms {
        verdict: Verdict::Awaited,
        ..Terms::default()
    }
}

/// I1, I5: one tree, another, the first again, and the other again.
#[test]
fn a_tree_appears_is_replaced_comes_back_and_goes_forward() {
    let Some(lab) = Lab::new() else { return };
    let one = files(&[("page", "one"), ("deep/er/page", "below")]);
    let two = files(&[("page", "two"), ("other", "new")]);
    lab.publish(&one, Publication::Put, Terms::default());
    assert_eq!(lab.holds(), one);
    assert_eq!(lab.beside(), [] as [&str; 0]);
    lab.publish(&two, Publication::Replace, awaited());
    assert_eq!(lab.holds(), one);
    assert_eq!(lab.beside(), [] as [&str; 0]);
    lab.publish(&two, Publication::Replace, kept());
    assert_eq!(lab.holds(), two);
    assert_eq!(
        lab.beside(),
        [".site.rvenv.old-1", ".site.rvenv.old-1.journal"]
    );
    for expect in [&one, &two, &one] {
        lab.roll_back();
        assert_eq!(&lab.holds(), expect);
    }
    // A tree that is not kept is deleted.
    lab.publish(&two, Publication::Replace, Terms::default());
    assert_eq!(lab.holds(), two);
}

/// I1, I5: the same for single entries, beside files that rvenv did not create.
#[test]
fn entries_change_come_back_and_go_forward_and_all_else_stays() {
    let Some(lab) = Lab::new() else { return };
    let one = files(&[("page", "one"), ("same", "same")]);
    lab.publish(&one, Publication::Put, Terms::default());
    fs::write(lab.site.join("mine"), "mine").unwrap();
    let with_mine = |files: &Files| {
        let mut all = files.clone();
        all.insert("mine".to_owned(), "mine".to_owned());
        all
    };
    let two = files(&[("page", "two"), ("same", "same"), ("new/page", "new")]);
    lab.publish(&two, Publication::Merge, awaited());
    assert_eq!(lab.holds(), with_mine(&one));
    lab.publish(&two, Publication::Merge, kept());
    assert_eq!(lab.holds(), with_mine(&two));
    for expect in [&one, &two] {
        lab.roll_back();
        assert_eq!(lab.holds(), with_mine(expect));
    }
    assert_eq!(lab.beside(), [] as [&str; 0]);
}
