//! The sources as a test reads them: which modules exist, and which of them each one uses.
//!
//! A use is a path in the code that begins with `crate::`, `self::`, `super::` or the name of a
//! child module. A name that a module imports or re-exports leads to where it is defined. Comments,
//! strings and unit tests are not code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One file of Rust.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// The path of its module below the root: `["fs", "real"]`; empty for `lib.rs`.
    pub(crate) module: Vec<String>,
    pub(crate) text: String,
}

impl Source {
    /// The text before the unit tests, which come last.
    pub(crate) fn body(&self) -> &str {
        let tests = "\n#[cfg(test)]\nmod tests";
        self.text.split(tests).next().unwrap_or(&self.text)
    }

    /// Whether the whole file is a unit test.
    pub(crate) fn is_test(&self) -> bool {
        self.module.iter().any(|name| name == "tests")
    }

    /// The first folder or file below the root.
    pub(crate) fn top(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    /// What `crate` means here: a binary in `bin/NAME/` has a root of its own.
    fn root(&self) -> Vec<String> {
        let is_binary = self.top() == "bin";
        let depth = if is_binary { 2 } else { 0 };
        self.module.iter().take(depth).cloned().collect()
    }
}

/// Every file below a folder of this repository.
pub(crate) fn sources(root: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(!found.is_empty(), "{}", root.display());
    found
}

fn collect(root: &Path, dir: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<_> = std::fs::read_dir(dir)
        .expect("the folder exists")
        .map(|entry| entry.expect("a listing goes on").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let below = path.strip_prefix(root).expect("below the root");
            let module = module_of(below);
            let text = std::fs::read_to_string(&path).expect("a source is UTF-8");
            found.push(Source { path, module, text });
        }
    }
}

fn module_of(below: &Path) -> Vec<String> {
    let names = below.with_extension("");
    let mut module: Vec<String> = names
        .components()
        .map(|name| name.as_os_str().to_string_lossy().into_owned())
        .collect();
    let is_root = match module.last().map(String::as_str) {
        Some("mod" | "lib") => true,
        Some("main") => module.len() > 1,
        _ => false,
    };
    if is_root {
        module.pop();
    }
    module
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    /// `::`
    Path,
    Sign(char),
}

/// The names and signs of a text, without its comments, strings and characters.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = at(i);
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '"' {
            i = after_string(&chars, i);
        } else if c == 'r' && matches!(at(i + 1), '"' | '#') {
            i = after_raw_string(&chars, i);
        } else if c == '\'' {
            i = after_quote(&chars, i);
        } else if c.is_alphabetic() || c == '_' {
            let start = i;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            let name: String = chars[start..i].iter().collect();
            let is_prefix = matches!(name.as_str(), "b" | "c") && at(i) == '"';
            let is_raw = name == "br" && matches!(at(i), '"' | '#');
            if is_raw {
                i = after_raw_string(&chars, i - 1);
            } else if !is_prefix {
                found.push(Token::Name(name));
            }
        } else if c == ':' && at(i + 1) == ':' {
            found.push(Token::Path);
            i += 2;
        } else {
            if !c.is_whitespace() {
                found.push(Token::Sign(c));
            }
            i += 1;
        }
    }
    found
}

/// A text whose strings are empty, with the same lines.
pub(crate) fn without_texts(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut kept = String::new();
    let mut i = 0;
    while i < chars.len() {
        let follows_name = i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_');
        let end = if at(i) == '/' && at(i + 1) == '/' {
            let end = chars[i..].iter().position(|c| *c == '\n');
            let end = end.map_or(chars.len(), |len| i + len);
            kept.extend(&chars[i..end]);
            i = end;
            continue;
        } else if at(i) == '"' {
            after_string(&chars, i)
        } else if at(i) == 'r' && matches!(at(i + 1), '"' | '#') && !follows_name {
            after_raw_string(&chars, i)
        } else if at(i) == '\'' {
            after_quote(&chars, i)
        } else {
            kept.push(at(i));
            i += 1;
            continue;
        };
        let end = end.min(chars.len());
        kept.extend(chars[i..end].iter().filter(|c| **c == '\n'));
        i = end;
    }
    kept
}

fn after_string(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// From the `r` on; a raw identifier loses its `r#`.
fn after_raw_string(chars: &[char], start: usize) -> usize {
    let hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    let open = start + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return open;
    }
    let mut i = open + 1;
    while i < chars.len() {
        let closes = chars[i] == '"'
            && chars.len() >= i + 1 + hashes
            && chars[i + 1..=i + hashes].iter().all(|c| *c == '#');
        if closes {
            return i + 1 + hashes;
        }
        i += 1;
    }
    i
}

/// A character, or a lifetime, of which only the quote goes.
fn after_quote(chars: &[char], start: usize) -> usize {
    match chars.get(start + 1) {
        Some('\\') => {
            let mut i = start + 3;
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i + 1
        }
        Some(_) if chars.get(start + 2) == Some(&'\'') => start + 3,
        _ => start + 1,
    }
}

/// A path that a file names: its parts, the name that a `use` gives it, whether a `use` hands it on
/// to other modules, and in how many modules `mod name { … }` of the file it is.
struct Named {
    parts: Vec<String>,
    alias: Option<String>,
    is_public: bool,
    depth: usize,
}

impl Named {
    fn new(parts: Vec<String>, alias: Option<String>) -> Self {
        Self {
            parts,
            alias,
            is_public: false,
            depth: 0,
        }
    }
}

fn named(text: &str) -> Vec<Named> {
    let tokens = tokens(text);
    let mut found: Vec<Named> = Vec::new();
    let (mut braces, mut inline) = (0_usize, Vec::new());
    let mut i = 0;
    while i < tokens.len() {
        let start = found.len();
        let Token::Name(name) = &tokens[i] else {
            if tokens[i] == Token::Sign('{') {
                braces += 1;
            } else if tokens[i] == Token::Sign('}') {
                braces -= 1;
            }
            inline.retain(|opened| *opened < braces);
            i += 1;
            continue;
        };
        let before = i.checked_sub(1).map(|at| &tokens[at]);
        if name == "use" && tokens.get(i + 1) != Some(&Token::Sign('<')) {
            let is_pub = |token: &Token| *token == Token::Name("pub".to_owned());
            let open = tokens[..i].iter().rposition(|t| *t == Token::Sign('('));
            let is_scoped = before == Some(&Token::Sign(')'))
                && open.is_some_and(|open| open > 0 && is_pub(&tokens[open - 1]));
            let is_public = is_scoped || before.is_some_and(is_pub);
            i = tree(&tokens, i + 1, &[], &mut found);
            for one in &mut found[start..] {
                one.is_public = is_public;
            }
        } else if name == "mod" && tokens.get(i + 2) == Some(&Token::Sign('{')) {
            inline.push(braces);
            braces += 1;
            i += 3;
        } else if before == Some(&Token::Path) || tokens.get(i + 1) != Some(&Token::Path) {
            i += 1;
        } else {
            let mut parts = vec![name.clone()];
            while let (Some(Token::Path), Some(Token::Name(next))) =
                (tokens.get(i + 1), tokens.get(i + 2))
            {
                parts.push(next.clone());
                i += 2;
            }
            i += 1;
            found.push(Named::new(parts, None));
        }
        for one in &mut found[start..] {
            one.depth = inline.len();
        }
    }
    found
}

/// Reads the tree of a `use` and answers where it ends.
fn tree(tokens: &[Token], start: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
    let mut parts = prefix.to_vec();
    let mut i = start;
    loop {
        match tokens.get(i) {
            Some(Token::Path | Token::Sign('*')) => i += 1,
            Some(Token::Sign('{')) => {
                i += 1;
                while tokens
                    .get(i)
                    .is_some_and(|token| *token != Token::Sign('}'))
                {
                    i = tree(tokens, i, &parts, found);
                    if tokens.get(i) == Some(&Token::Sign(',')) {
                        i += 1;
                    }
                }
                return i + 1;
            }
            Some(Token::Name(name)) if name == "as" => {
                let alias = match tokens.get(i + 1) {
                    Some(Token::Name(alias)) => Some(alias.clone()),
                    _ => None,
                };
                found.push(Named::new(parts, alias));
                return i + 2;
            }
            Some(Token::Name(name)) => {
                // `use a::{self}` imports `a`.
                if name != "self" || parts.is_empty() {
                    parts.push(name.clone());
                }
                i += 1;
            }
            _ => break,
        }
    }
    let alias = parts.last().cloned();
    found.push(Named::new(parts, alias));
    i
}

/// A use of one module by another; both are paths below the root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Use {
    pub(crate) by: Vec<String>,
    pub(crate) of: Vec<String>,
    pub(crate) text: String,
}

/// The modules of a crate.
pub(crate) struct Modules {
    /// Each module, with the names that it imports and what they mean.
    imports: BTreeMap<Vec<String>, BTreeMap<String, Vec<String>>>,
    pub(crate) uses: Vec<Use>,
}

impl Modules {
    pub(crate) fn of(sources: &[Source]) -> Self {
        let mut read = Self {
            imports: BTreeMap::new(),
            uses: Vec::new(),
        };
        let sources: Vec<_> = sources.iter().filter(|source| !source.is_test()).collect();
        // A folder is a module also where its root is `lib.rs` or missing.
        for source in &sources {
            for depth in 0..=source.module.len() {
                let module = source.module[..depth].to_vec();
                read.imports.entry(module).or_default();
            }
        }
        let mut paths = Vec::new();
        for source in sources {
            for named in named(source.body()) {
                let Some(path) = read.absolute(source, &named) else {
                    continue;
                };
                if let Some(alias) = &named.alias {
                    let imports = read.imports.get_mut(&source.module);
                    let imports = imports.expect("every source is a module");
                    imports.insert(alias.clone(), path.clone());
                }
                paths.push((source.module.clone(), path, named.is_public));
            }
        }
        for (by, path, is_public) in paths {
            let of = read.defining(&path);
            let hands_on = is_public && of.starts_with(&by);
            if of != by && !hands_on {
                let text = path.join("::");
                read.uses.push(Use { by, of, text });
            }
        }
        read
    }

    /// The path from the root, if this is no path into another crate.
    fn absolute(&self, source: &Source, named: &Named) -> Option<Vec<String>> {
        let mut from = source.module.clone();
        let (mut rest, mut depth) = (named.parts.as_slice(), named.depth);
        let (first, after) = rest.split_first()?;
        match first.as_str() {
            "crate" => (from, rest) = (source.root(), after),
            "self" => rest = after,
            "super" => {
                while let Some((_, after)) = rest.split_first().filter(|(name, _)| *name == "super")
                {
                    match depth {
                        0 => drop(from.pop()),
                        _ => depth -= 1,
                    }
                    rest = after;
                }
            }
            child => {
                let mut inside = from.clone();
                inside.push(child.to_owned());
                self.imports.get(&inside)?;
            }
        }
        from.extend(rest.iter().cloned());
        Some(from)
    }

    /// The module in which a path ends, through re-exports.
    fn defining(&self, path: &[String]) -> Vec<String> {
        let mut path = path.to_vec();
        // Re-exports of re-exports end; a circle of them does not compile.
        for _ in 0..10 {
            let depth = (0..=path.len())
                .rev()
                .find(|depth| self.imports.contains_key(&path[..*depth]))
                .expect("the root is a module");
            let (module, rest) = path.split_at(depth);
            let next = rest
                .split_first()
                .and_then(|(name, after)| Some((self.imports[module].get(name)?, after)));
            match next {
                Some((target, after)) if !target.starts_with(&path) => {
                    let mut on = target.clone();
                    on.extend(after.iter().cloned());
                    path = on;
                }
                _ => return module.to_vec(),
            }
        }
        path
    }
}
