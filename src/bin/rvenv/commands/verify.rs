//! `rvenv verify`: compares an environment with what was published and listed; writes nothing.
//!
//! Promises one line per path that differs; many paths of one package are one line, unless every
//! path is wanted. Reports an open transaction on standard error, and verifies the environment all
//! the same.
//! Read next: the library's `verify.rs`, which compares.

use std::collections::BTreeMap;
use std::path::Path;

use rvenv::activation::quote_posix;
use rvenv::distributions::Distribution;
use rvenv::render::{Detail, escape};
use rvenv::verify::{Change, Checked, DistributionChecked, Finding, State, Verification};
use rvenv_journal::raw::{agreeing, counted};
use rvenv_journal::{Digest, Fs, Parents, Receipt, Target, inspect};
use serde::Serialize;

use super::status;
use crate::advice::{CliError, Code, Exit, of_verify, of_verify_target};
use crate::args::VerifyArgs;
use crate::found_env::Use;
use crate::session::Session;
use crate::shell_words::{quoted_activate, word};

/// How many findings of one package are shown one by one.
const SHOWN_MAX: usize = 10;
/// How many distributions the advice names.
const NAMED_MAX: usize = 5;

/// The output for an environment.
#[derive(Debug)]
struct Said {
    data: String,
    /// The open transaction, if there is one.
    warning: Option<String>,
    /// What to type next, one line each.
    advice: Vec<String>,
    is_clean: bool,
}

impl Session<'_> {
    pub(crate) fn verify(&self, args: &VerifyArgs) -> Result<Exit, CliError> {
        let given = self.env_of(&args.target, Use::Look)?;
        let path = self.world.env_dir(&given)?;
        let given = given.to_string_lossy();
        let (found, said) = self.during("Comparing files", |_| {
            verify(&self.fs, Path::new(&path), &given, self.detail())
        })?;
        if let Some(warning) = &said.warning {
            self.terminal.error(warning);
        }
        if args.digest {
            let digest = self.during("Comparing files", |_| {
                digest(&self.fs, Path::new(&path), &given, &said)
            })?;
            self.terminal.data(&format!("{digest}\n"))?;
        } else if self.json {
            self.terminal.json(&json(&found))?;
        } else {
            self.terminal.data(&said.data)?;
            for line in &said.advice {
                self.terminal.story(line);
            }
        }
        Ok(if said.is_clean {
            Exit::Done
        } else {
            Exit::Pending
        })
    }
}

/// The digest of what is published at `path`; one that differs from it has none, since a cache
/// that it went into would bring the damage back.
fn digest(fs: &dyn Fs, path: &Path, given: &str, said: &Said) -> Result<Digest, CliError> {
    let (shown, env) = (escape(given), word(given));
    if !said.is_clean {
        let what = format!("`{shown}` has no digest: it differs from what was published");
        let hint = format!("`rvenv verify {env}` lists the differences");
        return Err(CliError::new(Code::Differs, what).hint(hint));
    }
    let target = Target::open(fs, path, Parents::Require).map_err(of_verify_target)?;
    let digest = rvenv::verify::state_digest(&target).map_err(|error| of_verify(&error))?;
    digest.ok_or_else(|| {
        let what = format!("`{shown}` has no digest: rvenv has published nothing there");
        CliError::new(Code::Unpublished, what).hint("make it with `rvenv create`")
    })
}

/// Verifies the environment at `path`, which was typed as `given`.
fn verify(
    fs: &dyn Fs,
    path: &Path,
    given: &str,
    detail: Detail,
) -> Result<(Verification, Said), CliError> {
    let target = Target::open(fs, path, Parents::Require).map_err(of_verify_target)?;
    let warning = warning(&target, given);
    let verification = rvenv::verify::verify(&target).map_err(|error| of_verify(&error))?;
    let said = Said {
        data: text(&verification, detail),
        warning,
        advice: advice(&verification, given),
        is_clean: verification.is_clean(),
    };
    Ok((verification, said))
}

/// A warning of an open transaction, if there is one.
pub(super) fn warning(target: &Target<'_>, given: &str) -> Option<String> {
    let what = match inspect(target) {
        Ok(inspection) => status::open(&inspection),
        Err(error) => Some(format!("what is beside it is unknown: {}", error.source)),
    };
    what.map(|what| {
        let (shown, env) = (escape(given), word(given));
        let what = escape(&what);
        format!("A transaction is open at `{shown}` ({what}); see `rvenv status {env}`\n")
    })
}

fn text(found: &Verification, detail: Detail) -> String {
    let mut lines = vec![receipt(found)];
    for (package, findings) in packages(&found.managed.drift) {
        push(&mut lines, package, &findings, detail);
    }
    push_frame(&mut lines, found, detail);
    let files: usize = found.distributions.iter().map(|d| d.files.checked).sum();
    let distributions = found.distributions.len();
    lines.push(format!(
        "distributions: {distributions}, which {} {}",
        agreeing(distributions, "lists", "list"),
        counted(files, "file")
    ));
    for checked in &found.distributions {
        let findings: Vec<_> = checked.files.drift.iter().collect();
        push(&mut lines, &title(checked), &findings, detail);
        if checked.files.more > 0 {
            let more = counted(checked.files.more, "more row");
            let verb = agreeing(checked.files.more, "differs", "differ");
            lines.push(format!("  {}: and {more} {verb}", escape(&title(checked))));
        }
    }
    push_changes(&mut lines, found, detail);
    lines.push(format!(
        "foreign: {} that nothing lists",
        counted(found.foreign, "path")
    ));
    lines.push(state(found));
    format!(
        "`{}`\n{}\n",
        escape(&found.path.to_string_lossy()),
        lines.join("\n")
    )
}

/// What differs between the frame and what exists.
fn push_frame(lines: &mut Vec<String>, found: &Verification, detail: Detail) {
    let frame = &found.frame;
    if let Some(why) = &frame.base_lost {
        lines.push(format!("base: lost, {}", escape(why)));
    }
    if let Some(from) = &frame.moved_from {
        let scripts = match frame.moved_scripts.len() {
            0 => String::new(),
            count => format!(
                "; {} {} the interpreter there",
                counted(count, "script"),
                agreeing(count, "starts", "start")
            ),
        };
        let from = escape(&from.to_string_lossy());
        lines.push(format!("place: made for `{from}`{scripts}"));
    }
    let findings: Vec<_> = frame.drift.iter().collect();
    push(lines, "frame", &findings, detail);
}

/// What other installers did, what is lost, and what is required and absent.
fn push_changes(lines: &mut Vec<String>, found: &Verification, detail: Detail) {
    for departed in &found.departed {
        let published = escape(&departed.published.to_string());
        lines.push(match &departed.replacement {
            None => format!("  {published} was uninstalled by another installer"),
            Some(by) if *by == departed.published => {
                format!("  {published} was installed again by another installer")
            }
            Some(by) => {
                let by = escape(&by.to_string());
                format!("  {published} was replaced by another installer: {by}")
            }
        });
    }
    let added = found.distributions.iter().filter(|checked| {
        let is_replacement = |of: &Distribution| *of == checked.installed.distribution;
        let mut departed = found.departed.iter();
        checked.is_added && !departed.any(|d| d.replacement.as_ref().is_some_and(is_replacement))
    });
    push_named(
        lines,
        "added by another installer",
        added.map(title),
        detail,
    );
    let lost = found.frame.lost.iter().map(ToString::to_string);
    push_named(
        lines,
        "lost, in the directory of another Python",
        lost,
        detail,
    );
    lines.extend(found.unmet.iter().map(|unmet| {
        let by = escape(&unmet.distribution.to_string());
        let required = escape(&unmet.requirement);
        match &unmet.installed {
            None => format!("  {by} requires `{required}`, which is not installed"),
            Some(other) => {
                format!(
                    "  {by} requires `{required}`, and {} is installed",
                    escape(&other.to_string())
                )
            }
        }
    }));
}

/// A line of distributions; the first [`NAMED_MAX`], unless all are asked for.
pub(super) fn push_named(
    lines: &mut Vec<String>,
    what: &str,
    named: impl Iterator<Item = String>,
    detail: Detail,
) {
    let mut named: Vec<String> = named.map(|name| escape(&name)).collect();
    if named.is_empty() {
        return;
    }
    if detail == Detail::Folded && named.len() > NAMED_MAX {
        let more = named.len() - NAMED_MAX;
        named.truncate(NAMED_MAX);
        named.push(format!("and {more} more; `-v` lists them"));
    }
    lines.push(format!("  {what}: {}", named.join(", ")));
}

/// The last line: what is true of the environment, the worst first.
fn state(found: &Verification) -> String {
    let states = found.states().into_iter().map(|state| match state {
        State::Damaged => {
            let drift = |checked: &Checked| checked.drift.len() + checked.more;
            let listed: usize = found.distributions.iter().map(|d| drift(&d.files)).sum();
            let differing = drift(&found.managed) + found.frame.drift.len() + listed;
            format!(
                "damaged, {} {}",
                counted(differing, "path"),
                agreeing(differing, "differs", "differ")
            )
        }
        State::BaseLost | State::Moved | State::LostPackages | State::Changed | State::Clean => {
            state.as_str().to_owned()
        }
    });
    format!("state: {}", states.collect::<Vec<_>>().join("; "))
}

fn receipt(found: &Verification) -> String {
    if let Some(plan) = &found.receipt {
        let paths = counted(found.managed.checked, "managed path");
        return format!("receipt: {paths}, plan {plan}");
    }
    let mut drift = found.managed.drift.iter();
    let what = if drift.any(|finding| finding.path == Receipt::path().as_str()) {
        "damaged"
    } else {
        "none"
    };
    format!("receipt: {what}; compared with pyvenv.cfg and what the distributions list")
}

fn title(checked: &DistributionChecked) -> String {
    checked.installed.distribution.to_string()
}

/// Findings by the package or directory that they are in.
fn packages(findings: &[Finding]) -> BTreeMap<&str, Vec<&Finding>> {
    let mut packages: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        packages
            .entry(package(&finding.path))
            .or_default()
            .push(finding);
    }
    packages
}

/// The path down to the entry in `site-packages`, else the first component.
fn package(path: &str) -> &str {
    let below = "site-packages/";
    let from = path.find(below).map_or(0, |at| at + below.len());
    let rest = path.get(from..).unwrap_or_default();
    let end = rest.find('/').map_or(path.len(), |end| from + end);
    path.get(..end).unwrap_or(path)
}

pub(super) fn push(lines: &mut Vec<String>, title: &str, findings: &[&Finding], detail: Detail) {
    let is_shown = match detail {
        Detail::EveryPath => true,
        Detail::Folded => findings.len() <= SHOWN_MAX,
    };
    if is_shown {
        let line = |finding: &&Finding| {
            let path = escape(&finding.path);
            format!("  `{path}` {}", escape(&finding.detail))
        };
        lines.extend(findings.iter().map(line));
        return;
    }
    let counts = Change::ALL.map(|change| {
        let of = findings.iter().filter(|f| f.difference == change).count();
        (of > 0).then(|| format!("{of} {}", change_word(change)))
    });
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    lines.push(format!(
        "  {}: {} {} ({}); `-v` lists them",
        escape(title),
        counted(findings.len(), "path"),
        agreeing(findings.len(), "differs", "differ"),
        counts.join(", ")
    ));
}

fn change_word(change: Change) -> &'static str {
    match change {
        Change::Missing => "missing",
        Change::Kind => "of another kind",
        Change::Mode => "with another mode",
        Change::Owner => "of another user",
        Change::Content => "with different content",
        Change::LinkTarget => "that lead elsewhere",
        Change::Listing => "in invalid rows",
        Change::Unreadable => "that cannot be read",
        Change::Interpreter => "without an interpreter",
    }
}

fn advice(found: &Verification, given: &str) -> Vec<String> {
    let shown = word(given);
    if found.is_clean() {
        let activate = escape(&quoted_activate(given));
        let what = match (&found.receipt, found.states().first()) {
            (_, Some(State::Changed)) => {
                "Other installers changed packages, and nothing is damaged"
            }
            (Some(_), _) => "Everything is as it was published",
            (None, _) => "Without a receipt, nothing was found that differs",
        };
        return vec![format!("{what}. Activate it with `{activate}`")];
    }
    let mut lines = Vec::new();
    let frame = &found.frame;
    if frame.base_lost.is_some() {
        lines.push(format!(
            "Install that Python again, or let `rvenv repair {shown}` find another one of the same \
             minor version"
        ));
    }
    if let Some(from) = &frame.moved_from {
        let from = word(&from.to_string_lossy());
        lines.push(format!(
            "Make it work here with `rvenv repair {shown}`, or move it back to {from}"
        ));
    }
    if !frame.lost.is_empty() {
        lines.push(format!(
            "Install what is lost again, or go back with `rvenv rollback {shown}`"
        ));
    }
    if !found.managed.drift.is_empty() {
        lines.push(match found.receipt {
            Some(_) => format!("Restore the managed paths with `rvenv repair {shown}`"),
            None => format!("Create it again with `rvenv create --clear {shown}`"),
        });
    } else if !frame.drift.is_empty() {
        lines.push(format!(
            "Mend it with `rvenv repair {shown}`; install again what a script belongs to that \
             does not start then"
        ));
    }
    let damaged = found.distributions.iter();
    let damaged: Vec<_> = damaged.filter(|d| !d.files.drift.is_empty()).collect();
    if damaged.is_empty() {
        return lines;
    }
    let python = escape(&quote_posix(&format!("{given}/bin/python")));
    let named = damaged.iter().take(NAMED_MAX).map(|checked| {
        let of = &checked.installed.distribution;
        escape(&quote_posix(&format!("{}=={}", of.name, of.version)))
    });
    let named: Vec<_> = named.collect();
    let more = damaged.len() - named.len();
    let rest = if more == 0 {
        String::new()
    } else {
        format!(", and likewise for {more} more")
    };
    lines.push(format!(
        "Reinstall what differs with `{python} -m pip install --force-reinstall --no-deps \
         {}`{rest}",
        named.join(" ")
    ));
    lines
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct VerificationDto<'a> {
    format: u64,
    path: String,
    /// The first of `states`.
    state: &'static str,
    /// What is true of the environment, the worst first.
    states: Vec<&'static str>,
    receipt: Option<String>,
    managed: CheckedDto<'a>,
    frame: FrameDto<'a>,
    distributions: Vec<DistributionDto<'a>>,
    departed: Vec<DepartedDto<'a>>,
    unmet: Vec<UnmetDto<'a>>,
    foreign: usize,
    clean: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct CheckedDto<'a> {
    checked: usize,
    drift: Vec<FindingDto<'a>>,
    /// How many more paths differ than `drift` lists.
    more: usize,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FrameDto<'a> {
    base_lost: Option<&'a str>,
    moved_from: Option<String>,
    moved_scripts: &'a [String],
    drift: Vec<FindingDto<'a>>,
    lost: Vec<NamedDto<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct NamedDto<'a> {
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct DistributionDto<'a> {
    name: &'a str,
    version: &'a str,
    installer: Option<&'a str>,
    origin: Option<&'a str>,
    /// Whether rvenv did not publish it.
    added: bool,
    #[serde(flatten)]
    files: CheckedDto<'a>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct DepartedDto<'a> {
    #[serde(flatten)]
    published: NamedDto<'a>,
    what: &'static str,
    by: Option<NamedDto<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct UnmetDto<'a> {
    #[serde(flatten)]
    of: NamedDto<'a>,
    requires: &'a str,
    installed: Option<&'a str>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FindingDto<'a> {
    path: &'a str,
    difference: &'static str,
    detail: &'a str,
}

/// A verification as one JSON object.
fn json(found: &Verification) -> String {
    let distributions = found.distributions.iter().map(|checked| {
        let installed = &checked.installed;
        DistributionDto {
            name: &installed.distribution.name,
            version: &installed.distribution.version,
            installer: installed.installer.as_deref(),
            origin: installed.origin.url(),
            added: checked.is_added,
            files: CheckedDto::of(&checked.files),
        }
    });
    let departed = found.departed.iter().map(|departed| DepartedDto {
        published: NamedDto::of(&departed.published),
        what: match departed.replacement {
            Some(_) => "replaced",
            None => "uninstalled",
        },
        by: departed.replacement.as_ref().map(NamedDto::of),
    });
    let unmet = found.unmet.iter().map(|unmet| UnmetDto {
        of: NamedDto::of(&unmet.distribution),
        requires: &unmet.requirement,
        installed: unmet.installed.as_ref().map(|of| of.version.as_str()),
    });
    let states: Vec<_> = found.states().into_iter().map(State::as_str).collect();
    let dto = VerificationDto {
        format: 1,
        path: found.path.to_string_lossy().into_owned(),
        state: states.first().copied().unwrap_or_default(),
        states,
        receipt: found.receipt.map(|plan| plan.to_string()),
        managed: CheckedDto::of(&found.managed),
        frame: FrameDto {
            base_lost: found.frame.base_lost.as_deref(),
            moved_from: (found.frame.moved_from.as_ref())
                .map(|from| from.to_string_lossy().into_owned()),
            moved_scripts: &found.frame.moved_scripts,
            drift: found.frame.drift.iter().map(FindingDto::of).collect(),
            lost: found.frame.lost.iter().map(NamedDto::of).collect(),
        },
        distributions: distributions.collect(),
        departed: departed.collect(),
        unmet: unmet.collect(),
        foreign: found.foreign,
        clean: found.is_clean(),
    };
    let mut text = serde_json::to_string_pretty(&dto).expect("strings and numbers serialize");
    text.push('\n');
    text
}

impl<'a> CheckedDto<'a> {
    pub(super) fn of(checked: &'a Checked) -> Self {
        Self {
            checked: checked.checked,
            drift: checked.drift.iter().map(FindingDto::of).collect(),
            more: checked.more,
        }
    }
}

impl<'a> FindingDto<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            path: &finding.path,
            difference: finding.difference.as_str(),
            detail: &finding.detail,
        }
    }
}

impl<'a> NamedDto<'a> {
    pub(super) fn of(distribution: &'a Distribution) -> Self {
        Self {
            name: &distribution.name,
            version: &distribution.version,
        }
    }
}
