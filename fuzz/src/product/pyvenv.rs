//! `pyvenv.cfg` from any author.

use std::fmt::Write as _;
use std::path::Path;

use rvenv::existing::Config;

/// Any bytes are refused with a reason, or read as Python reads them; writing and reading them
/// again gives the same values.
pub fn pyvenv_cfg(bytes: &[u8]) -> bool {
    let config = match Config::parse(bytes) {
        Ok(config) => config,
        Err(why) => {
            assert!(!why.is_empty());
            return false;
        }
    };
    assert!(!bytes.contains(&0));
    assert!(config.home != Path::new(""));
    let text = std::str::from_utf8(bytes).expect("only text is accepted");
    assert_eq!(config.home.to_str(), home(text).as_deref());
    assert!(config.executables.iter().all(|path| path.is_absolute()));
    assert!(config.minor().is_none_or(|minor| {
        config
            .version
            .as_ref()
            .is_some_and(|text| text.contains(&minor.to_string()))
    }));
    assert_eq!(
        Config::parse(written(&config).as_bytes()).as_ref(),
        Ok(&without_prompt(&config))
    );
    true
}

/// The first value that Python's own loop over the lines finds.
fn home(text: &str) -> Option<String> {
    let space = |c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c);
    text.split(['\n', '\r']).find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim_matches(space).to_lowercase() == "home")
            .then(|| value.trim_matches(space).to_owned())
    })
}

/// What is not written again: quotes and escapes of a prompt depend on the tool that wrote it, and
/// the `command` line is another tool's.
fn without_prompt(config: &Config) -> Config {
    Config {
        prompt: None,
        invoked: None,
        made_for: None,
        ..config.clone()
    }
}

fn written(config: &Config) -> String {
    let mut text = format!("home = {}\n", config.home.display());
    let mut line = |key: &str, value: &str| {
        let _infallible = writeln!(text, "{key} = {value}");
    };
    line(
        "include-system-site-packages",
        if config.system_site_packages {
            "true"
        } else {
            "false"
        },
    );
    for (key, value) in [
        ("version", &config.version),
        ("implementation", &config.implementation),
    ] {
        if let Some(value) = value {
            line(key, value);
        }
    }
    // The key of an executable matters only for the order.
    for (key, path) in ["base-executable", "executable"]
        .iter()
        .zip(&config.executables)
    {
        line(key, &path.display().to_string());
    }
    text
}
