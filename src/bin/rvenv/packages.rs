//! What a change does to packages, in words: which are installed, which another version replaces,
//! and which go although another one requires them.
//!
//! Read next: `companions.rs`, packages that come along to another Python.

use rvenv::answer::Answer;
use rvenv::distributions::Distribution;
use rvenv::removal::StillRequired;
use rvenv::render::escape;
use rvenv::replaced::{self, OtherVersion};
use rvenv::supply::WheelSource;
use rvenv::wheel::Named;
use rvenv_journal::Plan;
use rvenv_journal::raw::counted;

use crate::companions::Tense;
use crate::session::Session;

impl Session<'_> {
    /// Names the packages of locks and requirements that a change installs, those that another
    /// version replaces, and those that go, and warns of what still requires these.
    pub(crate) fn tell_packages(&self, answer: &Answer, plan: &Plan, tense: Tense) {
        for line in lines(answer, plan, tense) {
            self.terminal.story(&line);
        }
        for StillRequired { by, requirement } in &answer.still_required {
            let end = match tense {
                Tense::Has => "is not installed",
                Tense::Will | Tense::Would => "will not be installed",
            };
            self.terminal
                .warning(&format!("{by} requires `{requirement}`, which {end}"));
        }
    }

    /// Whether [`Self::tell_packages`] has nothing to say.
    pub(crate) fn has_no_news(answer: &Answer, plan: &Plan) -> bool {
        answer.still_required.is_empty() && lines(answer, plan, Tense::Has).is_empty()
    }

    /// Names the packages that an applied plan replaced by another version.
    pub(crate) fn tell_other_versions(&self, plan: &Plan) {
        if let Some(line) = other_versions(plan) {
            self.terminal.story(&line);
        }
    }
}

fn other_versions(plan: &Plan) -> Option<String> {
    let all = replaced::other_versions(plan);
    let names: Vec<String> = all.iter().map(OtherVersion::to_string).collect();
    (!names.is_empty()).then(|| with_count("Replaced", &names))
}

fn with_count(head: &str, names: &[String]) -> String {
    let count = counted(names.len(), "package");
    format!("{head} {count}: {}", escape(&names.join(", ")))
}

fn lines(answer: &Answer, plan: &Plan, tense: Tense) -> Vec<String> {
    let context = &answer.context;
    let locked = context.supplies.iter();
    let locked = locked.filter(|supply| supply.source == WheelSource::Locked);
    let locked = locked.filter_map(|supply| Named::of(&supply.wheel));
    let is_new = |new: &Named| context.installed.iter().all(|one| one.name != new.name);
    let new = locked.filter(is_new);
    let new: Vec<String> = new
        .map(|Named { name, version }| format!("{name} {version}"))
        .collect();
    let shown = |all: Vec<&Distribution>| -> Vec<String> {
        all.into_iter().map(Distribution::to_string).collect()
    };
    let is_asked = |one: &&Distribution| context.removed.contains(&one.name);
    let (asked, others) = answer.unlocked.go.iter().partition(is_asked);
    let stay = answer.unlocked.stay.iter().collect();
    let gone = shown(asked);
    let count = |done, names: &[String]| (!names.is_empty()).then(|| with_count(done, names));
    // A plan that is shown has these.
    let mut lines: Vec<String> = match tense {
        Tense::Has => [
            count("Installed", &new),
            other_versions(plan),
            count("Uninstalled", &gone),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Tense::Will | Tense::Would => Vec::new(),
    };
    let others = shown(others);
    if !others.is_empty() {
        let head = tense.verb("Removed", "Removes");
        let names = escape(&others.join(", "));
        lines.push(format!("{head} what no lock names: {names}"));
    }
    let stay = shown(stay);
    if !stay.is_empty() {
        let names = escape(&stay.join(", "));
        lines.push(format!(
            "Another installer installed {names}; with `--exact`, what no lock names goes"
        ));
    }
    lines
}
