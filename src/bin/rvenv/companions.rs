//! What came along to another Python, in words.
//!
//! Read next: the library's `carry.rs`, which decides it.

use rvenv::carry::{Companions, SeedChange};
use rvenv::render::escape;
use rvenv_journal::raw::counted;

use crate::session::Session;
use crate::shell_words::arguments;

/// Whether a plan is shown or was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tense {
    Will,
    /// It would be, but the change is refused; the refusal names what stays behind.
    Would,
    Has,
}

impl Tense {
    /// The word for what was done, or the one for what will be.
    pub(crate) fn verb<'w>(self, has: &'w str, will: &'w str) -> &'w str {
        match self {
            Self::Has => has,
            Self::Will | Self::Would => will,
        }
    }
}

impl Session<'_> {
    /// Reports what comes along to another Python, and what its requirements say.
    pub(crate) fn tell_companions(&self, companions: &Companions, tense: Tense) {
        for line in lines(companions, tense) {
            self.terminal.story(&escape(&line));
        }
    }
}

fn lines(companions: &Companions, tense: Tense) -> Vec<String> {
    let mut lines = Vec::new();
    let (carried, refitted) = (companions.carried.len(), companions.refitted.len());
    let will = |has, will| tense.verb(has, will);
    let of_same = || {
        let verb = will("replaced by", "will be replaced by");
        let packages = counted(refitted, "package");
        format!("{packages} {verb} another wheel of the same version")
    };
    if carried > 0 {
        let verb = will("came along", "will come along");
        let mut line = format!("{} {verb}", counted(carried, "package"));
        if refitted > 0 {
            line = format!("{line}, {}", of_same());
        }
        lines.push(line);
    } else if refitted > 0 {
        lines.push(of_same());
    }
    let is_refused = tense == Tense::Would;
    for lost in companions.lost.iter().filter(|_| !is_refused) {
        let verb = will("stayed behind", "will stay behind");
        let install = arguments(&lost.install);
        lines.push(format!(
            "{lost}. It {verb}; `pip install {install}` may find another version"
        ));
    }
    for seed in &companions.seeds {
        let SeedChange {
            distribution,
            bundled,
        } = seed;
        lines.push(if let Some(bundled) = bundled {
            let verb = will("gave way to", "will give way to");
            format!("{distribution} {verb} {bundled}, which this Python brings")
        } else {
            let verb = will("went", "will go");
            format!("{distribution} {verb}: this Python brings none, and no package needs it")
        });
    }
    let needs = &companions.needs;
    if !needs.missing.is_empty() {
        let missing = needs.missing.iter();
        let missing: Vec<String> = missing
            .map(|(what, by)| format!("{what} (for {by})"))
            .collect();
        let missing = missing.join(", ");
        lines.push(format!(
            "Needed for this Python and not installed: {missing}; `--with-deps` adds it"
        ));
    }
    if !needs.unneeded.is_empty() {
        let unneeded: Vec<String> = needs.unneeded.iter().map(ToString::to_string).collect();
        let unneeded = unneeded.join(", ");
        lines.push(format!("Needed only for the Python before: {unneeded}"));
    }
    lines
}
