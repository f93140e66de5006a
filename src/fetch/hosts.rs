//! Hosts: which servers wheels may come from.
//!
//! Promises that a file is only ever read from a server that the caller named: a host of an index,
//! of a page of links, or one of `--allow-host`. A lock whose URLs were changed to a host with a
//! similar name is refused, as is a redirect that leads elsewhere. The public index keeps its files
//! at a host of their own, which counts as named with it.
//!
//! Promises that a redirect never leads from `https` to `http`, and never to a file of this
//! machine.
//! Read next: `client.rs`, which checks every address before it is requested.

use std::collections::BTreeSet;

use thiserror::Error;

use super::address::{Address, Scheme};

/// Indexes whose files are at another host of the same operator.
const FILE_HOSTS: [(&str, &str); 2] = [
    ("pypi.org", "files.pythonhosted.org"),
    ("test.pypi.org", "test-files.pythonhosted.org"),
];

/// Why an address is not requested.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostRefused {
    /// The host was not named.
    #[error("the host `{0}` is neither an index's nor allowed")]
    Unnamed(String),
    /// A page or a redirect of a server that names a file of this machine.
    #[error("it leads to a file of this machine")]
    ToFile,
    /// A redirect from a connection that is encrypted to one that is not.
    #[error("a redirect leads from https to http, at `{0}`")]
    Downgrade(String),
}

/// The hosts that wheels may come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(BTreeSet<String>);

impl Hosts {
    /// The hosts of these addresses, and those that were named: `host`, `host:port`, or
    /// `*.domain` for all below a domain.
    #[must_use]
    pub fn of<'a>(addresses: impl IntoIterator<Item = &'a Address>, named: &[String]) -> Self {
        let mut hosts: BTreeSet<String> = BTreeSet::new();
        for address in addresses {
            hosts.insert(address.host().to_owned());
            let files = FILE_HOSTS
                .iter()
                .find(|(index, _)| *index == address.host());
            hosts.extend(files.map(|(_, files)| (*files).to_owned()));
        }
        hosts.extend(named.iter().map(|name| name.trim().to_ascii_lowercase()));
        hosts.remove("");
        Self(hosts)
    }

    /// Whether a file may come from there.
    #[must_use]
    pub fn allow(&self, address: &Address) -> bool {
        let host = address.host();
        let is_below = |domain: &str| {
            let above = host.strip_suffix(domain);
            above.is_some_and(|above| above.ends_with('.') && above.len() > 1)
        };
        self.0.contains(host)
            || self.0.contains(&format!("{host}:{}", address.port()))
            || self
                .0
                .iter()
                .any(|name| name.strip_prefix("*.").is_some_and(is_below))
    }

    /// Checks the address of a request.
    ///
    /// # Errors
    /// [`HostRefused::Unnamed`]; [`HostRefused::ToFile`], which is no request.
    pub fn check(&self, address: &Address) -> Result<(), HostRefused> {
        if address.scheme() == Scheme::File {
            return Err(HostRefused::ToFile);
        }
        if self.allow(address) {
            return Ok(());
        }
        Err(HostRefused::Unnamed(address.host().to_owned()))
    }

    /// Checks where a redirect leads.
    ///
    /// # Errors
    /// See [`HostRefused`].
    pub fn check_redirect(&self, from: &Address, to: &Address) -> Result<(), HostRefused> {
        check_scheme(from, to)?;
        self.check(to)
    }
}

/// Checks the scheme of a redirect, whatever its host.
///
/// # Errors
/// [`HostRefused::Downgrade`]; [`HostRefused::ToFile`].
pub(super) fn check_scheme(from: &Address, to: &Address) -> Result<(), HostRefused> {
    match (from.scheme(), to.scheme()) {
        (Scheme::Https, Scheme::Http) => Err(HostRefused::Downgrade(to.host().to_owned())),
        (_, Scheme::File) => Err(HostRefused::ToFile),
        (_, Scheme::Http | Scheme::Https) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn only_hosts_that_were_named_are_allowed() {
        let named = [
            "CDN.example".to_owned(),
            "*.parts.example".to_owned(),
            "p:81".to_owned(),
        ];
        let hosts = Hosts::of([&address("https://pypi.org/simple")], &named);
        for (text, is_allowed) in [
            ("https://pypi.org/x", true),
            ("https://files.pythonhosted.org/x", true),
            ("https://files.pythonhcsted.org/x", false),
            ("https://pypi.org.evil.example/x", false),
            ("https://cdn.example/x", true),
            ("https://a.cdn.example/x", false),
            ("https://a.b.parts.example/x", true),
            ("https://parts.example/x", false),
            ("https://evilparts.example/x", false),
            ("http://p:81/", true),
            ("http://p/", false),
        ] {
            assert_eq!(hosts.allow(&address(text)), is_allowed, "{text}");
        }
    }

    #[test]
    fn a_redirect_leads_neither_to_a_file_nor_out_of_https() {
        let from = address("https://pypi.org/x");
        let hosts = Hosts::of([&from], &[]);
        let check = |to: &str| hosts.check_redirect(&from, &address(to));
        assert_eq!(check("https://files.pythonhosted.org/y"), Ok(()));
        assert_eq!(check("file:///etc/passwd"), Err(HostRefused::ToFile));
        let downgrade = Err(HostRefused::Downgrade("pypi.org".to_owned()));
        assert_eq!(check("http://pypi.org/x"), downgrade);
        let elsewhere = Err(HostRefused::Unnamed("elsewhere.example".to_owned()));
        assert_eq!(check("https://elsewhere.example/"), elsewhere);
    }
}
