//! Rendering: plans and states as text for people, and as JSON for programs.
//!
//! Promises to be pure, that colour only repeats what signs and words say, and that text from a wheel or a disk
//! cannot steer a terminal: it is escaped.
//!
//! Read next: `cli.rs`, which prints what this makes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use rvenv_journal::{Content, Effect, Node, Operation, Plan, Publication, RelPath, counted};

/// How much of a plan is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Wheels are one line each.
    Folded,
    /// Every path is shown.
    EveryPath,
}

/// How many paths a plan adds, changes, removes and keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Nothing is there yet.
    pub add: usize,
    /// Something else is there.
    pub change: usize,
    /// Names directly in the target that go with the old tree.
    pub remove: usize,
    /// It is there already.
    pub keep: usize,
}

impl Totals {
    /// Counts the effects of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut totals = Self {
            remove: plan.removed_names().len() + removals(plan).count(),
            ..Self::default()
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

/// A plan as text, grouped by stage.
#[must_use]
pub fn plan(plan: &Plan, detail: Detail) -> String {
    let mut text = String::new();
    let mut lines = Vec::new();
    for stage in stages(plan) {
        lines.push(format!("  {stage}"));
        lines.extend(stage_lines(plan, &stage, detail));
    }
    if removals(plan).next().is_some() {
        lines.push("  what an earlier plan or version put there".to_owned());
        let removed: Vec<&RelPath> = removals(plan).collect();
        let shown = removed.iter().filter(|path| {
            let above = path.parent();
            detail == Detail::EveryPath || above.is_none_or(|above| !removed.contains(&&above))
        });
        lines.extend(shown.map(|path| line(Sign::Remove, &escape(path.as_str()))));
    }
    if matches!(plan.publication(), Publication::Swap | Publication::Refill) {
        lines.push("  what is there now".to_owned());
        let removed = plan.removed_names();
        lines.extend(removed.iter().map(|name| line(Sign::Remove, &escape(name))));
        let rest = "everything in the directories above that is not planned";
        lines.push(line(Sign::Remove, rest));
    }
    let totals = Totals::of(plan);
    let _infallible = writeln!(text, "{}\n", headline(plan));
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    let _infallible = write!(
        text,
        "\nPublication: {}\nPlan: {} to add, {} to change, {} to remove, {} unchanged\nDigest: {}\n",
        publication(plan),
        totals.add,
        totals.change,
        totals.remove,
        totals.keep,
        plan.digest(),
    );
    text
}

fn headline(plan: &Plan) -> String {
    let target = escape(plan.target());
    match plan.publication() {
        Publication::Nothing => format!("`{target}` is as planned: no changes"),
        Publication::Put => format!("rvenv will create `{target}`"),
        Publication::Swap | Publication::Refill => format!("rvenv will replace `{target}`"),
        Publication::Merge => format!("rvenv will change `{target}`"),
    }
}

/// What is there and is taken away.
fn removals(plan: &Plan) -> impl Iterator<Item = &RelPath> {
    let seen = &plan.observation().paths;
    let retired = plan.retired().iter();
    retired.filter(|path| seen.contains_key(*path))
}

fn publication(plan: &Plan) -> &'static str {
    match plan.publication() {
        Publication::Nothing => "none (nothing is written)",
        Publication::Put => "put (readers see nothing, then all of it)",
        Publication::Swap => {
            "swap (readers see the old tree, then the new one; \
             where the filesystem has no exchange, a take and a put with nothing for a moment between)"
        }
        Publication::Merge => {
            "entry by entry (each file or package switches whole, one right after the other; \
             everything else stays)"
        }
        Publication::Refill => {
            "entry by entry (the directory itself stays, as it cannot be renamed; \
             each entry switches whole, and everything that is not planned goes)"
        }
    }
}

/// The stages in the order in which they first appear in venv, then any others.
fn stages(plan: &Plan) -> Vec<Arc<str>> {
    let known = [
        "directories",
        "configuration",
        "python",
        "pip",
        "scripts",
        "post_setup",
    ];
    let rank = |stage: &str| {
        known
            .iter()
            .position(|known| *known == stage)
            .unwrap_or(known.len())
    };
    let mut stages: Vec<Arc<str>> = Vec::new();
    for operation in plan.operations().values() {
        if !stages.contains(&operation.stage) {
            stages.push(Arc::clone(&operation.stage));
        }
    }
    stages.sort_by(|one, other| rank(one).cmp(&rank(other)).then_with(|| one.cmp(other)));
    stages
}

fn stage_lines(plan: &Plan, stage: &str, detail: Detail) -> Vec<String> {
    let of_stage = || {
        plan.effects()
            .filter(|(_, operation, _)| &*operation.stage == stage)
    };
    let has_groups = of_stage().any(|(_, operation, _)| operation.group.is_some());
    if !has_groups || detail == Detail::EveryPath {
        let shown = |(path, operation, effect): (&RelPath, &Operation, Effect)| {
            line(Sign::of(effect), &describe(path, &operation.node))
        };
        return of_stage().map(shown).collect();
    }
    let mut folded: BTreeMap<(String, Sign), usize> = BTreeMap::new();
    for (_, operation, effect) in of_stage() {
        let of_group = |group: &Arc<str>| match operation.node {
            Node::Dir { .. } => String::new(),
            Node::File { .. } | Node::Symlink { .. } => group.to_string(),
        };
        let group = operation.group.as_ref().map(of_group).unwrap_or_default();
        *folded.entry((group, Sign::of(effect))).or_default() += 1;
    }
    let shown = |((group, sign), count): (&(String, Sign), &usize)| {
        let what = if group.is_empty() {
            counted(*count, "directory")
        } else {
            format!("{}: {}", escape(group), counted(*count, "file"))
        };
        line(*sign, &what)
    };
    folded.iter().map(shown).collect()
}

fn describe(path: &RelPath, node: &Node) -> String {
    let path = escape(path.as_str());
    match node {
        Node::Dir { .. } => format!("{path}/"),
        Node::Symlink { target } => format!("{path} -> {}", escape(target)),
        Node::File { content, .. } => match content {
            Content::Local { path: from, .. } => format!("{path} (a copy of {})", escape(from)),
            Content::Inline(_) | Content::Object { .. } => {
                format!("{path} ({})", counted(content.len(), "byte"))
            }
        },
    }
}

/// What becomes of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    Add,
    Change,
    Remove,
    Keep,
}

impl Sign {
    fn of(effect: Effect) -> Self {
        match effect {
            Effect::Create => Self::Add,
            Effect::Change => Self::Change,
            Effect::Keep => Self::Keep,
        }
    }
}

/// Colours repeat the sign; whoever prints takes them away where they are not wanted.
fn line(sign: Sign, what: &str) -> String {
    let (colour, sign) = match sign {
        Sign::Add => ("\x1b[32m", '+'),
        Sign::Change => ("\x1b[33m", '~'),
        Sign::Remove => ("\x1b[31m", '-'),
        Sign::Keep => ("\x1b[2m", '='),
    };
    format!("    {colour}{sign}\x1b[0m {what}")
}

/// A text whose control characters cannot reach the terminal.
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

/// Characters that reorder the text around them could make one path look like another.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
