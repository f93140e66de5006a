//! Locks: another user who may read an environment may lock it.

use std::process::Stdio;

use crate::sandbox::{OTHER_USER, sandbox_for_all};

/// I6: the message names a stranger who holds the lock by process and program, not by the note of a
/// waiting process.
#[test]
fn a_reader_who_holds_the_lock_is_named() {
    let Some(sandbox) = sandbox_for_all() else {
        return;
    };
    sandbox.create(&["E"]).ok();
    let mut reader = sandbox.scratch.program("setpriv".as_ref(), "022");
    reader.args(["--reuid", &OTHER_USER.to_string(), "--clear-groups"]);
    reader.args(["flock", "E", "sh", "-c", "echo locked; read end"]);
    let mut reader = reader
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(reader.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut String::new()).unwrap();
    // `sh` became `setpriv`, which became `flock`.
    let named = format!("locked by process {} (flock)", reader.id());
    for command in [
        sandbox.command(&["create", "--clear", "--wait", "0", "E"]),
        sandbox.scratch.command(&["recover", "--wait", "0", "E"]),
    ] {
        let mut command = command;
        let refused = crate::machine::ended(&mut command).failed(1);
        assert!(refused.contains(&named), "{named}: {refused}");
    }
    drop(reader.stdin.take());
    reader.wait().unwrap();
    sandbox.create(&["--clear", "E"]).ok();
}
