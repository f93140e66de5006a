//! Which disks a crash may leave.
//!
//! Promises that everything synced is on every image, that an image is coherent (a directory has
//! one name, a change needs those that it depends on, see `log.rs`), and that no two images of one
//! visit are equal. The content of an unsynced file is, independently of other files and of its
//! entry: complete, as before, empty, all zeros, or torn in the middle. All five were seen on ext4,
//! xfs or btrfs.
//! Does not promise every disk beyond the [`Bound`], which defines what is visited then.
//!
//! Read next: `story.rs`, which describes an image in words.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bound::{Bound, Persistence};
use super::disk::{Content, Disk, Id};
use super::log::{Data, Delta, Mutation, Trust};
use super::machine::Machine;
use super::story::{Fate, ImageStory};

/// The callbacks of a visit.
pub(super) struct Visitor<'a> {
    /// Whether to create an image with this digest.
    pub(super) is_new: &'a mut dyn FnMut(u64) -> bool,
    /// Visits an image, with its number among all images.
    pub(super) visit: &'a mut dyn FnMut(usize, Machine, &ImageStory<'_>),
}
/// Which name changes survive.
type Kept = Vec<bool>;

/// The changes among which a power cut chooses.
struct Survey<'a> {
    machine: &'a Machine,
    model: Persistence,
    bound: Bound,
    /// Changes of names and modes, in order.
    names: Vec<&'a Mutation>,
    /// By position, the positions that each depends on.
    needs: Vec<Vec<usize>>,
    files: Vec<Unsynced>,
}

/// A file with unsynced changes.
struct Unsynced {
    file: Id,
    ways: Vec<Way>,
}

/// One possible content of a file.
struct Way {
    fate: Fate,
    data: Data,
    /// The file's part of the digest of a disk.
    term: u64,
}

/// A choice of name changes, from which images are created.
struct Named<'a> {
    disk: Disk,
    reached: Vec<u64>,
    digest: u64,
    kept: &'a Kept,
    /// Positions of the unsynced files that have a name on this disk.
    files: Vec<usize>,
    /// The disk after a boot, once an image of it is created.
    pruned: OnceCell<Disk>,
}

/// After this many random choices the visit checks whether they still find new images.
const ROUND: usize = 2048;
/// At least one of this many choices has to be new for the visit to continue.
const NEW_ONE_IN: usize = 32;

/// Visits every image once; returns how many there are.
pub(super) fn for_each(
    machine: &Machine,
    model: Persistence,
    bound: Bound,
    visitor: &mut Visitor<'_>,
) -> usize {
    if model == Persistence::Kill {
        let digest = machine.live.digest(&machine.live.reached());
        if (visitor.is_new)(digest) {
            (visitor.visit)(0, machine.killed(), &ImageStory::of_kill(machine));
        }
        return 1;
    }
    Survey::new(machine, model, bound).run(visitor)
}

impl<'a> Survey<'a> {
    fn new(machine: &'a Machine, model: Persistence, bound: Bound) -> Self {
        let mut names = Vec::new();
        let mut files: BTreeMap<Id, Vec<&Data>> = BTreeMap::new();
        for mutation in &machine.log.pending {
            match &mutation.change {
                Delta::Names(_) | Delta::Mode(..) | Delta::Raise { .. } => names.push(mutation),
                Delta::Data(file, data) => files.entry(*file).or_default().push(data),
            }
        }
        let position = |seq: &u64| names.binary_search_by_key(seq, |m| m.seq).ok();
        let needs = names
            .iter()
            .map(|mutation| mutation.needs.iter().filter_map(position).collect())
            .collect();
        let base = &machine.log.base;
        let files = files.iter();
        Self {
            machine,
            model,
            bound,
            needs,
            names,
            files: files
                .map(|(id, data)| Unsynced::new(base, *id, data))
                .collect(),
        }
    }

    fn run(&self, visitor: &mut Visitor<'_>) -> usize {
        let choices = self.choices();
        let (mut seen_names, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for kept in &choices {
            let named = self.named(kept);
            if !seen_names.insert(named.digest) {
                continue;
            }
            let combinations_max = (self.bound.combinations_max / choices.len()).max(16);
            for ways in self.contents(&named, combinations_max) {
                self.emit(&named, &ways, &mut seen, visitor);
            }
        }
        self.sample(&mut seen, visitor);
        seen.len()
    }

    /// Visits images that a random choice selects, if there are more than the bound.
    fn sample(&self, seen: &mut BTreeSet<u64>, visitor: &mut Visitor<'_>) {
        let ways = self.files.iter().map(|file| file.ways.len());
        let contents = ways.fold(1_usize, usize::saturating_mul);
        let (prefixes, name_choices) = match self.model {
            Persistence::Kill => return,
            Persistence::Ordered => {
                let prefixes = self.prefixes();
                let count = prefixes.len();
                (prefixes, count)
            }
            Persistence::Independent => {
                let count = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                let count = 1_usize.checked_shl(count).unwrap_or(usize::MAX);
                (Vec::new(), count)
            }
        };
        let all = contents.saturating_mul(name_choices);
        if all <= self.bound.combinations_max {
            return;
        }
        // Each step has its own random choice.
        let mut random = Random(self.bound.seed ^ self.machine.steps.made.len() as u64);
        let named: Vec<OnceCell<Named<'_>>> = prefixes.iter().map(|_| OnceCell::new()).collect();
        let mut is_new = || {
            let at = random.below(prefixes.len());
            let Some((prefix, named)) = prefixes.get(at).zip(named.get(at)) else {
                let set = self.names.iter().map(|_| random.below(4) > 0).collect();
                let kept = self.closed_down(set);
                return self.draw(&self.named(&kept), &mut random, seen, visitor);
            };
            let named = named.get_or_init(|| self.named(prefix));
            self.draw(named, &mut random, seen, visitor)
        };
        // More choices than there are combinations would only repeat some.
        let mut left = self.bound.sampled.min(all);
        while left > 0 {
            let round = left.min(ROUND);
            let new = (0..round).filter(|_| is_new()).count();
            // A visitor to which more images are new continues at least as far, so an image has the
            // same number in a run that repeats a failure.
            if new * NEW_ONE_IN < round {
                return;
            }
            left -= round;
        }
    }

    /// Creates one image of a choice of name changes, with a random way for each file; returns
    /// whether it was new.
    fn draw(
        &self,
        named: &Named<'_>,
        random: &mut Random,
        seen: &mut BTreeSet<u64>,
        visitor: &mut Visitor<'_>,
    ) -> bool {
        let files = named.files.iter().filter_map(|at| self.files.get(*at));
        let ways: Vec<usize> = files.map(|file| random.below(file.ways.len())).collect();
        self.emit(named, &ways, seen, visitor)
    }

    /// The disk with some of the name changes.
    fn named<'k>(&self, kept: &'k Kept) -> Named<'k> {
        let mut disk = self.machine.log.base.clone();
        for (mutation, is_kept) in self.names.iter().zip(kept) {
            if *is_kept {
                mutation.apply(&mut disk);
            }
        }
        let reached = disk.reached();
        let is_named = |at: &usize| {
            let id = self.files.get(*at).map(|unsynced| unsynced.file);
            id.and_then(|id| reached.get(id))
                .is_some_and(|names| *names > 0)
        };
        Named {
            digest: disk.digest(&reached),
            kept,
            files: (0..self.files.len()).filter(is_named).collect(),
            pruned: OnceCell::new(),
            disk,
            reached,
        }
    }

    /// Visits an image, unless an equal one was visited; returns whether it was visited.
    fn emit(
        &self,
        named: &Named<'_>,
        ways: &[usize],
        seen: &mut BTreeSet<u64>,
        visitor: &mut Visitor<'_>,
    ) -> bool {
        let files = named.files.iter().filter_map(|at| self.files.get(*at));
        let found: Vec<(Id, &Way)> = files
            .zip(ways)
            .filter_map(|(unsynced, at)| Some((unsynced.file, unsynced.ways.get(*at)?)))
            .collect();
        let base = &self.machine.log.base;
        let digest = found.iter().fold(named.digest, |sum, (file, way)| {
            let before = base.term(base.get(*file));
            sum.wrapping_sub(before).wrapping_add(way.term)
        });
        if !seen.insert(digest) || !(visitor.is_new)(digest) {
            return false;
        }
        let pruned = || named.disk.pruned(&named.reached);
        let mut disk = named.pruned.get_or_init(pruned).clone();
        for (file, way) in &found {
            if way.fate != Fate::Lost {
                way.data.write_to(disk.edit(*file));
            }
        }
        let all = self.names.iter().copied().zip(named.kept.iter().copied());
        let fates = found.iter().map(|(file, way)| (*file, way.fate)).collect();
        let story = ImageStory::of_power_cut(self.machine, self.model, all.collect(), fates);
        (visitor.visit)(seen.len() - 1, self.machine.booted(disk), &story);
        true
    }

    /// The choices of name changes, the one with all changes first.
    fn choices(&self) -> Vec<Kept> {
        let mut choices = match self.model {
            Persistence::Kill => Vec::new(),
            Persistence::Ordered => self.prefixes(),
            Persistence::Independent => {
                let all: Vec<usize> = (0..self.names.len()).collect();
                self.subsets(&vec![false; all.len()], &all, self.bound.combinations_max)
            }
        };
        // Of equal choices the first one counts, and the one with all name changes gets the most
        // contents.
        choices.reverse();
        choices
    }

    /// Prefixes that include everything synced, with any subset of the changes in doubt.
    fn prefixes(&self) -> Vec<Kept> {
        let is_certain =
            |m: &&Mutation| m.trust == Trust::Sound && m.seq <= self.machine.log.ordered;
        let certain = self.closed_up(self.names.iter().map(is_certain).collect());
        let len_min = self
            .names
            .partition_point(|m| m.seq <= self.machine.log.ordered);
        let lengths = len_min..=self.names.len();
        let limit = self.bound.combinations_max / lengths.clone().count().max(1);
        let mut choices = Vec::new();
        for len in lengths {
            let mut kept = certain.clone();
            let mut doubtful = Vec::new();
            for (at, (kept, mutation)) in kept.iter_mut().zip(&self.names).enumerate().take(len) {
                match mutation.trust {
                    Trust::Sound => *kept = true,
                    Trust::Doubtful if !*kept => doubtful.push(at),
                    Trust::Doubtful => {}
                }
            }
            choices.extend(self.subsets(&kept, &doubtful, limit));
        }
        choices
    }

    /// The fixed changes with every subset of the free ones, or with the family that [`Bound`]
    /// defines; all of them last.
    fn subsets(&self, fixed: &Kept, free: &[usize], limit: usize) -> Vec<Kept> {
        let sets = self.every_subset(fixed, free, limit.max(1));
        let sets = sets.unwrap_or_else(|| self.some_subsets(fixed, free));
        sets.into_iter()
            .map(|kept| self.closed_down(kept))
            .collect()
    }

    fn every_subset(&self, fixed: &Kept, free: &[usize], limit: usize) -> Option<Vec<Kept>> {
        let mut sets = vec![fixed.clone()];
        for at in free {
            for index in 0..sets.len() {
                let Some(set) = sets.get(index).filter(|set| self.may_join(*at, set)) else {
                    continue;
                };
                let mut larger = set.clone();
                mark(&mut larger, *at, true);
                sets.push(larger);
            }
            if sets.len() > limit {
                return None;
            }
        }
        Some(sets)
    }

    fn some_subsets(&self, fixed: &Kept, free: &[usize]) -> Vec<Kept> {
        let mut sets = Vec::new();
        let mut all = fixed.clone();
        for at in free {
            sets.push(all.clone());
            mark(&mut all, *at, true);
        }
        let without = |missing: &[usize]| {
            let mut set = all.clone();
            for at in missing {
                mark(&mut set, *at, false);
            }
            set
        };
        for at in free {
            let mut alone = fixed.clone();
            mark(&mut alone, *at, true);
            sets.push(self.closed_up(alone));
            sets.push(without(&[*at]));
        }
        if free.len() * free.len().saturating_sub(1) / 2 <= self.bound.combinations_max {
            for (index, one) in free.iter().enumerate() {
                let others = free.iter().skip(index + 1);
                sets.extend(others.map(|other| without(&[*one, *other])));
            }
        }
        sets.push(all);
        sets
    }

    fn may_join(&self, at: usize, set: &Kept) -> bool {
        let needs = self.needs.get(at).into_iter().flatten();
        needs.into_iter().all(|need| set.get(*need) == Some(&true))
    }

    /// Removes the changes that depend on a missing one.
    fn closed_down(&self, mut set: Kept) -> Kept {
        for at in 0..set.len() {
            if !self.may_join(at, &set) {
                mark(&mut set, at, false);
            }
        }
        set
    }

    /// Adds the changes that a present one depends on.
    fn closed_up(&self, mut set: Kept) -> Kept {
        for at in (0..set.len()).rev() {
            if set.get(at) == Some(&true) {
                let needs = self.needs.get(at).into_iter().flatten();
                needs.for_each(|need| mark(&mut set, *need, true));
            }
        }
        set
    }

    /// The choices of contents, each with a way for every file.
    fn contents(&self, named: &Named<'_>, combinations_max: usize) -> Vec<Vec<usize>> {
        let files: Vec<&Unsynced> = named
            .files
            .iter()
            .filter_map(|at| self.files.get(*at))
            .collect();
        let product = files
            .iter()
            .fold(1_usize, |n, file| n.saturating_mul(file.ways.len()));
        if product <= combinations_max {
            return (0..product).map(|number| digits(number, &files)).collect();
        }
        let all = |fate| -> Vec<usize> { files.iter().map(|file| file.way(fate)).collect() };
        let fates = [Fate::Survived, Fate::Lost, Fate::Zeros, Fate::Torn];
        let mut contents: Vec<Vec<usize>> = fates.map(all).into();
        if named.kept.iter().all(|kept| *kept) {
            let mut alone = |mut rest: Vec<usize>, at: usize, way: usize| {
                if let Some(chosen) = rest.get_mut(at) {
                    *chosen = way;
                }
                contents.push(rest);
            };
            for (at, file) in files.iter().enumerate() {
                (0..file.ways.len()).for_each(|way| alone(all(Fate::Survived), at, way));
                alone(all(Fate::Lost), at, file.way(Fate::Survived));
            }
        }
        contents
    }
}

impl Unsynced {
    /// The possible contents of a file that was overwritten with these versions, the newest last.
    fn new(base: &Disk, file: Id, versions: &[&Data]) -> Self {
        let inode = base.get(file);
        let nothing = Content::new(&[]);
        let before = Data {
            content: Arc::clone(inode.content().unwrap_or(&nothing)),
            mode: inode.mode,
            mtime: inode.mtime,
            ctime: inode.ctime,
        };
        let mut ways = Vec::new();
        let mut add = |fate, data: Data| {
            let mut found = inode.clone();
            data.write_to(&mut found);
            let term = base.term(&found);
            ways.push(Way { fate, data, term });
        };
        if let Some((newest, earlier)) = versions.split_last() {
            let bytes = &newest.content.bytes;
            let with = |bytes: &[u8]| Data {
                content: Content::new(bytes),
                ..(*newest).clone()
            };
            add(Fate::Survived, (*newest).clone());
            if bytes.len() > 1 {
                add(
                    Fate::Torn,
                    with(bytes.get(..bytes.len() / 2).unwrap_or_default()),
                );
            }
            if !bytes.is_empty() {
                add(Fate::Zeros, with(&vec![0; bytes.len()]));
            }
            // A new file is empty in `before`, with the mode that it was created with.
            if before.content.len() > 0 {
                add(Fate::Emptied, with(&[]));
            }
            for data in earlier {
                add(Fate::Earlier, (*data).clone());
            }
        }
        add(Fate::Lost, before);
        Self { file, ways }
    }

    /// The way with a certain fate, or else the one in which everything is lost.
    fn way(&self, fate: Fate) -> usize {
        let found = self.ways.iter().position(|way| way.fate == fate);
        found.unwrap_or_else(|| self.ways.len().saturating_sub(1))
    }
}

/// Pseudo-random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let limit = limit.max(1) as u64;
        usize::try_from((mixed ^ (mixed >> 31)) % limit).unwrap_or_default()
    }
}

/// The way of each file in the combination with this number.
fn digits(mut number: usize, files: &[&Unsynced]) -> Vec<usize> {
    let mut next = |file: &&Unsynced| {
        let ways = file.ways.len();
        let way = number % ways;
        number /= ways;
        way
    };
    files.iter().map(&mut next).collect()
}

fn mark(set: &mut Kept, at: usize, kept: bool) {
    if let Some(slot) = set.get_mut(at) {
        *slot = kept;
    }
}
