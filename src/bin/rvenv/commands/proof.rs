//! `rvenv verify --lock`: proves that what is installed is what locks name; writes nothing.
//!
//! Promises a line for each package that is not proved, with the reason, and each path that
//! differs.
//! Read next: the library's `proving.rs` and `verify/lock_proof.rs`.

use std::path::Path;

use rvenv::lock::Selection;
use rvenv::proving::ProofRequest;
use rvenv::render::{Detail, escape};
use rvenv::verify::{PackageProof, Proof, Verdict};
use rvenv_journal::raw::{agreeing, counted};
use rvenv_journal::{Parents, Target};
use serde::Serialize;

use super::verify::{CheckedDto, NamedDto, push, push_named, warning};
use crate::advice::{CliError, Exit, of_verify_target};
use crate::args::{LockChoiceArgs, LockPythonArg, VerifyArgs};
use crate::found_env::Use;
use crate::session::Session;
use crate::shell_words::word;

/// Why a package that is built from sources is not provable.
const OF_SOURCES: &str = "the lock names its sources, and has no hash of the wheel built from them";

impl Session<'_> {
    pub(crate) fn prove(&self, args: &VerifyArgs) -> Result<Exit, CliError> {
        let given = self.env_of(&args.target, Use::Look)?;
        let env_dir = self.world.env_dir(&given)?;
        let given = given.to_string_lossy();
        let request = ProofRequest {
            files: args.files.clone(),
            ..self.proof_request(env_dir, &args.python, &args.choice)?
        };
        let proof = self.with_caller_at("Comparing with wheels", |caller| caller.prove(&request));
        let proof = proof.map_err(|failed| self.unanswered(failed, args.python.python.as_ref()))?;
        let path = Path::new(&request.env_dir);
        let target = Target::open(&self.fs, path, Parents::Require).map_err(of_verify_target)?;
        if let Some(warning) = warning(&target, &given) {
            self.terminal.error(&warning);
        }
        let is_done = proof.is_proved() && (proof.is_exact() || !args.exact);
        if self.json {
            self.terminal.json(&json(&proof, is_done))?;
        } else {
            self.terminal.data(&text(&proof, self.detail(), is_done))?;
            for line in advice(&proof, args, &given) {
                self.terminal.story(&line);
            }
        }
        Ok(if is_done { Exit::Done } else { Exit::Pending })
    }

    /// What an environment is compared with, without the locks.
    pub(super) fn proof_request(
        &self,
        env_dir: String,
        python: &LockPythonArg,
        choice: &LockChoiceArgs,
    ) -> Result<ProofRequest, CliError> {
        let named = self.typed_python(python.python.as_ref());
        let groups = (!choice.group.is_empty()).then_some(choice.group.as_slice());
        Ok(ProofRequest {
            env_dir,
            python: named.map_err(|error| self.not_found(&error, None))?,
            files: Vec::new(),
            selection: Selection::new(&choice.extra, groups),
            wheelhouses: choice.wheelhouse.clone(),
        })
    }
}

fn text(proof: &Proof, detail: Detail, is_done: bool) -> String {
    let mut lines = vec![format!(
        "lock: {}",
        counted(proof.packages.len(), "package")
    )];
    for package in &proof.packages {
        push_package(&mut lines, package, detail);
    }
    let extra = proof.extraneous.iter();
    let extra = extra.map(|extra| extra.distribution.to_string());
    push_named(&mut lines, "installed, and not in the lock", extra, detail);
    lines.push(state(proof, is_done));
    format!(
        "`{}`\n{}\n",
        escape(&proof.path.to_string_lossy()),
        lines.join("\n")
    )
}

fn push_package(lines: &mut Vec<String>, package: &PackageProof, detail: Detail) {
    let title = format!("{} {}", package.name, package.version);
    let shown = escape(&title);
    match &package.verdict {
        Verdict::Absent => lines.push(format!("  {shown} is not installed")),
        Verdict::OtherVersion(versions) => lines.push(format!(
            "  {shown} is not installed, but {}",
            escape(&versions.join(", "))
        )),
        Verdict::NotProvable(why) => {
            lines.push(format!("  {shown} is not provable: {}", escape(why)));
        }
        Verdict::OfSources => lines.push(format!("  {shown} is not provable: {OF_SOURCES}")),
        Verdict::Compared { wheel, files, .. } => {
            if detail == Detail::EveryPath || !package.verdict.is_proved() {
                let name = wheel.file_name().unwrap_or_default().to_string_lossy();
                let files = counted(files.checked, "file");
                let name = escape(&name);
                lines.push(format!("  {shown}: {files} compared with `{name}`"));
            }
            let findings: Vec<_> = files.drift.iter().collect();
            push(lines, &title, &findings, detail);
            if files.more > 0 {
                let more = counted(files.more, "more row");
                let verb = agreeing(files.more, "differs", "differ");
                lines.push(format!("  {shown}: and {more} {verb}"));
            }
        }
    }
}

/// The last line: how many packages are proved, and why the others are not.
fn state(proof: &Proof, is_done: bool) -> String {
    let count = |word: &str| {
        let of = proof.packages.iter();
        of.filter(|one| one.verdict.as_str() == word).count()
    };
    let files = proof.packages.iter().map(|one| match &one.verdict {
        Verdict::Compared { files, .. } => files.checked,
        Verdict::Absent
        | Verdict::OtherVersion(_)
        | Verdict::NotProvable(_)
        | Verdict::OfSources => 0,
    });
    let files = files.sum::<usize>();
    if is_done {
        return format!("state: proved, {} as in the wheels", counted(files, "file"));
    }
    let words = [
        ("absent", "not installed"),
        ("other-version", "in another version"),
        ("differs", "different"),
        ("not-provable", "not provable"),
    ];
    let mut parts: Vec<String> = words
        .into_iter()
        .map(|(word, shown)| (count(word), shown))
        .filter(|(count, _)| *count > 0)
        .map(|(count, shown)| format!("{count} {shown}"))
        .collect();
    let extra = proof
        .extraneous
        .iter()
        .filter(|extra| !extra.is_seed)
        .count();
    if extra > 0 && parts.is_empty() {
        parts.push(format!("{extra} not in the lock"));
    }
    format!("state: not proved, {}", parts.join(", "))
}

fn advice(proof: &Proof, args: &VerifyArgs, given: &str) -> Vec<String> {
    let is_any = |word: &str| {
        proof
            .packages
            .iter()
            .any(|one| one.verdict.as_str() == word)
    };
    let mut lines = Vec::new();
    if ["absent", "other-version", "differs"]
        .into_iter()
        .any(is_any)
    {
        let files = args.files.iter();
        let files: Vec<String> = files
            .map(|file| format!("-r {}", word(&file.to_string_lossy())))
            .collect();
        lines.push(format!(
            "Bring it to the lock with `rvenv sync {} --env {}`",
            files.join(" "),
            word(given)
        ));
    }
    let mut verdicts = proof.packages.iter().map(|one| &one.verdict);
    if verdicts.any(|one| matches!(one, Verdict::NotProvable(_))) {
        lines.push(
            "Name a directory with the wheels of the lock with `--wheelhouse`: nothing is fetched \
             to verify"
                .to_owned(),
        );
    }
    let mut verdicts = proof.packages.iter().map(|one| &one.verdict);
    if verdicts.any(|one| *one == Verdict::OfSources) {
        lines.push(
            "No lock has the hash of a wheel that is built from sources. What rvenv built of an \
             archive or a commit is noted in `built` below `rvenv cache dir`"
                .to_owned(),
        );
    }
    lines
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ProofDto<'a> {
    format: u64,
    path: String,
    packages: Vec<PackageDto<'a>>,
    extraneous: Vec<NamedDto<'a>>,
    /// Whether every package is proved, and nothing else counts as a difference.
    proved: bool,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PackageDto<'a> {
    name: &'a str,
    version: &'a str,
    /// Where the lock names it.
    place: &'a str,
    state: &'static str,
    /// Why it cannot be proved.
    reason: Option<&'a str>,
    /// The versions that are installed instead.
    installed: Option<&'a [String]>,
    wheel: Option<String>,
    sha256: Option<String>,
    files: Option<CheckedDto<'a>>,
}

/// A proof as one JSON object.
fn json(proof: &Proof, is_done: bool) -> String {
    let dto = ProofDto {
        format: 1,
        path: proof.path.to_string_lossy().into_owned(),
        packages: proof.packages.iter().map(PackageDto::of).collect(),
        extraneous: (proof.extraneous.iter())
            .map(|extra| NamedDto::of(&extra.distribution))
            .collect(),
        proved: is_done,
    };
    let mut text = serde_json::to_string_pretty(&dto).expect("strings and numbers serialize");
    text.push('\n');
    text
}

impl<'a> PackageDto<'a> {
    fn of(package: &'a PackageProof) -> Self {
        let mut dto = Self {
            name: &package.name,
            version: &package.version,
            place: &package.place,
            state: package.verdict.as_str(),
            reason: None,
            installed: None,
            wheel: None,
            sha256: None,
            files: None,
        };
        match &package.verdict {
            Verdict::Absent => {}
            Verdict::OtherVersion(versions) => dto.installed = Some(versions),
            Verdict::NotProvable(why) => dto.reason = Some(why),
            Verdict::OfSources => dto.reason = Some(OF_SOURCES),
            Verdict::Compared {
                wheel,
                sha256,
                files,
            } => {
                dto.wheel = Some(wheel.to_string_lossy().into_owned());
                dto.sha256 = Some(sha256.to_string());
                dto.files = Some(CheckedDto::of(files));
            }
        }
        dto
    }
}
