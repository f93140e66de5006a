//! A registry as companies have them: with TLS and an authority of their own, with users, behind a
//! proxy, with a mirror for each region, and with garbage collection.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rvenv_journal::Digest;

use super::artifacts::{MANIFEST, TWO, ground};
use crate::machine::{Ended, ended};
use crate::registry::{Answer, Pass, Proxy, Registry, Setup, head_of, registry_of, registry_with};
use crate::server::{Server, empty, serve};

/// The user `user` with the password `s3cret`, as `htpasswd -B` writes it.
const USERS: &str = "user:$2b$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG\n";
/// The name of the registry, which only the proxy knows.
const NAME: &str = "registry.invalid";

/// A proxy that connects clients to the registry, whatever name they know it by.
struct Gate {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Gate {
    fn new(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let (log, over) = (Arc::clone(&heads), Arc::clone(&is_over));
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (log, stream) = (Arc::clone(&log), stream.unwrap());
                thread::spawn(move || drop(connect(stream, to, &log)));
            }
        });
        Self {
            address,
            heads,
            is_over,
            accepting: Some(accepting),
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn connect(mut client: TcpStream, to: SocketAddr, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let head = head_of(&mut client)?;
    log.lock().unwrap().push(head.clone());
    // Those who do not say who they are get nothing.
    if !head.contains("Basic bWU6Z2F0ZQ==") {
        return client
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    }
    let mut registry = TcpStream::connect(to)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut back, mut end) = (registry.try_clone()?, client.try_clone()?);
    let upward = thread::spawn(move || io::copy(&mut client, &mut registry));
    io::copy(&mut back, &mut end)?;
    end.shutdown(std::net::Shutdown::Both)?;
    drop(upward.join());
    Ok(())
}

/// An authority, and a certificate of it for the name of the registry; `None` without `openssl`.
fn certificates(dir: &Path) -> Option<[PathBuf; 3]> {
    let script = format!(
        "set -e\n\
         openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout a.key -out \
         a.pem -addext basicConstraints=critical,CA:TRUE\n\
         openssl req -newkey rsa:2048 -nodes -subj /CN={NAME} -keyout r.key -out r.csr\n\
         echo subjectAltName=DNS:{NAME} >r.ext\n\
         openssl x509 -req -in r.csr -CA a.pem -CAkey a.key -CAcreateserial -days 2 -extfile r.ext \
         -out r.pem\n"
    );
    fs::create_dir(dir).unwrap();
    let made = Command::new("sh")
        .args(["-c", &script])
        .current_dir(dir)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: no openssl that makes certificates");
        return None;
    }
    Some(["a.pem", "r.pem", "r.key"].map(|name| dir.join(name)))
}

/// A registry with TLS and users, and the certificate of its authority.
fn closed_registry(dir: &Path) -> Option<(Registry, PathBuf)> {
    let [authority, cert, key] = certificates(dir)?;
    let users = dir.join("users");
    fs::write(&users, USERS).unwrap();
    let auth = format!(
        "auth:\n  htpasswd:\n    realm: of-this-test\n    path: {}",
        users.display()
    );
    let tls = format!(
        "  tls:\n    certificate: {}\n    key: {}",
        cert.display(),
        key.display()
    );
    let setup = Setup {
        more: &auth,
        http: &tls,
        ..Setup::default()
    };
    Some((registry_of(setup)?, authority))
}

#[test]
fn a_registry_with_an_authority_and_users_of_its_own_behind_a_proxy_that_asks_who_it_is() {
    let Some(ground) = ground() else { return };
    let dir = ground.bench.scratch.path("tls");
    let Some((closed, authority)) = closed_registry(&dir) else {
        return;
    };
    let gate = Gate::new(closed.address);
    let place = format!("{NAME}:{}", closed.address.port());
    let tag = format!("oci://{place}/team/web:v1");
    let login = "dXNlcjpzM2NyZXQ=";
    let docker = format!(r#"{{"auths": {{"{place}": {{"auth": "{login}"}}}}}}"#);
    fs::write(dir.join("config.json"), docker).unwrap();
    let proxy = |login: &str| format!("http://{login}@{}", gate.address);
    let mut said = String::new();
    let mut run = |words: &[&str], pairs: &[(&str, &str)]| -> Ended {
        let mut command = ground.there_command(words);
        let all = command.envs(pairs.iter().copied());
        let done = ended(all);
        said.extend([done.stdout.as_str(), &done.stderr]);
        done
    };
    ground.plan("p.json", TWO);
    let push = ["push", "-v", "p.json", &tag];
    let (dir, authority) = (dir.to_str().unwrap(), authority.to_str().unwrap());
    let right = [
        ("HTTPS_PROXY", &*proxy("me:gate")),
        ("SSL_CERT_FILE", authority),
        ("DOCKER_CONFIG", dir),
    ];
    // Without any one of the three, it says what is missing.
    let stranger = proxy("me:other");
    for (at, instead, expected) in [
        (
            0,
            ("HTTPS_PROXY", stranger.as_str()),
            "and the proxy in `HTTPS_PROXY`",
        ),
        (
            1,
            ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
            "with `SSL_CERT_FILE`",
        ),
        (2, ("DOCKER_CONFIG", "/nowhere"), "`docker login HOST`"),
    ] {
        let mut pairs = right;
        pairs[at] = instead;
        let failed = run(&push, &pairs).failed(1);
        assert!(failed.contains(expected), "{expected}: {failed}");
        assert!(failed.contains(&place), "{failed}");
    }
    let there = run(&push, &right).ok();
    let there = there.trim();
    run(&["apply", "-v", "--no-index", there], &right).ok();
    run(&["verify", "--against", there, "E"], &right).ok();
    let receipt = fs::read_to_string(ground.env().join(".rvenv/receipt.json")).unwrap();
    said.push_str(&receipt);
    for secret in ["s3cret", "gate@", "me:other", login, "bWU6Z2F0ZQ"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    // The proxy sees the name of the registry, and nothing of what goes to it.
    let heads = gate.heads.lock().unwrap();
    assert!(!heads.is_empty());
    for head in heads.iter() {
        let line = format!("CONNECT {place} HTTP/1.1");
        assert!(head.starts_with(&line), "{head}");
        assert!(!head.contains(login), "{head}");
    }
}

/// A server of tokens, of which the first lasts for a few requests, and a registry that wants one.
#[test]
fn a_token_that_expires_during_a_push_is_fetched_again_and_shown_nowhere() {
    let Some(ground) = ground() else { return };
    let given = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&given);
    let tokens = Server::new(move |seen, stream| {
        let is_mine = seen.header("authorization") == Some("Basic dXNlcjpzM2NyZXQ=");
        let is_push = seen.path.contains("repository%3Ateam%2Fweb%3Apull%2Cpush");
        let is_pull = seen.path.contains("repository%3Ateam%2Fweb%3Apull");
        if !is_mine || !(is_push || is_pull) {
            return empty(stream, "401 Unauthorized");
        }
        let nth = counted.fetch_add(1, Ordering::SeqCst);
        let right = if is_push { "push" } else { "pull" };
        let token = format!(r#"{{"token": "t0k3n-{right}-{nth}"}}"#);
        serve(seen, stream, token.as_bytes())
    });
    let realm = tokens.url("/token");
    let uses: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let proxy = Proxy::guarded(ground.registry.address, move |passed| {
        let token = passed.header("authorization").unwrap_or_default();
        let mut uses = uses.lock().unwrap();
        let count = uses.entry(token.to_owned()).or_default();
        *count += 1;
        let may_write = token.starts_with("Bearer t0k3n-push-");
        let may_read = may_write || token.starts_with("Bearer t0k3n-pull-");
        let is_right = if passed.line.starts_with("GET ") {
            may_read
        } else {
            may_write
        };
        let is_first = token.ends_with("-0");
        if is_right && (*count <= 5 || !is_first) {
            return None;
        }
        let bearer = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"r\"\r\n");
        Some(Pass::Other(Answer::new("401 Unauthorized", &bearer, b"")))
    });
    let tag = proxy.oci("team/web:v1");
    ground.plan("p.json", TWO);
    let dir = ground.bench.scratch.path("docker");
    fs::create_dir(&dir).unwrap();
    let auth = r#"{"auth": "dXNlcjpzM2NyZXQ="}"#;
    let docker = format!(r#"{{"auths": {{"{}": {auth}}}}}"#, proxy.address);
    fs::write(dir.join("config.json"), docker).unwrap();
    let run = |words: &[&str]| {
        let mut command = ground.there_command(words);
        ended(command.env("DOCKER_CONFIG", &dir))
    };
    let pushed = run(&["push", "-v", "p.json", &tag]);
    let there = pushed.stdout.trim().to_owned();
    let applied = run(&["apply", "-v", "--no-index", &there]);
    for done in [pushed, applied] {
        let said = format!("{}{}", done.stdout, done.stderr);
        done.ok();
        for secret in ["t0k3n", "s3cret", "dXNlcjpzM2NyZXQ"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    // Two for the push; one each for the manifest, for the notes and for the wheels.
    assert_eq!(given.load(Ordering::SeqCst), 5);
    // Without the credentials, the server of tokens is named.
    let said = ground.there(&["apply", "--no-index", &tag]).failed(1);
    assert!(said.contains("/token"), "{said}");
    assert!(said.contains("`docker login HOST`"), "{said}");
}

#[test]
fn a_mirror_gives_what_it_has_while_the_registry_is_stopped() {
    let Some(mut ground) = ground() else { return };
    let more = format!("proxy:\n  remoteurl: http://{}", ground.registry.address);
    let Some(mirror) = registry_with(&more) else {
        return;
    };
    ground.plan("p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/web:v1"));
    let there = there.replace(
        &ground.registry.address.to_string(),
        &mirror.address.to_string(),
    );
    // The first host of the region; the next one has nothing.
    ground.there(&["apply", "--no-index", &there]).ok();
    ground.there(&["verify", "--against", &there, "E"]).ok();
    fs::remove_dir_all(ground.env()).unwrap();
    ground.there(&["cache", "clear"]).ok();
    let answer = ground.registry.get("/v2/team/web/manifests/v1", MANIFEST);
    let manifest: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        let digest = layer["digest"].as_str().unwrap();
        let digits = digest.strip_prefix("sha256:").unwrap();
        mirror.await_blob(Digest::parse(digits).unwrap());
    }
    ground.registry.kill();
    ground.there(&["apply", "--no-index", &there]).ok();
    ground.there(&["verify", "--against", &there, "E"]).ok();
    // A tag is the one that the mirror saw; what it never saw is not there.
    let said = ground.there(&["apply", "--no-index", &mirror.oci("team/other:v1")]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(
        said.stderr.contains(&mirror.address.to_string()),
        "{}",
        said.stderr
    );
}

#[test]
fn after_a_garbage_collection_only_what_it_deleted_is_sent_again() {
    let Some(mut ground) = ground() else { return };
    let proxy = Proxy::new(ground.registry.address, |_, _| Pass::On);
    ground.plan("p.json", TWO);
    let first = ground.push("p.json", &proxy.oci("team/web:v1"));
    ground.plan("q.json", &[("alpha", "2.0"), ("beta", "1.0")]);
    let second = ground.push("q.json", &proxy.oci("team/web:v2"));
    let answer = ground.registry.get("/v2/team/web/manifests/v1", MANIFEST);
    let manifest: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let size = |blob: &serde_json::Value| blob["size"].as_u64().unwrap();
    let [config, notes, alpha] = [
        size(&manifest["config"]),
        size(&manifest["layers"][0]),
        size(&manifest["layers"][1]),
    ];
    let (_, digest) = first.rsplit_once('@').unwrap();
    ground.registry.delete_manifest("team/web", digest);
    ground.registry.kill();
    ground.registry.collect_garbage();
    ground.registry.start_again();
    let said = ground.there(&["apply", "--no-index", &first]).failed(1);
    assert!(said.contains("does not exist"), "{said}");
    proxy.forget();
    assert_eq!(ground.push("p.json", &proxy.oci("team/web:v1")), first);
    let sent: usize = proxy.seen().iter().map(|passed| passed.sent).sum();
    let expected = config + notes + alpha + answer.body.len() as u64;
    assert_eq!(sent as u64, expected);
    for there in [&first, &second] {
        ground.there(&["apply", "--no-index", there]).ok();
    }
}
