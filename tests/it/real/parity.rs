//! The tree that rvenv makes of a lock of real packages, compared with those of uv and pip.
//!
//! Promises that `rules.rs` gives a reason for every difference, and that every rule is used. All
//! three begin with the same environment without packages, at the same path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::machine::{Entry, Kind, Python, ended, tree};
use crate::parity::matches;
use crate::real::rules::{PEERS, Peer, RULES, Rule, WAYS, Way, What};
use crate::real::{Ground, pythons};

/// How many differences of one comparison are shown.
const SHOWN: usize = 20;

/// An environment, read for comparison.
struct Made {
    tree: BTreeMap<String, Entry>,
    /// The interpreter and the entry point of each script that is a launcher.
    launchers: BTreeMap<String, Launcher>,
    /// The rows of each RECORD in their order: path, and the rest of the row.
    records: BTreeMap<String, Vec<(String, String)>>,
}

/// What a launcher starts: its lines with the interpreter, the import and the call.
type Launcher = [String; 3];

/// A path, or a row of a RECORD, that differs, and how.
struct Difference {
    path: String,
    /// `None` means that no rule can allow it.
    what: Option<What>,
    detail: String,
}

impl Made {
    /// Reads `E`, and deletes it.
    fn take(ground: &Ground) -> Self {
        let env = ground.env();
        let tree = tree(&env);
        let is_record = |path: &&String| path.ends_with(".dist-info/RECORD");
        let records = tree.keys().filter(is_record).map(|path| {
            let text = fs::read_to_string(env.join(path)).unwrap();
            (path.clone(), text.lines().map(row).collect())
        });
        let records = records.collect();
        let is_script = |path: &&String| path.starts_with("bin/") && env.join(path).is_file();
        let launchers = tree.keys().filter(is_script).filter_map(|path| {
            let text = fs::read_to_string(env.join(path)).ok()?;
            Some((path.clone(), launcher(&text)?))
        });
        let launchers = launchers.collect();
        fs::remove_dir_all(&env).unwrap();
        Self {
            tree,
            launchers,
            records,
        }
    }
}

/// `None` for a script that is none.
fn launcher(text: &str) -> Option<Launcher> {
    let lines = || text.lines().map(str::trim);
    let import = lines().find(|line| line.starts_with("from "))?;
    let call = lines()
        .next_back()
        .filter(|line| line.starts_with("sys.exit("))?;
    Some([lines().next()?, import, call].map(str::to_owned))
}

/// The path of a row, without the quotes of a path with a comma, and its hash and size.
fn row(line: &str) -> (String, String) {
    let at = line.rmatch_indices(',').nth(1).unwrap().0;
    let (path, rest) = line.split_at(at);
    (path.trim_matches('"').to_owned(), rest.to_owned())
}

/// Everything in which rvenv's tree differs from that of the other.
fn differences(other: &Made, rvenv: &Made) -> Vec<Difference> {
    let mut found = Vec::new();
    let paths: BTreeSet<_> = other.tree.keys().chain(rvenv.tree.keys()).collect();
    for path in paths {
        match (other.tree.get(path), rvenv.tree.get(path)) {
            (Some(one), Some(another)) => {
                let [by_other, by_rvenv] = [other, rvenv].map(|made| made.launchers.get(path));
                let bytes = if by_rvenv.is_some() && by_rvenv == by_other {
                    What::Launcher
                } else {
                    What::Bytes
                };
                found.extend(entries_differ(path, bytes, [one, another]));
            }
            (other, _) => found.push(alone(path.clone(), other.is_some())),
        }
    }
    for (record, rows) in &rvenv.records {
        let Some(others) = other.records.get(record) else {
            continue;
        };
        found.extend(records_differ(record, others, rows));
    }
    found
}

fn alone(path: String, is_other: bool) -> Difference {
    let what = if is_other {
        What::PeerAlone
    } else {
        What::RvenvAlone
    };
    Difference {
        path,
        what: Some(what),
        detail: what.text().to_owned(),
    }
}

/// How two entries differ; `bytes` is how their bytes do if they do.
fn entries_differ(path: &str, bytes: What, [other, rvenv]: [&Entry; 2]) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differs = |what, detail| {
        let path = path.to_owned();
        found.push(Difference { path, what, detail });
    };
    match (&other.kind, &rvenv.kind) {
        (other, rvenv) if other == rvenv => {}
        // Compared row by row.
        (Kind::File(_), Kind::File(_)) if path.ends_with(".dist-info/RECORD") => {}
        (Kind::File(_), Kind::File(_)) => differs(Some(bytes), "other bytes".to_owned()),
        (other, rvenv) => differs(None, format!("{other:?} and not {rvenv:?}")),
    }
    if other.mode != rvenv.mode && !matches!(other.kind, Kind::Link(_)) {
        let detail = format!("mode {:o} and not {:o}", other.mode, rvenv.mode);
        differs(Some(What::Mode), detail);
    }
    found
}

fn records_differ(
    record: &str,
    others: &[(String, String)],
    rows: &[(String, String)],
) -> Vec<Difference> {
    let mut found = Vec::new();
    let [by_other, by_rvenv] =
        [others, rows].map(|rows| rows.iter().cloned().collect::<BTreeMap<_, _>>());
    for path in by_other
        .keys()
        .chain(by_rvenv.keys())
        .collect::<BTreeSet<_>>()
    {
        let name = format!("{record}: {path}");
        match (by_other.get(path), by_rvenv.get(path)) {
            (Some(other), Some(rvenv)) if other == rvenv => {}
            (Some(other), Some(rvenv)) => found.push(Difference {
                path: name,
                what: Some(What::Bytes),
                detail: format!("`{other}` and not `{rvenv}`"),
            }),
            (other, _) => found.push(alone(name, other.is_some())),
        }
    }
    let order = |rows: &[(String, String)], known: &BTreeMap<_, _>| -> Vec<String> {
        let paths = rows.iter().map(|(path, _)| path);
        paths
            .filter(|path| known.contains_key(*path))
            .cloned()
            .collect()
    };
    if order(others, &by_rvenv) != order(rows, &by_other) {
        found.push(Difference {
            path: record.to_owned(),
            what: Some(What::Order),
            detail: "another order of rows".to_owned(),
        });
    }
    found
}

/// What rvenv makes of the lock.
fn by_rvenv(ground: &Ground, way: Way) -> Made {
    let compile = (way == Way::Bytecode).then_some("--compile-bytecode");
    let more: Vec<_> = ["--without-pip"].into_iter().chain(compile).collect();
    ground.create(&more).ok();
    Made::take(ground)
}

/// What another installer makes of the lock.
fn by_peer(ground: &Ground, peer: Peer, way: Way) -> Made {
    ground.create_bare();
    let python = ground.python_of_env();
    let wheels = ground.given("wheels");
    let places = ["--no-index", "--find-links", &wheels];
    let program = match peer {
        Peer::Uv => "uv",
        Peer::Pip => "pip",
    };
    let mut command = ground.program(ground.given(&format!("peers/bin/{program}")).as_ref());
    match peer {
        // uv would download what a pylock.toml names.
        Peer::Uv => command.args(["pip", "sync", "--python", &python]),
        Peer::Pip => command.args(["--python", &python, "install", "--requirement"]),
    };
    command.arg(ground.given("requirements.txt"));
    command.arg("--require-hashes").args(places);
    if way == Way::Bytecode {
        // Else the bytecode would not be in the environment.
        command.env_remove("PYTHONPYCACHEPREFIX");
        command.args((peer == Peer::Uv).then_some("--compile-bytecode"));
    } else {
        command.args((peer == Peer::Pip).then_some("--no-compile"));
    }
    ended(&mut command).ok();
    Made::take(ground)
}

/// The number of the rule that explains a difference.
fn rule_of(difference: &Difference, peer: Peer, way: Way) -> Option<usize> {
    let explains = |rule: &Rule| {
        Some(rule.what) == difference.what
            && matches(rule.path, &difference.path)
            && rule.is_about(peer, way)
    };
    RULES.iter().position(explains)
}

/// Compares one way of installing on one Python; adds the rules that were needed, and returns what
/// no rule explains.
fn compare(python: &Python, way: Way, needed: &mut BTreeSet<usize>) -> Vec<String> {
    let mut found = Vec::new();
    let mut ground = Ground::new(python);
    ground.umask = if way == Way::Strict { "077" } else { "022" };
    let rvenv = by_rvenv(&ground, way);
    for peer in PEERS {
        let other = by_peer(&ground, peer, way);
        let of = format!("{} {peer:?} {way:?}", python.path.display());
        println!("{of}: {} paths", other.tree.len());
        let mut unexplained = Vec::new();
        for difference in differences(&other, &rvenv) {
            if let Some(number) = rule_of(&difference, peer, way) {
                needed.insert(number);
            } else {
                let Difference { path, detail, .. } = difference;
                unexplained.push(format!("{of}: {path}: {detail}"));
            }
        }
        let count = unexplained.len();
        unexplained.truncate(SHOWN);
        found.extend(unexplained);
        if count > SHOWN {
            found.push(format!("and {} more", count - SHOWN));
        }
    }
    found
}

#[test]
fn every_difference_from_uv_and_from_pip_has_a_reason_and_every_reason_a_difference() {
    let pythons = pythons();
    let Some(newest) = pythons.last() else { return };
    let mut needed = BTreeSet::new();
    let mut found = Vec::new();
    for python in &pythons {
        found.extend(compare(python, Way::Plain, &mut needed));
    }
    for way in WAYS.into_iter().filter(|way| *way != Way::Plain) {
        found.extend(compare(newest, way, &mut needed));
    }
    let unused = RULES
        .iter()
        .enumerate()
        .filter(|(number, _)| !needed.contains(number));
    found.extend(unused.map(|(_, rule)| format!("nothing needs `{}`", rule.path)));
    assert!(found.is_empty(), "{}", found.join("\n"));
}
