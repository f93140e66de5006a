//! Short histories that broke a promise once, or of which the promise is easily broken.

use super::acts::Act::{Rvenv, Work as Done};
use super::acts::Change::{Install, Sync};
use super::acts::Command::{
    Apply, BackAndForth, Change, Create, Plan, Repair, Rollback, Upgrade, Verify,
};
use super::acts::Package::{Alder, Cedar, Dogwood, Pip};
use super::acts::{Act, Begin, By, History, Lock, Options, Package, Rest, Work};

/// The first Python, and pip.
const FIRST: Options = Options {
    python: 0,
    pip: true,
    clear: false,
    keep: false,
    allow_lost: false,
};

const SECOND: Options = Options { python: 1, ..FIRST };

/// What a history is about, and the history.
type Case = (&'static str, History);

fn case(about: &'static str, begin: Begin, first: &[Package], acts: &[Act]) -> Case {
    let (first, acts) = (first.to_vec(), acts.to_vec());
    (about, History { begin, first, acts })
}

/// All of them.
pub(super) fn found() -> Vec<Case> {
    let mut all = of_packages();
    all.extend(of_pip());
    all.extend(of_changes());
    all
}

/// Those of pip, which a new environment brings.
fn of_pip() -> Vec<Case> {
    let without = |python| Options {
        python,
        pip: false,
        ..FIRST
    };
    vec![
        case(
            "a pip that came along there and back is as it was",
            Begin::Rvenv,
            &[],
            &[
                Rvenv(Create(without(1))),
                Rvenv(Upgrade(without(0))),
                Rvenv(Change(Sync(Lock([None; 5]), Rest::OfOthersStays))),
            ],
        ),
        case(
            "a pip that another installer put there has one RECORD after a change",
            Begin::Rvenv,
            &[],
            &[
                Done(Work::Install(Pip, 1, By::Uv)),
                Rvenv(Create(FIRST)),
                Done(Work::Install(Pip, 2, By::Uv)),
                Rvenv(Verify),
            ],
        ),
        case(
            "a pip that is cleared away for an older one is named",
            Begin::Rvenv,
            &[],
            &[
                Done(Work::Install(Pip, 2, By::Uv)),
                Rvenv(Create(Options {
                    clear: true,
                    ..FIRST
                })),
            ],
        ),
        case(
            "an older pip that gives way to the bundled one is named by an upgrade",
            Begin::Bare,
            &[],
            &[Done(Work::Install(Pip, 1, By::Uv)), Rvenv(Upgrade(FIRST))],
        ),
        case(
            "a pip that another installer put there is not written again for another package",
            Begin::Rvenv,
            &[],
            &[
                Done(Work::Install(Pip, 1, By::Uv)),
                Rvenv(Change(Install(Alder, None))),
            ],
        ),
        case(
            "a pip that another installer put there gives way to a newer one by name",
            Begin::Bare,
            &[],
            &[
                Done(Work::Install(Pip, 1, By::Uv)),
                Rvenv(Create(SECOND)),
                Rvenv(Verify),
            ],
        ),
    ]
}

/// Those of packages that rvenv installed.
fn of_changes() -> Vec<Case> {
    // They have files in one directory.
    let both = Lock([None, None, Some(1), Some(1), None]);
    vec![
        case(
            "a file that another installer's version has too is not retired with the rest",
            Begin::Rvenv,
            &[],
            &[
                Rvenv(Change(Install(Alder, Some(2)))),
                Done(Work::Install(Alder, 1, By::Uv)),
                Rvenv(Change(Install(Cedar, Some(1)))),
            ],
        ),
        case(
            "what another installer uninstalled from a shared directory is no damage",
            Begin::Rvenv,
            &[],
            &[
                Rvenv(Change(Sync(both, Rest::OfOthersStays))),
                Done(Work::Uninstall(0, By::Uv)),
                Rvenv(Verify),
            ],
        ),
    ]
}

/// Those of other packages.
fn of_packages() -> Vec<Case> {
    let clear = Options {
        clear: true,
        keep: true,
        ..FIRST
    };
    vec![
        case(
            "forward to a cleared environment names the packages that go aside",
            Begin::Rvenv,
            &[Alder],
            &[Rvenv(Create(clear)), Rvenv(BackAndForth)],
        ),
        case(
            "a RECORD that a repair wrote again is not removed by the next upgrade",
            Begin::Rvenv,
            &[Alder],
            &[Done(Work::Move), Rvenv(Repair), Rvenv(Upgrade(FIRST))],
        ),
        case(
            "going back to an older Python does not bring an older release back",
            Begin::Venv,
            &[Cedar],
            &[
                Rvenv(Upgrade(SECOND)),
                Done(Work::Install(Cedar, 2, By::Uv)),
                Rvenv(Upgrade(FIRST)),
            ],
        ),
        case(
            "after an upgrade, an installation, back and forward everything is clean",
            Begin::Rvenv,
            &[Alder],
            &[
                Rvenv(Upgrade(SECOND)),
                Done(Work::Install(Dogwood, 1, By::Uv)),
                Rvenv(BackAndForth),
                Rvenv(Verify),
                Rvenv(Rollback),
                Rvenv(Verify),
            ],
        ),
        case(
            "a plan is not applied after another installer was at work",
            Begin::Bare,
            &[Alder],
            &[
                Rvenv(Plan(clear)),
                Done(Work::Install(Cedar, 1, By::Uv)),
                Rvenv(Apply(clear)),
            ],
        ),
    ]
}
