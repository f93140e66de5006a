//! A history as a value: what users, installers and rvenv do with one environment, in order.
//!
//! An act that does not apply (an uninstall of what is absent, pip in an environment without pip)
//! does nothing, so that a history stays valid when acts are taken out of it.

use proptest::prelude::*;

/// How an environment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// With rvenv and pip.
    Rvenv,
    /// With rvenv and without pip.
    Bare,
    /// With `python -m venv --without-pip`.
    Venv,
    /// With `uv venv`.
    Uv,
}

/// A package of the wheelhouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Package {
    /// Pure Python.
    Alder,
    /// Pure Python.
    Birch,
    /// For the stable ABI.
    Cedar,
    /// With a wheel for each Python.
    Dogwood,
    /// With a wheel for the first Python only.
    Hazel,
    /// With wheels that bundled Pythons bring: version 1 is the oldest, version 2 the newest.
    Pip,
}

impl Package {
    /// The packages that the tests make themselves.
    pub(super) const MADE: [Self; 5] = [
        Self::Alder,
        Self::Birch,
        Self::Cedar,
        Self::Dogwood,
        Self::Hazel,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Alder => "alder",
            Self::Birch => "birch",
            Self::Cedar => "cedar",
            Self::Dogwood => "dogwood",
            Self::Hazel => "hazel",
            Self::Pip => "pip",
        }
    }
}

/// The installer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Uv,
    Pip,
}

/// A file of an environment that a user changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// A module of an installed package, counted from 0 and around.
    Module(usize),
    /// The program of an installed package.
    Program(usize),
    /// The activation script.
    Activate,
    /// A file that no distribution lists, in `site-packages`.
    Beside,
    /// A file that no distribution lists, at the top.
    Top,
}

/// What a user does without rvenv.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Installs version 1 or 2, or replaces the other version.
    Install(Package, u8, By),
    /// Uninstalls one of what is installed.
    Uninstall(usize, By),
    /// Adds a line to a file, or writes the file.
    Edit(Spot),
    Delete(Spot),
    /// Gives the directory of the environment another name.
    Move,
}

/// What a lock names: for each of the packages that the tests make, nothing or a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lock(pub(super) [Option<u8>; 5]);

impl Lock {
    /// The packages and their versions.
    pub(super) fn releases(self) -> impl Iterator<Item = (Package, u8)> {
        let all = Package::MADE.into_iter().zip(self.0);
        all.filter_map(|(package, version)| Some((package, version?)))
    }
}

/// What `sync` does with what its lock does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// What other installers installed stays.
    OfOthersStays,
    /// All goes: `--exact`.
    Goes,
}

/// A command that changes packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// `install`: a package, in a version or in any.
    Install(Package, Option<u8>),
    /// `uninstall`: one of what is installed.
    Uninstall(usize),
    /// `uninstall --unused`.
    UninstallWithUnused(usize),
    /// `sync` with a lock.
    Sync(Lock, Rest),
}

/// The options of a change to which a plan belongs.
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are flags of the command line"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// Which of the Pythons.
    pub(super) python: usize,
    pub(super) pip: bool,
    pub(super) clear: bool,
    pub(super) keep: bool,
    pub(super) allow_lost: bool,
}

/// A command of rvenv.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Create(Options),
    Upgrade(Options),
    Repair,
    Verify,
    Status,
    Rollback,
    /// Back and forward again.
    BackAndForth,
    Recover,
    Change(Change),
    Plan(Options),
    /// A plan that changes packages.
    PlanChange(Change),
    Apply(Options),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Work(Work),
    Rvenv(Command),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct History {
    pub(super) begin: Begin,
    /// What uv installs first, in version 1.
    pub(super) first: Vec<Package>,
    pub(super) acts: Vec<Act>,
}

fn package() -> impl Strategy<Value = Package> {
    let mut all = Package::MADE.to_vec();
    all.push(Package::Pip);
    prop::sample::select(all)
}

/// Starting pip takes as long as ten other acts.
fn by() -> impl Strategy<Value = By> {
    prop_oneof![7 => Just(By::Uv), 1 => Just(By::Pip)]
}

fn spot() -> impl Strategy<Value = Spot> {
    prop_oneof![
        3 => (0..6_usize).prop_map(Spot::Module),
        2 => (0..6_usize).prop_map(Spot::Program),
        2 => Just(Spot::Activate),
        1 => Just(Spot::Beside),
        1 => Just(Spot::Top),
    ]
}

fn work() -> impl Strategy<Value = Work> {
    prop_oneof![
        6 => (package(), 1..=2_u8, by())
            .prop_map(|(package, version, by)| Work::Install(package, version, by)),
        2 => (0..6_usize, by()).prop_map(|(which, by)| Work::Uninstall(which, by)),
        3 => spot().prop_map(Work::Edit),
        2 => spot().prop_map(Work::Delete),
        1 => Just(Work::Move),
    ]
}

fn options() -> impl Strategy<Value = Options> {
    let rarely = || prop::bool::weighted(0.15);
    let flags = (any::<bool>(), rarely(), any::<bool>(), rarely());
    let python = 0..2_usize;
    (python, flags).prop_map(|(python, (pip, clear, keep, allow_lost))| Options {
        python,
        pip,
        clear,
        keep,
        allow_lost,
    })
}

fn change() -> impl Strategy<Value = Change> {
    let made = || prop::sample::select(Package::MADE.to_vec());
    let version = || prop_oneof![1 => Just(None), 3 => (1..=2_u8).prop_map(Some)];
    let lock = prop::array::uniform5(version()).prop_map(Lock);
    let rest = prop_oneof![4 => Just(Rest::OfOthersStays), 1 => Just(Rest::Goes)];
    prop_oneof![
        4 => (made(), version()).prop_map(|(package, version)| Change::Install(package, version)),
        2 => (0..6_usize).prop_map(Change::Uninstall),
        1 => (0..6_usize).prop_map(Change::UninstallWithUnused),
        4 => (lock, rest).prop_map(|(lock, rest)| Change::Sync(lock, rest)),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => options().prop_map(Command::Create),
        3 => options().prop_map(Command::Upgrade),
        3 => Just(Command::Repair),
        2 => Just(Command::Verify),
        1 => Just(Command::Status),
        3 => Just(Command::Rollback),
        2 => Just(Command::BackAndForth),
        1 => Just(Command::Recover),
        8 => change().prop_map(Command::Change),
        1 => change().prop_map(Command::PlanChange),
        2 => options().prop_map(Command::Plan),
        2 => options().prop_map(Command::Apply),
    ]
}

/// Any history.
pub(super) fn history() -> impl Strategy<Value = History> {
    let begin = prop::sample::select(vec![Begin::Rvenv, Begin::Bare, Begin::Venv, Begin::Uv]);
    let first = prop::sample::subsequence(Package::MADE.to_vec(), 0..=3);
    let act = prop_oneof![work().prop_map(Act::Work), command().prop_map(Act::Rvenv),];
    let acts = prop::collection::vec(act, 3..12);
    (begin, first, acts).prop_map(|(begin, first, acts)| History { begin, first, acts })
}
