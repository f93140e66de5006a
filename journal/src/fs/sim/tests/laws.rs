//! Laws over random histories.

use proptest::prelude::*;

use super::super::{InodeNumbers, Moves};
use super::*;

/// A step of a random history, on names in the root and in two directories.
#[derive(Clone, Copy, Debug)]
enum Deed {
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

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let place = 0..PLACES.len();
    let two = (place.clone(), place.clone());
    let deed = prop_oneof![
        4 => two.clone().prop_map(|(from, to)| Deed::Move(from, to)),
        2 => two.prop_map(|(from, to)| Deed::Exchange(from, to)),
        2 => place.clone().prop_map(Deed::Make),
        2 => place.clone().prop_map(Deed::Write),
        1 => place.clone().prop_map(Deed::Unmake),
        1 => place.clone().prop_map(Deed::Unlink),
        1 => place.clone().prop_map(Deed::SyncDir),
        1 => place.prop_map(Deed::SyncFile),
    ];
    prop::collection::vec(deed, 1..9)
}

impl Desk {
    /// The directory of a place and its name in it, if that directory exists.
    fn place(&self, at: usize) -> Option<(Dir, &'static OsStr)> {
        match PLACES[at].split_once('/') {
            None => Some((self.root.clone(), os(PLACES[at]))),
            Some((dir, name)) => Some((self.disk.open_dir(&self.root, os(dir)).ok()?, os(name))),
        }
    }

    /// Performs an action, if it is possible and destroys nothing that must not be lost.
    fn attempt(&self, deed: Deed) -> Option<()> {
        let disk = &self.disk;
        match deed {
            Deed::Move(from, to) => self.attempt_rename(from, to, Rename::NoReplace),
            Deed::Exchange(from, to) => self.attempt_rename(from, to, Rename::Exchange),
            Deed::Make(at) => self
                .place(at)
                .and_then(|(dir, name)| disk.make_dir(&dir, name, 0o755).ok()),
            Deed::Write(at) => {
                let (dir, name) = self.place(at)?;
                self.try_write(&dir, name.to_str()?, "scrap", Flush::Later)
                    .ok()
            }
            Deed::Unmake(at) => self
                .place(at)
                .and_then(|(dir, name)| disk.remove_dir(&dir, name).ok()),
            Deed::Unlink(at) => {
                let (dir, name) = self.place(at)?;
                let bytes = disk.read_file(&dir, name, 99).ok()?;
                if bytes != b"scrap" {
                    return None;
                }
                disk.remove_file(&dir, name).ok()
            }
            Deed::SyncDir(at) => disk.sync_dir(&self.place(at)?.0).ok(),
            Deed::SyncFile(at) => self
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
        let desk = Self::with(options);
        let (d, e) = (desk.mkdir("d"), desk.mkdir("e"));
        desk.write(&desk.root, "p", "one", Flush::Later);
        desk.write(&d, "q", "two", Flush::Later);
        desk.write(&e, "r", "three", Flush::Later);
        desk.write(&d, "x", "scrap", Flush::Later);
        desk.sync_all();
        desk
    }
}

fn digests(desk: &Desk, model: Persistence) -> BTreeSet<u64> {
    let mut digests = BTreeSet::new();
    desk.disk
        .for_each_image(model, Bound::THOROUGH, |image, _| {
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
    fn what_was_synced_and_only_moved_stands_at_exactly_one_place_of_every_image(
        deeds in deeds(), number in 0_usize..2,
    ) {
        let desk = Desk::populated(options(number));
        for deed in deeds {
            desk.attempt(deed);
        }
        for model in POWER {
            desk.disk.for_each_image(model, Bound::QUICK, |image, story| {
                let disk = show(&image);
                for precious in ["one", "two", "three"] {
                    assert_eq!(disk.matches(&format!("={precious}")).count(), 1, "{disk}\n{story}");
                }
            });
        }
    }

    #[test]
    fn no_image_has_two_objects_of_one_inode_number(deeds in deeds(), number in 0_usize..2) {
        let desk = Desk::populated(options(number));
        for deed in deeds {
            desk.attempt(deed);
        }
        for model in POWER {
            desk.disk.for_each_image(model, Bound::QUICK, |image, story| {
                let machine = image.machine();
                let mut numbers = BTreeSet::new();
                assert!(machine.live.numbers().all(|number| numbers.insert(number)), "{story}");
            });
        }
    }

    #[test]
    fn an_ordered_image_has_the_names_of_some_moment_of_the_history(deeds in deeds()) {
        let desk = Desk::populated(options(0));
        let names = |disk: &SimFs| disk.tree(Path::new("/")).into_keys().collect::<Vec<_>>();
        let mut moments = BTreeSet::from([names(&desk.disk)]);
        for deed in deeds {
            desk.attempt(deed);
            moments.insert(names(&desk.disk));
        }
        desk.disk.for_each_image(Persistence::Ordered, Bound::QUICK, |image, story| {
            assert!(moments.contains(&names(&image)), "{story}");
        });
    }

    #[test]
    fn a_sync_only_takes_images_away(deeds in deeds(), place in 0..PLACES.len()) {
        let desk = Desk::populated(options(0));
        for deed in deeds {
            desk.attempt(deed);
        }
        let before = POWER.map(|model| digests(&desk, model));
        desk.attempt(Deed::SyncDir(place));
        desk.attempt(Deed::SyncFile(place));
        for (model, before) in POWER.into_iter().zip(before) {
            assert!(digests(&desk, model).is_subset(&before), "{model:?}");
        }
    }

    #[test]
    fn order_only_takes_images_away(deeds in deeds()) {
        let desk = Desk::populated(options(0));
        for deed in deeds {
            desk.attempt(deed);
        }
        let independent = digests(&desk, Persistence::Independent);
        assert!(digests(&desk, Persistence::Ordered).is_subset(&independent));
    }

    #[test]
    fn all_that_programs_see_is_one_of_the_images(deeds in deeds(), number in 0_usize..2) {
        let mut options = options(number);
        options.moves = if number == 0 { Moves::Atomic } else { Moves::Split };
        let desk = Desk::populated(options);
        for deed in deeds {
            desk.attempt(deed);
        }
        for model in POWER {
            let mut found = false;
            desk.disk.for_each_image(model, Bound::QUICK, |image, _| {
                found |= image.state_digest() == desk.disk.state_digest();
            });
            assert!(found);
        }
    }

    #[test]
    fn equal_calls_make_equal_disks(deeds in deeds()) {
        let run = || {
            let desk = Desk::populated(options(1));
            for deed in &deeds {
                desk.attempt(*deed);
            }
            (desk.disk.state_digest(), desk.disk.steps(), desk.found(Persistence::Independent))
        };
        prop_assert_eq!(run(), run());
    }
}
