//! Addresses: URLs of indexes and files, which are shown without what is secret in them.
//!
//! Promises that no text made from an [`Address`] by `Display` or `Debug` has its user name,
//! password or query: the query of a signed URL is as good as a password. Promises that a reference
//! of a page is resolved as RFC 3986 says, and that nothing but `http`, `https` and `file` is an
//! address. Does not promise that the host exists or may be used; `hosts.rs` decides that.
//!
//! Has no crate: one that reads every URL of the web brings tables for international names, which
//! no index has.
//!
//! Read next: `hosts.rs`; `credentials.rs`, which takes user names and passwords out.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use thiserror::Error;

use crate::python::without_passwords;

/// More than any real URL has.
const LEN_MAX: usize = 16 << 10;

/// Why a text is not an address. No variant repeats the text, which may have a password in it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Neither `http`, `https` nor `file`.
    #[error("its scheme is none of https, http and file")]
    Scheme,
    /// The host is absent or has characters that no host has.
    #[error("it has no valid host")]
    Host,
    /// The port is not a number.
    #[error("it has no valid port")]
    Port,
    /// A control character, or too many characters.
    #[error("it has characters that no URL has, or too many")]
    Characters,
}

/// A scheme that rvenv reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// `http://`.
    Http,
    /// `https://`.
    Https,
    /// `file://`.
    File,
}

/// A URL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    scheme: Scheme,
    login: Option<Login>,
    host: String,
    port: Option<u16>,
    /// Begins with a slash; percent-encoded.
    path: String,
    query: Option<String>,
    fragment: Option<String>,
}

/// A user name and perhaps a password.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The password; an index may take its tokens as user names alone.
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(****)")
    }
}

/// The server behind an address: equal origins get the same credentials.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Address {
    /// Reads an absolute URL.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.len() > LEN_MAX || text.chars().any(char::is_control) {
            return Err(AddressError::Characters);
        }
        let (scheme, rest) = text.split_once(':').ok_or(AddressError::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "file" => Scheme::File,
            _ => return Err(AddressError::Scheme),
        };
        let rest = rest.strip_prefix("//").ok_or(AddressError::Host)?;
        Self::after_slashes(scheme, rest)
    }

    /// Reads what follows `scheme://`.
    fn after_slashes(scheme: Scheme, rest: &str) -> Result<Self, AddressError> {
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (login, server) = match authority.rsplit_once('@') {
            Some((login, server)) => (Some(login_of(login)), server),
            None => (None, authority),
        };
        let (host, port) = host_and_port(server)?;
        let is_host = match scheme {
            Scheme::File => host.is_empty() || host == "localhost",
            Scheme::Http | Scheme::Https => is_host(&host),
        };
        if !is_host {
            return Err(AddressError::Host);
        }
        let mut address = Self {
            scheme,
            login,
            host,
            port,
            path: String::new(),
            query: None,
            fragment: None,
        };
        address.set_path_and_more(rest);
        Ok(address)
    }

    fn set_path_and_more(&mut self, text: &str) {
        let (text, fragment) = split(text, '#');
        let (path, query) = split(text, '?');
        self.path = without_dots(&encoded(path));
        self.query = query.map(encoded);
        self.fragment = fragment.map(encoded);
    }

    /// Resolves a reference that a page at this address has.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn join(&self, reference: &str) -> Result<Self, AddressError> {
        let reference = reference.trim();
        if reference.len() > LEN_MAX || reference.chars().any(char::is_control) {
            return Err(AddressError::Characters);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Self::after_slashes(self.scheme, rest);
        }
        if has_scheme(reference) {
            return Self::parse(reference);
        }
        let mut joined = Self {
            fragment: None,
            ..self.clone()
        };
        let path_end = reference.find(['?', '#']).unwrap_or(reference.len());
        match reference.split_at(path_end) {
            ("", rest) if rest.starts_with('?') => {
                let path = self.path.clone();
                joined.set_path_and_more(rest);
                joined.path = path;
            }
            ("", rest) => joined.fragment = rest.strip_prefix('#').map(encoded),
            (path, _) if path.starts_with('/') => joined.set_path_and_more(reference),
            _ => {
                let (folder, _) = self.path.rsplit_once('/').unwrap_or_default();
                joined.set_path_and_more(&format!("{folder}/{reference}"));
            }
        }
        Ok(joined)
    }

    /// The address of a directory below this one.
    pub(super) fn below(&self, name: &str) -> Self {
        let mut below = self.clone();
        let folder = self.path.trim_end_matches('/');
        below.path = without_dots(&format!("{folder}/{}/", encoded(name)));
        below
    }

    /// The address of a file beside this one, whose name has a suffix more.
    pub(super) fn beside(&self, suffix: &str) -> Option<Self> {
        self.file_name()?;
        let mut beside = self.clone();
        beside.path.push_str(suffix);
        beside.fragment = None;
        Some(beside)
    }

    /// The same address with these pairs behind what its query has.
    pub(super) fn with_query(&self, pairs: &[(&str, &str)]) -> Self {
        let more = pairs
            .iter()
            .map(|(name, value)| format!("{name}={}", quoted(value)));
        let all = self.query.iter().cloned().chain(more);
        Self {
            query: Some(all.collect::<Vec<_>>().join("&")),
            ..self.clone()
        }
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, in lowercase; empty for a file.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also if the address leaves it to the scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.scheme {
            Scheme::Http => 80,
            Scheme::Https | Scheme::File => 443,
        })
    }

    /// The server.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            scheme: self.scheme,
            host: self.host.clone(),
            port: self.port(),
        }
    }

    /// The user name and the password in it.
    #[must_use]
    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// What follows the `#`.
    #[must_use]
    pub fn fragment(&self) -> Option<&str> {
        self.fragment.as_deref()
    }

    /// The decoded name of the file that it names, if that can be the name of a file.
    #[must_use]
    pub fn file_name(&self) -> Option<String> {
        let (_, last) = self.path.rsplit_once('/')?;
        let name = String::from_utf8(decoded(last)).ok()?;
        is_file_name(&name).then_some(name)
    }

    /// The path of a `file:` address.
    #[must_use]
    pub fn file_path(&self) -> Option<PathBuf> {
        if self.scheme != Scheme::File {
            return None;
        }
        let bytes = decoded(&self.path);
        if bytes.contains(&0) {
            return None;
        }
        path_of(bytes)
    }

    /// The whole URL, if it leads to a server and nothing in it can be secret: no user name, no
    /// query, and no other URL with a password in its path.
    #[must_use]
    pub fn public(&self) -> Option<String> {
        let text = self.without_query();
        let is_public = self.scheme != Scheme::File && self.query.is_none();
        (is_public && without_passwords(&text) == text).then_some(text)
    }

    /// The whole URL but the credentials and the fragment: what a request is for. Not to be shown.
    pub(super) fn for_request(&self) -> String {
        let query = self.query.as_ref();
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        format!("{}{query}", self.without_query())
    }

    /// The whole URL with the credentials, for a program that asks in place of rvenv. Not to be
    /// shown.
    pub(super) fn with_login(&self) -> String {
        let bare = self.for_request();
        let Some(Login { user, password }) = &self.login else {
            return bare;
        };
        let password = password.as_deref().map(|text| format!(":{}", quoted(text)));
        let login = format!("{}{}@", quoted(user), password.unwrap_or_default());
        bare.replacen("://", &format!("://{login}"), 1)
    }

    /// The same address without user name and password.
    #[must_use]
    pub fn without_login(&self) -> Self {
        Self {
            login: None,
            ..self.clone()
        }
    }

    fn without_query(&self) -> String {
        let port = self
            .port
            .map_or_else(String::new, |port| format!(":{port}"));
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::File => "file",
        };
        format!("{scheme}://{}{port}{}", self.host, self.path)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An address may have another one in its path, with credentials of its own.
        f.write_str(&without_passwords(&self.without_query()))?;
        self.query.as_ref().map_or(Ok(()), |_| f.write_str("?****"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Whether a name is one component that can be written into a directory.
pub(super) fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name != "."
        && name != ".."
        && !name.contains(['/', '\\', ':'])
        && !name.chars().any(char::is_control)
}

fn has_scheme(reference: &str) -> bool {
    let end = reference.find(['/', '?', '#']).unwrap_or(reference.len());
    reference.get(..end).is_some_and(|head| head.contains(':'))
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn login_of(text: &str) -> Login {
    let (user, password) = split(text, ':');
    let plain = |text: &str| String::from_utf8_lossy(&decoded(text)).into_owned();
    Login {
        user: plain(user),
        password: password.map(plain),
    }
}

fn host_and_port(server: &str) -> Result<(String, Option<u16>), AddressError> {
    // The colons of an IPv6 address are inside brackets.
    let host_end = server.rfind(']').map_or(0, |end| end + 1);
    let (bracketed, rest) = server.split_at(host_end);
    let (host, port) = split(rest, ':');
    let port = match port {
        None | Some("") => None,
        Some(port) => Some(port.parse().map_err(|_| AddressError::Port)?),
    };
    Ok((format!("{bracketed}{host}").to_ascii_lowercase(), port))
}

fn is_host(host: &str) -> bool {
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if let Some(address) = address {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty()
        && !host.starts_with('.')
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// Encodes what may not be in a URL; leaves what is encoded already.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| str::from_utf8(digits).ok());
        let byte = digits
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = byte.and_then(|_| after.get(2..)).unwrap_or(after);
    }
    out
}

/// A user name or a password as a part of a URL: everything but unreserved characters is encoded.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Removes `.` and `..` from a path (RFC 3986, 5.2.4); encoded dots are dots.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for part in path.split('/').skip(usize::from(path.starts_with('/'))) {
        let plain = part.replace("%2e", ".").replace("%2E", ".");
        ends_in_folder = plain == "." || plain == "..";
        match plain.as_str() {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(part),
        }
    }
    if ends_in_folder {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(unix)]
#[expect(
    clippy::unnecessary_wraps,
    reason = "elsewhere not every URL is a path"
)]
fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    Some(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> Option<PathBuf> {
    let text = String::from_utf8(bytes).ok()?;
    // `file:///C:/x` is `C:/x`.
    let has_drive = text.get(2..3) == Some(":");
    Some(
        text.strip_prefix('/')
            .filter(|_| has_drive)
            .unwrap_or(&text)
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reference_is_resolved_as_the_standard_says() {
        let base = Address::parse("http://a/b/c/d;p?q").unwrap();
        // RFC 3986, 5.4, but for schemes that are refused.
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g/../h", "http://a/b/c/h"),
            ("%2e%2e/g", "http://a/b/g"),
            ("https://x/y", "https://x/y"),
        ] {
            let joined = base.join(reference).map(|joined| joined.for_request());
            assert_eq!(joined.as_deref(), Ok(expected), "{reference}");
        }
        assert_eq!(base.join("mailto:x"), Err(AddressError::Scheme));
        assert_eq!(base.join("javascript:x"), Err(AddressError::Scheme));
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let text = "https://me:s3%40cret@Index.Example:8443/a b/c?token=t0ken#sha256=00";
        let address = Address::parse(text).unwrap();
        let shown = "https://index.example:8443/a%20b/c?****";
        assert_eq!(address.to_string(), shown);
        assert!(!format!("{address:?}").contains("cret"));
        assert!(!format!("{:?}", address.login()).contains("cret"));
        assert_eq!(
            address.login().unwrap().password.as_deref(),
            Some("s3@cret")
        );
        assert_eq!(address.fragment(), Some("sha256=00"));
        let request = address.for_request();
        assert_eq!(request, "https://index.example:8443/a%20b/c?token=t0ken");
        let nested = Address::parse("https://proxy/https://user:pw@host/simple/").unwrap();
        assert_eq!(
            nested.to_string(),
            "https://proxy/https://****@host/simple/"
        );
        // A saved plan may have only what anyone may read.
        let public = |text: &str| Address::parse(text).unwrap().public();
        assert_eq!(address.public(), None);
        assert_eq!(nested.public(), None);
        assert_eq!(public("file:///a"), None);
        assert_eq!(
            public("https://me:pw@h:1/a#b").as_deref(),
            Some("https://h:1/a")
        );
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for (text, why) in [
            ("", AddressError::Scheme),
            ("ftp://x/", AddressError::Scheme),
            ("https:x", AddressError::Host),
            ("https:///x", AddressError::Host),
            ("https://a b/", AddressError::Host),
            ("https://us:er@h\u{f6}st/", AddressError::Host),
            ("https://user:pass/word@host/", AddressError::Port),
            ("https://h:99999/", AddressError::Port),
            ("https://h/\n", AddressError::Characters),
            ("file://other/x", AddressError::Host),
        ] {
            let expected = if text.ends_with('\n') {
                Ok(())
            } else {
                Err(why)
            };
            assert_eq!(Address::parse(text).map(drop), expected, "{text}");
        }
        assert_eq!(
            Address::parse("https://h/\u{7}x"),
            Err(AddressError::Characters)
        );
    }

    #[test]
    fn names_and_paths_of_files_are_decoded_and_stay_names() {
        let name = |text: &str| Address::parse(text).unwrap().file_name();
        assert_eq!(name("https://h/a%2Bb.whl?x").as_deref(), Some("a+b.whl"));
        assert_eq!(name("https://h/a/"), None);
        assert_eq!(name("https://h/a/%2e%2e%2fetc"), None);
        assert_eq!(name("https://h/a%00b"), None);
        let path = |text: &str| Address::parse(text).unwrap().file_path();
        assert_eq!(path("https://h/x"), None);
        if cfg!(unix) {
            assert_eq!(path("file:///a%20b"), Some("/a b".into()));
            assert_eq!(path("file://localhost/a"), Some("/a".into()));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_reads_the_same_again(text in "(https?|file)://\\PC{0,40}") {
            if let Ok(address) = Address::parse(&text) {
                let again = Address::parse(&address.for_request()).unwrap();
                prop_assert_eq!(again.for_request(), address.for_request());
                let joined = address.join("../x").unwrap();
                prop_assert_eq!(joined.host(), address.host());
            }
        }
    }
}
