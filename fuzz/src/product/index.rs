//! Pages of indexes from any author.

use rvenv::fetch::{Address, PageKind, index_page};

/// I6: any bytes are refused with a reason, or name files that each are one component of a path and
/// of the project, at addresses that show no credential. What begins with a brace is JSON.
pub fn index_page(bytes: &[u8]) -> bool {
    let kind = if bytes.starts_with(b"{") {
        PageKind::Json
    } else {
        PageKind::Html
    };
    let at = Address::parse("https://user:s3cret@index.example/simple/demo/?t0ken=s3cret");
    let at = at.expect("the address is well-formed");
    let files = match index_page::files(kind, bytes, &at, "demo") {
        Ok(files) => files,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty());
            assert!(!text.contains(char::is_control), "{text:?}");
            return false;
        }
    };
    for file in &files {
        let name = file.name.as_str();
        assert!(
            !name.contains(['/', '\\']) && !name.contains(char::is_control),
            "{name:?}"
        );
        assert!(![".", ".."].contains(&name) && !name.is_empty());
        let shown = format!("{} {:?}", file.address, file.metadata_address());
        assert!(
            shown.is_ascii() && !shown.contains(char::is_control),
            "{shown:?}"
        );
        let is_own = file.address.host() == "index.example";
        assert!(!is_own || !shown.contains("user:s3cret"), "{shown}");
        let address = file
            .address
            .join("")
            .expect("an address is resolved against itself");
        assert_eq!(address.to_string(), file.address.to_string());
    }
    !files.is_empty()
}
