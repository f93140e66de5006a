//! A fleet: hosts that get one environment at once, out of a registry by rvenv and out of an index
//! by uv.
//!
//! Each host has a home, caches and a target of its own. rvenv applies a reference by its digest,
//! and waits for the disk; `uv venv` and `uv pip sync` make the same environment of a lock with the
//! URLs and hashes of the wheels, as uv itself writes it, and wait for none. Both servers are on
//! loopback: Debian's registry, and the index of the bench, which has everything in memory. A host
//! that has nothing, or for which something changed, gets its lock from there: uv by a URL, rvenv
//! as the manifest.
//! Promises that what goes over the wire is counted in runs of their own, in which nothing is
//! timed.
//!
//! Read next: `relay.rs`, which counts; `rollout.rs`, the simulation of many hosts.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::budgets::{Budgets, Timed, shown_spread};
use super::field::Field;
use super::index_server::Index;
use super::registry::Registry;
use super::relay::{Relay, Traffic};
use super::report::{Report, spread_cells};
use super::rivals::{Python, Rivals, done};
use super::rollout::{Terms, as_float, simulate};
use super::settings::Settings;
use super::timing::{Times, settle};
use super::wheels::{VERSION, Wheels, pylock, requirements};

/// The version that one package changes to.
const NEXT: &str = "2.0";
/// How many hosts work at once.
const HOSTS: [usize; 5] = [1, 2, 4, 8, 16];
/// The repository.
const NAME: &str = "bench/env";

/// What a host has before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Nothing.
    Cold,
    /// The environment, of which one package changes.
    Change,
    /// The environment as it should be.
    Nothing,
    /// The caches.
    Warm,
}

/// In this order each leaves what the next one needs.
const WORKS: [Work; 4] = [Work::Cold, Work::Nothing, Work::Change, Work::Warm];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Rvenv,
    Uv,
}

const TOOLS: [Tool; 2] = [Tool::Rvenv, Tool::Uv];

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Cold => "new environment, nothing cached",
            Self::Change => "one package changes",
            Self::Nothing => "nothing to do",
            Self::Warm => "new environment, everything cached",
        }
    }
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Rvenv => "`rvenv apply`",
            Self::Uv => "`uv pip sync`",
        }
    }
}

/// One tool at one work with some hosts: the time for each host.
struct Racer {
    work: Work,
    tool: Tool,
    hosts: usize,
    times: Times,
    traffic: Traffic,
    failed: Option<String>,
}

/// The wheels, both servers, and what is asked of them.
struct Course<'a> {
    field: Field,
    python: &'a Python,
    uv: Result<PathBuf, String>,
    wheels: Wheels,
    index: Index,
    registry: Registry,
    count: usize,
    /// The digests of the manifests: as it is, and with one package changed.
    digests: [String; 2],
}

/// Measures fleets, and simulates larger ones.
pub(crate) fn run(settings: &Settings, report: &mut Report, budgets: &mut Budgets) {
    let sizes = if settings.quick {
        &HOSTS[..2]
    } else {
        &HOSTS[..]
    };
    let mut racers = Vec::new();
    for hosts in sizes {
        for work in WORKS {
            racers.extend(TOOLS.map(|tool| Racer::new(work, tool, *hosts)));
        }
    }
    let measured = match Python::choose(settings) {
        Some(python) => measure(settings, &python, &mut racers),
        None => Err("there is no CPython here".to_owned()),
    };
    if let Err(why) = &measured {
        println!("fleets are not measured: {why}");
        for racer in &mut racers {
            racer.failed = Some(why.clone());
        }
    }
    for racer in &racers {
        if let (Tool::Rvenv, Some(why), true) = (racer.tool, &racer.failed, measured.is_ok()) {
            budgets.blame(&format!("a fleet, {}: {why}", racer.work.name()));
        }
    }
    tell(settings.carried, &racers, report);
    tell_wire(&racers, report);
    tell_rollouts(&racers, report);
    judge(&racers, budgets);
}

/// The first round warms what all share and is not counted; one more counts what goes over the
/// wire.
fn measure(settings: &Settings, python: &Python, racers: &mut [Racer]) -> Result<(), String> {
    let uv = Rivals::installed(python, settings).uv;
    let course = Course::new(python, uv, settings.carried)?;
    for round in 0..=settings.fewer_rounds() {
        let mut order: Vec<Tool> = TOOLS.to_vec();
        if round % 2 == 1 {
            order.reverse();
        }
        for group in racers.chunk_by_mut(|one, other| one.hosts == other.hosts) {
            for tool in &order {
                course.round(group, *tool, round)?;
            }
        }
    }
    let alone = racers.iter_mut().filter(|racer| racer.hosts == 1);
    let mut alone: Vec<&mut Racer> = alone.collect();
    course.count_traffic(&mut alone)
}

impl Racer {
    fn new(work: Work, tool: Tool, hosts: usize) -> Self {
        Self {
            work,
            tool,
            hosts,
            times: Times::default(),
            traffic: Traffic::default(),
            failed: None,
        }
    }
}

impl<'a> Course<'a> {
    fn new(python: &'a Python, uv: Result<PathBuf, String>, count: usize) -> Result<Self, String> {
        let field = Field::on_disk();
        let wheels = Wheels::new(&field)?;
        wheels.make(&field, python, count, VERSION)?;
        wheels.make(&field, python, 1, NEXT)?;
        let index = Index::start(&wheels).map_err(|error| error.to_string())?;
        let registry = Registry::start(&field.root)?;
        let mut course = Self {
            field,
            python,
            uv,
            wheels,
            index,
            registry,
            count,
            digests: Default::default(),
        };
        course.digests = [course.push(VERSION)?, course.push(NEXT)?];
        course.lock(VERSION)?;
        course.lock(NEXT)?;
        Ok(course)
    }

    /// Lets uv write the lock with this version of the first package, and the index serve it.
    fn lock(&self, first: &str) -> Result<(), String> {
        let Ok(uv) = &self.uv else { return Ok(()) };
        let text = requirements(&self.wheels.pins(self.count, first)?);
        let wanted = self.field.root.join("requirements.txt");
        fs::write(&wanted, text).map_err(|error| error.to_string())?;
        let lock = self.field.root.join("pylock.uv.toml");
        let mut command = self.field.command(uv);
        command.env_remove("UV_OFFLINE");
        command.args([
            "pip",
            "compile",
            "-q",
            "--no-header",
            "--format",
            "pylock.toml",
        ]);
        command.arg("--index-url").arg(self.index.url());
        command.arg("--python").arg(&self.python.path);
        done(command.arg("-o").arg(&lock).arg(&wanted))?;
        let text = fs::read_to_string(&lock).map_err(|error| error.to_string())?;
        self.index.keep_lock(&lock_name(first), &text);
        fs::remove_file(&lock).map_err(|error| error.to_string())
    }

    /// Pushes the environment with this version of its first package; the digest of the manifest.
    fn push(&self, first: &str) -> Result<String, String> {
        let root = &self.field.root;
        let lock = root.join(lock_name(first));
        let dir = self.wheels.dir.display().to_string();
        let text = pylock(&self.wheels.pins(self.count, first)?, "path", &dir);
        fs::write(&lock, text).map_err(|error| error.to_string())?;
        let plan = root.join(format!("plan-{first}.json"));
        let mut command = self.field.command(Path::new(env!("CARGO_BIN_EXE_rvenv")));
        command
            .args(["-q", "plan", "--without-pip", "-o"])
            .arg(&plan);
        command
            .arg("--python")
            .arg(&self.python.path)
            .arg("-r")
            .arg(&lock);
        done(command.arg(root.join("seed")))?;
        let mut command = self.field.command(Path::new(env!("CARGO_BIN_EXE_rvenv")));
        command
            .arg("push")
            .arg(&plan)
            .arg(oci(self.registry.address));
        let output = command.output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let digest = said
            .trim()
            .rsplit_once('@')
            .map(|(_, digest)| digest.to_owned());
        digest.ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// All works of one tool, one after the other, on the same hosts.
    fn round(&self, group: &mut [Racer], tool: Tool, round: usize) -> Result<(), String> {
        let hosts = group.first().map_or(0, |racer| racer.hosts);
        let home = self.field.root.join(format!("{tool:?}-{hosts}-{round}"));
        for racer in group.iter_mut().filter(|racer| racer.tool == tool) {
            if racer.failed.is_some() {
                continue;
            }
            match self.time(racer.work, tool, &home, hosts) {
                Ok(all) if round > 0 => {
                    racer
                        .times
                        .push(round, all / u32::try_from(hosts).unwrap_or(1));
                }
                Ok(_) => {}
                Err(why) => racer.failed = Some(why),
            }
        }
        if home.exists() {
            fs::remove_dir_all(&home).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// How long all hosts take together.
    fn time(&self, work: Work, tool: Tool, home: &Path, hosts: usize) -> Result<Duration, String> {
        let servers = [self.registry.address, self.index.address()];
        let mut commands = Vec::new();
        for host in 0..hosts {
            let home = home.join(host.to_string());
            fs::create_dir_all(&home).map_err(|error| error.to_string())?;
            commands.push(self.command(work, tool, &home, servers)?);
        }
        settle(&self.field.root);
        let start = Instant::now();
        let started: Result<Vec<Child>, _> = commands.iter_mut().map(Command::spawn).collect();
        for child in started.map_err(|error| error.to_string())? {
            let output = child
                .wait_with_output()
                .map_err(|error| error.to_string())?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
        Ok(start.elapsed())
    }

    /// What one host does.
    fn command(
        &self,
        work: Work,
        tool: Tool,
        home: &Path,
        [registry, index]: [SocketAddr; 2],
    ) -> Result<Command, String> {
        let target = home.join(if work == Work::Warm { "second" } else { "env" });
        let is_next = work == Work::Change;
        let mut command = match tool {
            Tool::Rvenv => {
                let mut command = self.field.command(Path::new(env!("CARGO_BIN_EXE_rvenv")));
                let [now, next] = &self.digests;
                let digest = if is_next { next } else { now };
                command.args(["-q", "apply", "--no-index", "--no-keep"]);
                command
                    .arg(format!("{}@{digest}", oci(registry)))
                    .arg(&target);
                command
            }
            Tool::Uv => {
                let uv = self.uv.as_ref().map_err(Clone::clone)?;
                let name = lock_name(if is_next { NEXT } else { VERSION });
                let lock = if matches!(work, Work::Cold | Work::Change) {
                    format!("http://{index}/locks/{name}")
                } else {
                    let lock = home.join(&name);
                    let text = self.index.lock(&name, index);
                    let text = text.ok_or("the index has no lock")?;
                    fs::write(&lock, text).map_err(|error| error.to_string())?;
                    lock.display().to_string()
                };
                let mut command = self.field.command(Path::new("/bin/sh"));
                let make = "\"$0\" venv -q --python \"$1\" \"$2\" && ";
                let sync = "exec \"$0\" pip sync -q --link-mode hardlink \
                            --python \"$2/bin/python\" \"$3\"";
                let is_there = matches!(work, Work::Change | Work::Nothing);
                let script = format!("{}{sync}", if is_there { "" } else { make });
                command.arg("-c").arg(script);
                command.arg(uv);
                command.arg(&self.python.path).arg(&target).arg(&lock);
                command
            }
        };
        command
            .env_remove("UV_OFFLINE")
            .env("HOME", home)
            .env("UV_CACHE_DIR", home.join("uv"))
            .env("RVENV_CACHE_DIR", home.join("rvenv"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Ok(command)
    }

    /// Counts what one host sends and receives.
    fn count_traffic(&self, racers: &mut [&mut Racer]) -> Result<(), String> {
        let before = |server| Relay::before(server).map_err(|error| error.to_string());
        let relays = [
            before(self.registry.address)?,
            before(self.index.address())?,
        ];
        let [registry, index] = &relays;
        for racer in racers.iter_mut().filter(|racer| racer.failed.is_none()) {
            let home = self.field.root.join(format!("{:?}-counted", racer.tool));
            fs::create_dir_all(&home).map_err(|error| error.to_string())?;
            let servers = [registry.address, index.address];
            done(&mut self.command(racer.work, racer.tool, &home, servers)?)?;
            let [of_registry, of_index] = [registry.take(), index.take()];
            racer.traffic = Traffic {
                requests: of_registry.requests + of_index.requests,
                bytes: of_registry.bytes + of_index.bytes,
            };
        }
        Ok(())
    }
}

/// The name of the lock with this version of the first package.
fn lock_name(first: &str) -> String {
    format!("pylock.{}.toml", first.replace('.', "-"))
}

fn oci(registry: SocketAddr) -> String {
    format!("oci://{registry}/{NAME}")
}

fn of(racers: &[Racer], work: Work, tool: Tool, hosts: usize) -> Result<&Racer, String> {
    let mut racers = racers.iter();
    let found = racers.find(|racer| (racer.work, racer.tool, racer.hosts) == (work, tool, hosts));
    let racer = found.ok_or("it did not run")?;
    match &racer.failed {
        Some(why) => Err(why.clone()),
        None => Ok(racer),
    }
}

fn times(racers: &[Racer], work: Work, tool: Tool, hosts: usize) -> Timed<'_> {
    of(racers, work, tool, hosts).map(|racer| &racer.times)
}

fn tell(count: usize, racers: &[Racer], report: &mut Report) {
    let rows = racers.iter().map(|racer| {
        let mut row = vec![racer.hosts.to_string(), racer.work.name().to_owned()];
        row.push(match &racer.failed {
            Some(why) => format!("{}: {why}", racer.tool.name()),
            None => racer.tool.name().to_owned(),
        });
        row.extend(spread_cells(&racer.times));
        let base = times(racers, racer.work, Tool::Uv, racer.hosts).ok();
        let ratio = base.and_then(|base| racer.times.ratio(base));
        row.push(ratio.map_or("–".to_owned(), |ratio| shown_spread(&ratio)));
        row
    });
    let work = format!("each gets {count} packages");
    let head = [
        "hosts",
        &work,
        "by",
        "median for each host",
        "quartiles",
        "least",
        "runs",
        "ratio to uv",
    ];
    report.table("fleet", &head, &rows.collect::<Vec<_>>());
}

fn tell_wire(racers: &[Racer], report: &mut Report) {
    let rows = WORKS.iter().flat_map(|work| {
        TOOLS.iter().filter_map(|tool| {
            let Traffic { requests, bytes } = of(racers, *work, *tool, 1).ok()?.traffic;
            Some(vec![
                work.name().to_owned(),
                tool.name().to_owned(),
                requests.to_string(),
                amount(bytes),
            ])
        })
    });
    let head = ["what a host does", "by", "requests", "on the wire"];
    report.table("fleet-wire", &head, &rows.collect::<Vec<_>>());
}

/// How many hosts a rollout has, how many of them ask one mirror, and what is rolled out.
const ROLLOUTS: [(u32, Option<u32>); 6] = [
    (10, None),
    (1000, None),
    (1000, Some(100)),
    (100_000, None),
    (100_000, Some(1000)),
    (100_000, Some(100)),
];
/// Five minutes; a server with 10 Gbit/s, hosts with 1 Gbit/s.
const WINDOW_SECONDS: f64 = 300.0;
const SERVER_BYTES: f64 = 1.25e9;
const LINK_BYTES: f64 = 1.25e8;

fn tell_rollouts(racers: &[Racer], report: &mut Report) {
    let mut rows = Vec::new();
    for work in [Work::Cold, Work::Change, Work::Nothing] {
        let Ok(racer) = of(racers, work, Tool::Rvenv, 1) else {
            continue;
        };
        for (hosts, per_mirror) in ROLLOUTS {
            let terms = Terms {
                hosts,
                per_mirror,
                window: WINDOW_SECONDS,
                server: SERVER_BYTES,
                link: LINK_BYTES,
            };
            let rollout = simulate(terms, racer.traffic);
            rows.push(vec![
                hosts.to_string(),
                work.name().to_owned(),
                per_mirror.map_or("–".to_owned(), |count| count.to_string()),
                rollout.at_registry.requests.to_string(),
                amount(rollout.at_registry.bytes),
                format!("{:.0}", rollout.peak_requests),
                format!("{:.1} s", rollout.longest),
                format!("{:.0} s", rollout.last),
            ]);
        }
    }
    let head = [
        "hosts",
        "each does",
        "hosts per mirror",
        "requests at the registry",
        "bytes at the registry",
        "requests in the busiest second of a server",
        "longest wait for the network",
        "last host served after",
    ];
    report.table("fleet-rollouts", &head, &rows);
}

fn amount(bytes: u64) -> String {
    let bytes = as_float(bytes);
    match bytes {
        ..1e6 => format!("{:.1} kB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} GB", bytes / 1e9),
    }
}

fn judge(racers: &[Racer], budgets: &mut Budgets) {
    for (work, limit) in [(Work::Cold, 1.0), (Work::Warm, 0.6)] {
        for hosts in HOSTS {
            let both = TOOLS.map(|tool| times(racers, work, tool, hosts));
            let name = format!("{hosts} hosts at once, {}", work.name());
            budgets.ratio(&name, limit, "`uv`", both);
        }
    }
    let wire = |tool| of(racers, Work::Change, tool, 1).map(|racer| racer.traffic.bytes);
    let name = "bytes on the wire for a changed lock";
    match wire(Tool::Uv) {
        Ok(limit) => {
            let own = wire(Tool::Rvenv).map(|bytes| as_float(bytes) / 1e3);
            budgets.value(name, as_float(limit) / 1e3, "kB", own);
        }
        Err(why) => budgets.value(name, 0.0, "kB", Err(why)),
    }
}
