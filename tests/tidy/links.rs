//! The links of the documents: each file that a link names exists, and so does the heading.
//!
//! The chapters of the book (`docs/SUMMARY.md` lists them) link to each other and to pictures only:
//! a book has no other files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Folders without documents of this repository.
const SKIPPED: &[&str] = &[".git", ".venv", "target", "artifacts", "node_modules"];

/// A document, by its path below the root.
type Documents = BTreeMap<PathBuf, String>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Documents {
    let mut found = Documents::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder can be listed") {
            let path = entry.expect("a listing goes on").path();
            let name = path.file_name().expect("an entry has a name");
            if path.is_symlink() || SKIPPED.iter().any(|skipped| name == *skipped) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).expect("a document is UTF-8");
                let below = path.strip_prefix(root()).expect("it is below the root");
                found.insert(below.to_path_buf(), text);
            }
        }
    }
    found
}

/// A document without its blocks of code and its code in lines.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split('`').step_by(2).collect::<Vec<_>>().join("code")
}

/// Where the links of a document lead.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of the headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found: Vec<String> = Vec::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        let Some(heading) = line.strip_prefix('#').filter(|_| !is_code) else {
            continue;
        };
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let anchor: String = heading.chars().filter(kept).collect();
        let anchor = anchor.replace(' ', "-");
        let earlier = found.iter().filter(|other| **other == anchor).count();
        let again = format!("{anchor}-{earlier}");
        found.push(if earlier == 0 { anchor } else { again });
    }
    found
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::Normal(name) => out.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    out
}

/// What is wrong with a link of a document.
fn fault(documents: &Documents, document: &Path, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => document.to_path_buf(),
        path => plain(&document.parent()?.join(path)),
    };
    if !root().join(&target).exists() {
        return Some("there is no such file".to_owned());
    }
    let is_chapter = document.starts_with("docs");
    if is_chapter && !target.starts_with("docs") {
        return Some("the book has no such file".to_owned());
    }
    if anchor.is_empty() {
        return None;
    }
    let text = documents.get(&target);
    let has_it = text.is_some_and(|text| anchors(text).iter().any(|found| found == anchor));
    (!has_it).then(|| format!("{} has no such heading", target.display()))
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let documents = documents();
    let mut faults = Vec::new();
    let mut count = 0;
    for (path, text) in &documents {
        for link in links(text) {
            let is_elsewhere = link.starts_with("https://") || link.starts_with("http://");
            if !is_elsewhere {
                count += 1;
                let fault = fault(&documents, path, &link);
                faults.extend(fault.map(|why| format!("{}: {link}: {why}", path.display())));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 30, "{count} links");
}

#[test]
fn every_page_of_the_book_is_in_its_summary_once() {
    let documents = documents();
    let summary = documents.get(Path::new("docs/SUMMARY.md"));
    let chapters = links(summary.expect("the book has a summary"));
    for page in documents.keys().filter(|path| path.starts_with("docs")) {
        let name = page.strip_prefix("docs").expect("it is below docs");
        let count = chapters
            .iter()
            .filter(|link| name == Path::new(link.as_str()))
            .count();
        let wanted = usize::from(name != Path::new("SUMMARY.md"));
        assert_eq!(count, wanted, "{}", page.display());
    }
}
