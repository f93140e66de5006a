//! The settings of the fetcher: indexes, hosts, proxies and certificates, from the options, pip's
//! configuration and the environment.
//!
//! Promises that pip's own settings mean what they mean to pip, and that an option counts more than
//! they do. No error repeats an address, which may have a password in it.
//! Read next: `pip_config.rs`; `client.rs`, which uses all of this.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::address::{Address, AddressError, Scheme};
use super::credentials::{Credentials, KeyringProvider};
use super::docker_config::DockerConfig;
use super::hosts::Hosts;
use super::oci_reference::{Reference, ReferenceError, Repository};
use super::pip_config::{PipConfig, variable};
use crate::base::config_settings::{ConfigSettings, NotASetting};
use crate::python::Surroundings;
use crate::wheel::Sources;

/// The index of everyone who configures none.
pub(super) const PYPI: &str = "https://pypi.org/simple/";
/// How long pip waits for a server that sends nothing.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How often pip tries again.
const RETRIES: u32 = 5;
/// The pause before the first of these; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// What the caller asks for besides [`Sources`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchOptions {
    /// More hosts that files may come from: `--allow-host`.
    pub allow_hosts: Vec<String>,
    /// Whether the `keyring` command may be started: `--keyring-provider`.
    pub keyring: Option<KeyringProvider>,
    /// The base installation of the interpreter, which may have a `pip.conf`.
    pub prefix: Option<PathBuf>,
}

/// Why the settings cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SettingsError {
    /// An address is malformed.
    #[error("cannot use the address of `{option}`")]
    Address {
        /// The option that has it.
        option: &'static str,
        /// What is wrong with it.
        source: AddressError,
    },
    /// A value of `--from` is no place.
    #[error("cannot use the value of `--from`")]
    From(#[source] ReferenceError),
    /// A value of `--from` names something in a repository.
    #[error("the value of `--from` names a tag or a digest, and a place is a whole repository")]
    NotWhole,
    /// A setting for build backends in pip's configuration is none.
    #[error("cannot use `config-settings` of pip's configuration")]
    ConfigSetting(#[source] NotASetting),
}

/// A place with links to files, besides indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Links {
    /// A directory of files, or a page or one file on this machine.
    Local(PathBuf),
    /// A page.
    Page(Address),
}

/// A kind of place that the caller puts into an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A repository of a registry, or a directory in the form of one.
    Repository(Repository),
    /// The directories of wheels.
    Wheelhouses,
    /// The path and the URL that a lock or a plan names.
    Named,
    /// What `find-links` names, and the indexes.
    Indexes,
}

/// All settings.
pub struct Settings {
    /// The places that are asked first, in their order.
    pub from: Vec<Order>,
    /// The indexes in their order.
    pub indexes: Vec<Address>,
    /// Further places with links: `find-links`.
    pub find_links: Vec<Links>,
    /// The hosts that files may come from.
    pub hosts: Hosts,
    /// Hosts whose certificates are not verified.
    pub trusted_hosts: Vec<String>,
    /// A file of authorities, in place of those of the system.
    pub cert: Option<PathBuf>,
    /// A file with a certificate and a key to present.
    pub client_cert: Option<PathBuf>,
    /// How long to wait for a server that sends nothing.
    pub timeout: Duration,
    /// How often to try again.
    pub retries: u32,
    /// The pause before the first of these.
    pub pause: Duration,
    /// What pip's configuration has for build backends.
    pub config_settings: ConfigSettings,
    pub(super) proxies: Proxies,
    pub(super) credentials: Credentials,
    pub(super) docker: DockerConfig,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("indexes", &self.indexes)
            .field("find_links", &self.find_links)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// An address that is malformed.
    pub fn read(
        sources: &Sources,
        options: &FetchOptions,
        around: &Surroundings,
    ) -> Result<Self, SettingsError> {
        let config = PipConfig::read(around, options.prefix.as_deref());
        let indexes = indexes(sources, &config)?;
        let find_links = find_links(sources, &config, around)?;
        let pages = find_links.iter().filter_map(|links| match links {
            Links::Page(address) => Some(address),
            Links::Local(_) => None,
        });
        let hosts = Hosts::of(indexes.iter().chain(pages), &options.allow_hosts);
        let configured = match config.one("keyring-provider") {
            Some("subprocess") => KeyringProvider::Subprocess,
            Some(_) | None => KeyringProvider::Disabled,
        };
        let provider = options.keyring.unwrap_or(configured);
        let bundles = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"];
        let bundle = || bundles.iter().find_map(|name| variable(around, name));
        let path = |path: &OsStr| around.cwd.join(path);
        Ok(Self {
            from: sources
                .from
                .iter()
                .map(|text| order(text))
                .collect::<Result<_, _>>()?,
            credentials: Credentials::new(&indexes, around, provider),
            docker: DockerConfig::new(around),
            indexes,
            find_links,
            hosts,
            trusted_hosts: config
                .all("trusted-host")
                .chain(sources.trusted_hosts.iter().map(String::as_str))
                .map(str::to_ascii_lowercase)
                .collect(),
            cert: config.one("cert").map(OsStr::new).or_else(bundle).map(path),
            client_cert: config.one("client-cert").map(OsStr::new).map(path),
            timeout: seconds(config.one("timeout").or(config.one("default-timeout"))),
            retries: config
                .one("retries")
                .and_then(|text| text.parse().ok())
                .unwrap_or(RETRIES),
            pause: PAUSE,
            config_settings: config_settings(&config)?,
            proxies: Proxies::read(&config, around),
        })
    }

    /// Whether the certificate of this server is not verified.
    pub(super) fn trusts(&self, address: &Address) -> bool {
        let host = address.host();
        let with_port = format!("{host}:{}", address.port());
        self.trusted_hosts
            .iter()
            .any(|trusted| *trusted == host || *trusted == with_port)
    }
}

/// Reads a value of `--from`.
fn order(text: &str) -> Result<Order, SettingsError> {
    Ok(match text {
        "wheelhouse" => Order::Wheelhouses,
        "lock" => Order::Named,
        "index" => Order::Indexes,
        _ => {
            let named = Reference::parse(text).map_err(SettingsError::From)?;
            if named.tag.is_some() || named.digest.is_some() {
                return Err(SettingsError::NotWhole);
            }
            Order::Repository(named.repository)
        }
    })
}

/// Pip takes one setting from its configuration, under either name of the option.
fn config_settings(config: &PipConfig) -> Result<ConfigSettings, SettingsError> {
    let names = ["config-settings", "config-setting"];
    let given = names.iter().find_map(|name| config.one(name));
    let read = given.map(str::parse).transpose();
    let read = read.map_err(SettingsError::ConfigSetting)?;
    Ok(read.into_iter().collect())
}

fn seconds(text: Option<&str>) -> Duration {
    let seconds = text.and_then(|text| text.parse::<f64>().ok());
    let seconds = seconds.filter(|seconds| *seconds > 0.0 && *seconds < 86_400.0);
    seconds.map_or(TIMEOUT, Duration::from_secs_f64)
}

fn indexes(sources: &Sources, config: &PipConfig) -> Result<Vec<Address>, SettingsError> {
    if sources.no_index || config.is_on("no-index") {
        return Ok(Vec::new());
    }
    let configured = config.one("index-url").unwrap_or(PYPI);
    let first = sources
        .index_url
        .as_deref()
        .unwrap_or(OsStr::new(configured));
    let extra = config.all("extra-index-url").map(OsStr::new);
    let extra = extra.chain(sources.extra_index_urls.iter().map(AsRef::as_ref));
    let read = |option: &'static str, text: &OsStr| {
        let address = Address::parse(text.to_str().unwrap_or_default());
        address.map_err(|source| SettingsError::Address { option, source })
    };
    let mut all = vec![read("--index-url", first)?];
    for text in extra {
        let address = read("--extra-index-url", text)?;
        if !all.contains(&address) {
            all.push(address);
        }
    }
    Ok(all)
}

fn find_links(
    sources: &Sources,
    config: &PipConfig,
    around: &Surroundings,
) -> Result<Vec<Links>, SettingsError> {
    let configured = config.all("find-links").map(OsStr::new);
    let all = configured.chain(sources.find_links.iter().map(AsRef::as_ref));
    all.map(|given| links(given, around)).collect()
}

fn links(given: &OsStr, around: &Surroundings) -> Result<Links, SettingsError> {
    let text = given.to_str().unwrap_or_default();
    let is_url = text
        .split_once("://")
        .is_some_and(|(scheme, _)| scheme.len() > 1)
        || text.starts_with("file:");
    if !is_url {
        return Ok(Links::Local(around.cwd.join(Path::new(given))));
    }
    let option = "--find-links";
    let address = Address::parse(text);
    let address = address.map_err(|source| SettingsError::Address { option, source })?;
    match address.file_path() {
        Some(path) => Ok(Links::Local(path)),
        None => Ok(Links::Page(address)),
    }
}

/// Which proxy a request takes. The addresses have passwords in them.
#[derive(Clone, Default)]
pub(super) struct Proxies {
    http: Option<String>,
    https: Option<String>,
    none_for: Vec<String>,
}

impl Proxies {
    fn read(config: &PipConfig, around: &Surroundings) -> Self {
        // As in Python, the lowercase name counts more.
        let of = |name: &str| {
            let lower = variable(around, name);
            let value = lower.or_else(|| variable(around, &name.to_ascii_uppercase()));
            value.and_then(OsStr::to_str).map(str::to_owned)
        };
        let pip = config.one("proxy").map(str::to_owned);
        let proxy = |name: &str| pip.clone().or_else(|| of(name)).or_else(|| of("all_proxy"));
        let none_for = of("no_proxy").unwrap_or_default();
        let none_for = none_for
            .split([',', ' '])
            .map(str::trim)
            .filter(|name| !name.is_empty());
        Self {
            http: proxy("http_proxy"),
            https: proxy("https_proxy"),
            none_for: none_for.map(str::to_ascii_lowercase).collect(),
        }
    }

    /// The URL of the proxy for an address.
    pub(super) fn of(&self, address: &Address) -> Option<&str> {
        let host = address.host();
        let is_excluded = |name: &String| {
            let name = name.trim_start_matches('*').trim_start_matches('.');
            let (name, port) = name.rsplit_once(':').unwrap_or((name, ""));
            let is_port = port.is_empty() || port == address.port().to_string();
            let above = host.strip_suffix(name);
            is_port && above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
        };
        if self
            .none_for
            .iter()
            .any(|name| name == "*" || is_excluded(name))
        {
            return None;
        }
        self.by_scheme(address.scheme())
    }

    /// The URL of the proxy for a scheme, before exceptions.
    pub(super) fn by_scheme(&self, scheme: Scheme) -> Option<&str> {
        match scheme {
            Scheme::Http => self.http.as_deref(),
            Scheme::Https => self.https.as_deref(),
            Scheme::File => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(pairs: &[(&str, &str)]) -> Surroundings {
        // The machine that runs the tests may have a configuration of its own.
        let alone = [(
            "PIP_CONFIG_FILE",
            if cfg!(windows) { "nul" } else { "/dev/null" },
        )];
        let pairs = alone.iter().chain(pairs);
        Surroundings {
            environment: pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            cwd: "/cwd".into(),
            ..Surroundings::default()
        }
    }

    fn read(sources: &Sources, pairs: &[(&str, &str)]) -> Settings {
        Settings::read(sources, &FetchOptions::default(), &around(pairs)).unwrap()
    }

    fn shown(settings: &Settings) -> Vec<String> {
        settings.indexes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_option_counts_more_than_a_variable() {
        let variables = [
            ("PIP_INDEX_URL", "https://u:p@a/simple"),
            ("PIP_EXTRA_INDEX_URL", "https://b/ https://c/"),
            ("PIP_FIND_LINKS", "dir https://l/page file:///abs"),
        ];
        let none = read(&Sources::default(), &[]);
        assert_eq!(shown(&none), ["https://pypi.org/simple/"]);
        let pip = read(&Sources::default(), &variables);
        assert_eq!(
            shown(&pip),
            ["https://a/simple", "https://b/", "https://c/"]
        );
        if cfg!(unix) {
            let links = [
                Links::Local("/cwd/dir".into()),
                Links::Page(Address::parse("https://l/page").unwrap()),
                Links::Local("/abs".into()),
            ];
            assert_eq!(pip.find_links, links);
        }
        let sources = Sources {
            index_url: Some("https://o/".into()),
            ..Sources::default()
        };
        assert_eq!(shown(&read(&sources, &variables))[0], "https://o/");
        let off = [("PIP_NO_INDEX", "1")];
        assert!(read(&Sources::default(), &off).indexes.is_empty());
        assert!(!format!("{pip:?}").contains("u:p"));
    }

    #[test]
    fn a_malformed_address_is_refused_without_repeating_it() {
        let sources = Sources {
            index_url: Some("htp://u:secret@a/".into()),
            ..Sources::default()
        };
        let error = Settings::read(&sources, &FetchOptions::default(), &around(&[])).unwrap_err();
        assert_eq!(error.to_string(), "cannot use the address of `--index-url`");
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn a_proxy_is_chosen_by_scheme_and_host() {
        let settings = read(
            &Sources::default(),
            &[
                ("HTTPS_PROXY", "http://p:1"),
                ("http_proxy", "http://q:2"),
                ("NO_PROXY", "localhost,.inner.example,port.example:81"),
            ],
        );
        let of = |text: &str| settings.proxies.of(&Address::parse(text).unwrap());
        assert_eq!(of("https://a/"), Some("http://p:1"));
        assert_eq!(of("http://a/"), Some("http://q:2"));
        assert_eq!(of("http://localhost/"), None);
        assert_eq!(of("http://x.inner.example/"), None);
        assert_eq!(of("http://notinner.example.org/"), Some("http://q:2"));
        assert_eq!(of("http://port.example:81/"), None);
        assert_eq!(of("http://port.example/"), Some("http://q:2"));
        let all = read(
            &Sources::default(),
            &[("ALL_PROXY", "http://r"), ("no_proxy", "*")],
        );
        assert_eq!(all.proxies.of(&Address::parse("http://a/").unwrap()), None);
    }

    #[test]
    fn times_and_certificates_are_those_of_pip() {
        let settings = read(
            &Sources::default(),
            &[
                ("PIP_TIMEOUT", "2.5"),
                ("PIP_RETRIES", "0"),
                ("SSL_CERT_FILE", "/system.pem"),
                ("PIP_TRUSTED_HOST", "a b:81"),
            ],
        );
        let sources = Sources {
            trusted_hosts: vec!["Of.File".to_owned()],
            ..Sources::default()
        };
        let of_file = read(&sources, &[("PIP_TRUSTED_HOST", "a")]);
        assert_eq!(of_file.trusted_hosts, ["a", "of.file"]);
        assert_eq!(settings.timeout, Duration::from_millis(2500));
        assert_eq!(settings.retries, 0);
        assert_eq!(settings.cert, Some("/system.pem".into()));
        let trusts = |text: &str| settings.trusts(&Address::parse(text).unwrap());
        assert!(trusts("https://a/"));
        assert!(trusts("https://b:81/"));
        assert!(!trusts("https://b/"));
    }
}
