//! The modules of a distribution, by the paths of its files: what is imported after it was mended.
//!
//! Promises to be pure, and to give only names that Python can import.
//!
//! Read next: `whole.rs` and `stored.rs`, which use this.

/// The module that a file at the top of a distribution is.
pub(super) fn module(path: &str) -> Option<&str> {
    let name = match path.split_once('/') {
        Some((package, "__init__.py")) => package,
        Some(_) => return None,
        None => {
            let (name, end) = path.split_once('.')?;
            let is_compiled = end.rsplit('.').next().is_some_and(|end| end == "so");
            (end == "py" || is_compiled).then_some(name)?
        }
    };
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_a_package_or_a_file_at_the_top() {
        let check =
            |path: &str, expected: Option<&str>| assert_eq!(module(path), expected, "{path}");
        check("a/__init__.py", Some("a"));
        check("six.py", Some("six"));
        check("_x.cpython-312-x86_64-linux-gnu.so", Some("_x"));
        check("_x.abi3.so", Some("_x"));
        check("a/b.py", None);
        check("a/b/__init__.py", None);
        check("a-1.dist-info/METADATA", None);
        check("a-b.py", None);
        check("note.txt", None);
        check("easy.pth", None);
    }
}
