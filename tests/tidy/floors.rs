//! The floors: a module uses lower floors only, and no two modules of a folder use each other.
//!
//! The floors of the two crates are the two tables in ARCHITECTURE.md whose first column is a
//! number: 1 is the lowest. A row names folders or files of the crate in its second column, in
//! backticks. Modules with the same number do not use each other.
//!
//! Inside a folder there are no numbers; its files and folders may use each other in one direction
//! only. The root of a folder (`fs.rs` beside `fs/`) is not one of them: its files may use the
//! types that it defines, and it may call them. A file that takes from the root a name that another
//! file defines uses that file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use crate::source::{Modules, Source, Use, sources};

/// The floors that a table of ARCHITECTURE.md gives; `folder` is in the head of its second column.
fn table(folder: &str) -> BTreeMap<String, usize> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let text = std::fs::read_to_string(document).expect("ARCHITECTURE.md exists");
    let head = format!("`{folder}/`");
    let rows = text
        .lines()
        .skip_while(|line| cells(line).get(1) != Some(&head.as_str()))
        .skip(2)
        .take_while(|line| line.starts_with("| "));
    let (mut floors, mut last) = (BTreeMap::new(), 1);
    for row in rows {
        let cells = cells(row);
        let number = cells.first().and_then(|cell| cell.parse().ok());
        let number: usize = number.unwrap_or_else(|| panic!("no number of a floor: {row}"));
        let is_next = number == last || number == last + 1;
        assert!(is_next, "floor {number} comes after floor {last}");
        last = number;
        let names = cells.get(1).copied().unwrap_or_default();
        for name in names.split('`').skip(1).step_by(2) {
            // A binary is in `bin/NAME/`.
            let name = name.split('/').next().unwrap_or_default().to_owned();
            let before = floors.insert(name.clone(), number);
            assert_eq!(before, None, "`{name}` is on two floors");
        }
    }
    assert!(floors.len() > 5, "no table of the floors of {folder}");
    floors
}

fn cells(row: &str) -> Vec<&str> {
    let inner = row
        .strip_prefix("| ")
        .and_then(|row| row.strip_suffix(" |"));
    inner.map_or_else(Vec::new, |row| row.split(" | ").collect())
}

/// What is wrong with the floors of a crate, in sentences.
fn check_floors(folder: &str, sources: &[Source], modules: &Modules) -> String {
    let floors = table(folder);
    let mut wrong = String::new();
    let tops: BTreeSet<_> = sources.iter().map(Source::top).collect();
    for top in tops.iter().filter(|top| **top != "lib") {
        if !floors.contains_key(*top) {
            writeln!(wrong, "{folder}/{top} is on no floor in ARCHITECTURE.md").expect("a String");
        }
    }
    for name in floors.keys().filter(|name| !tops.contains(name.as_str())) {
        writeln!(wrong, "{folder}/{name} does not exist").expect("a String");
    }
    let floor_of = |module: &[String]| floors.get(module.first()?).copied();
    for Use { by, of, text } in &modules.uses {
        let is_inside = by.first() == of.first();
        // `lib.rs` has no floor: it may use everything, and nothing uses it.
        let is_upwards = match (floor_of(by), floor_of(of)) {
            (Some(by), Some(of)) => of >= by,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if is_upwards && !is_inside {
            let by = by.join("/");
            writeln!(wrong, "{folder}/{by} uses `{text}`, which is not below it")
                .expect("a String");
        }
    }
    wrong
}

/// Each pair of neighbours in a folder that use each other, perhaps through others.
fn circles(folder: &str, modules: &Modules) -> Vec<String> {
    let mut levels: BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for Use { by, of, .. } in &modules.uses {
        let common = by.iter().zip(of).take_while(|(by, of)| by == of).count();
        let level = levels.entry(by[..common].to_vec()).or_default();
        if let (Some(by), Some(of)) = (by.get(common), of.get(common)) {
            level.entry(by.clone()).or_default().insert(of.clone());
        }
    }
    let mut found = Vec::new();
    for (level, uses) in levels.iter().filter(|(level, _)| !level.is_empty()) {
        let inside = format!("{folder}/{}", level.join("/"));
        for (by, direct) in uses {
            for of in direct.iter().filter(|of| reaches(uses, of, by)) {
                found.push(format!("{inside}: {by} uses {of}, which leads back"));
            }
        }
    }
    found
}

fn reaches(uses: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let (mut open, mut seen) = (vec![from], BTreeSet::new());
    while let Some(at) = open.pop() {
        if at == to {
            return true;
        }
        if seen.insert(at) {
            open.extend(uses.get(at).into_iter().flatten().map(String::as_str));
        }
    }
    false
}

fn check(folder: &str) {
    let sources = sources(folder);
    let modules = Modules::of(&sources);
    let wrong = check_floors(folder, &sources, &modules);
    let circles = circles(folder, &modules);
    assert!(
        wrong.is_empty() && circles.is_empty(),
        "{wrong}{}",
        circles.join("\n")
    );
}

#[test]
fn the_engine_uses_lower_floors_only() {
    check("journal/src");
}

#[test]
fn the_product_uses_lower_floors_only() {
    check("src");
}
