//! The kit for continuous integration: the commands of `docs/ci.md`, of the action, of the
//! Dockerfile and of the hooks are taken out of these files and run.
//!
//! The wheels are in the cache, as if an earlier build had fetched them; no network. What the
//! machines of GitHub, GitLab and Docker add is not run: `uses` steps, caches and mounts.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::locks::{Bench, bench};
use crate::machine::{Ended, ended};

const ACTION: &str = include_str!("../../../action/action.yml");
const DOCKERFILE: &str = include_str!("../../../action/Dockerfile");
const HOOKS: &str = include_str!("../../../.pre-commit-hooks.yaml");
const PAGE: &str = include_str!("../../../docs/ci.md");

/// A project with a lock, a `python3` on PATH for which its wheels are, and rvenv.
struct Project {
    bench: Bench,
    bin: PathBuf,
}

fn project() -> Option<Project> {
    let bench = bench()?;
    let lock = bench.lock("ci", &[("alpha", "1.0"), ("beta", "1.0")]);
    fs::rename(lock, bench.scratch.path("pylock.toml")).unwrap();
    let bin = bench.scratch.path("bin");
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_rvenv"), bin.join("rvenv")).unwrap();
    for name in ["python", "python3"] {
        symlink(&bench.python, bin.join(name)).unwrap();
    }
    Some(Project { bench, bin })
}

impl Project {
    fn path(&self, below: &str) -> PathBuf {
        self.bench.scratch.path(below)
    }

    /// Puts the wheels where rvenv keeps what it fetched.
    fn stock(&self, cache: &Path) {
        for (name, version) in [("alpha", "1.0"), ("beta", "1.0")] {
            let (file, digest) = self.bench.wheel(name, version);
            let dir = cache.join("fetched").join(digest);
            fs::create_dir_all(&dir).unwrap();
            fs::copy(self.bench.house.join(&file), dir.join(file)).unwrap();
        }
    }

    fn shell(&self, text: &str, umask: &str) -> Command {
        let mut command = self.bench.scratch.program(Path::new("bash"), umask);
        let path = format!("{}:/usr/bin:/bin", self.bin.display());
        command
            .args(["-euo", "pipefail", "-c", text])
            .env("PATH", path);
        command
    }

    fn run(&self, text: &str) -> Ended {
        ended(&mut self.shell(text, "022"))
    }
}

/// The fenced blocks of a kind on the page.
fn blocks(kind: &str) -> Vec<&'static str> {
    let fence = format!("```{kind}\n");
    let blocks = PAGE.split(fence.as_str()).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

#[test]
fn the_commands_of_the_page_run_one_after_the_other() {
    let Some(project) = project() else { return };
    project.stock(&project.bench.scratch.cache());
    let blocks = blocks("sh");
    assert_eq!(blocks.len(), 4);
    let said: Vec<String> = blocks.iter().map(|text| project.run(text).ok()).collect();
    let active = project.path(".venv");
    assert!(
        said[0].ends_with(&format!("{}\n", active.display())),
        "{}",
        said[0]
    );
    for digest in &said[1..3] {
        assert_eq!(digest.len(), 65, "{digest}");
    }
    // Applied at the other path, and not at that of the plan.
    assert!(project.path(".venv-two/pyvenv.cfg").exists());
    assert!(!project.path(".venv-next").exists());
}

/// The commands of a step of the action and its environment variables, whose values are inputs.
struct Step {
    variables: Vec<(String, String)>,
    script: String,
}

/// The steps of the action that run commands.
fn steps() -> Vec<Step> {
    let defaults = inputs();
    let mut steps = Vec::new();
    for text in ACTION.split("    - name: ").skip(1) {
        let Some((head, script)) = text.split_once("      run: |\n") else {
            continue;
        };
        let variables = head.lines().filter_map(|line| {
            let (name, value) = line.trim().split_once(": ${{ inputs.")?;
            let input = value.strip_suffix(" }}")?;
            Some((name.to_owned(), defaults.get(input)?.clone()))
        });
        let script = script
            .lines()
            .map(|line| line.strip_prefix("        ").unwrap_or(line));
        steps.push(Step {
            variables: variables.collect(),
            script: script.collect::<Vec<_>>().join("\n"),
        });
    }
    steps
}

/// The inputs of the action with their defaults.
fn inputs() -> BTreeMap<String, String> {
    let text = ACTION.split("inputs:\n").nth(1).unwrap();
    let text = text.split("outputs:\n").next().unwrap();
    let mut found = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("    default: ") {
            found.insert(name.clone(), value.trim_matches('"').to_owned());
        } else if !line.starts_with("    ") {
            name = line.trim().trim_end_matches(':').into();
        }
    }
    found
}

#[test]
fn the_steps_of_the_action_create_and_activate_an_environment_and_name_its_digest() {
    let Some(project) = project() else { return };
    let home = project.bench.scratch.cache().with_file_name("home");
    project.stock(&home.join(".cache/rvenv"));
    let steps = steps();
    assert_eq!(steps.len(), 3);
    let files = ["GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH"];
    for name in files {
        fs::write(project.path(name), "").unwrap();
    }
    let read = |name: &str| fs::read_to_string(project.path(name)).unwrap();
    let play = || {
        for step in &steps {
            // A runner may have any umask.
            let mut command = project.shell(&step.script, "000");
            command
                .env_remove("RVENV_CACHE_DIR")
                .env("RUNNER_TEMP", project.path(""));
            command.env("GITHUB_ACTION_PATH", project.path("action"));
            command.envs(files.map(|name| (name, project.path(name))));
            for (name, value) in read("GITHUB_ENV")
                .lines()
                .filter_map(|line| line.split_once('='))
            {
                command.env(name, value);
            }
            let inputs = step.variables.iter().map(|(name, value)| {
                let value = if name.ends_with("OPTIONS") {
                    "--without-pip"
                } else {
                    value
                };
                (name, value)
            });
            ended(command.envs(inputs)).ok();
        }
    };
    play();
    let env = project.path(".venv");
    assert!(read("GITHUB_ENV").contains(&format!("VIRTUAL_ENV={}\n", env.display())));
    assert_eq!(read("GITHUB_PATH"), format!("{}/bin\n", env.display()));
    assert!(env.join("bin/alpha").exists());
    let digest = read("GITHUB_OUTPUT");
    assert!(
        digest.starts_with("digest=") && digest.len() == 7 + 65,
        "{digest}"
    );
    // The same job again, on a machine that keeps its files.
    fs::remove_dir_all(&env).unwrap();
    play();
    assert_eq!(read("GITHUB_OUTPUT"), digest.repeat(2));
}

#[test]
fn the_job_for_gitlab_keeps_its_cache_in_a_project_that_every_user_may_write() {
    let Some(project) = project() else { return };
    let home = project.bench.scratch.cache().with_file_name("home");
    let job = blocks("yaml")
        .into_iter()
        .find(|block| block.contains("script:"))
        .unwrap();
    let lines = job.split("script:\n").nth(1).unwrap().lines();
    let script: Vec<&str> = lines
        .filter_map(|line| line.strip_prefix("    - "))
        .collect();
    assert_eq!(script.len(), 6);
    project.stock(&project.path(".rvenv-cache"));
    for _ in 0..2 {
        let mut command = project.shell(&script.join("\n"), "000");
        let said = ended(command.env_remove("RVENV_CACHE_DIR")).ok();
        assert!(
            said.ends_with(&format!("{}\n", project.path(".venv").display())),
            "{said}"
        );
        assert!(project.path(".rvenv-cache/packs").exists());
        // Every job begins with a home of its own.
        fs::remove_dir_all(home.join(".cache")).unwrap();
        fs::remove_dir_all(project.path(".venv")).unwrap();
    }
}

/// The command of the Dockerfile that makes the layer, without the mounts, for these paths.
fn layer_command(project: &Project) -> String {
    let text = DOCKERFILE.split("RUN ").nth(1).unwrap();
    let lines = text
        .lines()
        .map(|line| line.trim_end().trim_end_matches('\\'));
    let end = text.lines().position(|line| !line.ends_with('\\')).unwrap();
    let words: Vec<&str> = lines
        .take(end + 1)
        .flat_map(str::split_whitespace)
        .collect();
    let mounts = words.iter().filter(|word| word.starts_with("--mount="));
    assert_eq!(mounts.count(), 2);
    let words = words.iter().filter(|word| !word.starts_with("--mount="));
    let words: Vec<&str> = words.copied().collect();
    let path = |below: &str| project.path(below).display().to_string();
    words
        .join(" ")
        .replace("/app", &path("app"))
        .replace("/run/pylock.toml", &path("pylock.toml"))
        .replace(
            "/usr/local/bin/python3",
            project.bench.python.to_str().unwrap(),
        )
}

#[test]
fn the_layer_of_the_dockerfile_has_the_same_bytes_when_it_is_built_again() {
    let Some(project) = project() else { return };
    let command = layer_command(&project);
    let build = |name: &str, umask: &str| {
        let cache = project.bench.scratch.cache().with_file_name(name);
        project.stock(&cache);
        let mut command = project.shell(&command, umask);
        command
            .env("RVENV_CACHE_DIR", cache)
            .env("SOURCE_DATE_EPOCH", "1700000000");
        ended(&mut command).ok();
        let tar = "tar --sort=name --numeric-owner -cf layer.tar app && sha256sum <layer.tar";
        let digest = project.run(tar).ok();
        let layer = fs::read(project.path("layer.tar")).unwrap();
        fs::remove_dir_all(project.path("app")).unwrap();
        (digest, layer.len())
    };
    let first = build("one", "022");
    assert!(first.1 > 10_240, "{first:?}");
    assert_eq!(build("two", "022"), first);
}

#[test]
fn the_hooks_verify_and_follow_the_lock() {
    let Some(project) = project() else { return };
    project.stock(&project.bench.scratch.cache());
    project
        .run("rvenv create .venv -r pylock.toml --without-pip")
        .ok();
    let entries: Vec<&str> = HOOKS
        .lines()
        .filter_map(|line| line.strip_prefix("  entry: "))
        .collect();
    let [verify, sync] = entries[..] else {
        panic!("{entries:?}")
    };
    project.run(verify).ok();
    project.run("rvenv uninstall -q --env .venv beta").ok();
    project.run(verify).failed(4);
    project.run(sync).ok();
    project.run(verify).ok();
}
