//! Rendering: plans and states as text for users, and as JSON for programs.
//!
//! Promises to be pure, that colour only repeats what signs and words say, and that text from a
//! wheel or a disk cannot control a terminal: it is escaped.
//!
//! Read next: `render/packages.rs` for what a plan shows of packages, `render/changes.rs` for what
//! it shows of each hook; the command's `outcome.rs`, which prints this.

mod changes;
mod columns;
mod packages;
mod signs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use rvenv_journal::raw::{Effect, counted};
use rvenv_journal::{Plan, Publication, RelPath};

use self::changes::part_lines;
use self::packages::Packages;
use self::signs::{SHOWN_MAX, Sign, line};
use crate::change::existing::{EnvPython, PythonChange};
use crate::change::replaced::{Count, Replaced};

/// How many names the report of a success has.
const LOSSES_MAX: usize = 10;

/// How much of a plan is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Only what changes; a package or a new directory with many files is one line, and many
    /// packages are in columns.
    Folded,
    /// The packages, and every path, the unchanged ones too.
    EveryPath,
}

/// How many paths a plan adds, changes, removes and keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Nothing exists yet.
    pub add: usize,
    /// Something else exists.
    pub change: usize,
    /// It exists, and is neither planned nor kept.
    pub remove: Count,
    /// It exists as planned.
    pub keep: usize,
}

impl Totals {
    /// Counts the effects of a plan, and what else it replaces.
    #[must_use]
    pub fn of(plan: &Plan, replaced: &Replaced) -> Self {
        let named = plan.removed_names().len() + removals(plan).count();
        let mut totals = Self {
            add: 0,
            change: 0,
            remove: replaced.entries.unwrap_or(Count::Exactly(named)),
            keep: 0,
        };
        for (_, _, effect) in plan.effects() {
            match effect {
                Effect::Create => totals.add += 1,
                Effect::Change => totals.change += 1,
                Effect::Keep => totals.keep += 1,
            }
        }
        totals
    }
}

/// A plan as text: what is removed, then packages, then what changes besides, grouped by hook; at
/// the end how it is published, and what is weaker than usual.
///
/// A plan that changes nothing is one line, unless every path is wanted.
#[must_use]
pub fn plan(plan: &Plan, replaced: &Replaced, detail: Detail) -> String {
    let mut text = headline(plan, replaced) + "\n";
    if plan.publication() == Publication::Nothing && detail == Detail::Folded {
        return text;
    }
    text.push('\n');
    for section in sections(plan, replaced, detail) {
        let _infallible = writeln!(text, "  {}", section.heading);
        for line in section.lines {
            let _infallible = writeln!(text, "{line}");
        }
    }
    let _infallible = write!(
        text,
        "\nPublication: {}\nDigest: {}\nPlan: {}\n",
        publication(plan),
        plan.digest(),
        summary(Totals::of(plan, replaced)),
    );
    for weakness in weaknesses(plan, replaced) {
        text.push_str(&weaker(&weakness));
    }
    text
}

/// The line of a plan that names what is weaker than usual.
#[must_use]
pub fn weaker(what: &str) -> String {
    format!("\x1b[33mWeaker\x1b[0m: {what}\n")
}

/// What is weaker than usual when the plan is published.
fn weaknesses(plan: &Plan, replaced: &Replaced) -> Vec<String> {
    let of_readers = match plan.publication() {
        Publication::Replace => Some(
            "readers find nothing for a moment where the filesystem cannot exchange directories",
        ),
        Publication::Refill => Some("readers may find entries of both environments for a moment"),
        Publication::Nothing | Publication::Put | Publication::Merge => None,
    };
    let gone = of_readers
        .filter(|_| !replaced.is_kept)
        .map(|_| "what is replaced is deleted, unless `--keep` keeps it for `rvenv rollback`");
    let clears = of_readers.into_iter().chain(gone).map(str::to_owned);
    let lost = &replaced.missing;
    let lost = (plan.publication() == Publication::Merge && !lost.is_empty()).then(|| {
        let packages = counted(lost.len(), "package");
        format!(
            "{packages} can no longer be imported: {}",
            few(lost, LOSSES_MAX)
        )
    });
    clears.chain(lost).collect()
}

/// A heading of a plan and what is listed below it.
struct Section {
    heading: String,
    lines: Vec<String>,
}

/// What is removed, packages, and what is added and changed by hook; sections without lines are
/// omitted.
fn sections(plan: &Plan, replaced: &Replaced, detail: Detail) -> Vec<Section> {
    let packages = Packages::of(plan);
    let mut sections = vec![
        Section {
            heading: "what is there now".to_owned(),
            lines: replaced_lines(plan),
        },
        Section {
            heading: "what an earlier plan or version added".to_owned(),
            lines: retired_lines(plan, &packages, detail),
        },
        Section {
            heading: "what stays and can no longer be imported".to_owned(),
            lines: lost_lines(plan, replaced),
        },
        packages.section(),
    ];
    sections.extend(parts(plan).iter().map(|part| Section {
        heading: escape(part),
        lines: part_lines(plan, part, &packages, detail),
    }));
    sections.retain(|section| !section.lines.is_empty());
    sections
}

/// The counts that are not zero.
fn summary(totals: Totals) -> String {
    let counts = [
        (Count::Exactly(totals.add), "to add"),
        (Count::Exactly(totals.change), "to change"),
        (totals.remove, "to remove"),
        (Count::Exactly(totals.keep), "unchanged"),
    ];
    let counts = counts
        .iter()
        .filter(|(count, _)| *count != Count::Exactly(0));
    let counts: Vec<String> = counts
        .map(|(count, what)| match count {
            Count::Exactly(count) => format!("{count} {what}"),
            Count::MoreThan(count) => format!("more than {count} {what}"),
        })
        .collect();
    if counts.is_empty() {
        "an empty directory".to_owned()
    } else {
        counts.join(", ")
    }
}

fn headline(plan: &Plan, replaced: &Replaced) -> String {
    let target = target(plan.target(), replaced);
    match (plan.publication(), &replaced.python) {
        (Publication::Nothing, _) => format!("{target} is up to date: no changes"),
        (Publication::Put, _) => format!("rvenv will create {target}"),
        (Publication::Replace | Publication::Refill, None) => {
            format!("rvenv will replace {target}")
        }
        (Publication::Replace | Publication::Refill, Some(python)) => {
            let (from, to) = versions(python);
            format!("rvenv will replace {target}, which has {from}, with {to}")
        }
        (Publication::Merge, None) => format!("rvenv will change {target}"),
        (Publication::Merge, Some(python)) => {
            let (from, to) = versions(python);
            format!("rvenv will change {target} from {from} to {to}")
        }
    }
}

/// A target under the name that the user typed, and its real path if that name is a symbolic link.
#[must_use]
pub fn target(given: &str, replaced: &Replaced) -> String {
    let given = escape(given);
    match &replaced.link {
        Some(place) => {
            let place = escape(&place.to_string_lossy());
            format!("`{given}` (a symbolic link to `{place}`)")
        }
        None => format!("`{given}`"),
    }
}

/// The two versions of Python in a change, escaped, since a `pyvenv.cfg` may contain any text.
fn versions(python: &PythonChange) -> (String, String) {
    let shown = |python: &EnvPython| escape(&python.to_string());
    (shown(&python.from), shown(&python.to))
}

/// How a published plan changed the Python, if it did: `from Python 3.11.2 to Python 3.12.1`.
#[must_use]
pub fn python_change(plan: &Plan, replaced: &Replaced) -> Option<String> {
    let (from, to) = versions(replaced.python.as_ref()?);
    Some(match plan.publication() {
        Publication::Merge => format!("from {from} to {to}"),
        Publication::Nothing | Publication::Put | Publication::Replace | Publication::Refill => {
            format!("with {to} instead of {from}")
        }
    })
}

/// What an environment had and no longer has once the plan is published, in one sentence.
#[must_use]
pub fn loss(plan: &Plan, replaced: &Replaced) -> Option<String> {
    let missing = &replaced.missing;
    let packages = (!missing.is_empty()).then(|| {
        let some = few(missing, LOSSES_MAX);
        format!("{} ({some})", counted(missing.len(), "package"))
    });
    if plan.publication() == Publication::Merge {
        return packages.map(|packages| format!("No longer importable: {packages}"));
    }
    let names = plan.removed_names().into_iter();
    let names: Vec<String> = names.map(|name| format!("`{}`", escape(name))).collect();
    let names = (!names.is_empty()).then(|| few(&names, LOSSES_MAX));
    let instead = &replaced.instead;
    let instead = (!instead.is_empty()).then(|| few(instead, LOSSES_MAX));
    let gone = packages.into_iter().chain(instead).chain(names);
    let gone: Vec<String> = gone.collect();
    (!gone.is_empty()).then(|| format!("Not in the new environment: {}", gone.join(", ")))
}

fn few(names: &[String], shown_max: usize) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(shown_max)
        .map(|name| escape(name))
        .collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(shown_max) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What goes and is not planned: the topmost paths, except the entries of packages, which have
/// their own section; those of one directory are counted if they are many.
fn retired_lines(plan: &Plan, packages: &Packages<'_>, detail: Detail) -> Vec<String> {
    let removed: BTreeSet<&RelPath> = removals(plan).collect();
    if detail == Detail::EveryPath {
        let all = removed.iter();
        return all
            .map(|path| line(Sign::Remove, &escape(path.as_str())))
            .collect();
    }
    let mut by_dir: BTreeMap<Option<RelPath>, Vec<&RelPath>> = BTreeMap::new();
    for path in &removed {
        let above = path.parent();
        let is_top = above.as_ref().is_none_or(|above| !removed.contains(above));
        if is_top && !packages.entries.contains(*path) {
            by_dir.entry(above).or_default().push(path);
        }
    }
    let mut lines = Vec::new();
    for (dir, paths) in &by_dir {
        if let Some(dir) = dir
            && paths.len() > SHOWN_MAX
        {
            let dir = escape(dir.as_str());
            let what = format!("{dir}/: {}", counted(paths.len(), "path"));
            lines.push(line(Sign::Remove, &what));
            continue;
        }
        lines.extend(paths.iter().map(|path| {
            let below = removed.iter().filter(|other| other.is_below(path)).count();
            let path = escape(path.as_str());
            line(
                Sign::Remove,
                &match below {
                    0..=SHOWN_MAX => path,
                    more => format!("{path}/: {}", counted(more, "path")),
                },
            )
        }));
    }
    lines
}

fn replaced_lines(plan: &Plan) -> Vec<String> {
    if !matches!(
        plan.publication(),
        Publication::Replace | Publication::Refill
    ) {
        return Vec::new();
    }
    let names = plan.removed_names().into_iter().map(escape);
    let rest = "every other path that is not planned".to_owned();
    let shown = names.chain([rest]);
    shown.map(|what| line(Sign::Remove, &what)).collect()
}

fn lost_lines(plan: &Plan, replaced: &Replaced) -> Vec<String> {
    if plan.publication() != Publication::Merge {
        return Vec::new();
    }
    let lost = packages(replaced).into_iter();
    lost.map(|what| line(Sign::Remove, &what)).collect()
}

/// All distributions in one line, since a reader searches for the one that matters.
fn packages(replaced: &Replaced) -> Option<String> {
    let names = &replaced.distributions;
    let count = counted(names.len(), "package");
    (!names.is_empty()).then(|| format!("{count}: {}", few(names, usize::MAX)))
}

/// The retired paths that exist.
fn removals(plan: &Plan) -> impl Iterator<Item = &RelPath> {
    let seen = &plan.observation().paths;
    let retired = plan.retired().iter();
    retired.filter(|path| seen.contains_key(*path))
}

fn publication(plan: &Plan) -> &'static str {
    match plan.publication() {
        Publication::Nothing => "none (nothing is written)",
        Publication::Put => "put (readers see nothing, then all of it)",
        Publication::Replace => "swap (readers see the old tree, then the new one)",
        Publication::Merge => {
            "entry by entry (each file or package switches whole, one by one; all else stays)"
        }
        Publication::Refill => {
            "entry by entry (the directory cannot be renamed; each entry switches whole, the rest goes)"
        }
    }
}

/// The hooks in the order in which they first appear in venv, then all other parts by name, such as
/// `dependencies`, the hook that venv calls last.
fn parts(plan: &Plan) -> Vec<Arc<str>> {
    let known = [
        "directories",
        "configuration",
        "python",
        "pip",
        "scripts",
        "post_setup",
    ];
    let rank = |part: &str| {
        known
            .iter()
            .position(|known| *known == part)
            .unwrap_or(known.len())
    };
    let mut parts: Vec<Arc<str>> = Vec::new();
    for operation in plan.operations().values() {
        if !parts.contains(&operation.part) {
            parts.push(Arc::clone(&operation.part));
        }
    }
    parts.sort_by(|one, other| rank(one).cmp(&rank(other)).then_with(|| one.cmp(other)));
    parts
}

/// A text with its control characters escaped, so that they cannot reach the terminal.
#[must_use]
pub fn escape(text: &str) -> String {
    let plain = |c: char| !c.is_control() && !is_bidi(c);
    let escaped = |c: char| {
        if plain(c) {
            c.to_string()
        } else {
            c.escape_default().to_string()
        }
    };
    text.chars().map(escaped).collect()
}

/// A JSON text whose strings cannot control the terminal; its values stay the same.
///
/// JSON itself requires that only for the first 32 characters (RFC 8259, section 7).
#[must_use]
pub fn escape_json(text: &str) -> String {
    // A line break inside a string is escaped already; the others are layout.
    let is_plain = |c: char| c == '\n' || !(c.is_control() || is_bidi(c));
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            escaped.push(c);
        } else {
            let _infallible = write!(escaped, "\\u{:04x}", u32::from(c));
        }
    }
    escaped
}

/// Characters that reorder the text around them, which could make one path look like another.
fn is_bidi(c: char) -> bool {
    matches!(
        c,
        '\u{061c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// A size for users, in the unit that fits.
#[must_use]
pub fn shown_size(bytes: u64) -> String {
    let in_tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", in_tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", in_tenths(1_000_000)),
        1_000_000_000.. => format!("{} GB", in_tenths(1_000_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_shown_in_the_unit_that_fits() {
        let told = [0, 999, 1_000, 1_999, 9_876_543, 12_000_000_000].map(shown_size);
        assert_eq!(
            told,
            ["0 B", "999 B", "1.0 kB", "1.9 kB", "9.8 MB", "12.0 GB"]
        );
    }
}
