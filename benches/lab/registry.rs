//! A registry on loopback: `docker-registry` of Debian, with its storage in the field.
//!
//! Promises to end it with the bench, by its process id.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long it may take to answer after its start, and how often to look.
const START: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(20);

/// A registry that answers until it is dropped.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Registry {
    /// Starts it in a directory.
    pub(crate) fn start(dir: &Path) -> Result<Self, String> {
        // It cannot say which port it took.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = free.map_err(|error| error.to_string())?;
        let config = dir.join("registry.yml");
        let storage = dir.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{accesslog: {{disabled: true}}, level: error}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            storage.display()
        );
        fs::write(&config, text).map_err(|error| error.to_string())?;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("docker-registry: {error}"))?;
        let mut registry = Self { address, child };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = registry.child.try_wait();
            if begun.elapsed() > START || ended.is_ok_and(|ended| ended.is_some()) {
                return Err("docker-registry does not answer".to_owned());
            }
            thread::sleep(TICK);
        }
        Ok(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}
