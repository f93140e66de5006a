//! A repository as a place by digest: who is asked, in which order, with which credentials, and
//! what happens if the registry breaks, lies or dawdles.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::behaviour::locks::{Bench, bench};
use crate::machine::{Ended, ended};
use crate::registry::{Answer, Pass, Proxy, Registry, registry, registry_with};
use crate::server::{Server, empty, serve};

/// A registry that has the wheels of a lock, and nothing else has them.
struct Ground {
    bench: Bench,
    registry: Registry,
    lock: PathBuf,
}

/// What a proxy does with an answer.
type Lie = Box<dyn Fn(&Answer) -> Pass + Send + Sync>;

const REPOSITORY: &str = "team/web";

fn ground() -> Option<Ground> {
    ground_with(registry()?)
}

fn ground_with(registry: Registry) -> Option<Ground> {
    let bench = bench()?;
    let lock = bench.lock("a", &[("alpha", "1.0"), ("beta", "1.0")]);
    for file in fs::read_dir(&bench.house).unwrap() {
        registry.put_blob(REPOSITORY, &fs::read(file.unwrap().path()).unwrap());
    }
    fs::rename(&bench.house, bench.scratch.path("moved")).unwrap();
    Some(Ground {
        bench,
        registry,
        lock,
    })
}

impl Ground {
    fn command(&self, from: &str) -> Command {
        let python = self.bench.python.to_str().unwrap();
        let lock = self.lock.to_str().unwrap();
        let words = ["create", "E", "--without-pip", "-p", python, "-r", lock];
        let places = ["--no-index", "--from", from];
        let mut command = self.bench.scratch.command(&[&words[..], &places].concat());
        command.env("PIP_CONFIG_FILE", "/dev/null");
        command.env("PIP_RETRIES", "2");
        command
    }

    fn create(&self, from: &str) -> Ended {
        ended(&mut self.command(from))
    }

    /// Checks that nothing was written but the cache, and returns the message.
    #[track_caller]
    fn refused(&self, from: &str) -> String {
        let said = self.create(from).failed(1);
        assert!(!self.bench.scratch.path("E").exists());
        assert!(said.contains("is as it was before"), "{said}");
        said
    }

    fn blob(&self, name: &str) -> rvenv_journal::Digest {
        let file = format!("{name}-1.0-py3-none-any.whl");
        rvenv_journal::Digest::of(&fs::read(self.bench.scratch.path("moved").join(file)).unwrap())
    }

    fn docker_config(&self, json: &str) -> PathBuf {
        let dir = self.bench.scratch.path("docker");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("config.json"), json).unwrap();
        dir
    }
}

#[test]
fn wheels_come_from_a_registry_and_the_plan_does_not_name_it() {
    let Some(ground) = ground() else { return };
    ground.create(&ground.registry.oci(REPOSITORY)).ok();
    let env = ground.bench.scratch.path("E");
    let python = env.join("bin/python");
    let code = "import alpha, beta";
    ground.bench.scratch.run(&python, &["-c", code]).ok();
    let receipt = fs::read_to_string(env.join(".rvenv/receipt.json")).unwrap();
    let port = ground.registry.address.port().to_string();
    assert!(!receipt.contains(&format!(":{port}")), "{receipt}");
}

#[test]
fn places_are_asked_in_the_order_that_the_user_sets() {
    let Some(ground) = ground() else { return };
    let house = ground.bench.scratch.path("moved");
    let proxy = Proxy::new(ground.registry.address, |_, _| Pass::On);
    let wheelhouse = ["--wheelhouse", house.to_str().unwrap()];
    let from = proxy.oci(REPOSITORY);
    let mut first = ground.command("wheelhouse");
    ended(first.args(wheelhouse).args(["--from", &from])).ok();
    assert_eq!(proxy.seen().len(), 0);
    ground.bench.scratch.rvenv(&["cache", "clear"]).ok();
    fs::remove_dir_all(ground.bench.scratch.path("E")).unwrap();
    ended(ground.command(&from).args(wheelhouse)).ok();
    assert_eq!(proxy.seen().len(), 2);
}

#[test]
fn a_variable_names_registries_too_and_a_project_may_not() {
    let Some(ground) = ground() else { return };
    let from = ground.registry.oci(REPOSITORY);
    let mut command = ground.command("lock");
    command.env("RVENV_FROM", ground.registry.oci("other"));
    // What is typed counts, and the variable does not.
    ended(&mut command).failed(1);
    let python = ground.bench.python.to_str().unwrap();
    let lock = ground.lock.to_str().unwrap();
    let words = ["create", "E", "--without-pip", "--no-index", "-p", python];
    let words = [&words[..], &["-r", lock]].concat();
    let scratch = &ground.bench.scratch;
    fs::write(scratch.path("rvenv.toml"), format!("from = [\"{from}\"]\n")).unwrap();
    let said = scratch.rvenv(&words).failed(2);
    assert!(said.contains("may only be in your own file"), "{said}");
    fs::remove_file(scratch.path("rvenv.toml")).unwrap();
    let mut command = scratch.command(&words);
    ended(command.env("RVENV_FROM", &from)).ok();
}

#[test]
fn what_is_no_place_is_refused_before_anything_is_asked() {
    let Some(ground) = ground() else { return };
    for (from, expected) in [
        ("oci://u:secret@r.example/web", "it has a user name"),
        ("oci://r.example/web:tag", "a place is a whole repository"),
        ("ftp://r.example", "it does not begin with `oci://`"),
    ] {
        let said = ground.create(from).failed(2);
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn a_registry_that_is_killed_mid_blob_is_resumed_where_it_broke() {
    let Some(mut ground) = ground() else { return };
    let digest = ground.blob("alpha").to_string();
    let wanted = digest.clone();
    let times = AtomicUsize::new(0);
    let proxy = Proxy::new(ground.registry.address, move |passed, _| {
        let is_it = passed.line.contains(&wanted);
        if is_it && times.fetch_add(1, Ordering::SeqCst) == 0 {
            Pass::Part(100)
        } else {
            Pass::On
        }
    });
    let from = proxy.oci(REPOSITORY);
    let mut command = ground.command(&from);
    command.env("PIP_RETRIES", "0");
    ended(&mut command).failed(1);
    ground.registry.kill();
    let said = ended(&mut command).failed(1);
    assert!(said.contains("alpha-1.0"), "{said}");
    ground.registry.start_again();
    ended(&mut command).ok();
    let of_it: Vec<_> = proxy
        .seen()
        .into_iter()
        .filter(|passed| passed.line.contains(&digest))
        .collect();
    let len = fs::metadata(ground.registry.blob_file(ground.blob("alpha")))
        .unwrap()
        .len();
    assert_eq!(of_it.len(), 2, "{of_it:?}");
    assert_eq!(of_it[1].header("range"), Some("bytes=100-"));
    // No byte of it was sent twice.
    let received: usize = of_it.iter().map(|passed| passed.received).sum();
    assert_eq!(received as u64, len);
}

#[test]
fn a_flipped_byte_in_the_storage_of_the_registry_is_named_with_its_digest() {
    let Some(ground) = ground() else { return };
    let file = ground.registry.blob_file(ground.blob("beta"));
    let mut bytes = fs::read(&file).unwrap();
    bytes[40] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let said = ground.refused(&ground.registry.oci(REPOSITORY));
    let found = rvenv_journal::Digest::of(&bytes).to_string();
    assert!(said.contains(&found), "{said}");
    assert!(said.contains("beta-1.0-py3-none-any.whl"), "{said}");
}

#[test]
fn answers_that_lie_are_refused_and_name_the_registry() {
    let Some(ground) = ground() else { return };
    let long = vec![7; 100_000];
    let cases: Vec<(&str, &str, Lie)> = vec![
        (
            "a short body",
            "Peer disconnected",
            Box::new(|_| Pass::Part(10)),
        ),
        (
            "other bytes",
            "which is not the expected one",
            Box::new(move |_| Pass::Other(Answer::new("200 OK", "", &long))),
        ),
        (
            "an empty body",
            "digest",
            Box::new(|_| Pass::Other(Answer::new("200 OK", "", b""))),
        ),
        (
            "500",
            "status 500",
            Box::new(|_| Pass::Other(Answer::new("500 Broken", "", b""))),
        ),
        (
            "a refusal with a reason",
            "DENIED, not for you ****@x",
            Box::new(|_| {
                let body = br#"{"errors":[{"code":"DENIED","message":"not for you u:p@x"}]}"#;
                Pass::Other(Answer::new("403 Forbidden", "", body))
            }),
        ),
        (
            "absent",
            "cannot fetch",
            Box::new(|_| Pass::Other(Answer::new("404 Not Found", "", b""))),
        ),
        (
            "redirects without an end",
            "too many redirects",
            Box::new(|_| Pass::Other(Answer::new("307 Go", "Location: /v2/again\r\n", b""))),
        ),
        (
            "a redirect to a file",
            "a file of this machine",
            Box::new(|_| {
                let to = "Location: file:///etc/passwd\r\n";
                Pass::Other(Answer::new("307 Go", to, b""))
            }),
        ),
    ];
    for (name, expected, lie) in cases {
        let proxy = Proxy::new(ground.registry.address, move |_, answer| lie(answer));
        let said = ground.refused(&proxy.oci(REPOSITORY));
        assert!(said.contains(expected), "{name}: {said}");
        let place = proxy.address.to_string();
        assert!(said.contains(&place) || name == "absent", "{name}: {said}");
    }
}

#[test]
fn a_registry_that_asks_for_patience_is_asked_again() {
    let Some(ground) = ground() else { return };
    let times = AtomicUsize::new(0);
    let proxy = Proxy::new(ground.registry.address, move |_, _| {
        match times.fetch_add(1, Ordering::SeqCst) {
            0 => {
                let wait = "Retry-After: 1\r\n";
                Pass::Other(Answer::new("429 Too Many Requests", wait, b""))
            }
            1 => Pass::Other(Answer::new("503 Busy", "", b"")),
            _ => Pass::On,
        }
    });
    ground.create(&proxy.oci(REPOSITORY)).ok();
    assert_eq!(proxy.seen().len(), 4);
}

#[test]
fn credentials_of_dockers_configuration_are_sent_only_when_they_are_wanted() {
    let Some(ground) = ground() else { return };
    let proxy = Proxy::new(ground.registry.address, |passed, _| {
        if passed.header("authorization") == Some("Basic dXNlcjpwYXNz") {
            Pass::On
        } else {
            let basic = "WWW-Authenticate: Basic realm=\"r\"\r\n";
            Pass::Other(Answer::new("401 Unauthorized", basic, b""))
        }
    });
    let from = proxy.oci(REPOSITORY);
    let said = ground.refused(&from);
    assert!(said.contains("or the lack of them"), "{said}");
    let auth = format!(
        r#"{{"auths": {{"{}": {{"auth": "dXNlcjpwYXNz"}}}}}}"#,
        proxy.address
    );
    let config = ground.docker_config(&auth);
    ended(ground.command(&from).env("DOCKER_CONFIG", &config)).ok();
}

#[test]
fn a_credential_helper_is_asked_for_the_registry_alone() {
    let Some(ground) = ground() else { return };
    let proxy = Proxy::new(ground.registry.address, |passed, _| {
        if passed.header("authorization") == Some("Basic dXNlcjpwYXNz") {
            Pass::On
        } else {
            let basic = "WWW-Authenticate: Basic realm=\"r\"\r\n";
            Pass::Other(Answer::new("401 Unauthorized", basic, b""))
        }
    });
    let helper = format!(
        r#"{{"credHelpers": {{"{}": "mine"}}, "credsStore": "absent"}}"#,
        proxy.address
    );
    let config = ground.docker_config(&helper);
    let bin = ground.bench.scratch.path("helpers");
    fs::create_dir(&bin).unwrap();
    let program = bin.join("docker-credential-mine");
    let asked = ground.bench.scratch.path("asked");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = get ] || exit 1\ncat >{}\necho '{{\"ServerURL\": \"x\", \
         \"Username\": \"user\", \"Secret\": \"pass\"}}'\n",
        asked.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = ground.command(&proxy.oci(REPOSITORY));
    let path = format!("{}:/usr/bin:/bin", bin.display());
    command.env("DOCKER_CONFIG", &config).env("PATH", path);
    ended(&mut command).ok();
    assert_eq!(
        fs::read_to_string(asked).unwrap(),
        proxy.address.to_string()
    );
}

/// A server of tokens: it gives one for these credentials, with the scope that is asked for.
fn tokens() -> Server {
    Server::new(|seen, stream| {
        let is_mine = seen.header("authorization") == Some("Basic dXNlcjpwYXNz");
        let scope = "scope=repository%3Ateam%2Fweb%3Apull";
        if is_mine && seen.path.contains(scope) && seen.path.contains("service=reg%20istry") {
            serve(
                seen,
                stream,
                br#"{"access_token": "t0k3n", "expires_in": 60}"#,
            )
        } else {
            empty(stream, "401 Unauthorized")
        }
    })
}

#[test]
fn a_token_is_fetched_once_for_all_blobs_and_is_in_no_message() {
    let Some(ground) = ground() else { return };
    let tokens = tokens();
    let realm = tokens.url("/token");
    let proxy = Proxy::new(ground.registry.address, move |passed, _| {
        if passed.header("authorization") == Some("Bearer t0k3n") {
            return Pass::On;
        }
        let bearer = format!(
            "WWW-Authenticate: Bearer realm=\"{realm}\",service=\"reg istry\",\
             scope=\"repository:team/web:pull\"\r\n"
        );
        Pass::Other(Answer::new("401 Unauthorized", &bearer, b""))
    });
    let from = proxy.oci(REPOSITORY);
    let said = ground.refused(&from);
    assert!(said.contains("/token"), "{said}");
    let before = tokens.seen().len();
    let auth = format!(
        r#"{{"auths": {{"{}": {{"auth": "dXNlcjpwYXNz"}}}}}}"#,
        proxy.address
    );
    let config = ground.docker_config(&auth);
    let mut command = ground.command(&from);
    let done = ended(command.arg("-v").env("DOCKER_CONFIG", &config));
    let said = format!("{}{}", done.stdout, done.stderr);
    done.ok();
    for secret in ["t0k3n", "dXNlcjpwYXNz"] {
        assert!(!said.contains(secret), "{said}");
    }
    assert_eq!(tokens.seen().len(), before + 1);
    let receipt = ground.bench.scratch.path("E/.rvenv/receipt.json");
    assert!(!fs::read_to_string(receipt).unwrap().contains("t0k3n"));
}

#[test]
fn a_blob_may_be_at_another_host_which_gets_no_credentials() {
    let Some(ground) = ground() else { return };
    let moved = ground.bench.scratch.path("moved");
    let (alpha, beta) = (ground.blob("alpha"), ground.blob("beta"));
    let elsewhere = Server::new(move |seen, stream| {
        let name = match seen.path.rsplit(':').next() {
            Some(digits) if digits == alpha.to_string() => "alpha",
            Some(digits) if digits == beta.to_string() => "beta",
            _ => return empty(stream, "404 Not Found"),
        };
        let file = moved.join(format!("{name}-1.0-py3-none-any.whl"));
        serve(seen, stream, &fs::read(file)?)
    });
    let other = format!("http://localhost:{}", elsewhere.address.port());
    let proxy = Proxy::new(ground.registry.address, move |passed, _| {
        if passed.header("authorization").is_none() {
            let basic = "WWW-Authenticate: Basic realm=\"r\"\r\n";
            return Pass::Other(Answer::new("401 Unauthorized", basic, b""));
        }
        let path = passed.line.split(' ').nth(1).unwrap();
        let to = format!("Location: {other}{path}\r\n");
        Pass::Other(Answer::new("307 Temporary Redirect", &to, b""))
    });
    let auth = format!(
        r#"{{"auths": {{"{}": {{"auth": "dXNlcjpwYXNz"}}}}}}"#,
        proxy.address
    );
    let config = ground.docker_config(&auth);
    let mut command = ground.command(&proxy.oci(REPOSITORY));
    ended(command.env("DOCKER_CONFIG", &config)).ok();
    let seen = elsewhere.seen();
    assert_eq!(seen.len(), 2);
    assert!(
        seen.iter()
            .all(|seen| seen.header("authorization").is_none())
    );
}

#[test]
fn a_repair_gets_the_wheel_that_was_installed_by_its_digest() {
    let Some(ground) = ground() else { return };
    let from = ground.registry.oci(REPOSITORY);
    ground.create(&from).ok();
    let scratch = &ground.bench.scratch;
    let site = format!("E/lib/python3.{}/site-packages", minor(&ground));
    let file = scratch.path(&format!("{site}/alpha/__init__.py"));
    fs::remove_file(&file).unwrap();
    scratch.rvenv(&["cache", "clear"]).ok();
    scratch.rvenv(&["repair", "E", "--no-index"]).failed(3);
    let words = ["repair", "E", "--no-index", "--from", &from];
    scratch.rvenv(&words).ok();
    assert!(file.exists());
}

fn minor(ground: &Ground) -> u32 {
    let libs = fs::read_dir(ground.bench.scratch.path("E/lib")).unwrap();
    let name = libs.map(|lib| lib.unwrap().file_name().into_string().unwrap());
    let name = name.into_iter().next().unwrap();
    name.strip_prefix("python3.").unwrap().parse().unwrap()
}

#[test]
fn a_registry_that_serves_another_one_is_a_place_too() {
    let Some(ground) = ground() else { return };
    let more = format!("proxy:\n  remoteurl: http://{}", ground.registry.address);
    let Some(mirror) = registry_with(&more) else {
        return;
    };
    ground.create(&mirror.oci(REPOSITORY)).ok();
}
