//! Places: what is asked for by where it is, not by its name: a directory, an archive, a
//! repository.
//!
//! Promises that a path is absolute, so that neither a resolver's working directory nor a file that
//! it reads changes which one is meant, and that no text can be read as an option or as two lines.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::base::lexical_path::normal;

/// What URLs of places start with.
const SCHEMES: [&str; 5] = ["git+", "https://", "http://", "ssh://", "file://"];
/// What the names of archives end with.
const ARCHIVES: [&str; 4] = [".whl", ".tar.gz", ".tgz", ".zip"];

/// A directory, an archive or a repository that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedPlace {
    /// An absolute path or a URL, as resolvers read it, with extras at its end.
    pub(super) text: String,
    /// Whether changes in the directory are to take effect without another build.
    pub(super) is_editable: bool,
    /// The path, if it is a directory.
    pub(super) directory: Option<PathBuf>,
}

impl AskedPlace {
    /// Reads a place; `None` for a text that is no place, such as a requirement. A name without a
    /// slash is a requirement, even if a directory has this name, as for pip.
    #[must_use]
    pub fn parse(text: &str, cwd: &Path) -> Option<Self> {
        if text.chars().any(char::is_control) {
            return None;
        }
        if SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            return Some(Self {
                text: text.to_owned(),
                is_editable: false,
                directory: None,
            });
        }
        let (path, _) = parts(text);
        let is_path = path.starts_with(['.', '/'])
            || path.contains(std::path::MAIN_SEPARATOR)
            || ARCHIVES.iter().any(|end| path.ends_with(end));
        let is_named = path.contains('@') && !Path::new(path).exists();
        (is_path && !is_named).then(|| Self::at(text, cwd))
    }

    /// A directory that is to be installed so that changes in it take effect (PEP 660).
    #[must_use]
    pub fn editable(text: &str, cwd: &Path) -> Option<Self> {
        let is_line = !text.chars().any(char::is_control);
        is_line.then(|| Self {
            is_editable: true,
            ..Self::at(text, cwd)
        })
    }

    fn at(text: &str, cwd: &Path) -> Self {
        let (path, extras) = parts(text);
        let path = normal(&cwd.join(path));
        Self {
            text: format!("{}{extras}", path.display()),
            is_editable: false,
            directory: path.is_dir().then_some(path),
        }
    }

    /// The line of a requirements file: a path that a reader could cut is a URL there.
    pub(super) fn line(&self) -> String {
        let option = if self.is_editable { "-e " } else { "" };
        let is_plain = |c: char| c.is_alphanumeric() || "/._-~+:[],".contains(c);
        let is_path = self.text.starts_with('/');
        if !is_path || self.text.chars().all(is_plain) {
            return format!("{option}{}", self.text);
        }
        let (path, extras) = parts(&self.text);
        let mut url = String::from("file://");
        for byte in path.bytes() {
            if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
                url.push(char::from(byte));
            } else {
                let _infallible = write!(url, "%{byte:02X}");
            }
        }
        format!("{option}{url}{extras}")
    }
}

/// A path, and the extras in brackets after it.
fn parts(text: &str) -> (&str, &str) {
    let start = text.ends_with(']').then(|| text.rfind('[')).flatten();
    text.split_at(start.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn paths_are_absolute_and_names_are_no_places() {
        use std::path::Path;

        use super::AskedPlace;

        let cwd = Path::new("/w");
        let read = |text: &str| AskedPlace::parse(text, cwd).map(|place| place.line());
        assert_eq!(read("."), Some("/w".to_owned()));
        assert_eq!(read("./a[x,y]"), Some("/w/a[x,y]".to_owned()));
        assert_eq!(read("../b c"), Some("file:///b%20c".to_owned()));
        assert_eq!(read("a-1.tar.gz"), Some("/w/a-1.tar.gz".to_owned()));
        let url = "git+https://h/r@main".to_owned();
        assert_eq!(read(&url), Some(url.clone()));
        for text in ["a", "a[x]>=1", "a @ https://h/a.whl", "-e .", "./a\n-e b"] {
            assert_eq!(read(text), None, "{text}");
        }
        let editable = AskedPlace::editable("a", cwd).unwrap();
        assert_eq!(editable.line(), "-e /w/a");
        assert_eq!(AskedPlace::editable("a\nb", cwd), None);
    }
}
