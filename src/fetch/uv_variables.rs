//! The same settings for uv, which reads no configuration of pip.
//!
//! Promises to name only what differs from uv's own defaults, so that uv's configuration counts
//! otherwise. The values may have passwords in them, and other users cannot read the environment of
//! a process: they are not to be shown, and not to become arguments.
//!
//! Read next: `settings.rs`; `../resolve/uv.rs`, which passes them on.

use super::address::Scheme;
use super::settings::{Links, PYPI, Settings};

impl Settings {
    /// The variables that give uv these settings.
    #[must_use]
    pub fn uv_variables(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let mut add = |name: &str, value: String| {
            if !value.is_empty() {
                all.push((name.to_owned(), value));
            }
        };
        let mut indexes = self.indexes.iter();
        let first = indexes.next().map(super::address::Address::with_login);
        add(
            "UV_DEFAULT_INDEX",
            first.filter(|url| url != PYPI).unwrap_or_default(),
        );
        let others: Vec<String> = indexes.map(super::address::Address::with_login).collect();
        add("UV_INDEX", others.join(" "));
        let links = self.find_links.iter().map(|links| match links {
            Links::Local(path) => path.to_string_lossy().into_owned(),
            Links::Page(address) => address.with_login(),
        });
        add("UV_FIND_LINKS", links.collect::<Vec<_>>().join(","));
        add("UV_INSECURE_HOST", self.trusted_hosts.join(" "));
        let path = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
        add(
            "SSL_CERT_FILE",
            self.cert.as_ref().map(path).unwrap_or_default(),
        );
        add(
            "SSL_CLIENT_CERT",
            self.client_cert.as_ref().map(path).unwrap_or_default(),
        );
        for (name, scheme) in [("HTTP_PROXY", Scheme::Http), ("HTTPS_PROXY", Scheme::Https)] {
            add(
                name,
                self.proxies
                    .by_scheme(scheme)
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::FetchOptions;
    use super::*;
    use crate::python::Surroundings;
    use crate::wheel::Sources;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        // The machine that runs the tests may have a configuration of its own.
        let alone = [(
            "PIP_CONFIG_FILE",
            if cfg!(windows) { "nul" } else { "/dev/null" },
        )];
        let around = Surroundings {
            environment: alone
                .iter()
                .chain(pairs)
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            cwd: "/cwd".into(),
            ..Surroundings::default()
        };
        let read = Settings::read(&Sources::default(), &FetchOptions::default(), &around);
        read.unwrap().uv_variables()
    }

    #[test]
    fn uv_gets_what_pip_is_configured_with() {
        assert_eq!(variables(&[]), []);
        let found = variables(&[
            ("PIP_INDEX_URL", "https://u:p%40@a/simple"),
            ("PIP_EXTRA_INDEX_URL", "https://b/ https://c/"),
            ("PIP_FIND_LINKS", "https://l/page"),
            ("PIP_TRUSTED_HOST", "b"),
            ("https_proxy", "http://proxy:3"),
        ]);
        let expected = [
            ("UV_DEFAULT_INDEX", "https://u:p%40@a/simple"),
            ("UV_INDEX", "https://b/ https://c/"),
            ("UV_FIND_LINKS", "https://l/page"),
            ("UV_INSECURE_HOST", "b"),
            ("HTTPS_PROXY", "http://proxy:3"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, expected);
    }
}
