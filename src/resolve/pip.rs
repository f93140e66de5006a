//! pip as a resolver: `pip install --dry-run --report` says what it would install.
//!
//! Promises that pip installs nothing, that it builds nothing if sources are refused, and that it
//! runs from the wheel that is bundled with the interpreter. The report has the file that this
//! interpreter would get, and its hash: the lock is for this interpreter only. (pip's "installation
//! report", version 1.) It runs once, and again only if what is installed cannot stay and every
//! index answered.
//!
//! Read next: `uv.rs`, the other resolver.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tempfile::NamedTempFile;

use super::{Asked, ResolveFailed, Resolving, SourceUse, refused};
use crate::base::version;
use crate::lock::{
    Archive, File, Hashes, Lock, Package, Revision, Source, name_in_url, path_in_url,
};
use crate::python::{self, Finished, Interpreter, Job, Status, printable};
use crate::wheel::Sources;
use crate::wheel::requirement::variables;
use crate::wheel::{Marker, Named, normal_name};

/// The first version of pip with a report.
pub(super) const FIRST: &str = "22.2";
const NAME: &str = "pip";

/// What pip says where requirements and constraints exclude each other.
const CONFLICT: &str = "ResolutionImpossible";
/// What pip logs of a page that it could not read, and of one that an index does not have.
const NOT_FETCHED: &str = "Could not fetch URL ";
const NOT_FOUND: &str = ": 404 Client Error";

/// What pip always does. With a log, pip 23.2 prints its progress on standard output in spite of
/// `--quiet`, in front of the report, if it fetches a wheel of over 40 kB for its metadata.
const OPTIONS: [&str; 8] = [
    "install",
    "--dry-run",
    "--ignore-installed",
    "--quiet",
    "--disable-pip-version-check",
    "--no-input",
    "--progress-bar=off",
    "--report=-",
];

#[derive(Deserialize)]
struct Report {
    version: String,
    install: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    download_info: Download,
    #[serde(default)]
    is_direct: bool,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Download {
    url: String,
    archive_info: Option<ArchiveInfo>,
    dir_info: Option<DirectoryInfo>,
    vcs_info: Option<RepositoryInfo>,
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
struct DirectoryInfo {
    #[serde(default)]
    editable: bool,
}

#[derive(Deserialize)]
struct RepositoryInfo {
    vcs: String,
    commit_id: String,
    requested_revision: Option<String>,
}

#[derive(Deserialize)]
struct ArchiveInfo {
    hash: Option<String>,
    #[serde(default)]
    hashes: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

impl Resolving<'_> {
    pub(super) fn by_pip(&self, asked: &Asked) -> Result<Lock, ResolveFailed> {
        let python = &self.interpreter.executable;
        let none = || ResolveFailed::NoPip {
            python: python.clone(),
        };
        let wheel = bundled_pip(self.interpreter).ok_or_else(none)?;
        let version = Named::of(wheel)
            .map(|named| named.version)
            .unwrap_or_default();
        if version::compare(&version, FIRST).is_lt() {
            return Err(ResolveFailed::OldPip {
                python: python.clone(),
                version,
            });
        }
        // What is installed stays if that is possible: pip decides so between all or none.
        let kept = asked.compatible();
        let mut constraints = None;
        if !kept.is_empty() {
            let lines: Vec<String> = kept.iter().map(ToString::to_string).collect();
            let lines = lines.join("\n") + "\n";
            constraints = Some(Constraints {
                file: self.file("constraints.", ".txt", &lines)?,
                log: self.file("pip.", ".log", "")?,
            });
        }
        let mut end = self.report(wheel, asked, constraints.as_ref())?;
        if constraints.is_some_and(|first| is_too_strict(&end, first.log.path())) {
            end = self.report(wheel, asked, None)?;
        }
        if is_refused(&end) {
            return Err(refused(NAME, asked, &end));
        }
        let lock = read(&end.stdout).map_err(|why| ResolveFailed::Answer {
            resolver: NAME,
            why,
        })?;
        // Its wheels are those of this interpreter, and its markers are evaluated.
        let environments = Some(self.own_marker().into_iter().collect());
        Ok(Lock {
            environments,
            ..lock
        })
    }

    fn report(
        &self,
        wheel: &Path,
        asked: &Asked,
        constraints: Option<&Constraints>,
    ) -> Result<Finished, ResolveFailed> {
        // Python runs a directory in an archive as a package, with pip's own `__main__`.
        let program = wheel.join("pip");
        let mut arguments: Vec<&OsStr> = vec!["-I".as_ref(), "-B".as_ref(), program.as_ref()];
        arguments.extend(OPTIONS.map(OsStr::new));
        arguments.extend(source_arguments(self.sources));
        let of_first = constraints.iter().flat_map(|constraints| {
            let Constraints { file, log } = constraints;
            [("--constraint", file.path()), ("--log", log.path())]
        });
        let files = asked.files.iter();
        let files = files.map(|file| ("--requirement", file.as_path()));
        for (option, path) in of_first.chain(files) {
            arguments.extend([OsStr::new(option), path.as_os_str()]);
        }
        let refuses = asked.sources == SourceUse::Refuse;
        arguments.extend(refuses.then_some(OsStr::new("--only-binary=:all:")));
        let settings = asked.config_settings.all();
        let settings: Vec<String> = settings
            .map(|setting| format!("--config-settings={setting}"))
            .collect();
        arguments.extend(settings.iter().map(OsStr::new));
        arguments.extend(asked.requirements.iter().map(OsStr::new));
        for place in &asked.places {
            arguments.extend(place.is_editable.then_some(OsStr::new("--editable")));
            arguments.push(OsStr::new(&place.text));
        }
        let job = Job {
            environment: self.pip_environment(),
            ..self.job(&self.interpreter.executable, arguments)
        };
        self.run(&job, asked)
    }

    /// The marker that holds for this interpreter's minor version on this system.
    fn own_marker(&self) -> Option<Marker> {
        let version = &self.interpreter.version;
        let all = variables(
            version.minor,
            &version.text,
            &self.interpreter.platform.implementation,
        );
        let names = [
            "implementation_name",
            "python_version",
            "sys_platform",
            "platform_machine",
        ];
        let one = |name: &&str| Some(format!("{name} == '{}'", all.get(*name)?));
        let parts: Vec<String> = names.iter().filter_map(one).collect();
        Marker::parse(&parts.join(" and "))
    }

    /// The user's environment variables, without those that steer Python.
    fn pip_environment(&self) -> Vec<(OsString, OsString)> {
        let mut environment = python::unsteered(self.around);
        // A user who sets this does not want pip to install into a base installation; here pip
        // installs nothing.
        let name = "PIP_REQUIRE_VIRTUALENV";
        environment.retain(|(key, _)| key != name);
        environment.push((name.into(), "0".into()));
        self.within_scratch(environment)
    }
}

/// The pip that is bundled with an interpreter: a wheel.
fn bundled_pip(interpreter: &Interpreter) -> Option<&PathBuf> {
    let mut wheels = interpreter.bundled.wheels().iter();
    wheels.find(|path| Named::of(path).is_some_and(|wheel| wheel.name == "pip"))
}

/// What tells pip where to look.
fn source_arguments(sources: &Sources) -> Vec<&OsStr> {
    let Sources {
        find_links,
        index_url,
        extra_index_urls,
        no_index,
        trusted_hosts,
        // It asks for names; a place by digest has none.
        from: _,
    } = sources;
    let mut all: Vec<&OsStr> = Vec::new();
    all.extend(no_index.then_some(OsStr::new("--no-index")));
    let valued = [
        ("--index-url", index_url.as_slice()),
        ("--extra-index-url", extra_index_urls),
        ("--find-links", find_links),
    ];
    for (option, values) in valued {
        all.extend(values.iter().flat_map(|value| [OsStr::new(option), value]));
    }
    let trusted = trusted_hosts.iter().map(OsStr::new);
    all.extend(trusted.flat_map(|host| [OsStr::new("--trusted-host"), host]));
    all
}

/// What a first run gets so that everything installed stays.
struct Constraints {
    /// A line for each distribution.
    file: NamedTempFile,
    /// What pip did, in more words than on standard error.
    log: NamedTempFile,
}

fn is_refused(end: &Finished) -> bool {
    end.status.is_failure() || (end.status == Status::Lost && end.stdout.is_empty())
}

/// Whether a run failed only because of its constraints, so that another one without them may not.
/// Where an index did not answer, it would fail again, after as many attempts.
fn is_too_strict(end: &Finished, log: &Path) -> bool {
    let has = |text: &[u8], part: &str| text.windows(part.len()).any(|one| one == part.as_bytes());
    is_refused(end) && has(&end.stderr, CONFLICT) && !is_unanswered(log)
}

/// Whether an index did not answer; one that answered that it has no such project did.
fn is_unanswered(log: &Path) -> bool {
    let log = std::fs::read(log).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let mut failures = log.lines().filter(|line| line.contains(NOT_FETCHED));
    failures.any(|line| !line.contains(NOT_FOUND))
}

/// Reads a report; the error is a clause.
fn read(bytes: &[u8]) -> Result<Lock, String> {
    let report: Report = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if report.version != "1" {
        return Err(format!(
            "its report has version {}",
            printable(&report.version)
        ));
    }
    let packages = report.install.into_iter().enumerate();
    Ok(Lock {
        created_by: "rvenv".to_owned(),
        packages: packages
            .map(|(at, item)| package(at, item))
            .collect::<Result<_, _>>()?,
        ..Lock::default()
    })
}

fn package(at: usize, item: Item) -> Result<Package, String> {
    let Item {
        download_info,
        is_direct,
        metadata,
    } = item;
    let name = normal_name(&metadata.name);
    let Download {
        url, subdirectory, ..
    } = download_info;
    let source = if let Some(info) = download_info.vcs_info {
        Source::Repository(Revision {
            kind: info.vcs,
            url,
            commit: info.commit_id,
            requested: info.requested_revision,
            subdirectory,
        })
    } else if let Some(info) = download_info.dir_info {
        Source::Directory {
            path: path_in_url(&url).ok_or_else(|| format!("`{}` is no path", printable(&url)))?,
            is_editable: info.editable,
            subdirectory,
        }
    } else {
        let shown = printable(&name);
        let info = download_info.archive_info;
        let info = info.ok_or_else(|| format!("`{shown}` is no file"))?;
        let file = file(&shown, url, &info)?;
        if is_direct {
            Source::Archive(Archive { file, subdirectory })
        } else if Named::of(Path::new(&file.name)).is_some() {
            Source::Files {
                wheels: vec![file],
                sdist: None,
            }
        } else {
            Source::Files {
                wheels: Vec::new(),
                sdist: Some(file),
            }
        }
    };
    Ok(Package {
        version: Some(metadata.version),
        marker: None,
        requires_python: None,
        index: None,
        source,
        place: format!("install[{at}] (`{}`)", printable(&name)),
        name,
    })
}

fn file(shown: &str, url: String, info: &ArchiveInfo) -> Result<File, String> {
    let mut hashes = Hashes::default();
    let old = info.hash.as_deref().and_then(|hash| hash.split_once('='));
    let named = info.hashes.iter().map(|(a, b)| (a.as_str(), b.as_str()));
    for (algorithm, digits) in named.chain(old) {
        hashes
            .add(algorithm, digits)
            .map_err(|why| format!("a hash of `{shown}` is malformed: {why}"))?;
    }
    if hashes.checked().is_empty() {
        return Err(format!("`{shown}` has no hash that can be checked"));
    }
    let file_name =
        name_in_url(&url).ok_or_else(|| format!("the URL of `{shown}` names no file"))?;
    Ok(File {
        name: file_name,
        url: Some(url),
        path: None,
        written_path: None,
        size: None,
        upload_time: None,
        hashes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(item: &str) -> Result<Lock, String> {
        read(
            format!(r#"{{"version": "1", "pip_version": "25.0", "install": [{item}]}}"#).as_bytes(),
        )
    }

    fn item(info: &str) -> String {
        format!(
            r#"{{"download_info": {{"url": "https://host/a%2B/A_b-1.0-py3-none-any.whl", {info}}},
                "is_direct": false, "requested": true,
                "metadata": {{"name": "A.b", "version": "1.0", "requires_dist": []}}}}"#
        )
    }

    #[test]
    fn a_report_is_a_lock_with_a_hash_for_each_file() {
        let digits = "a".repeat(64);
        let info = format!(r#""archive_info": {{"hashes": {{"sha256": "{digits}"}}}}"#);
        let lock = report(&item(&info)).unwrap();
        let [package] = &lock.packages[..] else {
            panic!("{lock:?}");
        };
        assert_eq!(
            (package.name.as_str(), package.version.as_deref()),
            ("a-b", Some("1.0"))
        );
        let Source::Files {
            wheels,
            sdist: None,
        } = &package.source
        else {
            panic!("{package:?}");
        };
        assert_eq!(wheels[0].name, "A_b-1.0-py3-none-any.whl");
        assert_eq!(wheels[0].hashes.sha256(), Some(digits.as_str()));
        // Reports of pip before 22.3 have one hash.
        let info = format!(r#""archive_info": {{"hash": "sha256={digits}"}}"#);
        assert_eq!(report(&item(&info)).unwrap(), lock);
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        for (info, why) in [
            (r#""archive_info": {}"#, "has no hash"),
            (
                r#""archive_info": {"hashes": {"md5": "00"}}"#,
                "has no hash",
            ),
            (
                r#""archive_info": {"hashes": {"sha256": "0"}}"#,
                "malformed",
            ),
            (r#""dir_info": {}"#, "is no path"),
            (r#""other_info": {}"#, "is no file"),
        ] {
            let found = report(&item(info)).unwrap_err();
            assert!(found.contains(why), "{info}: {found}");
        }
        assert!(read(b"").is_err());
        assert!(
            read(br#"{"version": "2", "install": []}"#)
                .unwrap_err()
                .contains("version 2")
        );
    }
}
