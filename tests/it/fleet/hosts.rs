//! Eight hosts at once: each has its own network, in which only the registry can be reached, its
//! own disk at the path of the environment, and its own home and cache. Processes are killed on all
//! of them while they apply what the registry has.
//!
//! `RVENV_KILLS=200` kills at so many points in all; the default is one for each host.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::artifacts::{Ground, ground};
use super::kills::{Fleet, calls, fleet};
use crate::machine::{Ended, ended};
use crate::registry::which;
use crate::relay::Relay;
use crate::strace;
use crate::trees::{Sameness, compare, look};

const HOSTS: usize = 8;

/// A call at which a process is killed.
#[derive(Clone, Debug)]
struct Point {
    call: String,
    nth: usize,
}

/// One host. Its processes see its own disk where the others see theirs.
struct Host<'a> {
    ground: &'a Ground,
    /// What its processes see in the place of the scratch directory.
    disk: PathBuf,
    /// Its home, with its cache.
    home: PathBuf,
    relay: Relay,
    /// What keeps its namespaces, until its input ends.
    keeper: Child,
}

impl<'a> Host<'a> {
    fn new(ground: &'a Ground, number: usize) -> Self {
        let [disk, home] = ["disk", "home"].map(|name| {
            let dir = ground.bench.scratch.path(&format!("../{name}-{number}"));
            fs::create_dir(&dir).unwrap();
            dir.canonicalize().unwrap()
        });
        let script = "ip link set lo up && mount --bind \"$0\" \"$1\" && echo up && read end";
        let mut keeper = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c"])
            .arg(script)
            .args([&disk, &ground.bench.scratch.path("")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let said = keeper.stdout.as_mut().unwrap();
        BufReader::new(said).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        // The same address in each network, so that all of them name the registry alike.
        let registry = ground.registry.address;
        let listener = within(keeper.id(), move || TcpListener::bind(registry).unwrap());
        Self {
            relay: Relay::new(listener, registry, |_| ()),
            ground,
            disk,
            home,
            keeper,
        }
    }

    /// A command of this host, perhaps under a program that is its first words.
    fn command(&self, under: &[&str], words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--net",
                "--mount",
                "--target",
                &self.keeper.id().to_string(),
            ])
            .args(["env", "--chdir"])
            .arg(self.ground.bench.scratch.path(""))
            .args(under);
        let mut command = super::under(command, &self.ground.there_command(words));
        command
            .current_dir("/")
            .env("HOME", &self.home)
            .env("RVENV_CACHE_DIR", self.home.join("cache"));
        command
    }

    fn rvenv(&self, words: &[&str]) -> Ended {
        ended(&mut self.command(&[], words))
    }

    fn apply(&self, reference: &str) -> Ended {
        self.rvenv(&["apply", "--no-index", "--no-keep", reference])
    }

    /// Forgets what was fetched.
    fn empty_cache(&self) {
        let cache = self.home.join("cache");
        if cache.exists() {
            fs::remove_dir_all(&cache).unwrap();
        }
        fs::create_dir(&cache).unwrap();
        crate::answers::give(&cache);
    }

    /// Kills a change to another environment at a point; returns whether it came so far.
    fn killed(&self, point: &Point, to: &str) -> bool {
        let what = format!("inject={}:signal=SIGKILL:when={}", point.call, point.nth);
        let trace = format!("trace={}", point.call);
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e"];
        let under = [&strace[..], &[&what]].concat();
        let words = ["apply", "--no-index", "--no-keep", to];
        let done = self.command(&under, &words).output().unwrap();
        !done.status.success()
    }

    /// What is on the host besides its environment.
    fn litter(&self) -> BTreeSet<String> {
        let mut found = names(&self.disk);
        let mut dirs = vec![self.home.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path.clone());
                }
                let below = path.strip_prefix(&self.home).unwrap();
                // What was unpacked is marked by the next run that needs it.
                if !below.ends_with("used") {
                    found.insert(below.display().to_string());
                }
            }
        }
        found
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        let keeper = self.keeper.id();
        let wake = |address: SocketAddr| {
            within(keeper, move || drop(TcpStream::connect(address)));
        };
        self.relay.end(wake);
        drop(self.keeper.stdin.take());
        self.keeper.wait().unwrap();
    }
}

/// Does something in the network of a process.
fn within<T: Send + 'static>(process: u32, work: impl FnOnce() -> T + Send + 'static) -> T {
    let inside = thread::spawn(move || {
        let network = File::open(format!("/proc/{process}/ns/net")).unwrap();
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        work()
    });
    inside.join().unwrap()
}

fn names(dir: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(dir).unwrap();
    let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// Whether a host can be made here; prints the reason if not.
fn can_be_hosts() -> bool {
    let tools = ["unshare", "nsenter", "ip", "mount", "env"];
    if !rustix::process::geteuid().is_root() || tools.iter().any(|tool| which(tool).is_none()) {
        println!("skipped: only root has hosts here, with unshare, nsenter and ip");
        return false;
    }
    let tried = Command::new("unshare")
        .args(["--net", "--mount", "ip", "link", "set", "lo", "up"])
        .output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        println!("skipped: no networks of one's own may be made here");
    }
    can
}

/// Points at which a run can be killed, spread over all of them.
fn points(fleet: &Fleet, count: usize) -> Vec<Point> {
    let all = calls(fleet).into_iter();
    let all = all.flat_map(|(call, most)| {
        let call = move |nth| Point {
            call: call.clone(),
            nth,
        };
        (1..=most).map(call)
    });
    let all: Vec<Point> = all.collect();
    println!("a run can be killed at {} points", all.len());
    let at = |nth: usize| all.get(nth * all.len() / count % all.len());
    (0..count).filter_map(|nth| at(nth).cloned()).collect()
}

#[test]
fn eight_hosts_that_are_killed_have_the_old_environment_or_the_new_one() {
    let Some(ground) = ground() else { return };
    if !strace::is_there() || !can_be_hosts() {
        return;
    }
    let registry = ground.registry.address;
    let fleet = fleet(ground, |rest| format!("oci://{registry}/{rest}"));
    let kills = std::env::var("RVENV_KILLS").ok();
    let kills = kills.and_then(|kills| kills.parse().ok()).unwrap_or(HOSTS);
    fleet.begin();
    let points = points(&fleet, kills);
    // On the hosts, the path of the environment is empty.
    let hosts: Vec<Host<'_>> = (0..HOSTS)
        .map(|number| Host::new(&fleet.ground, number))
        .collect();
    let (next, killed, whole) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    thread::scope(|scope| {
        for host in &hosts {
            scope.spawn(|| {
                let mut state = State::begin(host, &fleet);
                while let Some(point) = points.get(next.fetch_add(1, Ordering::SeqCst)) {
                    // The calls are spread over other threads in each run.
                    let earlier = (1..=point.nth).rev().map(|nth| Point {
                        nth,
                        ..point.clone()
                    });
                    let was_killed = earlier.into_iter().any(|point| state.kill(&point));
                    let counted = if was_killed { &killed } else { &whole };
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let (killed, whole) = (killed.into_inner(), whole.into_inner());
    println!("{killed} runs were killed, {whole} ended before");
    assert_eq!(killed + whole, kills);
    assert!(killed >= kills * 9 / 10, "{killed} of {kills}");
    // Each had the wheels from the registry, over its own network.
    for host in &hosts {
        assert!(host.relay.passed().len() > 4);
    }
}

/// A host and which of both environments it has.
struct State<'a> {
    host: &'a Host<'a>,
    fleet: &'a Fleet,
    at: usize,
    /// What is on it after a run that was not killed, with either environment.
    litters: [BTreeSet<String>; 2],
}

impl<'a> State<'a> {
    fn begin(host: &'a Host<'a>, fleet: &'a Fleet) -> Self {
        let litters = [&fleet.first, &fleet.second].map(|reference| {
            host.empty_cache();
            host.apply(reference).ok();
            host.litter()
        });
        Self {
            host,
            fleet,
            at: 1,
            litters,
        }
    }

    /// Kills the change to the other environment, checks what is left, and ends the change.
    fn kill(&mut self, point: &Point) -> bool {
        let (host, to) = (self.host, 1 - self.at);
        host.empty_cache();
        let references = [&self.fleet.first, &self.fleet.second];
        let reference = references[to];
        let was_killed = host.killed(point, reference);
        host.rvenv(&["recover", "E"]).ok();
        let env = host.disk.join("E");
        let found = look(&env);
        let is = |tree| compare(&self.fleet.trees[tree], &found, Sameness::Alike).is_ok();
        assert!(is(0) || is(1), "{point:?}: neither old nor new");
        host.rvenv(&["verify", "E"]).ok();
        host.apply(reference).ok();
        compare(&self.fleet.trees[to], &look(&env), Sameness::Alike).unwrap();
        host.rvenv(&["verify", "--against", reference, "E"]).ok();
        if !host.litter().is_subset(&self.litters[to]) {
            // The draft of a note on an interpreter or a wheel stays until then.
            host.rvenv(&["cache", "prune"]).ok();
        }
        let litter = host.litter();
        let more: Vec<_> = litter.difference(&self.litters[to]).collect();
        assert!(more.is_empty(), "{point:?} left {more:?}");
        self.at = to;
        was_killed
    }
}
