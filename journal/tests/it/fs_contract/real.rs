//! Contracts that only an operating system can break: FIFOs, umasks, inherited ACLs, mounts and
//! overlays.

use std::path::Path;

use super::*;
use rvenv_journal::fs::real::RealFs;
#[cfg(target_os = "linux")]
use rvenv_journal::fs::{Kind, Layers, Lock};

pub(crate) fn check(contract: fn(&dyn Fs, &Dir)) {
    on_a_scratch_disk(|fs, root, _| contract(fs, root));
}

fn on_a_scratch_disk(body: impl FnOnce(&RealFs, &Dir, &Path)) {
    let scratch = tempfile::tempdir().unwrap();
    let fs = RealFs::new();
    let root = fs.open_path(scratch.path()).unwrap();
    body(&fs, &root, scratch.path());
}

#[test]
fn a_path_leads_through_links_to_a_directory_alone() {
    on_a_scratch_disk(|fs, root, path| {
        let dir = make_dir(fs, root, "dir");
        write(fs, root, "file", "");
        assert_eq!(
            kind(fs.open_path(&path.join("file"))),
            ErrorKind::NotADirectory
        );
        if symlink(fs, root, "link", "dir") {
            let through_link = fs.open_path(&path.join("link")).unwrap();
            let identity = fs.meta_of(&dir).unwrap().identity;
            assert_eq!(fs.meta_of(&through_link).unwrap().identity, identity);
        }
    });
}

/// What a process has that another thread starts, until it executes its program.
#[cfg(target_os = "linux")]
#[test]
fn a_lock_ends_with_its_holder_although_a_duplicate_of_the_descriptor_is_open() {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    on_a_scratch_disk(|fs, root, path| {
        let held = fs.hold_file(root, name("lock")).unwrap();
        assert_eq!(fs.try_lock(&held).unwrap(), Lock::Acquired);
        let opened = std::fs::read_dir("/proc/self/fd").unwrap();
        let of_lock = |entry: &std::fs::DirEntry| {
            std::fs::read_link(entry.path()).is_ok_and(|to| to == path.join("lock"))
        };
        let entry = opened.filter_map(Result::ok).find(of_lock).unwrap();
        let number = entry.file_name().to_str().unwrap().parse().unwrap();
        let this = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        let _duplicate = pidfd_getfd(this, number, PidfdGetfdFlags::empty()).unwrap();
        drop(held);
        let next = fs.hold_file(root, name("lock")).unwrap();
        assert_eq!(fs.try_lock(&next).unwrap(), Lock::Acquired);
    });
}

#[cfg(unix)]
#[test]
fn a_name_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let raw = OsStr::from_bytes(b"caf\xe9");
    on_a_scratch_disk(|fs, root, _| {
        if let Err(error) = fs.write_file(root, raw, &file(b"x")) {
            return eprintln!("skipped: {error}: {}", error.source);
        }
        assert_eq!(fs.list(root).unwrap(), [raw]);
        fs.remove_file(root, raw).unwrap();
    });
}

/// I6: a FIFO at an expected name neither blocks the engine nor counts as a file.
#[cfg(target_os = "linux")]
#[test]
fn a_fifo_is_refused_without_waiting_for_its_other_end() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    on_a_scratch_disk(|fs, root, path| {
        mknodat(CWD, path.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let fifo = name("fifo");
        assert_eq!(meta(fs, root, "fifo").kind, Kind::Other);
        let refusals = [
            fs.read_file(root, fifo, 10).map(drop),
            fs.open_file(root, fifo, 10).map(drop),
            fs.digest_file(root, fifo).map(drop),
            fs.hold_file(root, fifo).map(drop),
            fs.sync_file(root, fifo),
            fs.reflink(root.at(fifo), root.at("new"), 0o644, None),
            fs.read_link(root, fifo).map(drop),
        ];
        for (number, refusal) in refusals.into_iter().enumerate() {
            assert_eq!(kind(refusal), ErrorKind::InvalidInput, "verb {number}");
        }
        assert_eq!(kind(fs.open_dir(root, fifo)), ErrorKind::NotADirectory);
        assert_eq!(fs.list(root).unwrap(), ["fifo"]);
    });
}

/// The umask belongs to the whole process, so the contracts about modes run again in a child
/// process.
#[cfg(unix)]
#[test]
#[expect(clippy::disallowed_methods, reason = "a process with another umask")]
fn modes_are_exact_whatever_the_umask() {
    for umask in ["000", "022", "077"] {
        let child = std::process::Command::new("sh")
            .arg("-c")
            .arg(format!("umask {umask}; exec \"$0\" \"$@\""))
            .arg(std::env::current_exe().unwrap())
            .args(["that_was_asked_for", "that_were_asked_for", "private"])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "umask {umask}: {told}");
        assert!(told.contains("test result: ok. "), "{told}");
        assert!(!told.contains(" 0 passed"), "{told}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn modes_are_exact_below_a_default_acl() {
    use rustix::fs::{XattrFlags, setxattr};
    // Version 2; then tag, permissions and id of the owner (rwx), the group (r-x) and the others
    // (none).
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions) in [(1_u16, 7_u16), (4, 5), (32, 0)] {
        acl.extend(tag.to_le_bytes());
        acl.extend(permissions.to_le_bytes());
        acl.extend(u32::MAX.to_le_bytes());
    }
    on_a_scratch_disk(|fs, _, path| {
        let flags = XattrFlags::empty();
        if let Err(error) = setxattr(path, "system.posix_acl_default", &acl, flags) {
            return eprintln!("skipped: no ACLs here: {error}");
        }
        let root = fs.open_path(path).unwrap();
        let dir = make_dir(fs, &root, "dir");
        write(fs, &dir, "file", "");
        assert_eq!(meta(fs, &root, "dir").mode, 0o755);
        assert_eq!(meta(fs, &dir, "file").mode, 0o644);
    });
}

/// Setting an explicit mode would remove the setgid bit again.
#[cfg(unix)]
#[test]
fn a_setgid_bit_and_its_group_are_handed_down_beside_the_bits_that_were_asked_for() {
    on_a_scratch_disk(|fs, root, path| {
        let dir = make_dir(fs, root, "dir");
        let other = std::os::unix::fs::chown(path.join("dir"), None, Some(54321));
        let group = if other.is_ok() {
            54321
        } else {
            fs.meta_of(&dir).unwrap().group
        };
        fs.set_mode_of(&dir, 0o2777).unwrap();
        fs.make_dir(&dir, name("below"), 0o757).unwrap();
        fs.make_plain_dir(&dir, name("plain")).unwrap();
        let unique = fs.make_unique_dir(&dir, "unique-").unwrap();
        write(fs, &dir, "file", "");
        let found = |entry: &str| {
            let meta = meta(fs, &dir, entry);
            (meta.mode, meta.group)
        };
        assert_eq!(found("below"), (0o2757, group));
        assert_eq!(found("plain").0 & 0o2700, 0o2700);
        assert_eq!(found(unique.to_str().unwrap()), (0o2700, group));
        assert_eq!(found("file"), (0o644, group));
        let below = fs.open_dir(&dir, name("below")).unwrap();
        let own = make_dir(fs, root, "own");
        fs.hand_down(&own, &fs.sharing(&below).unwrap()).unwrap();
        assert_eq!(fs.sharing(&own).unwrap(), fs.sharing(&below).unwrap());
        assert_eq!(fs.meta_of(&own).unwrap().mode, 0o2755);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn an_acl_is_given_and_taken_as_it_is_and_leaves_what_the_kernel_leaves() {
    use rustix::fs::{XattrFlags, setxattr};
    use rvenv_journal::fs::left_by_acl;
    let mut acl = 2_u32.to_le_bytes().to_vec();
    let entries = [(1_u16, 7_u16, u32::MAX), (2, 7, 54321), (4, 5, u32::MAX)];
    for (tag, permissions, id) in entries
        .into_iter()
        .chain([(16, 7, u32::MAX), (32, 1, u32::MAX)])
    {
        acl.extend(tag.to_le_bytes());
        acl.extend(permissions.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    on_a_scratch_disk(|fs, root, path| {
        let flags = XattrFlags::empty();
        let giver = make_dir(fs, root, "giver");
        assert!(!fs.has_default_acl(&giver));
        if let Err(error) = setxattr(path.join("giver"), "system.posix_acl_default", &acl, flags) {
            return eprintln!("skipped: no ACLs here: {error}");
        }
        let giver = fs.open_dir(root, name("giver")).unwrap();
        let shared = fs.sharing(&giver).unwrap();
        assert_eq!(shared.acl, None);
        assert_eq!(left_by_acl(fs, &giver), Some(0o771));
        let dir = make_dir(fs, root, "dir");
        // The engine must not reuse what it read before.
        write(fs, &dir, "before", "");
        fs.hand_down(&dir, &shared).unwrap();
        assert!(fs.has_default_acl(&dir));
        write(fs, &dir, "after", "");
        fs.make_plain_dir(&dir, name("plain")).unwrap();
        let plain = fs.open_dir(&dir, name("plain")).unwrap();
        assert_eq!(fs.meta_of(&plain).unwrap().mode, 0o771);
        let inherited = fs.sharing(&plain).unwrap();
        assert_eq!(inherited.default_acl, shared.default_acl);
        fs.set_acl_of(&dir, inherited.acl.as_ref()).unwrap();
        assert_eq!(fs.sharing(&dir).unwrap(), inherited);
        fs.set_acl_of(&dir, None).unwrap();
        let none = fs.sharing(&make_dir(fs, root, "none")).unwrap();
        fs.hand_down(&dir, &none).unwrap();
        assert_eq!(fs.sharing(&dir).unwrap(), none);
        assert!(!fs.has_default_acl(&dir));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_root_is_a_mount_point_and_this_start_has_a_name() {
    let fs = RealFs::new();
    let top = fs.open_path(Path::new("/")).unwrap();
    let mounts = fs.mounts_under(&top);
    assert!(mounts.iter().any(|path| path == Path::new("/")));
    assert!(mounts.iter().any(|path| path == Path::new("/proc")));
    let proc = fs.open_path(Path::new("/proc")).unwrap();
    assert!(
        fs.mounts_under(&proc)
            .iter()
            .all(|path| path.starts_with("/proc"))
    );
    assert_eq!(fs.boot_id().len(), 36, "{}", fs.boot_id());
}

/// Nothing is refused to root, so where root runs the tests, the contracts about permissions run
/// again as another user.
#[cfg(target_os = "linux")]
#[test]
#[expect(clippy::disallowed_methods, reason = "a process of another user")]
fn the_contracts_about_rights_hold_for_ordinary_users() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: the contracts ran as an ordinary user already");
    }
    let scratch = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(scratch.path(), Some(65534), Some(65534)).unwrap();
    let test = scratch.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &test).unwrap();
    let child = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&test)
        .args(["by_name", "the_right_to_write"])
        .env("TMPDIR", scratch.path())
        .current_dir(scratch.path())
        .output();
    let child = match child {
        Err(error) => return eprintln!("skipped: there is no `setpriv`: {error}"),
        Ok(child) => child,
    };
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&child.stderr)
    );
    assert!(told.contains("test result: ok. 6 passed"), "{told}");
}

/// On an overlay, an object from the lower layer becomes another object when it is changed
/// (copy-up).
#[cfg(target_os = "linux")]
#[test]
fn what_an_overlay_was_given_keeps_its_identity_once_it_was_pinned() {
    let test = "what_an_overlay_was_given_keeps_its_identity_once_it_was_pinned";
    on_an_overlay(test, fill_lower_layer, |fs, root| {
        assert_eq!(fs.layers(root), Layers::Overlay);
        let dir = fs.open_dir(root, name("dir")).unwrap();
        let below = fs.open_dir(&dir, name("below")).unwrap();
        let identity = |dir| fs.meta_of(dir).unwrap().identity;
        let before = (identity(&dir), identity(&below));
        for (at, entry) in [
            (&below, "file"),
            (root, "file"),
            (root, "link"),
            (root, "linked"),
        ] {
            let found = meta(fs, at, entry);
            fs.pin(at, name(entry)).unwrap();
            let pinned = meta(fs, at, entry);
            assert_ne!(pinned.identity, found.identity, "{entry}");
            let same = |meta: &Meta| (meta.kind, meta.mode, meta.len, meta.mtime, meta.owner);
            assert_eq!(same(&pinned), same(&found), "{entry}");
            let above = (identity(&dir), identity(&below));
            let free = format!("{entry}-moved");
            rename(fs, at, (entry, &free), Rename::NoReplace).unwrap();
            assert_eq!(meta(fs, at, &free).identity, pinned.identity, "{entry}");
            assert_eq!((identity(&dir), identity(&below)), above, "{entry}");
        }
        assert_ne!(identity(&dir), before.0, "a change in it is one of it");
        assert_ne!(identity(&below), before.1, "a change in it is one of it");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_an_overlay_was_given_is_pinned_and_yet_does_not_move() {
    let test = "a_directory_that_an_overlay_was_given_is_pinned_and_yet_does_not_move";
    on_an_overlay(test, fill_lower_layer, |fs, root| {
        let found = meta(fs, root, "dir");
        fs.pin(root, name("dir")).unwrap();
        let pinned = meta(fs, root, "dir");
        assert_ne!(pinned.identity, found.identity);
        assert_eq!((pinned.mode, pinned.mtime), (found.mode, found.mtime));
        fs.pin(root, name("dir")).unwrap();
        assert_eq!(meta(fs, root, "dir").identity, pinned.identity);
        // Where the mount allows it (`redirect_dir`), the directory moves and keeps its identity.
        match rename(fs, root, ("dir", "away"), Rename::Replace) {
            Ok(()) => assert_eq!(meta(fs, root, "away").identity, pinned.identity),
            Err(error) => assert_eq!(error.kind(), ErrorKind::CrossesDevices),
        }
        assert_eq!(kind(fs.pin(root, name("absent"))), ErrorKind::NotFound);
    });
}

/// Directories, a file that is setuid, a read-only one, one with two names, and a link.
#[cfg(target_os = "linux")]
#[expect(
    clippy::disallowed_methods,
    reason = "what is below a disk to be tried"
)]
fn fill_lower_layer(lower: &Path) {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(lower.join("dir/below")).unwrap();
    for (file, mode) in [
        ("dir/below/file", 0o4755),
        ("file", 0o444),
        ("linked", 0o644),
    ] {
        fs::write(lower.join(file), file).unwrap();
        fs::set_permissions(lower.join(file), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::hard_link(lower.join("linked"), lower.join("other")).unwrap();
    std::os::unix::fs::symlink("file", lower.join("link")).unwrap();
}

/// Runs the test of this name again in a process with its own mount namespace, and `body` there;
/// the mounts end with that process.
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "a process with other mounts")]
fn on_an_overlay(test: &str, fill: fn(&Path), body: impl FnOnce(&RealFs, &Dir)) {
    const PLACE: &str = "RVENV_TEST_OVERLAY";
    const SCRIPT: &str =
        "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work top || exit 77
                          exec \"$0\" --exact \"$1\" --nocapture";
    if let Some(place) = std::env::var_os(PLACE) {
        let fs = RealFs::new();
        let root = fs.open_path(Path::new(&place)).unwrap();
        return body(&fs, &root);
    }
    let scratch = tempfile::tempdir().unwrap();
    for dir in ["lower", "upper", "work", "top"] {
        std::fs::create_dir(scratch.path().join(dir)).unwrap();
    }
    fill(&scratch.path().join("lower"));
    let child = std::process::Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", SCRIPT])
        .arg(std::env::current_exe().unwrap())
        .arg(format!("fs_contract::real::{test}"))
        .env(PLACE, scratch.path().join("top"))
        .current_dir(scratch.path())
        .output();
    let child = match child {
        Err(error) => return eprintln!("skipped: there is no `unshare`: {error}"),
        Ok(child) => child,
    };
    let told = [child.stdout, child.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    if !child.status.success() && !told.contains("running 1 test") {
        return eprintln!("skipped: no overlay can be mounted here: {told}");
    }
    assert!(child.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
}

/// The verbs work on descriptors: what the path leads to by now does not matter.
#[cfg(unix)]
#[test]
fn a_directory_swapped_for_a_link_leads_no_verb_elsewhere() {
    on_a_scratch_disk(|fs, root, path| {
        let dir = make_dir(fs, root, "dir");
        let elsewhere = make_dir(fs, root, "elsewhere");
        rename(fs, root, ("dir", "aside"), Rename::Replace).unwrap();
        std::os::unix::fs::symlink("elsewhere", path.join("dir")).unwrap();
        write(fs, &dir, "file", "x");
        assert!(fs.list(&elsewhere).unwrap().is_empty());
        assert_eq!(
            kind(fs.open_dir(root, name("dir"))),
            ErrorKind::NotADirectory
        );
    });
}
