//! The peak memory of a command, as the kernel counts it for a process that has ended, and for what
//! that process started and waited for.
//!
//! A process begins with the peak of its parent, so the command is started by a small child of the
//! bench, not by the bench itself.

use std::process::{Command, Stdio};

/// Runs a command that must succeed; its peak memory in kibibytes.
pub(crate) fn kib(command: &Command) -> Result<u64, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(own);
    child
        .arg("child:peak")
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .stderr(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => child.env(name, value),
            None => child.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        child.current_dir(dir);
    }
    let output = child.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match said.parse() {
        Ok(peak) if output.status.success() => Ok(peak),
        _ => Err(said),
    }
}

/// The child: the arguments are a program and its arguments.
pub(crate) fn tell(words: &[String]) -> Result<String, String> {
    let (program, words) = words.split_first().ok_or("peak PROGRAM ARGUMENT...")?;
    let child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let id = libc::pid_t::try_from(child.id()).map_err(|error| error.to_string())?;
    let (status, peak) = wait(id).map_err(|error| error.to_string())?;
    if status != 0 {
        return Err(format!("{program} ended with status {status}"));
    }
    Ok(peak.to_string())
}

/// Waits for a child; its status and its peak memory in kibibytes.
#[expect(unsafe_code, reason = "no safe function tells what a child used")]
fn wait(id: libc::pid_t) -> std::io::Result<(libc::c_int, libc::c_long)> {
    let mut status = 0;
    // SAFETY: a usage is numbers only, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both addresses are those of values that outlive the call.
    let waited = unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) };
    if waited == id {
        Ok((status, usage.ru_maxrss))
    } else {
        Err(std::io::Error::last_os_error())
    }
}
