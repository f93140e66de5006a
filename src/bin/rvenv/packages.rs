//! What a change does to packages, in words: which are installed, which another version replaces,
//! and which go although another one requires them.
//!
//! Read next: `companions.rs`, packages that come along to another Python.

use rvenv::distributions::Distribution;
use rvenv::removal::StillRequired;
use rvenv::render::escape;
use rvenv::request::Answer;
use rvenv::supply::WheelSource;
use rvenv::wheel::Named;
use rvenv_journal::raw::counted;

use crate::companions::Tense;
use crate::session::Session;

impl Session<'_> {
    /// Names the packages of locks and requirements that a change installs or replaces, and those
    /// that go, and warns of what still requires these.
    pub(crate) fn tell_packages(&self, answer: &Answer, tense: Tense) {
        for line in lines(answer, tense) {
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
}

fn lines(answer: &Answer, tense: Tense) -> Vec<String> {
    let context = &answer.context;
    let verb = |has: &str, will: &str| match tense {
        Tense::Has => has.to_owned(),
        Tense::Will | Tense::Would => will.to_owned(),
    };
    let (mut new, mut replaced) = (Vec::new(), Vec::new());
    let locked = context.supplies.iter();
    let locked = locked.filter(|supply| supply.source == WheelSource::Locked);
    for Named { name, version } in locked.filter_map(|supply| Named::of(&supply.wheel)) {
        match context.installed.iter().find(|one| one.name == name) {
            None => new.push(format!("{name} {version}")),
            Some(old) if old.version != version => {
                replaced.push(format!("{name} {} → {version}", old.version));
            }
            Some(_) => {}
        }
    }
    let shown = |all: Vec<&Distribution>| -> Vec<String> {
        all.into_iter().map(Distribution::to_string).collect()
    };
    let is_asked = |one: &&Distribution| context.removed.contains(&one.name);
    let (asked, others) = answer.unlocked.go.iter().partition(is_asked);
    let stay = answer.unlocked.stay.iter().collect();
    let with_count = |head: String, names: &[String]| {
        let count = counted(names.len(), "package");
        format!("{head} {count}: {}", escape(&names.join(", ")))
    };
    let mut lines = Vec::new();
    for (head, names) in [
        (verb("Installed", "Installs"), new),
        (verb("Replaced", "Replaces"), replaced),
        (verb("Uninstalled", "Uninstalls"), shown(asked)),
    ] {
        if !names.is_empty() {
            lines.push(with_count(head, &names));
        }
    }
    let others = shown(others);
    if !others.is_empty() {
        let head = verb("Removed", "Removes");
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
