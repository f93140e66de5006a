//! `rvenv clone`: the same packages at another path, for environments of any tool.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::locks::{Bench, bench};
use crate::machine::tool;
use crate::packages::packages_of;
use crate::trees::{Sameness, compare, look};
use crate::wheels::{self, NewWheel};

/// What each package says: pip's list of an environment.
fn listed(bench: &Bench, env: &str) -> String {
    let python = bench.scratch.path(env).join("bin/python");
    let list = ["-B", "-m", "pip", "list", "--format=freeze", "--no-index"];
    bench.scratch.run(&python, &list).ok()
}

fn verified(bench: &Bench, env: &str) {
    let said = bench.scratch.rvenv(&["verify", env]).ok();
    assert!(said.contains("state: clean"), "{env}: {said}");
}

/// No file of the clone names the environment that it was made from, or is the same file.
fn assert_apart(from: &Path, clone: &Path) {
    let old = from.to_str().unwrap();
    let mut open = vec![clone.to_path_buf()];
    while let Some(path) = open.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if meta.is_file() && path.parent().unwrap().ends_with("bin") {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            assert!(!text.contains(&format!("{old}/")), "{}", path.display());
        }
        let same = from.join(path.strip_prefix(clone).unwrap());
        if meta.is_file() && same.is_file() {
            let other = fs::metadata(&same).unwrap();
            let shared = (meta.dev(), meta.ino()) == (other.dev(), other.ino());
            // What both have from the cache may be shared, as of any two environments.
            assert!(!shared || meta.nlink() > 2, "{}", path.display());
        }
    }
}

/// `E` of `python -m venv`, with packages of pip, one of them editable, and the user's own files.
fn of_pip(bench: &Bench) {
    let wheel = NewWheel::new("tool", "1.0")
        .file("tool.py", "def main():\n    print('it runs')\n")
        .program("main");
    wheels::write(&bench.python, &bench.house, [wheel]);
    bench.scratch.run(&bench.python, &["-m", "venv", "E"]).ok();
    let python = bench.scratch.path("E/bin/python");
    let house = bench.house.to_str().unwrap();
    let install = [
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--find-links",
        house,
    ];
    let packages = ["tool", "alpha"];
    bench
        .scratch
        .run(&python, &[&install[..], &packages].concat())
        .ok();
    let site = packages_of(&bench.scratch.path("E"));
    let project = bench.scratch.path("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("edited.py"), "value = 1\n").unwrap();
    let info = site.join("edited-1.0.dist-info");
    fs::create_dir(&info).unwrap();
    fs::write(site.join("edited.pth"), format!("{}\n", project.display())).unwrap();
    fs::write(
        info.join("METADATA"),
        "Metadata-Version: 2.1\nName: edited\nVersion: 1.0\n",
    )
    .unwrap();
    let url = format!(
        "{{\"dir_info\": {{\"editable\": true}}, \"url\": \"file://{}\"}}",
        project.display()
    );
    fs::write(info.join("direct_url.json"), url).unwrap();
    fs::write(
        info.join("WHEEL"),
        "Wheel-Version: 1.0\nTag: py3-none-any\n",
    )
    .unwrap();
    let record = "edited.pth,,\nedited-1.0.dist-info/METADATA,,\nedited-1.0.dist-info/WHEEL,,\n\
                  edited-1.0.dist-info/direct_url.json,,\nedited-1.0.dist-info/RECORD,,\n";
    fs::write(info.join("RECORD"), record).unwrap();
    fs::write(site.join("own.py"), "").unwrap();
    fs::create_dir_all(bench.scratch.path("E/notes/deep")).unwrap();
    fs::write(bench.scratch.path("E/notes/deep/a.txt"), "mine").unwrap();
}

#[test]
fn a_clone_of_what_pip_installed_works_apart_from_it_and_names_what_it_lacks() {
    let Some(bench) = bench() else { return };
    of_pip(&bench);
    let before = look(&bench.scratch.path("E"));
    let cloned = bench.scratch.rvenv(&["clone", "E", "deep/F"]);
    let said = cloned.stderr.clone();
    cloned.ok();
    assert!(said.starts_with("Cloned `E` to `deep/F` with "), "{said}");
    let site = packages_of(&bench.scratch.path("E"));
    let site = site
        .strip_prefix(bench.scratch.path("E"))
        .unwrap()
        .display();
    let foreign = format!("Did not copy 2 paths of no package: {site}/own.py, notes/\n");
    assert!(said.contains(&foreign), "{said}");
    verified(&bench, "deep/F");
    let clone = bench.scratch.path("deep/F");
    assert_apart(&bench.scratch.path("E"), &clone);
    let programs = fs::read_dir(clone.join("bin")).unwrap();
    let names = programs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let own = names
        .filter(|name| !name.starts_with("python") && !name.to_lowercase().contains("activate"));
    for program in own.collect::<Vec<_>>() {
        let asked: &[&str] = if program.starts_with("pip") {
            &["--version"]
        } else {
            &[]
        };
        bench
            .scratch
            .run(&clone.join("bin").join(&program), asked)
            .ok();
    }
    let python = clone.join("bin/python");
    let edited = bench.scratch.run(
        &python,
        &["-B", "-c", "import edited; print(edited.__file__)"],
    );
    let at_project = format!("{}\n", bench.scratch.path("project/edited.py").display());
    assert_eq!(edited.ok(), at_project);
    assert_eq!(listed(&bench, "E"), listed(&bench, "deep/F"));
    compare(&before, &look(&bench.scratch.path("E")), Sameness::Exact).unwrap();
}

#[test]
fn environments_of_other_tools_are_cloned() {
    let Some(bench) = bench() else { return };
    let python = bench.python.to_str().unwrap().to_owned();
    let lock = bench.lock("a", &[("alpha", "1.0"), ("beta", "1.0")]);
    bench.create(&lock, &["--prompt", "named"]).ok();
    let mut made = vec!["E"];
    for (name, words) in [
        (
            "uv",
            vec![
                "venv",
                "--offline",
                "-q",
                "--seed",
                "--no-index",
                "-p",
                &python,
                "uv",
            ],
        ),
        ("virtualenv", vec!["-q", "-p", &python, "virtualenv"]),
    ] {
        if let Some(tool) = tool(name)
            && bench.scratch.run(&tool, &words).code == Some(0)
        {
            made.push(name);
        }
    }
    for env in made {
        let clone = format!("{env}-clone");
        bench.scratch.rvenv(&["clone", env, &clone]).ok();
        verified(&bench, &clone);
        assert_eq!(listed(&bench, env), listed(&bench, &clone), "{env}");
        // A clone is an environment like any other, so it can be cloned.
        let again = format!("{env}-again");
        bench.scratch.rvenv(&["clone", &clone, &again]).ok();
        verified(&bench, &again);
    }
    let config = fs::read_to_string(bench.scratch.path("E-clone/pyvenv.cfg")).unwrap();
    assert!(
        config.contains("prompt = 'named'") || config.contains("prompt = named"),
        "{config}"
    );
}

/// I4: a saved plan of a clone is refused once a package of the source is another one.
#[test]
fn a_clone_is_planned_and_applied_later_unless_the_source_changed() {
    let Some(bench) = bench() else { return };
    let first = bench.lock("a", &[("alpha", "1.0")]);
    let second = bench.lock("b", &[("alpha", "2.0")]);
    bench.create(&first, &[]).ok();
    let before = look(&bench.scratch.path("E"));
    let plan = ["clone", "E", "F", "--dry-run", "-o", "p.json"];
    let shown = bench.scratch.rvenv(&plan).ok();
    assert!(shown.contains("    + alpha 1.0"), "{shown}");
    assert!(!bench.scratch.path("F").exists());
    bench.scratch.rvenv(&["apply", "p.json"]).ok();
    verified(&bench, "F");
    bench.scratch.rvenv(&["clone", "E", "G"]).ok();
    compare(&before, &look(&bench.scratch.path("E")), Sameness::Exact).unwrap();
    bench
        .scratch
        .rvenv(&["clone", "E", "H", "--dry-run", "-o", "p.json"])
        .ok();
    bench.sync(&second, &[]).ok();
    let said = bench.scratch.rvenv(&["apply", "p.json"]).failed(3);
    assert!(said.contains("alpha-1.0.dist-info/RECORD"), "{said}");
    assert!(!bench.scratch.path("H").exists());
}

/// I8: no package is left out, or copied although it is damaged.
#[test]
fn a_clone_is_refused_where_something_exists_or_a_package_cannot_be_copied() {
    let Some(bench) = bench() else { return };
    let lock = bench.lock("a", &[("alpha", "1.0")]);
    bench.create(&lock, &["--without-pip"]).ok();
    fs::create_dir(bench.scratch.path("there")).unwrap();
    let said = bench.scratch.rvenv(&["clone", "E", "there"]).failed(3);
    assert!(
        said.starts_with("error[occupied]: `there` exists already\n"),
        "{said}"
    );
    let said = bench.scratch.rvenv(&["clone", "absent", "F"]).failed(3);
    assert!(said.contains("there is no environment at"), "{said}");
    if let Some(other) = crate::packages::builds(13, 1) {
        let other = other[0].path.to_str().unwrap();
        let said = bench
            .scratch
            .rvenv(&["clone", "E", "F", "-p", other])
            .failed(3);
        assert!(said.contains("are for another Python than 3.13."), "{said}");
    }
    let failing = ["clone", "E", "F", "--check", "false"];
    bench.scratch.rvenv(&failing).failed(1);
    assert!(!bench.scratch.path("F").exists());
    let site = packages_of(&bench.scratch.path("E"));
    let module = fs::read_dir(&site)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let module = module
        .map(|path| path.join("__init__.py"))
        .find(|path| path.is_file());
    let module = module.unwrap_or_else(|| site.join("alpha.py"));
    fs::remove_file(&module).unwrap();
    let said = bench.scratch.rvenv(&["clone", "E", "F"]).failed(3);
    assert!(
        said.contains("1 package of `E` cannot be copied: alpha 1.0: "),
        "{said}"
    );
    assert!(!bench.scratch.path("F").exists());
}
