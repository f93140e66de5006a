//! What a visit of the disks after a crash covers: the model of the crash, and how many disks.
//!
//! Read next: `images.rs`, which visits them.

/// What a crash takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Only the process: all that it wrote is there, though no more durable than before.
    Kill,
    /// The power, where changes of names reach the disk in their order (ext4, xfs): some prefix of them is there.
    /// A sync of a file or directory takes with it all changes of names up to the last that concerns it.
    Ordered,
    /// The power, where each change of a name reaches the disk by itself (btrfs in part, all that POSIX promises):
    /// any subset is there, as long as one entry's own changes stay in order. A sync of a directory makes its own
    /// entries durable, a sync of a file its content and not its name.
    Independent,
}

/// How many images to visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Up to this many combinations of changes, every one is visited.
    ///
    /// Of more changes of names: all, none, every prefix, each one alone missing (with what builds on it), each
    /// one alone present (with what it builds on), and each two missing, while there are no more such pairs than
    /// this. For each of those, of more unsynced files: all whole, all as before, all zeros, all torn; and with
    /// all changes of names present, each file alone in each way, and each alone whole.
    pub combinations_max: usize,
    /// Of more, so many at most are visited besides that a random choice names, the same in each run that has the same `seed`:
    /// each a set of changes of names, with one way for each unsynced file. The choice ends where it meets little but what
    /// was met before.
    pub sampled: usize,
    /// What the random choice begins with.
    pub seed: u64,
}

impl Bound {
    /// For long runs with an image at each step.
    pub const QUICK: Self = Self {
        combinations_max: 256,
        sampled: 0,
        seed: 0,
    };
    /// All subsets of twelve changes.
    pub const THOROUGH: Self = Self {
        combinations_max: 4096,
        sampled: 0,
        seed: 0,
    };
}
