//! Laws over random histories.

use proptest::prelude::*;

use super::super::{InodeNumbers, Moves};
use super::*;

/// A step of a random history, on names in the root and in two directories.
#[derive(Clone, Copy, Debug)]
enum Call {
    Move(usize, usize),
    Exchange(usize, usize),
    Make(usize),
    Write(usize),
    Unmake(usize),
    Unlink(usize),
    SyncDir(usize),
    SyncFile(usize),
}

/// Where the actions happen; the first three contain what must not be lost.
const PLACES: [&str; 9] = ["p", "d/q", "e/r", "d", "e", "x", "d/x", "e/x", "e/y"];

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let place = 0..PLACES.len();
    let two = (place.clone(), place.clone());
    let call = prop_oneof![
        4 => two.clone().prop_map(|(from, to)| Call::Move(from, to)),
        2 => two.prop_map(|(from, to)| Call::Exchange(from, to)),
        2 => place.clone().prop_map(Call::Make),
        2 => place.clone().prop_map(Call::Write),
        1 => place.clone().prop_map(Call::Unmake),
        1 => place.clone().prop_map(Call::Unlink),
        1 => place.clone().prop_map(Call::SyncDir),
        1 => place.prop_map(Call::SyncFile),
    ];
    prop::collection::vec(call, 1..9)
}

impl Sim {
    /// The directory of a place and its name in it, if that directory exists.
    fn place(&self, at: usize) -> Option<(Dir, &'static OsStr)> {
        match PLACES[at].split_once('/') {
            None => Some((self.root.clone(), os(PLACES[at]))),
            Some((dir, name)) => Some((self.disk.open_dir(&self.root, os(dir)).ok()?, os(name))),
        }
    }

    /// Performs an action, if it is possible and destroys nothing that must not be lost.
    fn attempt(&self, call: Call) -> Option<()> {
        let disk = &self.disk;
        match call {
            Call::Move(from, to) => self.attempt_rename(from, to, Rename::NoReplace),
            Call::Exchange(from, to) => self.attempt_rename(from, to, Rename::Exchange),
            Call::Make(at) => self
                .place(at)
                .and_then(|(dir, name)| disk.make_dir(&dir, name, 0o755).ok()),
            Call::Write(at) => {
                let (dir, name) = self.place(at)?;
                self.try_write(&dir, name.to_str()?, "scrap", Flush::Later)
                    .ok()
            }
            Call::Unmake(at) => self
                .place(at)
                .and_then(|(dir, name)| disk.remove_dir(&dir, name).ok()),
            Call::Unlink(at) => {
                let (dir, name) = self.place(at)?;
                let bytes = disk.read_file(&dir, name, 99).ok()?;
                if bytes != b"scrap" {
                    return None;
                }
                disk.remove_file(&dir, name).ok()
            }
            Call::SyncDir(at) => disk.sync_dir(&self.place(at)?.0).ok(),
            Call::SyncFile(at) => self
                .place(at)
                .and_then(|(dir, name)| disk.sync_file(&dir, name).ok()),
        }
    }

    fn attempt_rename(&self, from: usize, to: usize, how: Rename) -> Option<()> {
        let (from, to) = (self.place(from)?, self.place(to)?);
        let renamed = self.disk.rename(from.0.at(from.1), to.0.at(to.1), how);
        renamed.ok()
    }

    fn populated(options: Options) -> Self {
        let sim = Self::with(options);
        let (d, e) = (sim.mkdir("d"), sim.mkdir("e"));
        sim.write(&sim.root, "p", "one", Flush::Later);
        sim.write(&d, "q", "two", Flush::Later);
        sim.write(&e, "r", "three", Flush::Later);
        sim.write(&d, "x", "scrap", Flush::Later);
        sim.sync_all();
        sim
    }
}

fn digests(sim: &Sim, model: Persistence) -> BTreeSet<u64> {
    let mut digests = BTreeSet::new();
    sim.disk.for_each_image(model, Bound::THOROUGH, |image, _| {
        digests.insert(image.state_digest());
    });
    digests
}

fn options(number: usize) -> Options {
    let mut options = Options::default();
    if number % 2 == 1 {
        options.inode_numbers = InodeNumbers::Reused;
    }
    options
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(200)
    })]

    #[test]
    fn what_was_synced_and_only_moved_is_at_exactly_one_place_of_every_image(
        calls in calls(), number in 0_usize..2,
    ) {
        let sim = Sim::populated(options(number));
        for call in calls {
            sim.attempt(call);
        }
        for model in POWER {
            sim.disk.for_each_image(model, Bound::QUICK, |image, story| {
                let disk = show(&image);
                for precious in ["one", "two", "three"] {
                    assert_eq!(disk.matches(&format!("={precious}")).count(), 1, "{disk}\n{story}");
                }
            });
        }
    }

    #[test]
    fn no_image_has_two_objects_of_one_inode_number(calls in calls(), number in 0_usize..2) {
        let sim = Sim::populated(options(number));
        for call in calls {
            sim.attempt(call);
        }
        for model in POWER {
            sim.disk.for_each_image(model, Bound::QUICK, |image, story| {
                let machine = image.machine();
                let mut numbers = BTreeSet::new();
                assert!(machine.live.numbers().all(|number| numbers.insert(number)), "{story}");
            });
        }
    }

    #[test]
    fn an_ordered_image_has_the_names_of_some_moment_of_the_history(calls in calls()) {
        let sim = Sim::populated(options(0));
        let names = |disk: &SimFs| disk.tree(Path::new("/")).into_keys().collect::<Vec<_>>();
        let mut moments = BTreeSet::from([names(&sim.disk)]);
        for call in calls {
            sim.attempt(call);
            moments.insert(names(&sim.disk));
        }
        sim.disk.for_each_image(Persistence::Ordered, Bound::QUICK, |image, story| {
            assert!(moments.contains(&names(&image)), "{story}");
        });
    }

    #[test]
    fn a_sync_only_takes_images_away(calls in calls(), place in 0..PLACES.len()) {
        let sim = Sim::populated(options(0));
        for call in calls {
            sim.attempt(call);
        }
        let before = POWER.map(|model| digests(&sim, model));
        sim.attempt(Call::SyncDir(place));
        sim.attempt(Call::SyncFile(place));
        for (model, before) in POWER.into_iter().zip(before) {
            assert!(digests(&sim, model).is_subset(&before), "{model:?}");
        }
    }

    #[test]
    fn order_only_takes_images_away(calls in calls()) {
        let sim = Sim::populated(options(0));
        for call in calls {
            sim.attempt(call);
        }
        let independent = digests(&sim, Persistence::Independent);
        assert!(digests(&sim, Persistence::Ordered).is_subset(&independent));
    }

    #[test]
    fn all_that_programs_see_is_one_of_the_images(calls in calls(), number in 0_usize..2) {
        let mut options = options(number);
        options.moves = if number == 0 { Moves::Atomic } else { Moves::Split };
        let sim = Sim::populated(options);
        for call in calls {
            sim.attempt(call);
        }
        for model in POWER {
            let mut found = false;
            sim.disk.for_each_image(model, Bound::QUICK, |image, _| {
                found |= image.state_digest() == sim.disk.state_digest();
            });
            assert!(found);
        }
    }

    #[test]
    fn equal_calls_make_equal_disks(calls in calls()) {
        let run = || {
            let sim = Sim::populated(options(1));
            for call in &calls {
                sim.attempt(*call);
            }
            (sim.disk.state_digest(), sim.disk.steps(), sim.found(Persistence::Independent))
        };
        prop_assert_eq!(run(), run());
    }
}
