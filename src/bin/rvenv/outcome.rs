//! The end of a change in words: what was done to which environment, and what to type next.
//!
//! Read next: `ending.rs`, what is reported about what was replaced.

use std::ffi::OsStr;
use std::path::Path;

use rvenv::environment::{self, Outcome, Report};
use rvenv::python::Interpreter;
use rvenv::pyvenv_cfg::CONFIG_NAME;
use rvenv::render::{self, escape};
use rvenv_journal::fs::Barrier;
use rvenv_journal::raw::{Act, Effect, Unlinked, counted};
use rvenv_journal::{Fs as _, Publication};

use crate::session::Session;
use crate::shell_words::{quoted_activate, word};

impl Session<'_> {
    pub(crate) fn tell(&self, outcome: &Outcome, given: &OsStr, how: &str) {
        let shown = escape(&given.to_string_lossy());
        match outcome {
            Outcome::NoChanges(_) => self.tell_up_to_date(given),
            Outcome::Published(report) => {
                let activate = escape(&quoted_activate(&given.to_string_lossy()));
                let done = match report.plan.publication() {
                    Publication::Replace | Publication::Refill => "Replaced",
                    Publication::Merge => "Changed",
                    Publication::Put | Publication::Nothing => "Created",
                };
                let change = render::python_change(&report.plan, &report.replaced);
                let how = change.unwrap_or_else(|| how.to_owned());
                // Computing the digest of a large plan takes a while.
                self.terminal.detail_of(|| counts(report));
                let target = render::target(&given.to_string_lossy(), &report.replaced);
                self.terminal.story(&format!(
                    "{done} {target} {how}. Activate it with `{activate}`"
                ));
                self.tell_receiver(report);
                self.tell_addition(report, &shown);
                if let Some(loss) = render::loss(&report.plan, &report.replaced) {
                    self.terminal.story(&loss);
                }
                self.terminal
                    .tell_ending(&report.ending, &word(&given.to_string_lossy()));
                let is_swap = report.plan.publication() == Publication::Replace;
                if is_swap && self.world.is_in(report.plan.target()) {
                    self.terminal.story(
                        "The working directory was replaced. Enter the new one with `cd \"$PWD\"`",
                    );
                }
            }
        }
    }

    /// Reports that there is nothing to do.
    pub(crate) fn tell_up_to_date(&self, given: &OsStr) {
        let shown = escape(&given.to_string_lossy());
        let line = format!("`{shown}` is up to date: no changes");
        self.terminal.story(&line);
    }

    /// Reports that an environment has what its base has. The base is named, since another Python,
    /// or newer packages, may have been meant.
    pub(crate) fn tell_current(&self, given: &OsStr, base: &Interpreter) {
        self.terminal.story(&format!(
            "`{}` is up to date with Python {} at `{}`: no changes. `--python` names another \
             Python; `rvenv install 'NAME>=VERSION'` brings a newer package",
            escape(&given.to_string_lossy()),
            escape(&base.version.text),
            escape(&base.executable.to_string_lossy())
        ));
    }

    /// Reports a change of packages; the lines that name them follow.
    pub(crate) fn tell_change(&self, outcome: &Outcome, given: &OsStr) {
        let Outcome::Published(report) = outcome else {
            return self.tell(outcome, given, "");
        };
        let shown = escape(&given.to_string_lossy());
        self.terminal.detail_of(|| counts(report));
        self.terminal
            .story(&format!("Changed the packages of `{shown}`"));
        self.tell_receiver(report);
        self.terminal
            .tell_ending(&report.ending, &word(&given.to_string_lossy()));
    }

    /// Reports that a directory with entries of its own got an environment.
    fn tell_addition(&self, report: &Report, shown: &str) {
        let plan = &report.plan;
        let is_first = plan
            .observation()
            .paths
            .keys()
            .all(|path| path.as_str() != CONFIG_NAME);
        if plan.publication() == Publication::Merge && plan.is_shared() && is_first {
            let added = plan
                .effects()
                .filter(|(_, _, effect)| *effect == Effect::Create);
            let added = counted(added.count(), "entry");
            self.terminal.story(&format!(
                "`{shown}` was not a virtual environment: {added} were added, and the existing \
                 ones stay"
            ));
        }
    }

    /// Reports why files were copied for an environment that may be given to another user.
    fn tell_receiver(&self, report: &Report) {
        let target = Path::new(report.plan.target());
        if report.counts.copied > 0
            && let Some((dir, owner)) = environment::receiver(self.fs.user(), target)
        {
            let shown = escape(&dir.to_string_lossy());
            self.terminal.story(&format!(
                "The files are copied, not linked: `{shown}` belongs to user \
                 {owner}, who may become their owner"
            ));
        }
    }
}

fn counts(report: &Report) -> String {
    let c = report.counts;
    let acts: Vec<Act> = report.steps.iter().map(|step| step.act).collect();
    let way = match acts.as_slice() {
        _ if report.plan.publication().is_by_entries() => counted(acts.len(), "rename"),
        [Act::Exchange { .. }] => "one exchange".to_owned(),
        [Act::Take { .. }, ..] => "take and put: this filesystem has no exchange".to_owned(),
        _ => "one rename".to_owned(),
    };
    let barrier = match c.barrier {
        Some(Barrier::Filesystem) => "made durable by one sync of the filesystem",
        Some(Barrier::PerObject) => "made durable file by file",
        None => "not synced",
    };
    let unlinked = c.unlinked.map_or("", |why| match why {
        Unlinked::Group => ", not linked: a link would have another group than its directory gives",
        Unlinked::Acl => ", not linked: a link would have another ACL than its directory gives",
    });
    format!(
        "{} linked, {} shared, {} copied, {} written{unlinked}; {barrier}; published by {way}; \
         digest {}",
        counted(c.linked, "file"),
        c.reflinked,
        c.copied,
        c.written,
        report.plan.digest()
    )
}
