//! `rvenv install` and `rvenv uninstall`: packages come and go in one transaction, with what they
//! need.
//!
//! Real resolvers, with wheels made here in a directory; no network.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, SystemTime};

use crate::machine::{Ended, Python, Scratch, ended, tool};
use crate::packages::builds;
use crate::server::{Server, empty, page, serve};
use crate::trees::{Sameness, Tree, compare, look};
use crate::wheels::{self, NewWheel};

/// A wheel that requires something, or nothing.
fn wheel(name: &str, version: &str, requires: &str) -> NewWheel {
    NewWheel::new(name, version)
        .requires(requires)
        .file(
            &format!("{name}/__init__.py"),
            &format!("version = '{version}'\n"),
        )
        .file(&format!("{name}_top.py"), "x = 1\n")
        .file("common/part.txt", "of all\n")
        .program("print")
}

struct Shop {
    scratch: Scratch,
    python: Python,
    uv: Option<PathBuf>,
}

/// An environment `E`, and wheels: an application that needs a library, which needs another.
fn shop() -> Option<Shop> {
    let pythons = builds(13, 1).or_else(|| builds(12, 1))?;
    Some(shop_of(pythons.into_iter().next()?))
}

fn shop_of(python: Python) -> Shop {
    let scratch = Scratch::new();
    let house = scratch.path("house");
    fs::create_dir(&house).unwrap();
    let wheels = [
        ["app", "1.0", "lib>=1"],
        ["lib", "1.0", "base"],
        ["lib", "2.0", "base"],
        ["base", "1.0", ""],
        ["other", "1.0", "base"],
    ];
    let wheels = wheels.map(|[name, version, requires]| wheel(name, version, requires));
    wheels::write(&python.path, &house, wheels);
    let path = python.path.to_str().unwrap().to_owned();
    scratch.rvenv(&["create", "E", "--python", &path]).ok();
    Shop {
        scratch,
        python,
        uv: tool("uv"),
    }
}

impl Shop {
    fn run(&self, words: &[&str]) -> Ended {
        ended(&mut self.command(words))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.scratch.command(words);
        command.env("PIP_FIND_LINKS", self.scratch.path("house"));
        if let Some(uv) = &self.uv {
            let above = uv.parent().unwrap().as_os_str();
            let path = [above, OsStr::new("/usr/bin"), OsStr::new("/bin")].join(OsStr::new(":"));
            command.env("PATH", path);
        }
        command
    }

    fn resolvers(&self) -> Vec<&'static str> {
        let uv = self.uv.as_ref().map(|_| "uv");
        uv.into_iter().chain(["pip"]).collect()
    }

    /// A server with the wheels as an index.
    fn index(&self) -> Server {
        let house = self.scratch.path("house");
        Server::new(move |seen, stream| {
            let mut parts = seen.path.trim_matches('/').split('/');
            match (parts.next(), parts.next()) {
                (Some("simple"), Some(name)) => {
                    let names = fs::read_dir(&house)?.flatten();
                    let names = names.map(|entry| entry.file_name().into_string().unwrap());
                    let start = format!("{name}-");
                    let link = |file: String| format!("<a href='/files/{file}'>{file}</a>");
                    let links = names.filter(|file| file.starts_with(&start)).map(link);
                    page(stream, "text/html", links.collect::<String>().as_bytes())
                }
                (_, Some(file)) => serve(seen, stream, &fs::read(house.join(file))?),
                _ => empty(stream, "404 Not Found"),
            }
        })
    }

    /// A command that asks an index, and no directory.
    fn asking(&self, server: &Server, words: &[&str]) -> Command {
        let mut command = self.command(words);
        command.args(["--env", "E", "--index-url", &server.url("/simple")]);
        command.env("PIP_RETRIES", "0").env("UV_HTTP_RETRIES", "0");
        command
            .env_remove("PIP_NO_INDEX")
            .env_remove("PIP_FIND_LINKS");
        command
    }

    /// Runs a command that succeeds, and returns what it said.
    #[track_caller]
    fn said(&self, words: &[&str]) -> String {
        let ended = self.run(words);
        let said = ended.stderr.clone();
        ended.ok();
        said
    }

    fn site(&self) -> PathBuf {
        let (_, minor) = self.python.version;
        let site = format!("E/lib/python3.{minor}/site-packages");
        self.scratch.path(&site)
    }

    /// The distributions of the environment except pip.
    fn installed(&self) -> Vec<String> {
        let names = fs::read_dir(self.site()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let of_info = |name: String| Some(name.strip_suffix(".dist-info")?.to_owned());
        let mut all: Vec<String> = names.filter_map(of_info).collect();
        all.retain(|name| !name.starts_with("pip-"));
        all.sort();
        all
    }

    /// Every path outside the directory of the engine.
    fn files(&self) -> Vec<PathBuf> {
        let tree = look(&self.scratch.path("E")).unwrap();
        let paths = tree.into_keys();
        paths.filter(|path| !path.starts_with(".rvenv")).collect()
    }

    #[track_caller]
    fn is_clean(&self) {
        let said = self.run(&["verify", "--json", "E"]).ok();
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["clean"], true, "{said}");
        assert_eq!(said["state"], "clean", "{said}");
    }
}

fn requested(info: &Path) -> bool {
    info.join("REQUESTED").is_file()
}

#[test]
fn a_package_comes_with_what_it_needs_and_goes_with_what_only_it_needs() {
    let Some(shop) = shop() else { return };
    let before = shop.files();
    let mut resolvers = vec!["pip"];
    resolvers.extend(shop.uv.as_ref().map(|_| "uv"));
    for resolver in resolvers {
        let said = shop.said(&["install", "app", "--env", "E", "--resolver", resolver]);
        assert!(
            said.contains("Installed 3 packages: app 1.0, base 1.0, lib 2.0"),
            "{resolver}: {said}"
        );
        assert_eq!(shop.installed(), ["app-1.0", "base-1.0", "lib-2.0"]);
        let site = shop.site();
        assert!(requested(&site.join("app-1.0.dist-info")));
        assert!(!requested(&site.join("lib-2.0.dist-info")));
        shop.is_clean();
        let again = shop.said(&["install", "app", "--env", "E", "--resolver", resolver]);
        assert!(again.contains("no changes"), "{again}");
        let said = shop.said(&["uninstall", "App", "--unused", "--env", "E"]);
        assert!(
            said.contains("Uninstalled 3 packages: app 1.0, base 1.0, lib 2.0"),
            "{said}"
        );
        assert_eq!(shop.installed(), [""; 0]);
        shop.is_clean();
        assert_eq!(shop.files(), before, "{resolver}");
    }
    shop.said(&["rollback", "E"]);
    assert_eq!(shop.installed(), ["app-1.0", "base-1.0", "lib-2.0"]);
    shop.is_clean();
}

#[test]
fn what_is_installed_stays_where_the_requirements_allow_it() {
    let Some(shop) = shop() else { return };
    shop.said(&["install", "lib<2", "--env", "E"]);
    shop.said(&["install", "app", "--env", "E"]);
    assert_eq!(shop.installed(), ["app-1.0", "base-1.0", "lib-1.0"]);
    let said = shop.said(&["install", "lib>1", "--env", "E"]);
    assert!(said.contains("Replaced 1 package: lib 1.0 → 2.0"), "{said}");
    assert_eq!(shop.installed(), ["app-1.0", "base-1.0", "lib-2.0"]);
    shop.is_clean();
}

/// Whoever installed it; what another package lists too stays, and so does its bytecode.
#[test]
fn only_the_files_of_a_package_go() {
    let Some(shop) = shop() else { return };
    let env_python = shop.scratch.path("E/bin/python");
    let house = shop.scratch.path("house");
    let pip = ["-m", "pip", "-q", "install", "--find-links"];
    let pip = [&pip, &[house.to_str().unwrap(), "base", "other"][..]].concat();
    shop.scratch.run(&env_python, &pip).ok();
    let import = ["-c", "import base, base_top, other, other_top"];
    shop.scratch.run(&env_python, &import).ok();
    let said = shop.said(&["uninstall", "other", "--env", "E"]);
    assert!(said.contains("Uninstalled 1 package: other 1.0"), "{said}");
    let site = shop.site();
    for gone in ["other", "other_top.py", "other-1.0.dist-info"] {
        assert!(!site.join(gone).exists(), "{gone}");
    }
    assert!(!shop.scratch.path("E/bin/other").exists());
    assert!(site.join("common/part.txt").is_file());
    let cached = fs::read_dir(site.join("__pycache__")).unwrap();
    let cached: Vec<_> = cached.map(|entry| entry.unwrap().file_name()).collect();
    let of = |name: &str| {
        let mut all = cached.iter();
        all.any(|file| file.to_str().unwrap().starts_with(name))
    };
    assert!(of("base_top.") && !of("other_top."), "{cached:?}");
    shop.scratch
        .run(&env_python, &["-c", "import base, base_top"])
        .ok();
}

#[test]
fn the_directories_of_a_package_go_once_they_are_empty() {
    let Some(shop) = shop() else { return };
    let data = ["data", "more"].map(|name| {
        NewWheel::new(name, "1.0")
            .file(
                &format!("{name}-1.0.data/data/share/{name}/deep/a.txt"),
                name,
            )
            .file(&format!("{name}-1.0.data/data/etc/both/{name}.txt"), name)
            .file(&format!("{name}-1.0.data/headers/{name}.h"), name)
    });
    let house = shop.scratch.path("house");
    wheels::write(&shop.python.path, &house, data);
    let env = shop.scratch.path("E");
    let before = look(&env);
    for name in ["data", "more"] {
        shop.said(&["install", "--env", "E", name]);
    }
    fs::write(env.join("share/more/mine.txt"), "mine\n").unwrap();
    shop.said(&["uninstall", "--env", "E", "data"]);
    assert!(!env.join("share/data").exists());
    assert!(env.join("etc/both/more.txt").is_file());
    shop.said(&["uninstall", "--env", "E", "more"]);
    assert!(env.join("share/more/mine.txt").is_file());
    assert!(!env.join("share/more/deep").exists());
    fs::remove_dir_all(env.join("share")).unwrap();
    let paths = |tree: Tree| tree.unwrap().into_keys().collect::<Vec<_>>();
    assert_eq!(paths(look(&env)), paths(before));
    shop.is_clean();
}

#[test]
fn what_cannot_be_uninstalled_is_named_and_nothing_changes() {
    let Some(shop) = shop() else { return };
    shop.said(&["install", "base", "--env", "E"]);
    fs::remove_file(shop.site().join("base-1.0.dist-info/RECORD")).unwrap();
    let before = look(&shop.scratch.path("E"));
    let said = shop.run(&["uninstall", "base", "--env", "E"]).failed(3);
    assert!(
        said.contains("base 1.0 cannot be uninstalled: it has no RECORD"),
        "{said}"
    );
    let said = shop
        .run(&["uninstall", "pip", "absent", "--env", "E"])
        .failed(3);
    assert!(said.contains("`absent` is not installed in"), "{said}");
    let said = shop.run(&["install", "absent", "--env", "E"]).failed(1);
    assert!(said.contains("cannot resolve `absent`"), "{said}");
    compare(&before, &look(&shop.scratch.path("E")), Sameness::Exact).unwrap();
}

#[test]
fn a_new_environment_gets_what_requirements_and_plain_files_ask_for() {
    let Some(shop) = shop() else { return };
    fs::write(shop.scratch.path("plain.txt"), "other\n").unwrap();
    let path = shop.python.path.to_str().unwrap();
    let create = ["create", "--clear", "E", "--python", path];
    let with = ["--with", "lib<2", "-r", "plain.txt"];
    shop.said(&[&create[..], &with].concat());
    assert_eq!(shop.installed(), ["base-1.0", "lib-1.0", "other-1.0"]);
    shop.is_clean();
    // A file with hashes is a lock, in which everything must have one.
    let digits = "0".repeat(64);
    let mixed = format!("base==1.0 --hash=sha256:{digits}\nother\n");
    fs::write(shop.scratch.path("mixed.txt"), mixed).unwrap();
    let said = shop
        .run(&["install", "-r", "mixed.txt", "--env", "E"])
        .failed(2);
    assert!(said.contains("mixed.txt"), "{said}");
}

#[test]
fn pip_can_be_uninstalled_and_stays_away() {
    let Some(shop) = shop() else { return };
    shop.said(&["uninstall", "pip", "--env", "E"]);
    assert!(!shop.site().join("pip").exists());
    shop.said(&["install", "base", "--env", "E"]);
    assert!(!shop.site().join("pip").exists());
    assert_eq!(shop.installed(), ["base-1.0"]);
    shop.is_clean();
}

#[test]
fn an_uninstallation_warns_of_what_still_requires_the_package() {
    let Some(shop) = shop() else { return };
    shop.said(&["install", "app", "other", "--env", "E"]);
    let said = shop.said(&["uninstall", "base", "--dry-run", "--env", "E"]);
    assert!(
        said.contains("warning: lib 2.0 requires `base`, which will not be installed"),
        "{said}"
    );
    let said = shop.said(&["uninstall", "base", "--env", "E"]);
    for by in ["lib 2.0", "other 1.0"] {
        let warning = format!("warning: {by} requires `base`, which is not installed");
        assert!(said.contains(&warning), "{said}");
    }
    assert!(!said.contains("app 1.0 requires"), "{said}");
    // Those that go together need nothing.
    let said = shop.said(&["uninstall", "app", "lib", "--env", "E"]);
    assert!(!said.contains("warning"), "{said}");
}

/// What a lock names was asked for, also if something else needs it.
#[test]
fn only_what_others_need_is_not_marked_as_requested() {
    let Some(shop) = shop() else { return };
    let path = shop.python.path.to_str().unwrap();
    shop.said(&["lock", "base", "--python", path]);
    shop.said(&["sync", "-r", "pylock.toml", "--with", "app", "--env", "E"]);
    assert_eq!(shop.installed(), ["app-1.0", "base-1.0", "lib-2.0"]);
    let info = |name: &str| shop.site().join(format!("{name}.dist-info"));
    assert!(requested(&info("base-1.0")) && requested(&info("app-1.0")));
    assert!(!requested(&info("lib-2.0")));
}

/// Each command that changes packages can be planned here and carried out elsewhere.
#[test]
fn a_dry_run_saves_what_apply_carries_out() {
    let Some(shop) = shop() else { return };
    for (words, expected) in [
        (
            &["install", "app"][..],
            &["app-1.0", "base-1.0", "lib-2.0"][..],
        ),
        (&["uninstall", "app"], &["base-1.0", "lib-2.0"]),
    ] {
        let before = shop.installed();
        // What resolves starts an interpreter, which only the environment names here.
        let python = shop.python.path.to_str().unwrap();
        let dry = [
            "--env",
            "E",
            "--dry-run",
            "-o",
            "plan.json",
            "--python",
            python,
        ];
        let said = shop.said(&[words, &dry].concat());
        assert!(said.contains("Saved the plan. Apply it with"), "{said}");
        assert_eq!(shop.installed(), before);
        shop.said(&["apply", "plan.json"]);
        assert_eq!(shop.installed(), expected);
        shop.is_clean();
    }
    let said = shop
        .run(&["install", "app", "--env", "E", "-o", "p.json"])
        .failed(2);
    assert!(said.contains("--dry-run"), "{said}");
}

/// How often the page of a project was requested.
fn requested_pages(server: &Server, name: &str) -> usize {
    let path = format!("/simple/{name}/");
    let seen = server.seen();
    seen.iter().filter(|seen| seen.path == path).count()
}

#[test]
fn pip_resolves_again_only_if_what_is_installed_cannot_stay() {
    let Some(shop) = shop() else { return };
    shop.said(&["install", "lib<2", "--env", "E"]);
    let by_pip = ["--resolver", "pip"];
    // No second run finds an index that does not answer.
    let broken = Server::new(|_, stream| empty(stream, "503 Service Unavailable"));
    let words = [&["install", "lib", "other"], &by_pip[..]].concat();
    let said = ended(&mut shop.asking(&broken, &words)).failed(1);
    assert!(said.contains("pip cannot resolve"), "{said}");
    assert_eq!(requested_pages(&broken, "lib"), 1);
    // A requirement that excludes what is installed needs no run to find that out.
    let index = shop.index();
    let words = [&["install", "lib>1"], &by_pip[..]].concat();
    ended(&mut shop.asking(&index, &words)).ok();
    assert_eq!(shop.installed(), ["base-1.0", "lib-2.0"]);
    assert_eq!(requested_pages(&index, "lib"), 1);
    // What only pip finds out: `next` needs another `base`.
    let house = shop.scratch.path("house");
    let newer = [wheel("next", "1.0", "base>1"), wheel("base", "2.0", "")];
    wheels::write(&shop.python.path, &house, newer);
    let words = [&["install", "next"], &by_pip[..]].concat();
    ended(&mut shop.asking(&index, &words)).ok();
    assert_eq!(shop.installed(), ["base-2.0", "lib-2.0", "next-1.0"]);
    assert_eq!(requested_pages(&index, "next"), 2);
}

/// A process that is killed leaves its files where the cache is tidied.
#[test]
fn a_killed_resolver_leaves_nothing_but_in_the_cache() {
    let Some(shop) = shop() else { return };
    shop.said(&["install", "base", "--env", "E"]);
    for resolver in shop.resolvers() {
        let temporary = shop.scratch.path("tmp");
        fs::create_dir(&temporary).unwrap();
        let (asked, is_asked) = mpsc::channel();
        let (end, is_over) = mpsc::channel::<()>();
        let (asked, is_over) = (Mutex::new(asked), Mutex::new(is_over));
        let silent = Server::new(move |_, stream| {
            let _first_or_later = asked.lock().unwrap().send(());
            let _gone = is_over.lock().unwrap().recv();
            empty(stream, "404 Not Found")
        });
        let words = ["install", "other", "--resolver", resolver];
        let mut command = shop.asking(&silent, &words);
        let mut child = command.env("TMPDIR", &temporary).spawn().unwrap();
        is_asked.recv().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let names = fs::read_dir(&temporary).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), [""; 0], "{resolver}");
        let in_cache = || {
            let names = fs::read_dir(shop.scratch.cache()).unwrap();
            let names = names.map(|entry| entry.unwrap().path());
            let is_it = |path: &PathBuf| path.to_str().unwrap().contains("/resolve-");
            names.filter(is_it).collect::<Vec<_>>()
        };
        for left in in_cache() {
            let old = SystemTime::now() - Duration::from_hours(48);
            fs::File::open(left).unwrap().set_modified(old).unwrap();
        }
        shop.run(&["cache", "prune"]).ok();
        assert_eq!(in_cache(), [""; 0].map(PathBuf::from), "{resolver}");
        fs::remove_dir_all(temporary).unwrap();
        drop(end);
    }
}

/// I8: a file that another installer's version has too is no leftover of what rvenv published.
#[test]
fn what_another_installer_put_in_its_place_stays_whole() {
    let Some(shop) = shop() else { return };
    shop.said(&["install", "lib", "--env", "E"]);
    let house = shop.scratch.path("house");
    let pip = ["-m", "pip", "-q", "install", "--find-links"];
    let pip = [&pip, &[house.to_str().unwrap(), "lib<2"][..]].concat();
    shop.scratch
        .run(&shop.scratch.path("E/bin/python"), &pip)
        .ok();
    shop.said(&["install", "other", "--env", "E"]);
    assert!(shop.site().join("lib_top.py").is_file());
    shop.run(&["verify", "E"]).ok();
}

/// pip fetches it for its metadata. The pip of Python 3.12 would print its progress in front of the
/// report.
#[test]
fn a_large_wheel_of_an_index_without_metadata_is_installed() {
    let Some(pythons) = builds(12, 1) else { return };
    let shop = shop_of(pythons.into_iter().next().unwrap());
    let mut state = 1_u32;
    let digits = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{:04x}", state >> 16)
    });
    let digits: String = digits.take(27_500).collect();
    let large = NewWheel::new("large", "1.0").file("large/digits.txt", &digits);
    wheels::write(&shop.python.path, &shop.scratch.path("house"), [large]);
    let server = shop.index();
    let words = ["install", "large", "--resolver", "pip"];
    let said = ended(&mut shop.asking(&server, &words));
    assert!(
        said.stderr.contains("Installed 1 package: large 1.0"),
        "{}",
        said.stderr
    );
}
