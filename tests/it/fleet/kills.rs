//! `apply` from a registry, killed at the system calls that change files and at its requests: the
//! environment is the old one or the new one, and the next run ends what this one began.
//!
//! `RVENV_EVERY=1` kills at every call; the default is every twelfth.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::artifacts::{Ground, TWO, ground};
use crate::registry::{Pass, Proxy};
use crate::strace;
use crate::trees::{Sameness, Tree, compare, look};

/// The calls that are met.
const CALLS: &str = "openat,write,mkdirat,linkat,symlinkat,renameat2,renameat,unlinkat,fsync,\
                     fdatasync,syncfs,fchmod,utimensat,connect";

/// Two environments in a registry, by their references, and their trees.
pub(super) struct Fleet {
    pub(super) ground: Ground,
    pub(super) first: String,
    pub(super) second: String,
    pub(super) trees: [Tree; 2],
}

pub(super) fn fleet(ground: Ground, oci: impl Fn(&str) -> String) -> Fleet {
    ground.plan("p.json", TWO);
    let first = ground.push("p.json", &oci("team/web:v1"));
    ground.plan("q.json", &[("alpha", "2.0"), ("beta", "1.0")]);
    let second = ground.push("q.json", &oci("team/web:v2"));
    let mut trees = Vec::new();
    for reference in [&first, &second] {
        ground
            .there(&["apply", "--no-index", "--no-keep", reference])
            .ok();
        trees.push(look(&ground.env()));
    }
    Fleet {
        ground,
        first,
        second,
        trees: trees.try_into().unwrap_or_else(|_| unreachable!()),
    }
}

impl Fleet {
    /// The first environment, on a machine whose cache has nothing.
    pub(super) fn begin(&self) {
        let words = ["apply", "--no-index", "--no-keep", &self.first];
        self.ground.there(&words).ok();
        self.ground.there(&["cache", "clear"]).ok();
    }

    fn upgrade(&self) -> Command {
        let words = ["apply", "--no-index", "--no-keep", &self.second];
        self.ground.there_command(&words)
    }

    /// Checks what a killed run left, and that the next one ends it.
    #[track_caller]
    fn check(&self, what: &str) {
        self.ground.there(&["recover", "E"]).ok();
        let found = look(&self.ground.env());
        let is = |tree: &Tree| compare(tree, &found, Sameness::Alike).is_ok();
        assert!(self.trees.iter().any(is), "{what}: neither old nor new");
        self.ground
            .there(&["apply", "--no-index", "--no-keep", &self.second])
            .ok();
        let [_, new] = &self.trees;
        compare(new, &look(&self.ground.env()), Sameness::Alike).unwrap();
        self.ground
            .there(&["verify", "--against", &self.second, "E"])
            .ok();
    }
}

/// How many times each call is made in a run, by the thread that makes it most often: `strace`
/// counts for each thread.
pub(super) fn calls(fleet: &Fleet) -> BTreeMap<String, usize> {
    let log = fleet.ground.bench.scratch.path("../trace");
    let mut command = Command::new("strace");
    let upgrade = fleet.upgrade();
    command
        .args(["-f", "--seccomp-bpf", "-qq", "-o"])
        .arg(&log)
        .args(["-e", &format!("trace={CALLS}")]);
    let done = super::under(command, &upgrade).output().unwrap();
    assert!(done.status.success());
    let (mut each, mut counts) = (BTreeMap::new(), BTreeMap::new());
    for line in fs::read_to_string(log).unwrap().lines() {
        let mut words = line.split_whitespace();
        let (thread, call) = (words.next().unwrap_or_default(), words.next());
        if let Some((name, _)) = call.unwrap_or_default().split_once('(') {
            let of_thread = each.entry((thread.to_owned(), name.to_owned()));
            let count: &mut usize = of_thread.or_insert(0);
            *count += 1;
            let most = counts.entry(name.to_owned()).or_insert(0);
            *most = (*most).max(*count);
        }
    }
    counts
}

#[test]
fn an_apply_that_is_killed_leaves_the_old_environment_or_the_new_one() {
    let Some(ground) = ground() else { return };
    if !strace::is_there() {
        return;
    }
    let registry = ground.registry.address;
    let fleet = fleet(ground, |rest| format!("oci://{registry}/{rest}"));
    fleet.begin();
    let all = calls(&fleet);
    let every = std::env::var("RVENV_EVERY").map_or(12, |text| text.parse().unwrap());
    let points = all
        .iter()
        .flat_map(|(call, count)| (1..=*count).map(move |nth| (call, nth)));
    let (mut killed, mut whole) = (0, 0);
    for (call, nth) in points.skip(every / 2).step_by(every) {
        fleet.begin();
        let mut strace = Command::new("strace");
        let what = format!("inject={call}:signal=SIGKILL:when={nth}");
        strace.args(["-f", "-qq", "-o", "/dev/null"]);
        strace.args(["-e", &format!("trace={call}"), "-e", &what]);
        let done = super::under(strace, &fleet.upgrade()).output().unwrap();
        // A thread makes fewer calls than all of them.
        if done.status.success() {
            whole += 1;
        } else {
            killed += 1;
        }
        fleet.check(&what);
    }
    println!("{killed} runs were killed, {whole} ended before");
    assert!(killed > 0);
}

#[test]
fn an_apply_that_is_killed_at_a_request_is_continued_by_the_next_one() {
    let Some(ground) = ground() else { return };
    // The process that is killed, and at which of its requests.
    let victim: Arc<Mutex<Option<u32>>> = Arc::default();
    let left = Arc::new(AtomicUsize::new(usize::MAX));
    let (killed, at) = (Arc::clone(&victim), Arc::clone(&left));
    let proxy = Proxy::new(ground.registry.address, move |_, answer| {
        let before = at.load(Ordering::SeqCst);
        if before != usize::MAX && at.fetch_sub(1, Ordering::SeqCst) == 1 {
            at.store(usize::MAX, Ordering::SeqCst);
            let pid = loop {
                if let Some(pid) = *killed.lock().unwrap() {
                    break pid;
                }
            };
            let pid = i32::try_from(pid).unwrap();
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            return Pass::Part(answer.body.len() / 2);
        }
        Pass::On
    });
    let fleet = fleet(ground, |rest| proxy.oci(rest));
    for nth in 1..=4 {
        fleet.begin();
        *victim.lock().unwrap() = None;
        left.store(nth, Ordering::SeqCst);
        let mut child = fleet.upgrade().spawn().unwrap();
        *victim.lock().unwrap() = Some(child.id());
        let ended = child.wait().unwrap();
        left.store(usize::MAX, Ordering::SeqCst);
        assert_eq!(ended.code(), None, "request {nth}: {ended:?}");
        let [old, _] = &fleet.trees;
        compare(old, &look(&fleet.ground.env()), Sameness::Alike).unwrap();
        fleet.check(&format!("request {nth}"));
    }
}
