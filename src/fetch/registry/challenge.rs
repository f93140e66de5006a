//! What a registry wants to see: the header `WWW-Authenticate`.
//!
//! Promises that bytes of a server never cause a panic, and that what is malformed is no challenge.
//! Read next: `login.rs`, which answers.

use ureq::http::{HeaderMap, header};

/// A way to prove who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A user name and a password.
    Basic,
    /// A token of the server at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
        scopes: Vec<String>,
    },
}

/// The challenges of an answer that are understood, in their order.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let all = headers.get_all(header::WWW_AUTHENTICATE).iter();
    let texts = all.filter_map(|value| value.to_str().ok());
    texts.flat_map(parse).collect()
}

/// Reads `Bearer realm="https://…",service="…", Basic realm="…"`.
fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    for item in items(text) {
        let (start, value) = item.split_once('=').unwrap_or((item.as_str(), ""));
        let mut words = start.split_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next());
        // A parameter has no scheme before it, unless it is the first one.
        let is_new = second.is_some() || !item.contains('=');
        if is_new {
            found.push(match first.to_ascii_lowercase().as_str() {
                "basic" => Challenge::Basic,
                "bearer" => Challenge::Bearer {
                    realm: String::new(),
                    service: None,
                    scopes: Vec::new(),
                },
                // What follows belongs to it, and is not understood either.
                _ => return complete(found),
            });
        }
        let name = second.unwrap_or(first).to_ascii_lowercase();
        if let Some(Challenge::Bearer {
            realm,
            service,
            scopes,
        }) = found.last_mut()
        {
            let value = unquoted(value);
            match name.as_str() {
                "realm" => *realm = value,
                "service" => *service = Some(value),
                "scope" => scopes.extend(value.split_whitespace().map(str::to_owned)),
                _ => {}
            }
        }
    }
    complete(found)
}

fn complete(mut found: Vec<Challenge>) -> Vec<Challenge> {
    found.retain(|one| !matches!(one, Challenge::Bearer { realm, .. } if realm.is_empty()));
    found
}

/// The parts between commas that are outside of quotes.
fn items(text: &str) -> Vec<String> {
    let (mut all, mut item) = (Vec::new(), String::new());
    let (mut is_quoted, mut is_escaped) = (false, false);
    for letter in text.chars() {
        if letter == ',' && !is_quoted {
            all.push(std::mem::take(&mut item));
            continue;
        }
        is_quoted ^= letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && is_quoted && !is_escaped;
        item.push(letter);
    }
    all.push(item);
    let trimmed = all.iter().map(|item| item.trim());
    trimmed
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    inner.map_or_else(|| value.to_owned(), |inner| inner.replace('\\', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scopes: &[&str]) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        }
    }

    #[test]
    fn challenges_are_read_in_their_order() {
        let cases: [(&str, Vec<Challenge>); 8] = [
            ("Basic realm=\"a, b\"", vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                "Bearer realm=\"https://auth/token\",service=\"r\",scope=\"repository:a:pull,push x\"",
                vec![bearer(
                    "https://auth/token",
                    Some("r"),
                    &["repository:a:pull,push", "x"],
                )],
            ),
            (
                "Bearer realm=https://auth/token , error=\"x\"",
                vec![bearer("https://auth/token", None, &[])],
            ),
            (
                "Basic realm=\"x\", Bearer realm=\"https://a\"",
                vec![Challenge::Basic, bearer("https://a", None, &[])],
            ),
            ("Bearer service=\"r\"", vec![]),
            ("Negotiate abc==", vec![]),
            ("\"", vec![]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
