//! Credentials: the user name and the password for a server.
//!
//! Promises the order of pip: what the address itself has, what the address of an index on the same
//! server has, `netrc`, and, only if the caller asked for it and the server refused without, the
//! `keyring` command. Credentials go only to the origin that they are for, never along a redirect
//! to another one. No value of this module shows one.
//!
//! Read next: `client.rs`, which sends them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::address::{Address, Login, Origin};
use super::base64;
use super::pip_config::{home, variable};
use crate::base::regular_file;
use crate::python::{self, Control, Heard, Job, Surroundings};

/// A user may have to unlock the keyring first.
const KEYRING_TIMEOUT: Duration = Duration::from_mins(1);
/// More than any real file has.
const LEN_MAX: usize = 1 << 20;

/// Where credentials come from.
pub(super) struct Credentials {
    indexes: Vec<Address>,
    netrc: BTreeMap<String, Login>,
    keyring: Option<Keyring>,
    /// What the keyring answered.
    answered: Mutex<BTreeMap<Origin, Option<Login>>>,
}

/// The command `keyring`.
struct Keyring {
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
    cwd: PathBuf,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(****)")
    }
}

/// Whether the `keyring` command may be started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyringProvider {
    /// It is not.
    #[default]
    Disabled,
    /// It is, if a server refuses a user name without a password.
    Subprocess,
}

impl Credentials {
    pub(super) fn new(
        indexes: &[Address],
        around: &Surroundings,
        provider: KeyringProvider,
    ) -> Self {
        let keyring = || {
            let path = around.search_path.clone()?;
            let program = which::which_in("keyring", Some(path), &around.cwd).ok()?;
            Some(Keyring {
                program: program.is_absolute().then_some(program)?,
                environment: python::unsteered(around),
                cwd: around.cwd.clone(),
            })
        };
        Self {
            indexes: indexes.to_vec(),
            netrc: read_netrc(around),
            keyring: match provider {
                KeyringProvider::Disabled => None,
                KeyringProvider::Subprocess => keyring(),
            },
            answered: Mutex::default(),
        }
    }

    /// The header `Authorization` of the first request to an address.
    pub(super) fn header(&self, address: &Address) -> Option<String> {
        self.login(address).map(|login| basic(&login))
    }

    /// The header after the server refused; asks the keyring.
    pub(super) fn header_after_refusal(
        &self,
        address: &Address,
        stop: &AtomicBool,
    ) -> Option<String> {
        let keyring = self.keyring.as_ref()?;
        let user = self.login(address)?;
        if user.password.is_some() {
            return None;
        }
        let origin = address.origin();
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answered.entry(origin).or_insert_with(|| {
            let index = self.index_of(address);
            let service = index.map(|index| index.without_login().for_request());
            let asked = |service: &str| keyring.password(service, &user.user, stop);
            let password = service.and_then(|service| asked(&service));
            Some(Login {
                user: user.user.clone(),
                password: Some(password.or_else(|| asked(address.host()))?),
            })
        });
        answer.as_ref().map(basic)
    }

    fn login(&self, address: &Address) -> Option<Login> {
        let answered = self.answered.try_lock().ok();
        let answered = answered.and_then(|known| known.get(&address.origin()).cloned().flatten());
        let own = address.login().cloned();
        let of_index = || self.index_of(address)?.login().cloned();
        let of_netrc = || {
            let host = self.netrc.get(address.host());
            host.or_else(|| self.netrc.get("")).cloned()
        };
        answered.or(own).or_else(of_index).or_else(of_netrc)
    }

    /// The index on the same server; of several the one with credentials.
    fn index_of(&self, address: &Address) -> Option<&Address> {
        let origin = address.origin();
        let same = || self.indexes.iter().filter(|index| index.origin() == origin);
        same()
            .find(|index| index.login().is_some())
            .or_else(|| same().next())
    }
}

impl Keyring {
    /// What `keyring get SERVICE USER` prints.
    fn password(&self, service: &str, user: &str, stop: &AtomicBool) -> Option<String> {
        // A name that looks like an option would be one.
        if user.starts_with('-') || service.starts_with('-') {
            return None;
        }
        let job = Job {
            program: &self.program,
            arguments: ["get", service, user].map(OsStr::new).to_vec(),
            environment: self.environment.clone(),
            cwd: &self.cwd,
            input: None,
            heard: Heard::Answer,
        };
        let control = Control {
            timeout: KEYRING_TIMEOUT,
            interrupted: &|| stop.load(Ordering::Relaxed),
            starting: &|_| {},
        };
        let end = python::run(&job, &control).ok()?;
        if end.status.is_failure() {
            return None;
        }
        let text = String::from_utf8(end.stdout).ok()?;
        let password = text.trim_end_matches(['\r', '\n']);
        (!password.is_empty()).then(|| password.to_owned())
    }
}

/// The header for basic authentication.
pub(super) fn basic(login: &Login) -> String {
    let password = login.password.as_deref().unwrap_or_default();
    let text = format!("{}:{password}", login.user);
    format!("Basic {}", base64::encoded(text.as_bytes()))
}

/// The file that `NETRC` names, else the user's; the default entry has the empty name.
fn read_netrc(around: &Surroundings) -> BTreeMap<String, Login> {
    let named = variable(around, "NETRC").map(PathBuf::from);
    let of_home = |name: &str| home(around).map(|home| home.join(name));
    let usual = [of_home(".netrc"), of_home("_netrc")];
    let mut paths = named.map_or_else(|| usual.into_iter().flatten().collect(), |path| vec![path]);
    paths.retain(|path: &PathBuf| path.is_absolute());
    let text = paths.iter().find_map(|path| text_of(path));
    text.map_or_else(BTreeMap::new, |text| parse_netrc(&text))
}

fn text_of(path: &Path) -> Option<String> {
    let bytes = regular_file::read(path).ok()?;
    String::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() <= LEN_MAX)
}

fn parse_netrc(text: &str) -> BTreeMap<String, Login> {
    let mut entries: BTreeMap<String, Login> = BTreeMap::new();
    let mut host: Option<String> = None;
    let mut is_macro = false;
    for line in text.lines() {
        // A macro ends with an empty line.
        is_macro &= !line.trim().is_empty();
        if is_macro || line.trim_start().starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace().map(|word| word.trim_matches('"'));
        while let Some(word) = words.next() {
            let mut entry = |set: &mut dyn FnMut(&mut Login)| {
                if let Some(host) = &host {
                    let empty = || Login {
                        user: String::new(),
                        password: None,
                    };
                    set(entries.entry(host.clone()).or_insert_with(empty));
                }
            };
            match word {
                "machine" => host = words.next().map(str::to_ascii_lowercase),
                "default" => host = Some(String::new()),
                "login" | "user" => {
                    let user = words.next().unwrap_or_default();
                    entry(&mut |login| user.clone_into(&mut login.user));
                }
                "password" => {
                    let password = words.next().map(str::to_owned);
                    entry(&mut |login| login.password.clone_from(&password));
                }
                "account" => drop(words.next()),
                "macdef" => {
                    is_macro = true;
                    break;
                }
                _ => {}
            }
        }
    }
    entries
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests write what users would"
)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn login(user: &str, password: &str) -> String {
        let password = Some(password.to_owned());
        basic(&Login {
            user: user.to_owned(),
            password,
        })
    }

    #[test]
    fn basic_authentication_is_encoded() {
        // RFC 7617.
        let expected = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(login("Aladdin", "open sesame"), expected);
    }

    #[test]
    fn an_entry_of_netrc_has_one_line_or_several() {
        let read = parse_netrc(
            "# x\nmachine a.example login me password p1\nmachine b.example\n  login you\n  \
             password \"p2\"\nmacdef init\nmachine evil login x\n\ndefault login d password p3\n",
        );
        let login = |host: &str| {
            read.get(host)
                .map(|login| (login.user.as_str(), login.password.as_deref()))
        };
        assert_eq!(login("a.example"), Some(("me", Some("p1"))));
        assert_eq!(login("b.example"), Some(("you", Some("p2"))));
        assert_eq!(login("evil"), None);
        assert_eq!(login(""), Some(("d", Some("p3"))));
    }

    #[test]
    fn credentials_go_only_to_their_origin() {
        let place = tempfile::tempdir().unwrap();
        let netrc = place.path().join("rc");
        std::fs::write(&netrc, "machine n.example login n password np\n").unwrap();
        let around = Surroundings {
            environment: vec![("NETRC".into(), netrc.into())],
            ..Surroundings::default()
        };
        let index = address("https://u:p@i.example/simple/");
        let from = Credentials::new(&[index], &around, KeyringProvider::Disabled);
        let of = |text: &str| from.header(&address(text));
        assert_eq!(of("https://i.example/files/x"), Some(login("u", "p")));
        assert_eq!(of("https://v:q@i.example/"), Some(login("v", "q")));
        assert_eq!(of("https://i.example:8443/"), None);
        assert_eq!(of("http://i.example/"), None);
        assert_eq!(of("https://n.example/"), Some(login("n", "np")));
        assert_eq!(of("https://o.example/"), None);
        assert_eq!(format!("{from:?}"), "Credentials(****)");
    }
}
