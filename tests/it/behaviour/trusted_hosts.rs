//! `--trusted-host` in a requirements file, and in the settings of pip: the certificate of that
//! server is not verified, and that of any other is.
//!
//! A server on loopback with a certificate that no authority signed; `openssl` makes it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::locks::{Bench, bench};
use crate::machine::ended;

/// Serves a directory, and prints the port.
const SERVE: &str = r#"
import functools, http.server, socketserver, ssl, sys
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass
handler = functools.partial(Quiet, directory=sys.argv[1])
# A server of http.server asks for its own name, which may take long.
server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// A server that ends with the test.
struct Secure {
    child: Child,
    port: String,
}

impl Secure {
    /// Serves the wheels of a bench as an index.
    fn new(bench: &Bench) -> Option<Self> {
        let path = |name: &str| bench.scratch.path(name);
        let (key, cert) = (path("key.pem"), path("cert.pem"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes"]);
        openssl.args(["-days", "2", "-subj", "/CN=nobody", "-keyout"]);
        openssl
            .arg(&key)
            .arg("-out")
            .arg(&cert)
            .stderr(Stdio::null());
        if !openssl.status().is_ok_and(|status| status.success()) {
            println!("skipped: no openssl that makes certificates");
            return None;
        }
        let (file, _) = bench.wheel("alpha", "1.0");
        fs::create_dir_all(path("served/simple/alpha")).unwrap();
        fs::copy(bench.house.join(&file), path("served").join(&file)).unwrap();
        let page = format!("<a href='/{file}'>{file}</a>");
        fs::write(path("served/simple/alpha/index.html"), page).unwrap();
        let mut child = Command::new(&bench.python)
            .args(["-I", "-c", SERVE])
            .args([path("served"), cert, key])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut port).unwrap();
        let port = port.trim().to_owned();
        Some(Self { child, port })
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn the_certificate_of_a_trusted_host_is_not_verified() {
    let Some(bench) = bench() else { return };
    let Some(server) = Secure::new(&bench) else {
        return;
    };
    let (_, digest) = bench.wheel("alpha", "1.0");
    let start = format!("--index-url https://127.0.0.1:{}/simple\n", server.port);
    let locked = format!("alpha==1.0 --hash=sha256:{digest}\n");
    let plain = "alpha\n".to_owned();
    let trusted = "--trusted-host 127.0.0.1\n";
    let create = |lines: &[&str], variable: &str| {
        bench.write("r.txt", &lines.concat());
        let python = bench.python.to_str().unwrap();
        let create = ["create", "E", "--clear", "--python", python, "-r", "r.txt"];
        let mut command = bench.scratch.command(&create);
        command.env_remove("PIP_NO_INDEX").env("PIP_RETRIES", "0");
        command.env("PIP_TRUSTED_HOST", variable);
        ended(&mut command)
    };
    create(&[&start, &locked], "").failed(1);
    create(&[&start, "--trusted-host other.invalid\n", &locked], "").failed(1);
    // The last one is resolved, and then fetched.
    for (line, requirement, variable) in [
        (trusted, &locked, ""),
        ("", &locked, "127.0.0.1"),
        (trusted, &plain, ""),
    ] {
        create(&[&start, line, requirement], variable).ok();
        assert!(bench.site().join("alpha").is_dir());
        fs::remove_dir_all(bench.scratch.cache()).unwrap();
    }
}
