//! Plans as text: packages before paths, what is removed first, what is weaker at the end; and
//! saved plans, shown by `show` and tried on by `apply --dry-run`.
//!
//! Read next: `plans.rs`, the paths of a plan.

use std::fs;

use super::locks::{Bench, bench};
use crate::behaviour::cli::{played, with_player};
use crate::packages::builds;
use crate::trees::{Sameness, compare, look};
use crate::wheels::{self, NewWheel};

/// What fits on a screen.
const SCREEN_LINES: usize = 40;
const SCREEN_WIDTH: usize = 100;

/// Adds sixty packages to the wheels of a bench; every second one has another version in the
/// second lock, the first one is only in the first, and the last one only in the second.
fn many(bench: &Bench) -> [std::path::PathBuf; 2] {
    let names: Vec<String> = (10..70).map(|n| format!("oneofmany{n}")).collect();
    let wheels = names.iter().flat_map(|name| {
        ["1.0", "1.1"].map(|version| {
            NewWheel::new(name, version).file(&format!("{name}/__init__.py"), "value = 1\n")
        })
    });
    wheels::write(&bench.python, &bench.house, wheels);
    let old = names
        .iter()
        .rev()
        .skip(1)
        .map(|name| (name.as_str(), "1.0"));
    let new = names.iter().enumerate().skip(1).map(|(at, name)| {
        let version = if at % 2 == 0 { "1.0" } else { "1.1" };
        (name.as_str(), version)
    });
    [
        bench.lock("old", &old.collect::<Vec<_>>()),
        bench.lock("new", &new.collect::<Vec<_>>()),
    ]
}

fn assert_fits(text: &str) {
    assert!(text.lines().count() <= SCREEN_LINES, "{text}");
    let wide = text.lines().find(|line| {
        let is_long_anyway = line.contains("bin/python") || line.starts_with("rvenv will");
        !is_long_anyway && line.chars().count() > SCREEN_WIDTH
    });
    assert_eq!(wide, None, "{text}");
}

#[test]
fn a_plan_of_sixty_packages_fits_one_screen_and_names_each() {
    let Some(bench) = bench() else { return };
    let [old, new] = many(&bench);
    bench.create(&old, &["--without-pip"]).ok();
    let changed = bench.sync(&new, &["--dry-run"]);
    let text = changed.ok();
    assert_fits(&text);
    let heading = "  packages: 1 removed, 29 in another version, 1 new (";
    let at = text.find(heading).expect(&text);
    let first = text[at..].lines().nth(1).unwrap();
    assert_eq!(first, "    - oneofmany10 1.0", "what goes is first");
    assert_eq!(text.matches("    - ").count(), 1 + 1, "{text}");
    assert_eq!(text.matches(" 1.0 → 1.1").count(), 29, "{text}");
    assert!(text.contains("    + oneofmany69 1.1\n"), "{text}");
}

#[test]
fn an_upgrade_of_sixty_packages_fits_one_screen_and_every_file_is_shown_if_asked_for() {
    let Some(bench) = bench() else { return };
    let Some(other) = builds(13, 1) else {
        println!("skipped: no Python 3.13 on this machine");
        return;
    };
    let [old, _] = many(&bench);
    bench.create(&old, &[]).ok();
    let other = other[0].path.to_str().unwrap();
    let words = ["upgrade", "E", "-p", other, "--no-index", "--dry-run"];
    let text = bench.scratch.rvenv(&words).ok();
    assert_fits(&text);
    assert!(text.contains("59 as before ("), "{text}");
    assert_eq!(text.matches("oneofmany").count(), 59, "{text}");
    let every = bench.scratch.rvenv(&[&words[..], &["-v"]].concat()).ok();
    for path in ["oneofmany10/__init__.py (", "oneofmany68/__init__.py ("] {
        assert!(every.contains(path), "{path}: {every}");
    }
}

#[test]
fn a_few_packages_have_a_line_each_with_versions_and_sizes() {
    let Some(bench) = bench() else { return };
    let old = bench.lock("old", &[("alpha", "1.0"), ("beta", "1.0")]);
    let new = bench.lock("new", &[("alpha", "2.0"), ("gamma", "1.0")]);
    bench.create(&old, &["--without-pip"]).ok();
    let text = bench.sync(&new, &["--dry-run"]).ok();
    let at = text.find("  packages: ").expect(&text);
    let shown: Vec<Vec<&str>> = text[at..]
        .lines()
        .skip(1)
        .take(3)
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(shown[0], ["-", "beta", "1.0"], "{text}");
    assert_eq!(shown[1][..5], ["~", "alpha", "1.0", "→", "2.0"], "{text}");
    assert_eq!(shown[2][..3], ["+", "gamma", "1.0"], "{text}");
    assert!(text.contains(" files, "), "{text}");
}

#[test]
fn what_is_weaker_than_usual_is_the_end_of_a_plan() {
    let scratch = played();
    let last = |words: &[&str]| {
        let text = with_player(&scratch, "create", words).ok();
        text.lines().last().unwrap().to_owned()
    };
    assert_eq!(last(&["E", "--dry-run"]), "Plan: 19 to add");
    let process = "Weaker: a power cut may leave neither the old nor the new environment \
                   (`--durability process`)";
    assert_eq!(
        last(&["E", "--dry-run", "--durability", "process"]),
        process
    );
    with_player(&scratch, "create", &["E"]).ok();
    let cleared = "Weaker: what is replaced is deleted, unless `--keep` keeps it for \
                   `rvenv rollback`";
    assert_eq!(
        last(&["E", "--clear", "--prompt", "p", "--dry-run"]),
        cleared
    );
    let kept = last(&["E", "--clear", "--prompt", "p", "--dry-run", "--keep"]);
    assert!(
        kept.starts_with("Weaker: readers find nothing for a moment"),
        "{kept}"
    );
}

#[test]
fn a_saved_plan_is_shown_as_it_was_planned() {
    let scratch = played();
    let planned = with_player(&scratch, "plan", &["E", "-o", "p.json"]).ok();
    let every = with_player(&scratch, "plan", &["E", "-v"]).ok();
    let saved = fs::read_to_string(scratch.path("p.json")).unwrap();
    let shown = |words: &[&str]| scratch.rvenv(&[&["show", "p.json"], words].concat());
    assert_eq!(shown(&[]).ok(), planned);
    assert_eq!(shown(&["-v"]).ok(), every);
    assert_eq!(shown(&["--json"]).ok(), saved);
    assert_eq!(shown(&["-q"]).ok(), "");
    fs::write(scratch.path("p.json"), "{}").unwrap();
    assert!(shown(&[]).failed(1).starts_with("error["));
}

#[test]
fn a_saved_plan_is_tried_on_without_writing() {
    let scratch = played();
    let planned = with_player(&scratch, "plan", &["deep/E", "-o", "p.json"]).ok();
    let before = look(&scratch.path(""));
    let tried = scratch.rvenv(&["apply", "--dry-run", "p.json"]);
    let target = scratch.path("deep/E");
    let fits = format!(
        "The plan fits `{}`. Apply it with `rvenv apply p.json`\n",
        target.display()
    );
    assert_eq!(tried.stderr, fits);
    assert_eq!(tried.ok(), planned);
    compare(&before, &look(&scratch.path("")), Sameness::Exact).unwrap();

    scratch.rvenv(&["apply", "p.json"]).ok();
    let before = look(&scratch.path(""));
    let tried = scratch.rvenv(&["apply", "--dry-run", "p.json"]);
    let said = format!("`{}` is as planned: nothing to apply\n", target.display());
    assert_eq!(tried.stderr, said);
    tried.ok();
    compare(&before, &look(&scratch.path("")), Sameness::Exact).unwrap();

    // Every path that differs is named, and so is an input.
    with_player(
        &scratch,
        "plan",
        &["deep/E", "--prompt", "p", "-o", "p.json"],
    )
    .ok();
    scratch.rvenv(&["apply", "--dry-run", "p.json"]).ok();
    fs::write(target.join("bin/activate"), "edited").unwrap();
    let said = scratch.rvenv(&["apply", "--dry-run", "p.json"]).failed(3);
    assert!(said.contains("`bin/activate`"), "{said}");
}

#[test]
fn a_plan_is_stale_for_apply_and_its_dry_run_alike_after_another_installer_worked() {
    let Some(bench) = bench() else { return };
    let old = bench.lock("old", &[("alpha", "1.0")]);
    let new = bench.lock("new", &[("alpha", "2.0")]);
    bench.create(&old, &["--without-pip"]).ok();
    bench.sync(&new, &["--dry-run", "--out", "p.json"]).ok();
    bench.scratch.rvenv(&["apply", "--dry-run", "p.json"]).ok();
    let third = bench.lock("third", &[("alpha", "1.0"), ("beta", "1.0")]);
    bench.sync(&third, &[]).ok();
    let tried = bench
        .scratch
        .rvenv(&["apply", "--dry-run", "p.json"])
        .failed(3);
    let applied = bench.scratch.rvenv(&["apply", "p.json"]).failed(3);
    assert_eq!(tried, applied);
    assert!(tried.contains("beta 1.0"), "{tried}");
}
