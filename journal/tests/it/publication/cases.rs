//! The cases: every way to publish, to change entry by entry, and to bring back what was kept.

use rvenv_journal::Publication;
use rvenv_journal::fs::Barrier;
use rvenv_journal::fs::sim::{InodeNumbers, Options, Support};

use super::{Case, Ground, Verb};

/// Filesystems without an exchange, also without no-replace, and without one sync for everything.
fn poor() -> [Options; 3] {
    let no_exchange = Options {
        exchange: Support::Absent,
        ..Options::default()
    };
    let bare = Options {
        no_replace: Support::Absent,
        ..no_exchange.clone()
    };
    let per_object = Options {
        barrier: Barrier::PerObject,
        ..Options::default()
    };
    [no_exchange, bare, per_object]
}

/// Every way to publish a whole tree: by what exists, what the filesystem can do, and what is
/// requested.
pub fn cases() -> Vec<Case> {
    let [no_exchange, bare, per_object] = poor();
    let put = |name| Case::of(name, Publication::Put);
    let swap = |name| Case::of(name, Publication::Replace);
    vec![
        put("put"),
        swap("swap"),
        swap("take and put").on(no_exchange.clone()),
        swap("take and put without no-replace").on(bare),
        put("put, synced object by object").on(per_object.clone()),
        swap("swap, synced object by object").on(per_object),
        swap("swap, kept").kept(),
        swap("take and put, kept").kept().on(no_exchange.clone()),
        put("put, undone").undone(),
        swap("swap, undone").undone(),
        swap("take and put, undone")
            .undone()
            .on(no_exchange.clone()),
        swap("swap, awaiting a verdict").awaited(),
        swap("take and put, undone by a verdict")
            .awaited()
            .undone()
            .on(no_exchange),
    ]
}

/// Every way to take a whole tree away.
pub fn removed_cases() -> Vec<Case> {
    let [no_exchange, bare, per_object] = poor();
    let remove = |name| Case::of(name, Publication::Replace).removed();
    vec![
        remove("remove"),
        remove("remove, kept").kept(),
        remove("remove without an exchange, kept")
            .kept()
            .on(no_exchange),
        remove("remove without no-replace").on(bare),
        remove("remove, synced object by object").on(per_object),
        remove("remove, undone by a verdict").awaited().undone(),
        remove("remove, kept, undone").kept().undone(),
        remove("remove, rolled back").rolled(Verb::Restore),
        remove("remove, rolled back, undone by a verdict")
            .rolled(Verb::Restore)
            .awaited()
            .undone(),
    ]
}

/// Every way to change a target entry by entry.
pub fn entry_cases() -> Vec<Case> {
    let [no_exchange, bare, per_object] = poor();
    let merge = |name| Case::of(name, Publication::Merge);
    let refill = |name| Case::of(name, Publication::Refill);
    vec![
        merge("merge"),
        merge("merge, take and put").on(no_exchange.clone()),
        merge("merge without no-replace").on(bare.clone()),
        merge("merge without no-replace, undone").undone().on(bare),
        merge("merge, synced object by object").on(per_object.clone()),
        merge("merge into a foreign directory, synced object by object")
            .on_ground(Ground::Foreign)
            .on(per_object),
        merge("merge, kept").kept(),
        merge("merge, take and put, kept")
            .kept()
            .on(no_exchange.clone()),
        merge("merge, undone").undone(),
        merge("merge, take and put, undone")
            .undone()
            .on(no_exchange),
        merge("merge, awaiting a verdict").awaited(),
        merge("merge, undone by a verdict").awaited().undone(),
        merge("merge, file by file").file_by_file(),
        merge("merge into a foreign directory").on_ground(Ground::Foreign),
        merge("merge into a foreign directory, undone")
            .on_ground(Ground::Foreign)
            .undone(),
        refill("refill"),
        refill("refill, kept").kept(),
        refill("refill, file by file").file_by_file(),
    ]
}

/// Files of the user in a target that is changed entry by entry, in its root, in a directory with
/// entries that change and in one of which an entry is taken.
pub const ASIDE: &[&str] = &["mine", "bin/mine", "mixed/mine"];

/// Every way to bring back what was kept, and to go forward again.
pub fn rolled_cases() -> Vec<Case> {
    let no_exchange = Options {
        exchange: Support::Absent,
        ..Options::default()
    };
    let swap = |name| Case::of(name, Publication::Replace);
    let merge = |name| Case::of(name, Publication::Merge);
    let refill = |name| Case::of(name, Publication::Refill);
    vec![
        swap("swap, rolled back").rolled(Verb::Rollback),
        swap("swap, rolled forward").rolled(Verb::Forward),
        swap("take and put, rolled back")
            .on(no_exchange.clone())
            .rolled(Verb::Rollback),
        swap("take and put, rolled forward, undone")
            .on(no_exchange.clone())
            .rolled(Verb::Forward)
            .undone(),
        merge("merge, rolled back").rolled(Verb::Rollback),
        merge("merge, rolled back, undone by a verdict")
            .rolled(Verb::Rollback)
            .awaited()
            .undone(),
        merge("merge, rolled forward").rolled(Verb::Forward),
        merge("merge, take and put, rolled back")
            .on(no_exchange.clone())
            .rolled(Verb::Rollback),
        merge("merge, take and put, rolled forward, undone")
            .on(no_exchange.clone())
            .rolled(Verb::Forward)
            .undone(),
        merge("merge into a foreign directory, rolled back")
            .on_ground(Ground::Foreign)
            .rolled(Verb::Rollback),
        merge("merge, rolled back with more")
            .with_aside(ASIDE)
            .rolled(Verb::Rollback),
        merge("merge, take and put, rolled back with more, undone")
            .with_aside(ASIDE)
            .on(no_exchange.clone())
            .rolled(Verb::Rollback)
            .undone(),
        merge("merge, rolled forward with more")
            .with_aside(ASIDE)
            .rolled(Verb::Forward),
        refill("refill, rolled back").rolled(Verb::Rollback),
        refill("refill, rolled forward").rolled(Verb::Forward),
    ]
}

/// Publications where no directory can be renamed: over the lower layer of an overlay, file by
/// file.
pub fn layered_cases() -> Vec<Case> {
    let merge = |name| Case::of(name, Publication::Merge);
    let refill = |name| Case::of(name, Publication::Refill);
    let cases = vec![
        merge("merge over a lower layer"),
        merge("merge over a lower layer, undone").undone(),
        merge("merge over a lower layer, kept").kept(),
        refill("refill over a lower layer"),
        merge("merge over a lower layer, rolled back").rolled(Verb::Rollback),
        merge("merge over a lower layer, rolled forward").rolled(Verb::Forward),
        refill("refill over a lower layer, rolled back").rolled(Verb::Rollback),
    ];
    let over = |case: Case| case.on_ground(Ground::Lower).file_by_file();
    cases.into_iter().map(over).collect()
}

/// The options of a filesystem that reuses inode numbers.
pub fn with_numbers_reused(options: &Options) -> Options {
    Options {
        inode_numbers: InodeNumbers::Reused,
        ..options.clone()
    }
}
