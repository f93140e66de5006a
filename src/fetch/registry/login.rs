//! The header `Authorization` for one repository: found once, used by all threads, and found again
//! when it has expired.
//!
//! Promises that a password or a token goes to the registry itself and to the server that the
//! registry names for tokens, over TLS wherever the registry is; that a server which refuses is
//! asked once more and not again; and that no error shows a secret.
//!
//! Read next: `../docker_config.rs`, where the secrets are; `challenge.rs`.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use ureq::http::{Method, header};

use super::challenge::Challenge;
use crate::fetch::address::{Address, quoted};
use crate::fetch::bounded;
use crate::fetch::client::{Client, Exchange, Sent};
use crate::fetch::credentials::basic;
use crate::fetch::docker_config::Secret;
use crate::fetch::hosts::check_scheme;
use crate::fetch::oci_reference::Hosted;
use crate::fetch::place::PlaceError;

/// Many times the longest token.
const ANSWER_BYTES_MAX: usize = 256 << 10;
const CLIENT: &str = "rvenv";

/// What proves who asks.
pub(super) struct Login {
    root: Address,
    authority: String,
    /// What a token must allow, besides what the registry asks for.
    scopes: Vec<String>,
    known: Mutex<Option<String>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Login {
    pub(super) fn new(repository: &Hosted, scopes: Vec<String>) -> Self {
        Self {
            root: repository.root().clone(),
            authority: repository.authority().to_owned(),
            scopes,
            known: Mutex::default(),
        }
    }

    /// The header of the first attempt, if an earlier request was refused without.
    pub(super) fn known(&self) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    /// The header after a refusal of the request that had `refused`; `None` if there is none.
    pub(super) fn renewed(
        &self,
        client: &Client,
        challenges: &[Challenge],
        refused: Option<&str>,
    ) -> Result<Option<String>, PlaceError> {
        // Held while the token is fetched, so that threads that need the same one wait for it.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() != refused {
            return Ok(known.clone());
        }
        let docker = &client.settings().docker;
        let secret = docker.secret(&self.authority, client.stop_flag())?;
        for challenge in challenges {
            let header = match (challenge, &secret) {
                (_, Some(Secret::Bearer(token))) => Some(bearer(token)),
                (Challenge::Basic, Some(Secret::Login(login))) => Some(basic(login)),
                (Challenge::Basic, Some(Secret::Refresh(_)) | None) => None,
                (
                    Challenge::Bearer {
                        realm,
                        service,
                        scopes,
                    },
                    secret,
                ) => {
                    let wanted = Wanted {
                        realm: self.realm(realm)?,
                        service: service.as_deref(),
                        scopes: scopes.iter().chain(&self.scopes).fold(
                            Vec::new(),
                            |mut all, scope| {
                                if !all.contains(&scope.as_str()) {
                                    all.push(scope);
                                }
                                all
                            },
                        ),
                    };
                    Some(wanted.token(client, secret.as_ref())?)
                }
            };
            if let Some(header) = header.filter(|header| Some(header.as_str()) != refused) {
                *known = Some(header.clone());
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Where tokens are: never behind an unencrypted connection if the registry is not.
    fn realm(&self, realm: &str) -> Result<Address, PlaceError> {
        let address = Address::parse(realm).map_err(PlaceError::Address)?;
        check_scheme(&self.root, &address).map_err(|source| PlaceError::Host {
            shown: address.to_string(),
            source,
        })?;
        Ok(address)
    }
}

/// A token that is wanted.
struct Wanted<'a> {
    realm: Address,
    service: Option<&'a str>,
    scopes: Vec<&'a str>,
}

impl Wanted<'_> {
    /// The header with a token of the realm.
    fn token(&self, client: &Client, secret: Option<&Secret>) -> Result<String, PlaceError> {
        let scopes = self.scopes.iter().map(|scope| ("scope", *scope));
        let service = self.service.map(|service| ("service", service));
        let mut pairs: Vec<(&str, &str)> = service.into_iter().collect();
        let form;
        let (address, exchange, login) = match secret {
            Some(Secret::Refresh(token)) => {
                let scope = self.scopes.join(" ");
                pairs.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", CLIENT),
                    ("refresh_token", token),
                    ("scope", &scope),
                ]);
                form = as_form(&pairs);
                let kind = "application/x-www-form-urlencoded".to_owned();
                let exchange = Exchange {
                    sent: Sent::Bytes(form.as_bytes()),
                    ..Exchange::new(Method::POST, vec![(header::CONTENT_TYPE, kind)])
                };
                (self.realm.clone(), exchange, None)
            }
            Some(Secret::Login(_) | Secret::Bearer(_)) | None => {
                pairs.extend(scopes);
                let exchange = Exchange::new(Method::GET, Vec::new());
                let login = match secret {
                    Some(Secret::Login(login)) => Some(basic(login)),
                    Some(Secret::Refresh(_) | Secret::Bearer(_)) | None => None,
                };
                (self.realm.with_query(&pairs), exchange, login)
            }
        };
        let shown = self.realm.to_string();
        let reply = client.exchange(&address, &exchange, login.as_deref())?;
        if let Some(refusal) = reply.refusal(shown.clone()) {
            return Err(refusal);
        }
        let bytes = bounded::read(client, reply.reader, &shown, ANSWER_BYTES_MAX)?;
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        let token = token.and_then(|answer| answer.token.or(answer.access_token));
        let is_sendable = |token: &String| token.bytes().all(|byte| byte.is_ascii_graphic());
        let token = token.filter(|token| !token.is_empty() && is_sendable(token));
        token.map(|token| bearer(&token)).ok_or_else(|| {
            let why = "it gave no token".to_owned();
            PlaceError::Refused {
                shown,
                status: reply.status,
                why,
            }
        })
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn as_form(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter();
    let pairs = pairs.map(|(name, value)| format!("{name}={}", quoted(value)));
    pairs.collect::<Vec<_>>().join("&")
}
