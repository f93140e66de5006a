//! Saved plans of every kind, and another installer that is at work before they are applied: the
//! plan is refused, and each distribution is named.
//!
//! I8: no command drops an installed distribution without naming it first.
//! Read next: `stale.rs`, the other reasons to refuse a plan.

use std::fs;
use std::path::{Path, PathBuf};

use rvenv::Sources;
use rvenv::caller::{Caller, Listener, RunTerms, Silent};
use rvenv::environment::{self, RunFailed};
use rvenv::hooks::Venv;
use rvenv::host::Host;
use rvenv::python::{Purpose, Request};
use rvenv_journal::fs::real::RealFs;
use rvenv_journal::raw::PublishError;
use rvenv_journal::{Aftermath, Digest, Plan};

use crate::machine::{Scratch, any_python, player, tool, tree};
use crate::packages::index;

/// The plans for an environment, each as the words that make it.
const PLANS: [(&str, &[&str]); 4] = [
    ("clear", &["plan", "--clear"]),
    ("merge", &["plan", "--prompt", "other"]),
    ("upgrade", &["plan", "--upgrade", "--prompt", "other"]),
    // The command shows this plan and saves none; the library gives it.
    ("repair", &["repair"]),
];

/// An environment `E` of a played Python, in which tests lay out distributions by hand.
struct Laid {
    scratch: Scratch,
    site: PathBuf,
}

impl Laid {
    fn new() -> Self {
        let scratch = Scratch::in_memory();
        player(&scratch, "python");
        scratch
            .rvenv(&["create", "E", "-p", "./python", "--without-pip"])
            .ok();
        let site = scratch.path("E/lib/python3.13/site-packages");
        Self { scratch, site }
    }

    fn install(&self, name: &str, version: &str) {
        install(&self.site, name, version);
    }

    fn uninstall(&self, name: &str, version: &str) {
        fs::remove_dir_all(self.site.join(format!("{name}-{version}.dist-info"))).unwrap();
    }

    /// Saves a plan as `p.json`.
    fn plan(&self, words: &[&str]) {
        let plan = if words == ["repair"] {
            self.repair()
        } else {
            let own = ["E", "--json", "-p", "./python", "--without-pip"];
            self.scratch.rvenv(&[words, &own].concat()).ok()
        };
        fs::write(self.scratch.path("p.json"), plan).unwrap();
    }

    fn repair(&self) -> String {
        let (disk, host) = (RealFs::new(), host());
        let caller = Caller {
            fs: &disk,
            host: &host,
            listener: &Silent,
        };
        let env = self.scratch.path("E");
        let python = Request::Path(self.scratch.path("python"));
        let sources = Sources::default();
        let answer = caller
            .prepare_repair(env.to_str().unwrap(), &python, Purpose::Change, &sources)
            .unwrap();
        let plan = environment::plan_repair(&disk, &Venv, &answer.context, &answer.found).unwrap();
        plan.to_json()
    }

    fn saved(&self) -> Plan {
        Plan::from_json(&fs::read(self.scratch.path("p.json")).unwrap()).unwrap()
    }

    /// Why the plan is refused; nothing is touched.
    #[track_caller]
    fn refused(&self) -> String {
        refused(&self.scratch)
    }
}

/// The facts about this process, without its cache.
fn host() -> Host {
    Host {
        cache: None,
        ..Host::read().unwrap()
    }
}

#[track_caller]
fn refused(scratch: &Scratch) -> String {
    let before = tree(&scratch.path("E"));
    let said = scratch.rvenv(&["apply", "p.json"]).failed(3);
    assert!(tree(&scratch.path("E")) == before, "{said}");
    said.replace(scratch.path("").to_str().unwrap(), "[work]/")
}

fn install(site: &Path, name: &str, version: &str) {
    let info = site.join(format!("{name}-{version}.dist-info"));
    fs::create_dir(&info).unwrap();
    fs::write(info.join("RECORD"), format!("{name}.py,,\n")).unwrap();
    fs::write(site.join(format!("{name}.py")), "").unwrap();
}

/// Only a repair that has something to do has a plan that can be applied.
fn damage(laid: &Laid) {
    fs::write(laid.scratch.path("E/bin/activate"), "damaged\n").unwrap();
}

#[test]
fn what_was_installed_uninstalled_or_replaced_is_named_for_every_kind_of_plan() {
    for (kind, words) in PLANS {
        let laid = Laid::new();
        damage(&laid);
        laid.install("gone", "1.0");
        laid.install("idna", "3.6");
        laid.install("same", "2");
        fs::write(laid.site.join("linked.egg-link"), "/one\n").unwrap();
        fs::write(laid.site.join("old-1.egg-info"), "Version: 1\n").unwrap();
        fs::create_dir(laid.site.join("wide-1.egg-info")).unwrap();
        fs::write(laid.site.join("wide-1.egg-info/PKG-INFO"), "Version: 1\n").unwrap();
        laid.plan(words);
        laid.install("new", "0.1");
        laid.uninstall("gone", "1.0");
        laid.uninstall("idna", "3.6");
        laid.install("idna", "3.7");
        fs::write(laid.site.join("same-2.dist-info/RECORD"), "other,,\n").unwrap();
        fs::write(laid.site.join("linked.egg-link"), "/other\n").unwrap();
        fs::remove_file(laid.site.join("old-1.egg-info")).unwrap();
        fs::write(
            laid.site.join("wide-1.egg-info/PKG-INFO"),
            "Version: 1\nMore: 1\n",
        )
        .unwrap();
        let said = laid.refused();
        let expected = "error[stale-plan]: the plan no longer fits `[work]/E`
  `gone 1.0` was uninstalled since the plan was made
  `idna 3.6` was replaced by idna 3.7 since the plan was made
  `linked` was installed again since the plan was made
  `new 0.1` was installed since the plan was made
  `old 1` was uninstalled since the plan was made
  `same 2` was installed again since the plan was made
  `wide 1` was installed again since the plan was made
  the target is as it was before
hint: make a new plan with `rvenv plan`
";
        assert_eq!(said, expected, "{kind}");
    }
}

#[test]
fn a_plan_that_saw_every_distribution_is_applied() {
    for (kind, words) in PLANS {
        let laid = Laid::new();
        damage(&laid);
        laid.install("idna", "3.6");
        // Without a list that could be read, which a repair takes for damage.
        if kind != "repair" {
            fs::create_dir(laid.site.join("bare-1.dist-info")).unwrap();
        }
        fs::write(laid.site.join("linked.egg-link"), "/one\n").unwrap();
        laid.plan(words);
        laid.scratch.rvenv(&["apply", "p.json"]).ok();
        assert_eq!(
            laid.site.join("idna-3.6.dist-info").exists(),
            kind != "clear"
        );
    }
}

/// A torn `pyvenv.cfg` hides no distribution from a plan.
#[test]
fn a_plan_for_a_directory_without_a_readable_configuration_names_them_too() {
    let laid = Laid::new();
    fs::write(laid.scratch.path("E/pyvenv.cfg"), "torn").unwrap();
    for flags in [&["plan", "--clear"], &["plan", "--copies"]] {
        laid.plan(flags);
        laid.install("idna", "3.6");
        let said = laid.refused();
        assert!(said.contains("  `idna 3.6` was installed since"), "{said}");
        laid.uninstall("idna", "3.6");
    }
}

/// Equal inputs give equal plans: what identifies a distribution is its content, not its place.
#[test]
fn a_plan_knows_a_distribution_by_its_record() {
    let laid = Laid::new();
    laid.install("idna", "3.6");
    laid.plan(&["plan", "--clear"]);
    let plan = laid.saved();
    let inputs = plan.inputs().iter();
    let seen: Vec<_> = inputs
        .filter(|input| input.role == "distribution")
        .collect();
    let list = laid.site.join("idna-3.6.dist-info/RECORD");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(Path::new(&seen[0].path), list);
    let bytes = fs::read(list).unwrap();
    assert_eq!(seen[0].digest, Digest::of(&bytes));
    assert_eq!(seen[0].len, bytes.len() as u64);
}

#[test]
fn an_input_that_cannot_be_a_distribution_of_the_target_is_refused() {
    let laid = Laid::new();
    laid.install("idna", "3.6");
    laid.plan(&["plan", "--clear"]);
    let text = fs::read_to_string(laid.scratch.path("p.json")).unwrap();
    let list = laid.site.join("idna-3.6.dist-info/RECORD");
    let elsewhere = laid.scratch.path("other/idna-3.6.dist-info/RECORD");
    let forged = text.replace(list.to_str().unwrap(), elsewhere.to_str().unwrap());
    assert_ne!(forged, text);
    let write = |text: &str| fs::write(laid.scratch.path("p.json"), text).unwrap();
    write(&forged);
    // An attacker who forges a plan can also compute its digest.
    let said = laid.scratch.rvenv(&["apply", "p.json"]).failed(1);
    let (stated, own) = said
        .split_once("it states the digest ")
        .unwrap()
        .1
        .split_once(',')
        .unwrap();
    let own = own
        .split_once("digest is ")
        .unwrap()
        .1
        .lines()
        .next()
        .unwrap();
    write(&forged.replace(stated, own));
    let said = laid.refused();
    assert!(said.contains("as an installed distribution"), "{said}");
}

/// An installer that is at work while rvenv builds: called whenever a run may be interrupted.
struct Installer(PathBuf);

impl Listener for Installer {
    fn interrupted(&self) -> bool {
        if !self.0.join("idna-3.6.dist-info").exists() {
            install(&self.0, "idna", "3.6");
        }
        false
    }
}

#[test]
fn what_is_installed_while_the_new_tree_is_built_is_not_deleted() {
    let laid = Laid::new();
    laid.plan(&["plan", "--clear"]);
    let plan = laid.saved();
    let (disk, host) = (RealFs::new(), host());
    let caller = Caller {
        fs: &disk,
        host: &host,
        listener: &Installer(laid.site.clone()),
    };
    let terms = RunTerms::default();
    let failed = caller.run(&terms, |run| environment::apply(run, &plan));
    let Err(RunFailed::Publish(failed)) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(failed.aftermath, Aftermath::Unchanged);
    let PublishError::Changed(changed) = failed.source else {
        panic!("{failed:?}");
    };
    assert_eq!(
        (&*changed.path, &*changed.why),
        ("idna 3.6", "was installed")
    );
    assert!(laid.site.join("idna-3.6.dist-info/RECORD").exists());
}

#[test]
fn a_real_pip_and_a_real_uv_are_noticed() {
    let Some(python) = any_python() else { return };
    let scratch = Scratch::in_memory();
    let path = python.path.to_str().unwrap();
    scratch.rvenv(&["create", "E", "-p", path]).ok();
    let own = scratch.path("E/bin/python");
    let wheels = index(
        &scratch,
        &own,
        &[("one", "1.0"), ("one", "2.0"), ("two", "2.0")],
    );
    let find = ["--no-index", "--find-links", wheels.to_str().unwrap()];
    let pip = |words: &[&str]| {
        let all = [&["-m", "pip", "-q"], words].concat();
        scratch.run(&own, &all).ok();
    };
    let plan = ["plan", "--clear", "-p", path, "E", "-o", "p.json"];
    let installs = |words: &[&str]| pip(&[&["install"], &find[..], words].concat());
    scratch.rvenv(&plan).ok();
    installs(&["one==1.0"]);
    let said = refused(&scratch);
    assert!(said.contains("\n  `one 1.0` was installed since"), "{said}");
    scratch.rvenv(&plan).ok();
    installs(&["-U", "one"]);
    let said = refused(&scratch);
    assert!(
        said.contains("\n  `one 1.0` was replaced by one 2.0 since"),
        "{said}"
    );
    scratch.rvenv(&plan).ok();
    pip(&["uninstall", "--yes", "one"]);
    let said = refused(&scratch);
    assert!(
        said.contains("\n  `one 2.0` was uninstalled since"),
        "{said}"
    );
    if let Some(uv) = tool("uv") {
        scratch.rvenv(&plan).ok();
        let words = [
            "pip",
            "install",
            "-q",
            "--offline",
            "two",
            "-p",
            own.to_str().unwrap(),
        ];
        scratch.run(&uv, &[&words[..], &find].concat()).ok();
        let said = refused(&scratch);
        assert!(said.contains("\n  `two 2.0` was installed since"), "{said}");
    }
    scratch.rvenv(&plan).ok();
    scratch.rvenv(&["apply", "p.json"]).ok();
}
