//! A shell in which the commands of a page run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::blocks::{Command, Page, is_as_written};
use crate::machine::{Scratch, tool};
use crate::packages::builds;
use crate::registry::Registry;
use crate::wheels::{self, NewWheel};

/// Before the output of each command.
const BEGIN: char = '\u{1e}';
/// Before the exit code of each command.
const END: char = '\u{1f}';
/// The patch levels that the book writes.
const VERSIONS: [&str; 2] = ["3.12.1", "3.13.0"];

/// The shell that the head of this file describes.
pub(super) struct Session {
    scratch: Scratch,
    bin: PathBuf,
    /// What the book calls `registry.example`.
    registry: Option<Registry>,
}

/// The programs of others that the book starts.
const PEERS: [&str; 2] = ["uv", "virtualenv"];

/// Whether the peers that a page starts are on this machine; prints a message if not.
pub(super) fn has_peers(page: &Page) -> bool {
    let is_started = |name: &&&str| {
        let mut commands = page.commands.iter();
        commands.any(|command| command.text.split(' ').next() == Some(**name))
    };
    let mut started = PEERS.iter().filter(is_started);
    started.all(|name| tool(name).is_some())
}

/// Prints a message if the machine lacks an interpreter that the book uses.
pub(super) fn session() -> Option<Session> {
    let pythons = [builds(12, 1)?.remove(0), builds(13, 1)?.remove(0)];
    let scratch = Scratch::new();
    let bin = scratch.path("../bin");
    fs::create_dir(&bin).unwrap();
    let link = |target: &Path, name: &str| symlink(target, bin.join(name)).unwrap();
    link(Path::new(env!("CARGO_BIN_EXE_rvenv")), "rvenv");
    link(&pythons[0].path, "python3");
    link(&pythons[0].path, "python3.12");
    link(&pythons[1].path, "python3.13");
    for name in PEERS {
        if let Some(path) = tool(name) {
            link(&path, name);
        }
    }
    let house = scratch.path("../wheels");
    fs::create_dir(&house).unwrap();
    wheels::write(&pythons[0].path, &house, packages());
    for bundled in [&pythons[0], &pythons[1]] {
        copy_pip(&bundled.path, &house);
    }
    let settings = scratch.path("../home/.config/uv");
    fs::create_dir_all(&settings).unwrap();
    let house = house.canonicalize().unwrap();
    let text = format!("no-index = true\nfind-links = [\"{}\"]\n", house.display());
    fs::write(settings.join("uv.toml"), text).unwrap();
    Some(Session {
        scratch,
        bin,
        registry: None,
    })
}

/// Packages with the names and requirements of real ones.
fn packages() -> Vec<NewWheel> {
    let wheel = |name: &str, version: &str, code: &str| {
        let text = format!("__version__ = \"{version}\"\n{code}");
        NewWheel::new(name, version).file(&format!("{name}/__init__.py"), &text)
    };
    let requests = |version: &str| {
        wheel("requests", version, "")
            .requires("charset_normalizer<4,>=2")
            .requires("idna<4,>=2.5")
            .requires("urllib3<3,>=1.21.1")
            .requires("certifi>=2017.4.17")
    };
    let main = "def main():\n    print(__version__)\n";
    vec![
        requests("2.31.0"),
        requests("2.32.3"),
        wheel("charset_normalizer", "3.4.0", ""),
        wheel("idna", "3.10", ""),
        wheel("urllib3", "2.2.3", ""),
        wheel("certifi", "2024.8.30", ""),
        wheel("httpie", "3.2.4", main)
            .requires("requests")
            .program("main"),
        // The module that it imports is gone since Python 3.13.
        wheel("webob", "1.8.7", "import cgi\n"),
        wheel("webob", "1.8.9", ""),
    ]
}

/// Copies the wheel of pip that an interpreter brings.
fn copy_pip(python: &Path, house: &Path) {
    let lib = python.canonicalize().unwrap();
    let lib = lib.parent().unwrap().with_file_name("lib");
    let versions = fs::read_dir(lib).unwrap().flatten();
    let bundled = versions.map(|entry| entry.path().join("ensurepip/_bundled"));
    for entry in bundled.filter_map(|path| fs::read_dir(path).ok()).flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("pip-") {
            fs::copy(&path, house.join(name)).unwrap();
        }
    }
}

impl Session {
    /// The same session with a registry.
    pub(super) fn with_registry(self, registry: Registry) -> Self {
        let registry = Some(registry);
        Self { registry, ..self }
    }

    /// The registry as the book and as the machine name it.
    fn registry_names(&self) -> Option<[String; 2]> {
        let registry = self.registry.as_ref()?;
        Some(["oci://registry.example/".to_owned(), registry.oci("")])
    }

    /// Runs the commands; returns what is not as the page says.
    pub(super) fn run(&self, commands: &[Command]) -> Vec<String> {
        let printed = self.printed(commands);
        let mut runs = printed.split(BEGIN).skip(1);
        let mut wrong = Vec::new();
        for (number, command) in commands.iter().enumerate() {
            let ended = runs.next().and_then(|run| run.split_once(END));
            let Some((output, code)) = ended else {
                wrong.push(format!("line {} ended the shell: {printed}", command.line));
                break;
            };
            let next = commands.get(number + 1);
            let is_killed = command.output.as_deref() == Some(&["Killed".to_owned()]);
            let may_fail = is_killed || next.is_some_and(|next| next.text == "echo $?");
            let lines: Vec<&str> = output.lines().collect();
            let is_right = match &command.output {
                Some(written) => is_as_written(written, &lines),
                None => true,
            };
            let has_ended = code.trim() == "0" || may_fail;
            if !is_right || !has_ended {
                let (line, text) = (command.line, &command.text);
                wrong.push(format!("line {line}, exit code {code}`{text}`:\n{output}"));
            }
        }
        wrong
    }

    /// What a shell prints, with the marks around each command.
    fn printed(&self, commands: &[Command]) -> String {
        let commands = commands.iter().map(|command| {
            let (begin, text) = ("printf '\\036'; (exit $status)", &command.text);
            format!("{begin}\n{text}\nstatus=$?; printf '\\037%d\\n' $status\n")
        });
        let mut script = format!("status=0\n{}", commands.collect::<String>());
        if let Some([named, real]) = self.registry_names() {
            script = script.replace(&named, &real);
        }
        let path = self.scratch.path("../commands");
        fs::write(&path, script).unwrap();
        let log = self.scratch.path("../log");
        let file = fs::File::create(&log).unwrap();
        let house = self.scratch.path("../wheels").canonicalize().unwrap();
        let bin = self.bin.canonicalize().unwrap();
        let mut shell = self.scratch.program(Path::new("bash"), "022");
        shell
            .arg(&path)
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("PIP_FIND_LINKS", &house)
            .env("UV_CACHE_DIR", self.scratch.path("../uv"))
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        shell.status().unwrap();
        self.as_in_the_book(&fs::read_to_string(log).unwrap())
    }

    /// The text with the paths and versions of the book.
    fn as_in_the_book(&self, text: &str) -> String {
        let work = self.scratch.path("").display().to_string();
        let work = work.trim_end_matches('/');
        let root = Path::new(work).parent().unwrap().display().to_string();
        let mut text = text.replace(work, "/home/me/project");
        if let Some([named, real]) = self.registry_names() {
            text = text.replace(&real, &named);
        }
        text = text.replace(&format!("{root}/home"), "/home/me");
        for version in VERSIONS {
            text = with_patch_level(&text, version);
        }
        // What a script reports, as a terminal shows it; the first line of a command has its mark.
        let died = |line: &str| line.contains(": line ") && line.contains(" Killed ");
        let lines = text.split('\n').map(|line| match line.strip_prefix(BEGIN) {
            Some(line) if died(line) => format!("{BEGIN}Killed"),
            None if died(line) => "Killed".to_owned(),
            _ => line.to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Replaces the patch level of a minor version.
fn with_patch_level(text: &str, version: &str) -> String {
    let minor = &version[..=version.rfind('.').unwrap()];
    let mut parts = text.split(minor);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_patch = rest.len() < part.len();
        out.push_str(if is_patch { version } else { minor });
        out.push_str(if is_patch { rest } else { part });
    }
    out
}
