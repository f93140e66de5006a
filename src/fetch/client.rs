//! The client: one request over HTTP, with its redirects.
//!
//! Promises that every address is checked before it is requested, that a redirect gets only the
//! credentials of its own origin, that no message has a password or a query in it, and that a
//! server that says nothing costs a bounded time. [`Client::stop`] ends what is under way in other
//! threads. Starts nothing, and reads no certificate, before the first request.
//!
//! Read next: `places/`, which read what it gets.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};

use super::address::{Address, Scheme};
use super::http_date;
use super::place::PlaceError;
use super::settings::Settings;
use crate::base::regular_file;
use crate::python::{printable, without_passwords};

/// As many as browsers follow.
const REDIRECTS_MAX: usize = 20;
/// The longest pause that a server may ask for.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// The longest pause between two attempts that no server asked for.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// How often a pause looks whether it is over.
const TICK: Duration = Duration::from_millis(50);
const AGENT: &str = concat!("rvenv/", env!("CARGO_PKG_VERSION"));
/// Where Linux distributions keep the authorities; without any of these, rvenv uses Mozilla's.
const AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// A client; it is shared by threads.
pub(super) struct Client {
    settings: Arc<Settings>,
    /// One agent for each proxy, with and without the verification of certificates.
    agents: Mutex<BTreeMap<Route, Agent>>,
    stopped: AtomicBool,
}

/// The way to a server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    is_trusted: bool,
    proxy: Option<String>,
}

/// What to request.
#[derive(Clone, Copy, Default)]
pub(super) struct Ask<'a> {
    /// The kinds that are accepted.
    pub(super) accept: Option<&'a str>,
    /// The offset from which bytes are wanted, and the version that they must be of.
    pub(super) from: Option<(u64, Option<&'a str>)>,
}

/// What a server answered with success.
pub(super) struct Answer {
    /// The address after all redirects.
    pub(super) address: Address,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) reader: Box<dyn Read + Send>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Client {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            agents: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Ends the requests of all threads; further ones are refused.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        let agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        for agent in agents.values() {
            agent.clone().shutdown();
        }
    }

    /// How long it waits for a server that sends nothing.
    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// How long to wait after an error before the next attempt, of which there were some; `None`
    /// if there is to be none.
    pub(super) fn wait(&self, error: &PlaceError, attempts: u32) -> Option<Duration> {
        let wait = error.wait().filter(|_| attempts < self.settings.retries)?;
        let doubled = self.settings.pause.saturating_mul(1 << attempts.min(10));
        Some(wait.max(doubled.min(PAUSE_MAX)))
    }

    /// Waits, unless the client or its caller is stopped.
    pub(super) fn pause(
        &self,
        wait: Duration,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<(), PlaceError> {
        let since = Instant::now();
        while since.elapsed() < wait {
            if self.is_stopped() || is_stopped() {
                return Err(PlaceError::Interrupted);
            }
            thread::sleep(TICK.min(wait.saturating_sub(since.elapsed())));
        }
        Ok(())
    }

    /// Whether it was stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Requests an address; `None` if there is nothing.
    pub(super) fn get(&self, from: &Address, ask: Ask<'_>) -> Result<Option<Answer>, PlaceError> {
        let refused = |address: &Address, source| PlaceError::Host {
            shown: address.to_string(),
            source,
        };
        let hosts = &self.settings.hosts;
        hosts.check(from).map_err(|why| refused(from, why))?;
        let mut address = from.clone();
        for _ in 0..REDIRECTS_MAX {
            let response = self.login_and_send(&address, ask)?;
            let status = response.status().as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return answer(address, response);
            }
            let target = response.headers().get(header::LOCATION);
            let target = target
                .and_then(|target| target.to_str().ok())
                .unwrap_or_default();
            let next = address.join(target).map_err(PlaceError::Address)?;
            let checked = hosts.check_redirect(&address, &next);
            checked.map_err(|why| refused(&next, why))?;
            address = next;
        }
        Err(PlaceError::Redirects(from.to_string()))
    }

    /// Sends a request, and once more if the server wants credentials and the keyring has them.
    fn login_and_send(
        &self,
        address: &Address,
        ask: Ask<'_>,
    ) -> Result<Response<Body>, PlaceError> {
        let credentials = &self.settings.credentials;
        let response = self.send(address, ask, credentials.header(address))?;
        if response.status() != 401 {
            return Ok(response);
        }
        match credentials.header_after_refusal(address, &self.stopped) {
            Some(login) => self.send(address, ask, Some(login)),
            None => Ok(response),
        }
    }

    fn send(
        &self,
        address: &Address,
        ask: Ask<'_>,
        login: Option<String>,
    ) -> Result<Response<Body>, PlaceError> {
        let agent = self.agent(address)?;
        let mut request = agent.get(address.for_request());
        if let Some(login) = login {
            request = request.header(header::AUTHORIZATION, login);
        }
        match ask.accept {
            Some(accept) => request = request.header(header::ACCEPT, accept),
            // The digest is that of the file, not of a compressed form of it.
            None => request = request.header(header::ACCEPT_ENCODING, "identity"),
        }
        if let Some((start, version)) = ask.from {
            request = request.header(header::RANGE, format!("bytes={start}-"));
            if let Some(version) = version {
                request = request.header(header::IF_RANGE, version);
            }
        }
        request.call().map_err(|error| self.failed(address, &error))
    }

    fn failed(&self, address: &Address, error: &ureq::Error) -> PlaceError {
        if self.is_stopped() {
            return PlaceError::Interrupted;
        }
        failed(&address.to_string(), error)
    }

    fn agent(&self, address: &Address) -> Result<Agent, PlaceError> {
        if self.is_stopped() {
            return Err(PlaceError::Interrupted);
        }
        let route = Route {
            is_trusted: self.settings.trusts(address),
            proxy: self.settings.proxies.of(address).map(str::to_owned),
        };
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&route) {
            return Ok(agent.clone());
        }
        let agent = self.new_agent(&route, address)?;
        agents.insert(route, agent.clone());
        Ok(agent)
    }

    fn new_agent(&self, route: &Route, address: &Address) -> Result<Agent, PlaceError> {
        let proxy = route.proxy.as_deref().map(|proxy| {
            // As in pip, a proxy without a scheme speaks HTTP.
            let has_scheme = proxy.contains("://");
            let url = if has_scheme {
                proxy.to_owned()
            } else {
                format!("http://{proxy}")
            };
            Proxy::new(&url).map_err(|_| PlaceError::Proxy(address.to_string()))
        });
        let timeout = Some(self.settings.timeout);
        let mut config = Agent::config_builder()
            .proxy(proxy.transpose()?)
            .user_agent(AGENT)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(timeout)
            .timeout_connect(timeout)
            .timeout_recv_response(timeout)
            .timeout_per_read(timeout)
            .timeout_per_write(timeout);
        if address.scheme() == Scheme::Https || route.proxy.is_some() {
            config = config.tls_config(self.tls(route)?);
        }
        Ok(config.build().new_agent())
    }

    fn tls(&self, route: &Route) -> Result<TlsConfig, PlaceError> {
        let roots = match &self.settings.cert {
            Some(path) => {
                let (certificates, _) = read_pem(path)?;
                RootCerts::new_with_certs(&certificates)
            }
            None if has_authorities() => RootCerts::PlatformVerifier,
            None => RootCerts::WebPki,
        };
        let client = self.settings.client_cert.as_deref().map(|path| {
            let (certificates, key) = read_pem(path)?;
            let key = key.ok_or_else(|| unreadable(path, io::ErrorKind::InvalidData.into()))?;
            Ok(ClientCert::new_with_certs(&certificates, key))
        });
        Ok(TlsConfig::builder()
            .root_certs(roots)
            .client_cert(client.transpose()?)
            .disable_verification(route.is_trusted)
            .build())
    }
}

fn has_authorities() -> bool {
    !cfg!(target_os = "linux") || AUTHORITIES.iter().any(|path| Path::new(path).exists())
}

fn unreadable(path: &Path, source: io::Error) -> PlaceError {
    PlaceError::Certificates {
        path: path.to_owned(),
        source,
    }
}

type Pem = (Vec<Certificate<'static>>, Option<PrivateKey<'static>>);

fn read_pem(path: &Path) -> Result<Pem, PlaceError> {
    let bytes = regular_file::read(path).map_err(|source| unreadable(path, source))?;
    let (mut certificates, mut key) = (Vec::new(), None);
    for item in parse_pem(&bytes) {
        match item.map_err(|error| unreadable(path, io::Error::other(error)))? {
            PemItem::Certificate(certificate) => certificates.push(certificate),
            PemItem::PrivateKey(found) => key = Some(found),
            _ => {}
        }
    }
    if certificates.is_empty() {
        return Err(unreadable(path, io::ErrorKind::InvalidData.into()));
    }
    Ok((certificates, key))
}

/// An error of the client, without what could be secret in its text.
fn failed(shown: &str, error: &ureq::Error) -> PlaceError {
    let shown = shown.to_owned();
    if matches!(error, ureq::Error::Timeout(_) | ureq::Error::BodyStalled) {
        return PlaceError::Silent(shown);
    }
    if let ureq::Error::Io(error) = error {
        return broken(shown, error);
    }
    let why = printable(&without_passwords(&error.to_string()));
    PlaceError::Connection { shown, why }
}

/// An error while a body was read.
pub(super) fn broken(shown: String, error: &io::Error) -> PlaceError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match inner {
        Some(ureq::Error::Io(_)) | None => {}
        Some(inner) => return failed(&shown, inner),
    }
    if matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    ) {
        return PlaceError::Silent(shown);
    }
    let why = printable(&without_passwords(&error.to_string()));
    PlaceError::Connection { shown, why }
}

fn answer(address: Address, response: Response<Body>) -> Result<Option<Answer>, PlaceError> {
    let status = response.status().as_u16();
    let shown = address.to_string();
    match status {
        200 | 206 => {
            let (parts, body) = response.into_parts();
            Ok(Some(Answer {
                address,
                status,
                headers: parts.headers,
                reader: Box::new(body.into_reader()),
            }))
        }
        404 | 410 => Ok(None),
        401 | 403 | 407 => Err(PlaceError::Login { shown, status }),
        _ => {
            let text = |name| response.headers().get(name)?.to_str().ok();
            let wait = text(header::RETRY_AFTER);
            let wait = wait.and_then(|wait| http_date::wait(wait, text(header::DATE)));
            let wait = wait.map(|wait| wait.min(WAIT_MAX));
            Err(PlaceError::Status {
                shown,
                status,
                wait,
            })
        }
    }
}
