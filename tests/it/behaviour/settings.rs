//! Settings: variables and files that give options their values, in their order; what a project may
//! not set; and `rvenv config`, which names each value and its place.

use std::fs;
use std::os::unix::fs::{lchown, symlink};

use crate::machine::{Ended, Scratch, ended, player};

fn scratch() -> Scratch {
    let scratch = Scratch::cold();
    player(&scratch, "python");
    scratch
}

fn rvenv(scratch: &Scratch, words: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = scratch.command(words);
    command.env("RVENV_PYTHON", scratch.path("python"));
    ended(command.envs(variables.iter().copied()))
}

/// Writes the user's own settings.
fn of_user(scratch: &Scratch, text: &str) {
    let dir = scratch.path("../home/.config/rvenv");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("rvenv.toml"), text).unwrap();
}

fn of_project(scratch: &Scratch, text: &str) {
    fs::write(scratch.path("rvenv.toml"), text).unwrap();
}

/// The prompt of an environment that is made with these words and variables.
fn prompt(scratch: &Scratch, words: &[&str], variables: &[(&str, &str)]) -> String {
    let create = ["create", "--without-pip", "--clear", "E"];
    rvenv(scratch, &[&create[..], words].concat(), variables).ok();
    let config = fs::read_to_string(scratch.path("E/pyvenv.cfg")).unwrap();
    let line = config
        .lines()
        .find_map(|line| line.strip_prefix("prompt = "));
    line.unwrap_or_default().trim_matches('\'').to_owned()
}

#[test]
fn the_command_line_comes_before_variables_projects_and_the_user() {
    let scratch = scratch();
    assert_eq!(prompt(&scratch, &[], &[]), "");
    of_user(&scratch, "prompt = 'user'\n");
    assert_eq!(prompt(&scratch, &[], &[]), "user");
    fs::write(
        scratch.path("pyproject.toml"),
        "[tool.rvenv]\nprompt = 'table'\n",
    )
    .unwrap();
    assert_eq!(prompt(&scratch, &[], &[]), "table");
    of_project(&scratch, "prompt = 'file'\n");
    assert_eq!(prompt(&scratch, &[], &[]), "file");
    let variable = [("RVENV_PROMPT", "variable")];
    assert_eq!(prompt(&scratch, &[], &variable), "variable");
    assert_eq!(prompt(&scratch, &["--prompt", "typed"], &variable), "typed");
}

#[test]
fn a_setting_gives_way_to_a_typed_option_that_contradicts_it() {
    let scratch = scratch();
    of_project(&scratch, "copies = true\nkeep = true\n");
    let create = ["create", "--without-pip", "E"];
    rvenv(&scratch, &[&create[..], &["--symlinks"]].concat(), &[]).ok();
    let python = scratch.path("E/bin/python");
    assert!(fs::symlink_metadata(&python).unwrap().is_symlink());
    let clear = [&create[..], &["--clear", "--prompt", "p"]].concat();
    rvenv(&scratch, &[&clear[..], &["--no-keep"]].concat(), &[]).ok();
    let said = rvenv(&scratch, &["generations", "E"], &[]).stderr;
    assert!(said.contains("has no generations"), "{said}");
    let said = rvenv(&scratch, &clear, &[]);
    assert!(said.stderr.contains("as generation 1"), "{}", said.stderr);
    assert!(!fs::symlink_metadata(&python).unwrap().is_symlink());
}

/// An option of the same name may mean something else, or need another one.
#[test]
fn a_setting_is_no_option_of_a_command_for_which_it_makes_no_sense() {
    let scratch = scratch();
    rvenv(&scratch, &["create", "--without-pip", "E"], &[]).ok();
    of_project(
        &scratch,
        "keep = true\npython = '3.13'\nlink-mode = 'copy'\n",
    );
    of_user(&scratch, "wheelhouse = 'wheels'\n");
    for words in [
        &["generations", "E"] as &[&str],
        &["verify", "E"],
        &["status", "E"],
        &["cache", "prune"],
        &["python", "list"],
        &["recover", "E"],
    ] {
        rvenv(&scratch, words, &[]).ok();
    }
}

#[test]
fn a_wrong_setting_is_named_with_its_place() {
    let scratch = scratch();
    let place = scratch.path("rvenv.toml");
    let place = place.display();
    for (text, expected) in [
        (
            "no-such = 1",
            format!("`{place}` has the unknown setting `no-such`"),
        ),
        (
            "wait = 'long'",
            format!("the setting `wait` in `{place}` is not a number of 0 or more"),
        ),
        (
            "copies = 1",
            format!("the setting `copies` in `{place}` is neither `true` nor `false`"),
        ),
        (
            "durability = 'x'",
            format!("the setting `durability` in `{place}` is refused: "),
        ),
        ("= 1", format!("cannot read the settings in `{place}`")),
    ] {
        of_project(&scratch, text);
        let said = rvenv(&scratch, &["create", "--without-pip", "E"], &[]).failed(2);
        assert!(said.starts_with("error[bad-setting]: "), "{said}");
        assert!(said.contains(&expected), "{expected}: {said}");
        assert!(!scratch.path("E").exists());
    }
    of_project(&scratch, "");
    let said = rvenv(&scratch, &["create", "E"], &[("RVENV_COPIES", "maybe")]).failed(2);
    assert!(
        said.contains("the setting `copies` in `RVENV_COPIES` is neither"),
        "{said}"
    );
}

/// I6: the author of a checkout starts nothing by its files.
#[test]
fn a_project_may_not_set_what_runs_programs_or_names_an_interpreter() {
    let scratch = scratch();
    for text in [
        "build = true",
        "index-url = 'https://example.org/simple'",
        "find-links = 'wheels'",
        "allow-host = 'example.org'",
        "allow-other-owner = true",
        "python = './python'",
        "python = 'python'",
        "python = '/usr/bin/python3'",
    ] {
        of_project(&scratch, text);
        let said = rvenv(&scratch, &["create", "--without-pip", "E"], &[]).failed(2);
        assert!(said.contains(" may only be "), "{text}: {said}");
        assert!(
            said.contains("hint: set it in `rvenv/rvenv.toml`"),
            "{said}"
        );
        assert!(!scratch.path("E").exists());
    }
    of_project(&scratch, "python = '3.99'\n");
    let mut command = scratch.command(&["create", "--without-pip", "E"]);
    let said = ended(command.env_remove("RVENV_PYTHON")).failed(1);
    assert!(
        said.contains("found no usable interpreter for `Python 3.99`"),
        "{said}"
    );
    // What the user says counts more.
    rvenv(&scratch, &["create", "--without-pip", "E"], &[]).ok();
}

/// I6: nor does another user who may write above the working directory.
#[test]
fn a_file_of_another_user_is_not_read() {
    let scratch = scratch();
    of_project(&scratch, "prompt = 'foreign'\n");
    if lchown(scratch.path("rvenv.toml"), Some(65534), None).is_err() {
        println!("skipped: only root gives a file to another user");
        return;
    }
    assert_eq!(prompt(&scratch, &[], &[]), "");
}

#[test]
fn config_names_each_value_and_where_it_comes_from() {
    let scratch = scratch();
    of_user(
        &scratch,
        "color = 'never'\nfind-links = ['wheels', 'https://example.org/']\n",
    );
    of_project(&scratch, "link-mode = 'copy'\n");
    let said = rvenv(&scratch, &["config"], &[("RVENV_WAIT", "5")]).ok();
    let root = scratch.path("");
    let root = root.ancestors().nth(1).unwrap().to_str().unwrap();
    let said = said.replace(root, "[root]");
    let line = |key: &str| -> Vec<String> {
        let start = format!("{key} ");
        let line = said.lines().find(|line| line.starts_with(&start)).unwrap();
        line.split_whitespace().skip(1).map(str::to_owned).collect()
    };
    assert_eq!(line("wait"), ["5", "RVENV_WAIT"]);
    assert_eq!(line("link-mode"), ["copy", "[root]/work/rvenv.toml"]);
    assert_eq!(
        line("color"),
        ["never", "[root]/home/.config/rvenv/rvenv.toml"]
    );
    assert_eq!(line("durability"), ["power", "default"]);
    assert_eq!(line("copies"), ["-", "default"]);
    let places = line("find-links");
    assert_eq!(places[0], "[root]/home/.config/rvenv/wheels");
    assert_eq!(places[1], "https://example.org/");
}

#[test]
fn a_file_of_a_checkout_is_read_up_to_a_limit() {
    let scratch = scratch();
    let long = format!("# rvenv {}\n", "x".repeat(5 << 20));
    fs::write(scratch.path("pyproject.toml"), &long).unwrap();
    rvenv(&scratch, &["config"], &[]).ok();
    of_project(&scratch, &long);
    let said = rvenv(&scratch, &["config"], &[]).failed(2);
    assert!(said.contains("rvenv.toml"), "{said}");
    assert!(said.contains("longer than what may be read here"), "{said}");
}

#[test]
fn a_file_that_is_no_toml_is_named_by_its_line_and_not_quoted() {
    let scratch = scratch();
    fs::write(scratch.path("secrets"), "a = 1\npassword hunter2\n").unwrap();
    symlink("secrets", scratch.path("rvenv.toml")).unwrap();
    let said = rvenv(&scratch, &["config"], &[]).failed(2);
    assert!(said.contains("rvenv.toml`: line 2: "), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn files_that_do_not_count_are_named_with_the_reason() {
    let scratch = scratch();
    let none = rvenv(&scratch, &["config"], &[]);
    assert_eq!(none.stderr, "");
    fs::create_dir_all(scratch.path("deep/rvenv.toml")).unwrap();
    fs::write(scratch.path("deep/pyproject.toml"), "[tool.rvenv\n").unwrap();
    of_project(&scratch, "wait = 7\n");
    // A table of others, or none at all, is nothing to name.
    fs::write(scratch.path("pyproject.toml"), "[tool.other\n").unwrap();
    let config = |words: &[&str]| {
        let mut command = scratch.command(words);
        ended(command.current_dir(scratch.path("deep")))
    };
    let said = config(&["config"]);
    let deep = scratch.path("deep").display().to_string();
    let expected = format!(
        "warning: skipped `{deep}/rvenv.toml`: it is no regular file\n\
         warning: skipped `{deep}/pyproject.toml`: it is no valid TOML\n"
    );
    assert_eq!(said.stderr, expected);
    let wait = said.stdout.lines().find(|line| line.starts_with("wait "));
    assert!(wait.unwrap().contains(" 7 "), "{}", said.stdout);
    let said: serde_json::Value =
        serde_json::from_str(&config(&["config", "--json"]).ok()).unwrap();
    assert_eq!(said["skipped"][1]["why"], "it is no valid TOML");
    if lchown(scratch.path("rvenv.toml"), Some(65534), None).is_err() {
        println!("skipped: only root may give a file away");
        return;
    }
    let said = config(&["config"]).stderr;
    assert!(
        said.contains("/rvenv.toml`: it belongs to user 65534\n"),
        "{said}"
    );
}
