//! Passwords in URLs, which must not get from the output of a child into a message or a log.
//!
//! Promises that the part before the `@` of `https://user:password@host/` and `user:password@host`
//! is not shown, in any text; malformed URLs included, since programs repeat a URL mostly when it
//! is malformed. Does not recognize a password that is in no URL.
//!
//! Read next: `process.rs`, whose last lines go into errors.

/// The text that is shown instead.
const HIDDEN: &str = "****";

/// The text without the part before the `@` of each URL.
pub(crate) fn without_passwords(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`' | '<' | '>');
    text.split_inclusive(is_end).map(hidden).collect()
}

/// One word without that part.
fn hidden(word: &str) -> String {
    let start = match word.find("//") {
        Some(slashes) => slashes + 2,
        // Without a scheme, only a password distinguishes a URL from an email address.
        None if word
            .split('@')
            .next()
            .is_some_and(|user| user.contains(':')) =>
        {
            0
        }
        None => return word.to_owned(),
    };
    let (scheme, rest) = word.split_at(start);
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    // A password with a slash in it ends the authority too early, at a place where a port would be.
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let is_cut = port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit()));
    if let Some((_, host)) = authority.rsplit_once('@') {
        return format!("{scheme}{HIDDEN}@{host}{}", nested(path));
    }
    match rest.rsplit_once('@') {
        Some((_, host)) if is_cut => format!("{scheme}{HIDDEN}@{host}"),
        _ => format!("{scheme}{authority}{}", nested(path)),
    }
}

/// A path may contain another URL.
fn nested(path: &str) -> String {
    if path.contains("//") {
        hidden(path)
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_precedes_the_host_is_not_shown() {
        let check = |text: &str, expected: &str| assert_eq!(without_passwords(text), expected);
        check(
            "at https://u:p@host:8080/simple/ now",
            "at https://****@host:8080/simple/ now",
        );
        check("https://token@host", "https://****@host");
        check("'u:p@host/simple'", "'****@host/simple'");
        check("http://u:p@host:bad port", "http://****@host:bad port");
        check("http://u:p@ss@host/", "http://****@host/");
        check("http://u:p/ss@host/x", "http://****@host/x");
        check(
            "http://a/?to=http://u:p@host/",
            "http://a/?to=http://****@host/",
        );
        check(
            "git+ssh://git@host/x.git@v1",
            "git+ssh://****@host/x.git@v1",
        );
        check(
            "https://host/x@v1 http://h:80/y",
            "https://host/x@v1 http://h:80/y",
        );
        check("write to me@host: now", "write to me@host: now");
        check(
            "File \"/usr/lib//x.py\", line 1",
            "File \"/usr/lib//x.py\", line 1",
        );
    }
}
