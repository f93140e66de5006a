//! The client: one request over HTTP, with its redirects.
//!
//! Promises that [`Client::get`] checks every address before it is requested, that a redirect gets
//! only the credentials of its own origin, that no message has a password or a query in it, and
//! that a server that says nothing costs a bounded time. [`Client::exchange`] is one request as it
//! is: a registry has its own rules. [`Client::stop`] ends what is under way in other threads.
//! Starts nothing, and reads no certificate, before the first request.
//!
//! Read next: `places/` and `registry.rs`, which read what it gets.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{self, HeaderMap, HeaderName, Method, Request, Response, header};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, AsSendBody, Body, Proxy, SendBody};

use super::address::{Address, Scheme};
use super::http_date;
use super::place::PlaceError;
use super::settings::Settings;
use crate::base::regular_file;
use crate::python::{printable, without_passwords};

/// As many as browsers follow.
pub(super) const REDIRECTS_MAX: usize = 20;
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

/// A request as it is.
#[derive(Clone)]
pub(super) struct Exchange<'a> {
    pub(super) method: Method,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) sent: Sent<'a>,
}

/// What goes with a request.
#[derive(Clone, Copy)]
pub(super) enum Sent<'a> {
    Nothing,
    Bytes(&'a [u8]),
    /// Part of a file.
    Part(&'a Path, Range),
}

/// Some bytes of a file.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) len: u64,
}

/// What a server answered, whatever its status.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) reader: Box<dyn Read + Send>,
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

impl Ask<'_> {
    /// The headers that say so.
    pub(super) fn headers(self) -> Vec<(HeaderName, String)> {
        let mut headers = vec![match self.accept {
            Some(accept) => (header::ACCEPT, accept.to_owned()),
            // The digest is that of the file, not of a compressed form of it.
            None => (header::ACCEPT_ENCODING, "identity".to_owned()),
        }];
        if let Some((start, version)) = self.from {
            headers.push((header::RANGE, format!("bytes={start}-")));
            headers.extend(version.map(|version| (header::IF_RANGE, version.to_owned())));
        }
        headers
    }
}

impl Exchange<'_> {
    /// A request without a body.
    pub(super) fn new(method: Method, headers: Vec<(HeaderName, String)>) -> Self {
        Self {
            method,
            headers,
            sent: Sent::Nothing,
        }
    }
}

impl Reply {
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the server asks to wait.
    fn wait(&self) -> Option<Duration> {
        let wait = self.header(&header::RETRY_AFTER)?;
        let wait = http_date::wait(wait, self.header(&header::DATE))?;
        Some(wait.min(WAIT_MAX))
    }

    /// The error that a status means, unless it is one of success.
    pub(super) fn refusal(&self, shown: String) -> Option<PlaceError> {
        match self.status {
            200..=299 => None,
            status @ (401 | 403 | 407) => Some(PlaceError::Login { shown, status }),
            status => Some(PlaceError::Status {
                shown,
                status,
                wait: self.wait(),
            }),
        }
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

    /// What it was made with.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is set once it is stopped.
    pub(super) fn stop_flag(&self) -> &AtomicBool {
        &self.stopped
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
            let reply = self.login_and_send(&address, ask)?;
            if !is_redirect(reply.status) {
                return answer(address, reply);
            }
            let target = reply.headers.get(header::LOCATION);
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
    fn login_and_send(&self, address: &Address, ask: Ask<'_>) -> Result<Reply, PlaceError> {
        let credentials = &self.settings.credentials;
        let exchange = Exchange::new(Method::GET, ask.headers());
        let login = credentials.header(address);
        let reply = self.exchange(address, &exchange, login.as_deref())?;
        if reply.status != 401 {
            return Ok(reply);
        }
        match credentials.header_after_refusal(address, &self.stopped) {
            Some(login) => self.exchange(address, &exchange, Some(&login)),
            None => Ok(reply),
        }
    }

    /// Sends a request as it is, with this header `Authorization`: no redirect is followed, and no
    /// host is checked.
    pub(super) fn exchange(
        &self,
        address: &Address,
        exchange: &Exchange<'_>,
        login: Option<&str>,
    ) -> Result<Reply, PlaceError> {
        let agent = self.agent(address)?;
        let mut request = Request::builder()
            .method(exchange.method.clone())
            .uri(address.for_request());
        for (name, value) in &exchange.headers {
            request = request.header(name, value);
        }
        if let Some(login) = login {
            request = request.header(header::AUTHORIZATION, login);
        }
        let response = match exchange.sent {
            Sent::Nothing => run(&agent, request.body(())),
            Sent::Bytes(bytes) => run(&agent, request.body(bytes)),
            Sent::Part(path, range) => {
                let mut part = part_of(path, range).map_err(|source| PlaceError::Local {
                    path: path.to_owned(),
                    source,
                })?;
                let request = request.header(header::CONTENT_LENGTH, range.len);
                run(&agent, request.body(SendBody::from_reader(&mut part)))
            }
        };
        let (parts, body) = response
            .map_err(|error| self.failed(address, &error))?
            .into_parts();
        Ok(Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            reader: Box::new(body.into_reader()),
        })
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

/// Whether a status sends the client elsewhere.
pub(super) fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

fn run<S: AsSendBody>(
    agent: &Agent,
    request: http::Result<Request<S>>,
) -> Result<Response<Body>, ureq::Error> {
    agent.run(request.map_err(ureq::Error::Http)?)
}

fn part_of(path: &Path, range: Range) -> io::Result<impl Read + use<>> {
    let mut file = regular_file::open(path)?;
    file.seek(SeekFrom::Start(range.start))?;
    Ok(file.take(range.len))
}

/// What a reply means for a file that was asked for.
pub(super) fn answer(address: Address, reply: Reply) -> Result<Option<Answer>, PlaceError> {
    match reply.status {
        200 | 206 => Ok(Some(Answer {
            address,
            status: reply.status,
            headers: reply.headers,
            reader: reply.reader,
        })),
        404 | 410 => Ok(None),
        status => {
            let shown = address.to_string();
            let other = || PlaceError::Status {
                shown: shown.clone(),
                status,
                wait: None,
            };
            Err(reply.refusal(shown.clone()).unwrap_or_else(other))
        }
    }
}
