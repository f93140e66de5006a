//! Docker's configuration: the credentials of registries, as every tool for containers keeps them.
//!
//! Promises the order of Docker: the credential helper of the registry, the store of all
//! credentials, then what the file itself has. A helper is a program of PATH; it is started only if
//! a registry refuses a request without credentials. No value of this module shows a secret.
//!
//! Read next: `registry/login.rs`, which sends them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;

use super::address::Login;
use super::base64;
use super::oci_reference::DOCKER;
use super::pip_config::{home, variable};
use super::place::PlaceError;
use crate::base::regular_file;
use crate::python::{self, Control, Heard, Job, Surroundings};

/// A helper may have to ask a server.
const HELPER_TIMEOUT: Duration = Duration::from_mins(1);
/// More than any real file has.
const LEN_MAX: usize = 1 << 20;
/// The name under which Docker keeps the credentials of its own registry.
const DOCKER_KEY: &str = "index.docker.io";
/// The user name that says that the secret is a token.
const TOKEN_USER: &str = "<token>";

/// Where the credentials of registries are.
pub(super) struct DockerConfig {
    file: Option<PathBuf>,
    search_path: Option<OsString>,
    environment: Vec<(OsString, OsString)>,
    cwd: PathBuf,
}

/// The credentials of a registry.
pub(super) enum Secret {
    /// A user name and a password.
    Login(Login),
    /// A token with which the registry's server gives others.
    Refresh(String),
    /// A token for the registry itself.
    Bearer(String),
}

impl fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DockerConfig(****)")
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    auths: BTreeMap<String, Entry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl DockerConfig {
    /// The file in the directory that `DOCKER_CONFIG` names, else in `~/.docker`. Reads nothing.
    pub(super) fn new(around: &Surroundings) -> Self {
        let named = variable(around, "DOCKER_CONFIG").map(PathBuf::from);
        let dir = named.or_else(|| Some(home(around)?.join(".docker")));
        Self {
            file: dir.map(|dir| around.cwd.join(dir).join("config.json")),
            search_path: around.search_path.clone(),
            environment: python::unsteered(around),
            cwd: around.cwd.clone(),
        }
    }

    /// The credentials of the registry at a host and perhaps a port.
    ///
    /// # Errors
    /// [`PlaceError::Logins`]: a file or a helper that does not work is no reason to go on without.
    pub(super) fn secret(
        &self,
        authority: &str,
        stop: &AtomicBool,
    ) -> Result<Option<Secret>, PlaceError> {
        let Some(path) = &self.file else {
            return Ok(None);
        };
        let failed = |source| PlaceError::Logins {
            path: path.clone(),
            source,
        };
        let bytes = match regular_file::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if bytes.len() > LEN_MAX {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        // The error of the parser could quote a secret.
        let file: Result<File, _> = serde_json::from_slice(&bytes);
        let file = file.map_err(|_| failed(io::Error::other("it is not valid")))?;
        let keys = [authority, DOCKER_KEY];
        let keys = if authority == DOCKER.0 {
            &keys[..]
        } else {
            keys.split_at(1).0
        };
        for key in keys {
            let own = file
                .cred_helpers
                .iter()
                .find(|(name, _)| host_of(name) == *key);
            let helper = own.map(|(_, helper)| helper.as_str());
            let store = Some(file.creds_store.as_str()).filter(|store| !store.is_empty());
            if let Some(helper) = helper.or(store) {
                let server = if *key == DOCKER_KEY {
                    "https://index.docker.io/v1/"
                } else {
                    key
                };
                let secret = self.ask(helper, server, stop).map_err(failed)?;
                if secret.is_some() {
                    return Ok(secret);
                }
            }
            let entry = file.auths.iter().find(|(name, _)| host_of(name) == *key);
            if let Some(secret) = entry.and_then(|(_, entry)| entry.secret()) {
                return Ok(Some(secret));
            }
        }
        Ok(None)
    }

    /// What `docker-credential-HELPER get` answers; `None` if it has nothing.
    fn ask(&self, helper: &str, server: &str, stop: &AtomicBool) -> io::Result<Option<Secret>> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if helper.is_empty() || !helper.bytes().all(is_plain) {
            return Err(io::Error::other("the name of a credential helper is none"));
        }
        let name = format!("docker-credential-{helper}");
        let failed = |why: &str| io::Error::other(format!("the credential helper `{name}` {why}"));
        let program = self
            .search_path
            .clone()
            .and_then(|path| which::which_in(&name, Some(path), &self.cwd).ok())
            .filter(|program| program.is_absolute())
            .ok_or_else(|| failed("is not on PATH"))?;
        let end = self.run(&program, server, stop)?;
        if end.status.is_failure() {
            // A helper without credentials for the server is no failure. It prints that where it
            // prints secrets, so that its output is not shown.
            let said = String::from_utf8_lossy(&end.stdout).to_ascii_lowercase();
            return if said.contains("not found") {
                Ok(None)
            } else {
                Err(failed("failed"))
            };
        }
        let answer: Result<Answer, _> = serde_json::from_slice(&end.stdout);
        let answer = answer.map_err(|_| failed("gave no valid answer"))?;
        Ok(Some(if answer.username == TOKEN_USER {
            Secret::Refresh(answer.secret)
        } else {
            Secret::Login(Login {
                user: answer.username,
                password: Some(answer.secret),
            })
        }))
    }

    fn run(&self, program: &Path, server: &str, stop: &AtomicBool) -> io::Result<python::Finished> {
        let job = Job {
            program,
            arguments: vec![OsStr::new("get")],
            environment: self.environment.clone(),
            cwd: &self.cwd,
            input: Some(server.as_bytes().into()),
            heard: Heard::Answer,
        };
        let control = Control {
            timeout: HELPER_TIMEOUT,
            interrupted: &|| stop.load(Ordering::Relaxed),
            starting: &|_| {},
        };
        python::run(&job, &control)
            .map_err(|_| io::Error::other("the credential helper did not answer"))
    }
}

impl Entry {
    fn secret(&self) -> Option<Secret> {
        if !self.registrytoken.is_empty() {
            return Some(Secret::Bearer(self.registrytoken.clone()));
        }
        if !self.identitytoken.is_empty() {
            return Some(Secret::Refresh(self.identitytoken.clone()));
        }
        let decoded = base64::decoded(&self.auth).and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = match &decoded {
            Some(text) if !text.is_empty() => text.split_once(':')?,
            Some(_) | None => (self.username.as_str(), self.password.as_str()),
        };
        let password = password.trim_end_matches('\0').to_owned();
        (!user.is_empty()).then(|| {
            Secret::Login(Login {
                user: user.to_owned(),
                password: Some(password),
            })
        })
    }
}

/// The host and perhaps the port of a key, which older versions wrote as a URL.
fn host_of(key: &str) -> &str {
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    bare.split_once('/').map_or(bare, |(host, _)| host)
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests write what users would"
)]
mod tests {
    use super::*;

    fn secret(json: &str, authority: &str) -> Result<Option<String>, String> {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("config.json"), json).unwrap();
        let around = Surroundings {
            environment: vec![("DOCKER_CONFIG".into(), place.path().into())],
            ..Surroundings::default()
        };
        let config = DockerConfig::new(&around);
        assert_eq!(format!("{config:?}"), "DockerConfig(****)");
        let found = config.secret(authority, &AtomicBool::new(false));
        let found = found.map_err(|error| crate::base::one_line::one_line(&error))?;
        Ok(found.map(|secret| match secret {
            Secret::Login(login) => format!("{}:{}", login.user, login.password.unwrap()),
            Secret::Refresh(token) => format!("refresh {token}"),
            Secret::Bearer(token) => format!("bearer {token}"),
        }))
    }

    #[test]
    fn an_entry_is_found_by_its_host_and_port() {
        let json = r#"{"auths": {
            "a.example": {"auth": "dTpwOnE="},
            "https://b.example:81/v2/": {"username": "n", "password": "w"},
            "c.example": {"identitytoken": "i"},
            "d.example": {"registrytoken": "r"},
            "e.example": {},
            "https://index.docker.io/v1/": {"auth": "aDp4"}
        }, "HttpHeaders": {}}"#;
        let of = |authority: &str| secret(json, authority).unwrap();
        assert_eq!(of("a.example").as_deref(), Some("u:p:q"));
        assert_eq!(of("a.example:443"), None);
        assert_eq!(of("b.example:81").as_deref(), Some("n:w"));
        assert_eq!(of("c.example").as_deref(), Some("refresh i"));
        assert_eq!(of("d.example").as_deref(), Some("bearer r"));
        assert_eq!(of("e.example"), None);
        assert_eq!(of("docker.io").as_deref(), Some("h:x"));
        assert_eq!(of("other.example"), None);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_and_not_quoted() {
        let refused = secret("{\"auths\": {\"a\": {\"auth\": secret}}}", "a").unwrap_err();
        assert!(refused.contains("config.json"), "{refused}");
        assert!(!refused.contains("secret"), "{refused}");
        let helper = r#"{"credHelpers": {"a": "../x"}}"#;
        let refused = secret(helper, "a").unwrap_err();
        assert!(refused.contains("credential helper"), "{refused}");
        let helper = r#"{"credsStore": "nowhere"}"#;
        let refused = secret(helper, "a").unwrap_err();
        assert!(
            refused.contains("`docker-credential-nowhere` is not on PATH"),
            "{refused}"
        );
    }
}
