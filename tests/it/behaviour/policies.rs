//! Policies: what commands do with awkward targets, one test for each.
//!
//! Links, mount points, files, directories of other users, sticky and read-only places, immutable
//! entries, long names, and filesystems that lack a feature. A command refuses before it touches
//! anything. Tests that need root or a missing tool are skipped with the reason. Read next:
//! `bad_input.rs`, `breakages.rs`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::machine::{self, ended};
use crate::mounts::{has, is_among_mounts};
use crate::places::{Kind, MountedLab};
use crate::refused::refused_by;
use crate::sandbox::{self, Sandbox, sandbox, sandbox_for_all};
use crate::trees::{Ended, Lab, Sameness, compare, end, look};
use rvenv::hooks::{self, Context, Draft, HookError, Hooks, Venv};
use rvenv::options::Options;
use rvenv::python::{self, Control, Request, Surroundings};
use rvenv_journal::Mode;

/// Every way to change `E`; what makes an environment of it comes first.
const CHANGES: [&[&str]; 5] = [
    &["create", "E"],
    &["create", "E", "--prompt", "p"],
    &["upgrade", "E", "--prompt", "q"],
    &["create", "E", "--clear", "--keep"],
    &["create", "E", "--prompt", "r", "--copies", "--keep"],
];

/// Commands that take no interpreter.
const PLAIN: [&str; 4] = ["repair", "rollback", "recover", "verify"];

fn all_changes(sandbox: &Sandbox) {
    for words in CHANGES {
        sandbox.verb(words[0], &words[1..]).ok();
        sandbox.works("E");
    }
    sandbox.scratch.rvenv(&["rollback", "E"]).ok();
    sandbox.works("E");
    fs::remove_file(sandbox.path("E/bin/activate")).unwrap();
    sandbox.scratch.rvenv(&["repair", "E"]).ok();
    sandbox.works("E");
}

/// Every command ends with this code and touches nothing.
fn all_refused(sandbox: &Sandbox, target: &str, code: i32) {
    for words in CHANGES {
        let words: Vec<_> = words
            .iter()
            .map(|word| if *word == "E" { target } else { word })
            .collect();
        sandbox.refused(&words, code);
    }
    for verb in PLAIN {
        refused_by(
            &sandbox.scratch,
            &mut sandbox.scratch.command(&[verb, target]),
            code,
        );
    }
}

#[test]
fn a_link_to_a_directory_is_kept_by_every_command() {
    let Some(sandbox) = sandbox() else { return };
    fs::create_dir(sandbox.path("real")).unwrap();
    symlink("real", sandbox.path("E")).unwrap();
    all_changes(&sandbox);
    assert_eq!(fs::read_link(sandbox.path("E")).unwrap(), Path::new("real"));
    assert!(!sandbox.path("real").is_symlink());
}

#[test]
fn links_that_lead_nowhere_or_to_links_and_files_are_refused_by_every_command() {
    let Some(sandbox) = sandbox() else { return };
    symlink("nowhere", sandbox.path("dangling")).unwrap();
    symlink("loop", sandbox.path("loop")).unwrap();
    fs::create_dir(sandbox.path("real")).unwrap();
    symlink("real", sandbox.path("link")).unwrap();
    symlink("link", sandbox.path("chain")).unwrap();
    sandbox.write("file", "mine");
    sandbox::fifo(&sandbox.path("fifo"));
    for target in ["dangling", "loop", "chain", "file", "file/E", "fifo"] {
        all_refused(&sandbox, target, 3);
    }
}

#[test]
fn paths_that_break_an_environment_are_refused_by_every_command() {
    let Some(sandbox) = sandbox() else { return };
    for target in ["a:b", "a\nb", "a\u{7f}b", ""] {
        all_refused(&sandbox, target, 2);
    }
}

#[test]
fn the_working_directory_becomes_an_environment_around_what_is_in_it() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write(".gitignore", "*.o\n");
    sandbox.write("src/main.py", "print(1)\n");
    sandbox.write("lib/own.py", "");
    sandbox.write("bin/tool", "");
    fs::set_permissions(sandbox.path("bin"), fs::Permissions::from_mode(0o700)).unwrap();
    let own = [".gitignore", "src/main.py", "lib/own.py", "bin/tool"];
    let before = own.map(|path| fs::metadata(sandbox.path(path)).unwrap().ino());
    for words in [
        &["create", "."][..],
        &["create", "."],
        &["upgrade", "."],
        &["create", ".", "--prompt", "p"],
    ] {
        sandbox.verb(words[0], &words[1..]).ok();
        sandbox.works("");
        assert_eq!(
            own.map(|path| fs::metadata(sandbox.path(path)).unwrap().ino()),
            before
        );
    }
    assert_eq!(
        fs::metadata(sandbox.path("bin")).unwrap().mode() & 0o777,
        0o700
    );
    assert_eq!(sandbox.read(".gitignore"), "*.o\n");
}

#[test]
fn a_directory_that_is_no_environment_only_gets_what_is_absent() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.write("E/bin/activate", "mine");
    let said = sandbox.refused(&["create", "E"], 3);
    assert!(said.contains("bin/activate"), "{said}");
    sandbox.refused(&["create", "E", "--clear"], 3);
    sandbox.refused(&["upgrade", "E"], 3);
    // A saved plan does not contain the permission.
    let plan = sandbox.path("../plan.json").display().to_string();
    sandbox
        .verb("plan", &["E", "--clear", "--force", "-o", &plan])
        .ok();
    refused_by(
        &sandbox.scratch,
        &mut sandbox.scratch.command(&["apply", &plan]),
        3,
    );
    assert_eq!(sandbox.read("E/bin/activate"), "mine");
}

/// An environment that only its owner may write stays unchanged, whichever command another user
/// runs.
#[test]
fn an_environment_of_another_owner_is_refused() {
    let Some(sandbox) = sandbox_for_all() else {
        return;
    };
    sandbox.create(&["E"]).ok();
    for words in &CHANGES[1..] {
        let mut other = sandbox.as_other_user(words);
        refused_by(&sandbox.scratch, &mut other, 1);
    }
}

#[test]
fn in_a_sticky_directory_ones_own_environment_is_changed_and_no_other() {
    let Some(sandbox) = sandbox_for_all() else {
        return;
    };
    fs::create_dir(sandbox.path("tmp")).unwrap();
    fs::set_permissions(sandbox.path("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    sandbox.create(&["tmp/E"]).ok();
    for flags in [
        &["create", "tmp/own"][..],
        &["create", "tmp/own", "--clear"],
        &["upgrade", "tmp/own", "--prompt", "p"],
    ] {
        let mut other = sandbox.as_other_user(flags);
        ended(&mut other).ok();
        sandbox.works("tmp/own");
    }
    let before = machine::tree(&sandbox.path("tmp/E"));
    for flags in [
        ["create", "tmp/E", "--clear"],
        ["upgrade", "tmp/E", "--copies"],
    ] {
        let mut other = sandbox.as_other_user(&flags);
        let said = ended(&mut other).failed(1);
        assert!(said.contains("as it was before"), "{said}");
        assert!(before == machine::tree(&sandbox.path("tmp/E")), "{said}");
    }
    assert_eq!(fs::read_dir(sandbox.path("tmp")).unwrap().count(), 2);
}

/// The longest name of a directory leaves no room for longer names beside it: rvenv hashes those.
#[test]
fn the_longest_name_works_and_a_longer_one_is_refused() {
    let Some(sandbox) = sandbox() else { return };
    let longest = "n".repeat(255);
    symlink(&longest, sandbox.path("E")).unwrap();
    sandbox.create(&[&longest]).ok();
    all_changes(&sandbox);
    fs::remove_file(sandbox.path("E")).unwrap();
    let mut names = sandbox.litter();
    names.retain(|name| !name.contains(".rvenv.old-"));
    assert_eq!(names, [longest.as_str()]);
    let longer = "n".repeat(256);
    let said = sandbox.refused(&["create", &longer], 1);
    assert!(said.contains("too long"), "{said}");
}

/// A builder whose last stage plans a name that differs from another in case alone.
struct Shouting;

impl Hooks for Shouting {
    fn post_setup(&self, _context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        draft.symlink("bin/PYTHON", "activate")
    }
}

/// On a filesystem that ignores case two such names are one: no plan has both, wherever it is made.
#[test]
fn names_that_differ_in_case_alone_are_refused_when_they_are_planned() {
    let Some(sandbox) = sandbox() else { return };
    let around = Surroundings {
        cwd: sandbox.path(""),
        search_path: Some("/usr/bin:/bin".into()),
        ..Surroundings::default()
    };
    let request = Request::Path(sandbox.python.path.clone());
    let found = python::find(&request, &around, &Control::default()).unwrap();
    let options = Options {
        with_pip: false,
        umask: Mode::ALL.bits() & 0o022,
        ..Options::default()
    };
    let context = Context::new(sandbox.path("E").to_str().unwrap(), found, options).unwrap();
    assert!(hooks::build(&Venv, &context).is_ok());
    let refused = hooks::build(&Shouting, &context).unwrap_err().to_string();
    assert!(
        refused.contains("bin/PYTHON") && refused.contains("case"),
        "{refused}"
    );
}

/// A lab at a place, with an environment that has files of its own where the place can carry one.
fn place(test: &str, kind: Kind, prepare: impl Fn(&Lab)) -> Option<MountedLab> {
    is_among_mounts(module_path!(), test).then(|| MountedLab::new(kind, |lab| prepare(lab)))?
}

fn created(lab: &Lab) {
    let ended = end(&mut lab.rvenv(&lab.create(&["--without-pip"])));
    assert_eq!(ended.code, Some(0), "{}", ended.story);
    lab.add_strangers(5);
}

fn run(place: &MountedLab, words: &[&str]) -> Ended {
    let mut all = vec![words[0].to_owned(), place.lab.shown_target()];
    all.extend(words[1..].iter().map(|word| (*word).to_owned()));
    if matches!(words[0], "create" | "upgrade" | "plan") {
        all.push("--without-pip".to_owned());
    }
    if matches!(words[0], "create" | "plan") {
        all.extend([
            "--python".to_owned(),
            place.lab.python.display().to_string(),
        ]);
    }
    place.run(&all)
}

#[track_caller]
fn is_done(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{}", ended.story);
}

#[test]
fn a_mount_point_stays_where_it_is_and_is_changed_entry_by_entry() {
    let test = "a_mount_point_stays_where_it_is_and_is_changed_entry_by_entry";
    let Some(place) = place(test, Kind::MountPoint, created) else {
        return;
    };
    let root = || fs::metadata(place.lab.target()).unwrap();
    let before = (root().dev(), root().ino());
    for words in [
        &["create", "--prompt", "p"][..],
        &["upgrade", "--prompt", "q"],
        &["rollback"],
        &["create", "--clear"],
    ] {
        is_done(&run(&place, words));
        is_done(&run(&place, &["verify"]));
        assert_eq!((root().dev(), root().ino()), before, "{words:?}");
    }
    assert!(!place.lab.target().join("strangers").exists());
    assert_eq!(place.lab.litter(), [""; 0]);
}

#[test]
fn what_may_only_be_read_is_read_and_never_changed() {
    let test = "what_may_only_be_read_is_read_and_never_changed";
    let Some(place) = place(test, Kind::ReadOnly, created) else {
        return;
    };
    let before = look(&place.lab.target());
    for words in [
        &["create", "--prompt", "p"][..],
        &["upgrade", "--prompt", "q"],
        &["create", "--clear"],
    ] {
        let ended = run(&place, words);
        assert_eq!(ended.code, Some(1), "{words:?} {}", ended.story);
        assert!(
            ended.story.contains("Read-only file system"),
            "{}",
            ended.story
        );
    }
    for words in [&["verify"][..], &["status"], &["plan"]] {
        is_done(&run(&place, words));
    }
    assert_eq!(
        compare(&before, &look(&place.lab.target()), Sameness::Exact),
        Ok(())
    );
    assert_eq!(place.lab.litter(), [""; 0]);
}

#[test]
fn a_mount_inside_hinders_a_clear_and_nothing_else() {
    let test = "a_mount_inside_hinders_a_clear_and_nothing_else";
    let Some(place) = place(test, Kind::Ext4, created) else {
        return;
    };
    let data = place.lab.target().join("data");
    fs::create_dir(&data).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "tmpfs"])
        .arg(&data)
        .status();
    assert!(mounted.unwrap().success());
    fs::write(data.join("thesis"), "mine").unwrap();
    for words in [
        &["create", "--prompt", "p"][..],
        &["upgrade", "--prompt", "q"],
        &["rollback"],
    ] {
        is_done(&run(&place, words));
    }
    let before = look(&place.lab.target());
    let target = place.lab.shown_target();
    let remove = end(&mut place.lab.rvenv(&["remove", &target, "--dry-run"]));
    for ended in [run(&place, &["create", "--clear"]), remove] {
        assert_eq!(ended.code, Some(3), "{}", ended.story);
        assert!(
            ended.story.contains("/data` is a mount point"),
            "{}",
            ended.story
        );
    }
    assert_eq!(
        compare(&before, &look(&place.lab.target()), Sameness::Exact),
        Ok(())
    );
    assert!(
        Command::new("umount")
            .arg(&data)
            .status()
            .unwrap()
            .success()
    );
}

/// Changes the flag "immutable", with which even root may neither change nor move an object.
fn chattr(flag: &str, path: &Path) -> bool {
    let changed = Command::new("chattr").arg(flag).arg(path).output();
    changed.is_ok_and(|output| output.status.success())
}

#[test]
fn an_immutable_entry_is_left_and_the_change_is_undone_or_reported() {
    let test = "an_immutable_entry_is_left_and_the_change_is_undone_or_reported";
    let Some(place) = place(test, Kind::Ext4, created) else {
        return;
    };
    let target = place.lab.target();
    if !has("chattr") || !chattr("+i", &target.join("pyvenv.cfg")) {
        println!("skipped: nothing can be made immutable here");
        return;
    }
    for name in ["pyvenv.cfg", "bin"] {
        assert!(chattr("+i", &target.join(name)));
        let before = look(&target);
        for words in [["create", "--prompt", "p"], ["upgrade", "--prompt", "q"]] {
            let ended = run(&place, &words);
            assert_eq!(ended.code, Some(1), "{name}: {}", ended.story);
            assert!(
                ended.story.contains("not permitted"),
                "{name}: {}",
                ended.story
            );
            assert_eq!(
                compare(&before, &look(&target), Sameness::Alike),
                Ok(()),
                "{name}"
            );
            assert_eq!(place.lab.litter(), [""; 0], "{name}");
        }
        assert!(chattr("-i", &target.join(name)));
    }
    // A whole tree is switched with everything in it; only its deletion meets the immutable file.
    let stranger = target.join("strangers/file 1");
    assert!(chattr("+i", &stranger));
    let ended = run(&place, &["create", "--clear"]);
    is_done(&ended);
    assert!(
        ended.story.contains("could not be deleted"),
        "{}",
        ended.story
    );
    is_done(&run(&place, &["verify"]));
    let litter = place.lab.litter();
    assert_eq!(litter.len(), 1, "{litter:?}");
    let left = place.lab.parent().join(&litter[0]).join("strangers/file 1");
    assert!(chattr("-i", &left), "{litter:?}");
    is_done(&run(&place, &["recover"]));
    assert_eq!(place.lab.litter(), [""; 0]);
}

#[test]
fn without_symbolic_links_it_is_planned_again_with_copies_and_said_so() {
    let test = "without_symbolic_links_it_is_planned_again_with_copies_and_said_so";
    let Some(place) = place(test, Kind::Exfat, |_| {}) else {
        return;
    };
    let plan = place.lab.file("plan.json").display().to_string();
    for flags in [
        &["plan", "-o", &plan][..],
        &["plan", "--copies", "-o", &plan],
    ] {
        is_done(&run(&place, flags));
        let applied = place.run(&["apply".to_owned(), plan.clone()]);
        assert_eq!(applied.code, Some(1), "{}", applied.story);
        assert!(
            applied.story.contains("hint: `rvenv create`"),
            "{}",
            applied.story
        );
        assert_eq!(look(&place.lab.target()), None);
        assert_eq!(place.lab.litter(), [""; 0]);
    }
    for words in [
        &["create"][..],
        // All users may write on this filesystem.
        &["upgrade", "--prompt", "p", "--allow-other-owner"],
        &["create", "--clear", "--copies"],
    ] {
        let ended = run(&place, words);
        is_done(&ended);
        let told = ended.story.matches("planning again with copies").count();
        assert_eq!(told, 1, "{words:?}: {}", ended.story);
        let python = place.lab.target().join("bin/python");
        assert!(!python.is_symlink());
        let asked = Command::new(python)
            .args(["-c", "import sys; print(sys.prefix)"])
            .output();
        let said = String::from_utf8_lossy(&asked.unwrap().stdout).into_owned();
        assert_eq!(said.trim(), place.lab.shown_target());
    }
    assert!(fs::symlink_metadata(place.lab.target().join("lib64")).is_err());
    assert_eq!(place.lab.litter(), [""; 0]);
}
