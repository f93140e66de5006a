//! What a visit of the disks after a crash covers: the model of the crash, and the number of disks.
//!
//! Read next: `images.rs`, which visits them.

/// What a crash destroys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Only the process: everything that it wrote exists, but is no more durable than before.
    Kill,
    /// The power, on a disk that persists name changes in order (ext4, xfs): some prefix of them
    /// survives. A sync of a file or directory includes all name changes up to the last one that
    /// concerns it.
    Ordered,
    /// The power, on a disk that persists each name change independently (btrfs in part, and all
    /// that POSIX promises): any subset survives, as long as the changes of one entry stay in
    /// order. A sync of a directory makes its own entries durable; a sync of a file makes its
    /// content durable, but not its name.
    Independent,
}

/// How many images to visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Up to this many combinations of changes, every one is visited.
    ///
    /// Beyond that, the visited sets of name changes are: all, none, every prefix, each single one
    /// missing (with those that depend on it), each single one present (with those that it depends
    /// on), and each two missing, as long as there are at most this many such pairs. For each of
    /// those, if there are more unsynced files: all complete, all as before, all zeros, all torn;
    /// and with all name changes present, each single file in each way, and each single one
    /// complete.
    pub combinations_max: usize,
    /// Beyond that, at most this many further images are chosen at random, the same in each run
    /// with the same `seed`: each is a set of name changes with one way for each unsynced file. The
    /// choice stops when it finds few new images.
    pub sampled: usize,
    /// The seed of the random choice.
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
