//! The links of a page of HTML, as far as indexes use HTML (PEP 503).
//!
//! Promises to read any text in one pass, and that comments are no links. Does not promise to read
//! a page as a browser does: scripts and unclosed quotes end where the simplest reading ends them.
//!
//! Read next: `index_page.rs`, which turns links into files.

use std::collections::BTreeMap;

/// What a page has.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// The address that links are relative to, in place of the page's own.
    pub(super) base: Option<String>,
    /// The version of the index's format.
    pub(super) version: Option<String>,
    pub(super) all: Vec<Link>,
}

/// The attributes of a link, by their names in lowercase.
#[derive(Debug)]
pub(super) struct Link(BTreeMap<String, String>);

impl Link {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Reads the links of a page.
pub(super) fn links(text: &str) -> Links {
    let mut page = Links::default();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        rest = match after.strip_prefix("!--") {
            Some(comment) => comment.split_once("-->").map_or("", |(_, after)| after),
            None => tag(after, &mut page),
        };
    }
    page
}

/// Reads a tag, whose `<` was read; returns what follows it.
fn tag<'a>(text: &'a str, page: &mut Links) -> &'a str {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let name = name.to_ascii_lowercase();
    if !["a", "base", "meta"].contains(&name.as_str()) {
        return rest;
    }
    let (attributes, rest) = attributes(rest);
    let link = Link(attributes);
    match name.as_str() {
        "a" => page.all.push(link),
        "base" if page.base.is_none() => page.base = link.attribute("href").map(str::to_owned),
        "meta" if link.attribute("name") == Some("pypi:repository-version") => {
            page.version = link.attribute("content").map(str::to_owned);
        }
        _ => {}
    }
    rest
}

/// Reads attributes up to the `>`; returns what follows it.
fn attributes(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut attributes = BTreeMap::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if let Some(after) = rest.strip_prefix('>') {
            return (attributes, after);
        }
        let is_end = |c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/');
        let end = rest.find(is_end).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let spaced = after.trim_start();
        let (value, after) = match spaced.strip_prefix('=') {
            Some(after) => value(after.trim_start()),
            None => (String::new(), after),
        };
        if after.len() == rest.len() || (name.is_empty() && after.is_empty()) {
            return (attributes, "");
        }
        // As in browsers, the first of two attributes counts.
        attributes.entry(name.to_ascii_lowercase()).or_insert(value);
        rest = after;
    }
}

/// Reads the value of an attribute; returns what follows it.
fn value(text: &str) -> (String, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            let (value, after) = quoted.split_once(quote).unwrap_or((quoted, ""));
            return (unescaped(value), after);
        }
    }
    let end = text
        .find(|c: char| c.is_whitespace() || c == '>')
        .unwrap_or(text.len());
    let (value, after) = text.split_at(end);
    (unescaped(value), after)
}

/// Resolves character references: those of numbers and those that attributes need.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let known = after.split_once(';').filter(|(name, _)| name.len() <= 8);
        let known = known.and_then(|(name, after)| Some((referred(name)?, after)));
        let (c, after) = known.unwrap_or(('&', after));
        out.push(c);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn referred(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hrefs(text: &str) -> Vec<String> {
        let links = links(text).all;
        links
            .iter()
            .filter_map(|link| link.attribute("href").map(str::to_owned))
            .collect()
    }

    #[test]
    fn links_are_read_in_every_spelling() {
        let text = "<a href='1'><A\nHREF = \"2&amp;&#x41;&#66;&gt;\" x><a href=3/><a/href=4><abbr href=5>\
                    <a href='6' href='7'><!--<a href=8>--><a title='>' href=9><a href='10";
        assert_eq!(hrefs(text), ["1", "2&AB>", "3/", "4", "6", "9", "10"]);
        assert_eq!(
            unescaped("a&b&unknown;&;&#xfffffff;"),
            "a&b&unknown;&;&#xfffffff;"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(<a |<a|href|=|'|\"|>|<!--|-->|&|;|#|/| |\\PC){0,30}") {
            let _links = links(&text);
        }
    }
}
