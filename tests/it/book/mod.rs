//! The README and the book: the commands on each page run one after the other, and print what the
//! page says.
//!
//! Each page gets a directory of its own, with rvenv and interpreters on PATH, a cache, and wheels
//! in a directory; no network. The wheels have the names and requirements of real packages and are
//! made here. Paths of the test and patch levels of interpreters are replaced by those of the book.
//! A command that fails is one after which the page asks for `$?`.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test runs real shells, and a page that cannot be read fails it"
)]

mod blocks;
mod session;

use std::fs;
use std::path::Path;

use self::blocks::{Page, read};
use self::session::session;
use crate::registry::registry;

/// The pages that are run here.
const PAGES: &[&str] = &[
    "README.md",
    "docs/comparison.md",
    "docs/faq.md",
    "docs/fleet.md",
    "docs/packages.md",
    "docs/shared.md",
    "docs/tour.md",
    "docs/upgrading.md",
];
/// Pages whose commands another test runs: `ci_kit.rs`, `catalogue/`, and those of the Python
/// package.
const ELSEWHERE: &[&str] = &["docs/ci.md", "docs/errors.md", "docs/python.md"];
/// How many blocks may have a reason not to run.
const EXEMPT_MAX: usize = 5;

fn page(name: &str) -> Page {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    read(&fs::read_to_string(path).unwrap())
}

#[track_caller]
fn check(name: &str) {
    let page = page(name);
    assert!(page.commands.len() > 2, "{name}");
    if !session::has_peers(&page) {
        return;
    }
    let Some(session) = session() else { return };
    let wrong = session.run(&page.commands);
    assert!(wrong.is_empty(), "{name}\n{}", wrong.join("\n"));
}

#[test]
fn the_commands_of_the_readme_print_what_it_says() {
    check("README.md");
}

#[test]
fn the_commands_of_the_tour_print_what_it_says() {
    check("docs/tour.md");
}

#[test]
fn the_commands_about_upgrades_print_what_the_page_says() {
    check("docs/upgrading.md");
}

#[test]
fn the_commands_about_packages_print_what_the_page_says() {
    check("docs/packages.md");
}

#[test]
fn the_commands_about_shared_environments_print_what_the_page_says() {
    check("docs/shared.md");
}

#[test]
fn the_commands_about_registries_print_what_the_page_says() {
    let (Some(registry), Some(session)) = (registry(), session()) else {
        return;
    };
    let wrong = session
        .with_registry(registry)
        .run(&page("docs/fleet.md").commands);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_answers_to_questions_print_what_the_page_says() {
    check("docs/faq.md");
}

/// The peers of the versions on this machine still do what the page says of them.
#[test]
fn the_comparison_prints_what_the_page_says() {
    check("docs/comparison.md");
}

/// `.ci/record` draws it; run it again where the output has changed.
#[test]
fn the_commands_of_the_picture_print_what_it_shows() {
    let Some(session) = session() else { return };
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tour.svg");
    let page = read(&blocks::of_picture(&fs::read_to_string(picture).unwrap()));
    assert!(page.commands.len() > 5);
    let wrong = session.run(&page.commands);
    assert!(wrong.is_empty(), "run .ci/record:\n{}", wrong.join("\n"));
}

#[test]
fn every_command_block_is_run_by_a_test_or_says_why_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap();
    let names = docs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.map(|name| format!("docs/{name}"));
    let mut exempt = Vec::new();
    for name in names.chain(["README.md".to_owned()]) {
        let is_page = Path::new(&name).extension().is_some_and(|it| it == "md");
        if !is_page || ELSEWHERE.contains(&name.as_str()) {
            continue;
        }
        let found = page(&name);
        let is_run = PAGES.contains(&name.as_str());
        assert!(is_run || found.commands.is_empty(), "{name} is not run");
        exempt.extend(found.exempt.iter().map(|why| format!("{name}: {why}")));
    }
    assert!(exempt.len() <= EXEMPT_MAX, "{}", exempt.join("\n"));
}
