//! The files in `docs/fleet` for tools that manage fleets: what each of them runs is run here,
//! by the tool itself where it is on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::artifacts::{Ground, TWO, ground};
use crate::machine::{ended, tool};

/// The reference in the examples, and the path of the environment.
const REFERENCE: &str = "oci://registry.example/team/app@sha256:DIGEST";

/// A registry with one environment, and what names it.
fn pushed() -> Option<(Ground, String)> {
    let ground = ground()?;
    ground.plan("p.json", TWO);
    let there = ground.push("p.json", &ground.registry.oci("team/app:v1"));
    Some((ground, there))
}

fn example(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("docs/fleet").join(name)).unwrap()
}

impl Ground {
    fn app(&self) -> PathBuf {
        self.bench.scratch.path("opt/app")
    }

    /// Runs the command of an example; its first word is `rvenv`.
    fn run_example(&self, words: &[String]) -> String {
        let [rvenv, words @ ..] = words else {
            panic!("no command");
        };
        assert_eq!(rvenv, "rvenv");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = ended(&mut self.there_command(&words));
        let told = format!("{}{}", said.stdout, said.stderr);
        said.ok();
        told
    }
}

/// The value of a key of a unit.
fn of_unit(unit: &str, key: &str) -> Vec<String> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    let found = lines.filter(|(name, _)| *name == key);
    found.map(|(_, value)| value.to_owned()).collect()
}

#[test]
fn the_unit_of_systemd_deploys_once_and_then_finds_nothing_to_do() {
    let Some((ground, there)) = pushed() else {
        return;
    };
    fs::create_dir(ground.bench.scratch.path("opt")).unwrap();
    let unit = example("app.service");
    let run = |key: &str| {
        let mut told = String::new();
        for line in of_unit(&unit, key) {
            let line = line.replace("${REFERENCE}", &there);
            let line = line.replace("/opt/app", ground.app().to_str().unwrap());
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            told += &ground.run_example(&words);
        }
        told
    };
    let first = run("ExecStart");
    assert!(first.contains("Created"), "{first}");
    let second = run("ExecStart");
    assert!(second.contains("no changes"), "{second}");
    let proved = run("ExecStartPost");
    assert!(proved.contains("state: proved"), "{proved}");
}

#[test]
fn systemd_accepts_the_units() {
    let Some(analyze) = tool("systemd-analyze") else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    for name in ["app.service", "app.timer"] {
        // The program is at a place of its own here.
        let text = example(name).replace("=rvenv ", &format!("={} ", env!("CARGO_BIN_EXE_rvenv")));
        fs::write(place.path().join(name), text).unwrap();
    }
    let done = Command::new(analyze)
        .args(["verify", "--man=no"])
        .args([
            place.path().join("app.service"),
            place.path().join("app.timer"),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("app.")).collect();
    assert_eq!(ours, [""; 0]);
}

#[test]
fn the_init_container_makes_what_the_container_starts() {
    let Some((ground, there)) = pushed() else {
        return;
    };
    let pod = example("pod.yaml");
    let app = ground.app();
    fs::create_dir_all(&app).unwrap();
    let commands: Vec<Vec<String>> = pod
        .lines()
        .filter_map(|line| line.trim().strip_prefix("command: "))
        .map(|line| {
            let line = line.replace(REFERENCE, &there);
            let line = line.replace("/opt/app", app.to_str().unwrap());
            serde_json::from_str(&line).unwrap()
        })
        .collect();
    let [init, program] = commands.as_slice() else {
        panic!("{pod}");
    };
    ground.run_example(init);
    let mut imported = Command::new(&program[0]);
    imported.args(["-c", "import alpha, beta; print('imported')"]);
    let output = imported.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "imported\n");
    let status = ground.there(&["status", "--json", app.join("env").to_str().unwrap()]);
    let status: Value = serde_json::from_str(&status.ok()).unwrap();
    assert!(status["receipt"]["plan"].is_string());
}

#[test]
fn ansible_deploys_once_and_says_what_runs_where() {
    let Some((ground, there)) = pushed() else {
        return;
    };
    let Some(playbook) = tool("ansible-playbook") else {
        return;
    };
    fs::create_dir(ground.bench.scratch.path("opt")).unwrap();
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fleet/ansible.yml");
    let play = || {
        let mut command = ground.there_command(&[]);
        command.env("ANSIBLE_HOME", ground.bench.scratch.path("ansible"));
        command.env("ANSIBLE_LOCALHOST_WARNING", "0");
        let mut played = Command::new(&playbook);
        played.args(["-i", "localhost,", "-c", "local"]).arg(&book);
        let app = ground.app();
        for (name, value) in [
            ("reference", there.as_str()),
            ("environment_path", app.to_str().unwrap()),
            ("rvenv", env!("CARGO_BIN_EXE_rvenv")),
            (
                "ansible_python_interpreter",
                ground.bench.python.to_str().unwrap(),
            ),
        ] {
            played.args(["-e", &format!("{name}={value}")]);
        }
        let pairs = command.get_envs();
        played.env_clear();
        played.envs(pairs.filter_map(|(name, value)| Some((name, value?))));
        ended(&mut played).ok()
    };
    let first = play();
    assert!(first.contains("changed=1"), "{first}");
    assert!(
        first.contains("plan ") && first.contains("health "),
        "{first}"
    );
    let second = play();
    assert!(second.contains("changed=0"), "{second}");
}
