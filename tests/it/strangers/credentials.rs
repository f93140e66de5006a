//! Credentials: secrets in the user's pip configuration that rvenv repeats nowhere.

use std::fs;
use std::path::Path;

use crate::machine::{Ended, ended};
use crate::packages;
use crate::sandbox::{Sandbox, sandbox};

const SECRET: &str = "s3cr3t-pw";

/// Every file below a directory that holds the secret.
fn with_secret(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(path) = open.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            let below = fs::read_dir(&path).unwrap();
            open.extend(below.map(|entry| entry.unwrap().path()));
        } else if meta.is_file() {
            let bytes = fs::read(&path).unwrap();
            let hit = bytes
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes());
            found.extend(hit.then(|| path.display().to_string()));
        }
    }
    found
}

/// `rvenv VERB -v --upgrade-deps` with these variables for pip; the secret is nowhere afterwards.
#[track_caller]
fn with_pip(sandbox: &Sandbox, verb: &str, rest: &[&str], variables: &[(&str, &str)]) -> Ended {
    let words = [
        &[verb, "-v", "--upgrade-deps", "-p", sandbox.path_of_python()],
        rest,
    ]
    .concat();
    let mut command = sandbox.scratch.command(&words);
    command.env_remove("PIP_NO_INDEX");
    command.envs([("PIP_RETRIES", "0"), ("PIP_TIMEOUT", "2")]);
    let ended = ended(command.envs(variables.iter().copied()));
    for said in [&ended.stdout, &ended.stderr] {
        assert!(!said.contains(SECRET), "{said}");
    }
    for dir in [sandbox.path(""), sandbox.scratch.cache()] {
        assert_eq!(with_secret(&dir), Vec::<String>::new());
    }
    ended
}

/// I6: pip hides passwords in URLs that it understands, and repeats those that it does not.
#[test]
fn a_password_in_the_configuration_of_pip_is_in_no_message() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    let url = |rest: &str| rest.replace("PW", &format!("bob:{SECRET}"));
    for (name, value, (code, why)) in [
        (
            "PIP_INDEX_URL",
            url("http://PW@127.0.0.1:1/simple"),
            (1, "cannot look for `pip`"),
        ),
        (
            "PIP_INDEX_URL",
            url("PW@127.0.0.1/simple"),
            (2, "the address"),
        ),
        (
            "PIP_PROXY",
            url("http://PW@127.0.0.1:bad"),
            (1, "cannot look for `pip`"),
        ),
    ] {
        let ended = with_pip(&sandbox, "create", &["E"], &[(name, &value)]);
        let said = ended.failed(code);
        assert!(said.contains(why), "{said}");
        assert!(!sandbox.path("E").exists());
    }
}

/// I6: nor is it in what is written: plan, receipt, configuration, journal and generations.
#[test]
fn a_password_in_the_configuration_of_pip_is_in_no_file() {
    let Some(sandbox) = sandbox().map(Sandbox::cold) else {
        return;
    };
    let wheels = [("pip", "99.0"), ("setuptools", "99.1")];
    let index = packages::index(&sandbox.scratch, &sandbox.python.path, &wheels);
    let index = index.to_str().unwrap();
    let url = format!("https://bob:{SECRET}@127.0.0.1:1/simple");
    let variables = [
        ("PIP_NO_INDEX", "1"),
        ("PIP_FIND_LINKS", index),
        ("PIP_INDEX_URL", &url),
        ("PIP_EXTRA_INDEX_URL", &url),
    ];
    with_pip(&sandbox, "plan", &["E", "-o", "plan.json"], &variables).ok();
    let killed = ["E", "--check", "kill -KILL $PPID; sleep 1"];
    assert_eq!(with_pip(&sandbox, "create", &killed, &variables).code, None);
    assert!(sandbox.path(".E.rvenv.journal").exists());
    assert!(sandbox.path("E/pyvenv.cfg").exists());
}
