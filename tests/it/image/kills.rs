//! `image`, killed at the system calls that write: its path leads to the old image or to the new
//! one, and a signal that can be handled leaves nothing beside it.
//!
//! `RVENV_EVERY=1` kills at every call; the default is every third.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Ground, TWO, bytes, ground};
use crate::strace;

/// The calls that are met.
const CALLS: &str = "write,mkdir,mkdirat,renameat2,renameat,rename,unlinkat,fsync";

/// The same command under `strace`, with these words.
fn traced(ground: &Ground, words: &[&str], out: &str) -> Command {
    let command = ground
        .bench
        .scratch
        .command(&["image", "q.json", "-o", out, "--force"]);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq"]).args(words);
    strace.arg(command.get_program()).args(command.get_args());
    strace
        .current_dir(ground.bench.scratch.path(""))
        .env_clear();
    let pairs = command.get_envs();
    strace.envs(pairs.filter_map(|(name, value)| Some((name, value?))));
    strace
}

/// How many times each call is made in a run.
fn calls(ground: &Ground, out: &str) -> BTreeMap<String, usize> {
    let log = ground.bench.scratch.path("../trace");
    let trace = format!("trace={CALLS}");
    let words = ["-o", log.to_str().unwrap(), "-e", &trace];
    assert!(
        traced(ground, &words, out)
            .output()
            .unwrap()
            .status
            .success()
    );
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        if let Some((name, _)) = call.split_once('(') {
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

fn remove(path: &Path) {
    let _directory = fs::remove_dir_all(path);
    let _file = fs::remove_file(path);
}

/// I1, for the path of an image.
#[test]
fn an_image_that_is_killed_while_it_is_made_is_the_old_one_or_the_new_one() {
    let Some(ground) = ground() else { return };
    if !strace::is_there() {
        return;
    }
    ground.plan("p.json", TWO);
    ground.plan("q.json", &[("alpha", "2.0")]);
    let scratch = &ground.bench.scratch;
    let every = std::env::var("RVENV_EVERY").map_or(12, |text| text.parse().unwrap());
    let every = usize::max(every / 4, 1);
    let mut killed = 0;
    for out in ["img", "img.tar"] {
        let path = scratch.path(out);
        let old = format!("old.{out}");
        ground.image(&["p.json", "-o", &old]);
        ground.image(&["q.json", "-o", out]);
        let all = calls(&ground, out);
        let new = bytes(&path);
        let old = scratch.path(&old);
        let points = all
            .iter()
            .flat_map(|(call, count)| (1..=*count).map(move |nth| (call, nth)));
        for (at, (call, nth)) in points.enumerate().skip(every / 2).step_by(every) {
            remove(&path);
            // Every second time there is no old image.
            let before = if at % 2 == 0 {
                stranger_copy(&old, &path);
                bytes(&path)
            } else {
                None
            };
            let what = format!("inject={call}:signal=SIGKILL:when={nth}");
            let words = [
                "-o",
                "/dev/null",
                "-e",
                &format!("trace={call}"),
                "-e",
                &what,
            ];
            let done = traced(&ground, &words, out).output().unwrap();
            killed += usize::from(!done.status.success());
            let found = bytes(&path);
            assert!(
                found == before || found == new,
                "{out}: {what}: neither old nor new"
            );
            for name in ground.litter() {
                assert!(name.starts_with(".rvenv-image-"), "{name}");
                remove(&scratch.path(&name));
            }
        }
    }
    println!("{killed} runs were killed");
    assert!(killed > 0);
}

fn stranger_copy(from: &Path, to: &Path) {
    super::stranger(Command::new("cp").arg("-r").args([from, to]));
}

#[test]
fn an_interrupted_image_leaves_nothing_behind() {
    let Some(ground) = ground() else { return };
    if !strace::is_there() {
        return;
    }
    ground.plan("q.json", TWO);
    let words = ["-o", "/dev/null", "-e", "trace=fsync", "-e"];
    let inject = "inject=fsync:signal=SIGTERM:when=2";
    let done = traced(&ground, &[&words[..], &[inject]].concat(), "img")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(143), "{said}");
    assert!(said.contains("no image was written"), "{said}");
    assert!(!ground.bench.scratch.path("img").exists());
    assert_eq!(ground.litter(), Vec::<String>::new());
}
