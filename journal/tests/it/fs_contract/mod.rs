//! What every disk must do: one suite for the operating system's disk and the simulated disk.
//!
//! A contract is a function of a disk and an empty directory on it. `contracts!` turns each into
//! one test per disk. So the crash tests, which run on the simulated disk only, hold for the real
//! one too. A contract first tries what a system or a filesystem may lack (links, exchange, locks
//! on directories, modes); where it is missing, the contract prints a line to standard error and
//! returns.
//!
//! `real` holds contracts that only an operating system can break: FIFOs, umasks, inherited ACLs.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "a test reports why it stops"
)]

use std::ffi::OsStr;
use std::io::ErrorKind;
#[cfg(unix)]
use std::path::Path;

use rvenv_journal::fs::{Dir, Flush, Fs, FsError, Meta, NewFile, Rename};

mod directories;
mod files;
mod held;
mod real;
mod renames;

macro_rules! contracts {
    ($($theme:ident::$contract:ident,)*) => {
        mod on_the_real_disk {
            $(#[test] fn $contract() { super::real::check(super::$theme::$contract); })*
        }
        // The simulated disk keeps modes on every system, but the contracts expect what the real
        // disk keeps. So they run on it only where both keep modes.
        #[cfg(unix)]
        mod on_the_simulated_disk {
            $(#[test] fn $contract() { super::simulated::check(super::$theme::$contract); })*
        }
    };
}

contracts! {
    directories::a_name_is_one_plain_component,
    directories::an_absent_name_is_none_to_a_look_and_not_found_to_all_else,
    directories::a_failure_names_the_verb_and_the_escaped_entry,
    directories::a_directory_of_another_disk_is_refused,
    directories::a_directory_is_made_once_and_opened_only_if_it_is_one,
    directories::a_directory_has_exactly_the_mode_that_was_asked_for,
    directories::a_directory_below_a_setgid_one_has_the_permission_bits_that_were_asked_for,
    directories::what_a_directory_hands_down_already_changes_nothing,
    directories::a_plain_directory_is_one_that_its_owner_can_use,
    directories::unique_directories_are_private_and_differ,
    files::a_file_is_written_whole_and_read_back,
    files::a_file_has_exactly_the_mode_and_time_that_were_asked_for,
    files::a_taken_name_is_never_written_to,
    files::a_read_is_bounded_and_of_regular_files_alone,
    files::a_link_shares_identity_and_is_counted,
    files::a_link_to_a_symbolic_link_does_not_follow_it,
    files::a_symbolic_link_keeps_its_target_as_written,
    files::a_clone_has_its_own_identity_or_leaves_nothing,
    directories::a_listing_is_sorted_whole_and_repeatable,
    directories::a_directory_held_open_is_followed_under_another_name,
    renames::a_rename_keeps_identity_and_replaces_a_file,
    renames::a_rename_never_mixes_files_and_directories,
    renames::a_rename_between_two_links_of_one_file_does_nothing,
    renames::a_rename_without_replacement_refuses_every_taken_name,
    renames::an_exchange_changes_both_places_at_once,
    renames::an_exchange_needs_both_sides,
    renames::removal_is_of_one_kind_and_follows_nothing,
    held::what_is_there_can_be_synced,
    held::a_held_file_is_made_private_and_keeps_its_content,
    held::a_held_file_is_locked_by_one_holder_until_it_is_dropped,
    held::what_is_held_is_known_without_a_name,
    held::a_held_directory_is_locked_by_one_holder_until_it_is_dropped,
    files::files_belong_to_the_user_of_the_disk,
    files::every_change_moves_the_time_of_change,
    directories::a_directory_by_name_gets_exactly_the_mode_that_is_asked_for,
    directories::only_directories_get_a_mode_by_name,
    renames::a_pinned_object_keeps_its_identity_when_it_is_renamed,
    directories::the_right_to_write_is_that_of_the_directory,
}

/// The simulated disk on which the contracts run.
#[cfg(unix)]
mod simulated {
    use super::*;
    use rvenv_journal::fs::sim::SimFs;

    pub(crate) fn check(contract: fn(&dyn Fs, &Dir)) {
        let fs = SimFs::new();
        let root = fs.open_path(Path::new("/")).unwrap();
        contract(&fs, &root);
    }
}

const NAMES_REFUSED: [&str; 7] = ["", ".", "..", "/", "a/b", "/a", "a\0b"];

const SECOND: i64 = 1_234_567_890;

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn file(bytes: &[u8]) -> NewFile<'_> {
    NewFile {
        mode: 0o644,
        mtime: None,
        bytes,
        flush: Flush::Later,
    }
}

fn write(fs: &dyn Fs, at: &Dir, entry: &str, bytes: &str) {
    fs.write_file(at, name(entry), &file(bytes.as_bytes()))
        .unwrap();
}

fn read(fs: &dyn Fs, at: &Dir, entry: &str) -> String {
    String::from_utf8(fs.read_file(at, name(entry), 1 << 20).unwrap()).unwrap()
}

fn make_dir(fs: &dyn Fs, at: &Dir, entry: &str) -> Dir {
    fs.make_dir(at, name(entry), 0o755).unwrap();
    fs.open_dir(at, name(entry)).unwrap()
}

fn meta(fs: &dyn Fs, at: &Dir, entry: &str) -> Meta {
    fs.meta(at, name(entry)).unwrap().unwrap()
}

fn is_absent(fs: &dyn Fs, at: &Dir, entry: &str) -> bool {
    fs.meta(at, name(entry)).unwrap().is_none()
}

fn kind<T>(result: Result<T, FsError>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it was done"),
        Err(error) => error.kind(),
    }
}

fn rename(fs: &dyn Fs, at: &Dir, names: (&str, &str), how: Rename) -> Result<(), FsError> {
    fs.rename(at.at(names.0), at.at(names.1), how)
}

/// The bits that the system keeps: Windows only stores whether a file is writable.
fn kept(mode: u32) -> u32 {
    match (cfg!(windows), mode & 0o200) {
        (false, _) => mode,
        (true, 0) => 0o555,
        (true, _) => 0o777,
    }
}

/// The bits that the system keeps of a directory: Windows stores none.
fn kept_of_dir(mode: u32) -> u32 {
    if cfg!(windows) { 0o777 } else { mode }
}

/// Makes a symbolic link, and returns whether it exists: some systems have none, and some report
/// success without making one.
fn symlink(fs: &dyn Fs, at: &Dir, entry: &str, target: &str) -> bool {
    match fs.make_symlink(at, name(entry), name(target)) {
        Ok(()) if !is_absent(fs, at, entry) => return true,
        Ok(()) => {}
        Err(error) if is_no_such_thing(error.kind()) => {}
        Err(error) => panic!("{error:?}"),
    }
    eprintln!("skipped: no symbolic links here");
    false
}

fn is_no_such_thing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

/// Whether the filesystem has this kind of rename.
fn can_rename(fs: &dyn Fs, at: &Dir, how: Rename) -> bool {
    fs.make_dir(at, name("probe-a"), 0o700).unwrap();
    if how == Rename::Exchange {
        fs.make_dir(at, name("probe-b"), 0o700).unwrap();
    }
    let done = rename(fs, at, ("probe-a", "probe-b"), how);
    for entry in fs.list(at).unwrap() {
        fs.remove_dir(at, &entry).unwrap();
    }
    match done {
        Ok(()) => true,
        Err(error) => {
            let kind = error.kind();
            assert!(
                matches!(kind, ErrorKind::Unsupported | ErrorKind::InvalidInput),
                "{kind:?}"
            );
            eprintln!("skipped: no such rename here: {how:?}");
            false
        }
    }
}
