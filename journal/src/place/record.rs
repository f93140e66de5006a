//! The record: what a journal says about the publication that it belongs to.
//!
//! Promises that a record names only objects that belong to its own target (I6): the names are
//! derived from the target, the token and the numbers of slots.
//! Does not promise that the disk still matches the record; `recovery/evidence.rs` checks that.
//!
//! Read next: `place/record_json.rs`, `recovery/decide.rs`.

use crate::base::digest::Digest;
use crate::base::identity::Identity;
use crate::base::path::RelPath;
use crate::place::names::{Direction, Names};
use crate::plan::node::Mode;

/// How much a successful commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Success survives a power cut.
    #[default]
    Power,
    /// Success survives the death of the process; a power cut may leave neither the old nor the new
    /// tree.
    Process,
}

/// When a publication is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Once all steps are taken, the publication is decided: recovery settles.
    BySteps,
    /// The caller still has to check the published tree: until then recovery undoes.
    Awaited,
}

impl Verdict {
    /// The direction of a publication whose steps were all taken, if nothing more is known.
    pub(crate) fn direction(self) -> Direction {
        match self {
            Self::BySteps => Direction::Settle,
            Self::Awaited => Direction::Undo,
        }
    }
}

/// What happens to what a publication replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// It is deleted once the publication is decided.
    #[default]
    Discard,
    /// It is kept as a generation.
    Keep,
}

/// What a publication moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The target as a whole; journal and stage are beside it.
    Tree,
    /// Entries inside the target; journal and stage are in the engine's directory inside it.
    Entries,
}

/// Where a published object was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a stage that was built for the publication.
    Built,
    /// In the kept generation `K`, when rolling back or forward.
    Generation,
}

/// What a rename does, with the identities on both of its sides; each has its inverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// An object moves to an absent name.
    Put {
        /// The object that comes.
        new: Identity,
    },
    /// Two objects are exchanged.
    Exchange {
        /// The object that comes.
        new: Identity,
        /// The object that goes.
        old: Identity,
    },
    /// An object is moved away: an entry to its slot, a whole tree to the name of a generation
    /// (in a rollback, of a stage). If a filesystem cannot exchange two names, a put at the same
    /// name follows.
    Take {
        /// The object that goes.
        old: Identity,
    },
}

impl Act {
    /// The identity of the object that comes.
    #[must_use]
    pub fn coming(self) -> Option<Identity> {
        match self {
            Self::Put { new } | Self::Exchange { new, .. } => Some(new),
            Self::Take { .. } => None,
        }
    }

    /// The identity of the object that goes.
    #[must_use]
    pub fn going(self) -> Option<Identity> {
        match self {
            Self::Put { .. } => None,
            Self::Exchange { old, .. } | Self::Take { old } => Some(old),
        }
    }
}

/// One entry of a target, and its slot in the stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntrySlot {
    /// The entry.
    pub path: RelPath,
    /// The number that is its name in the stage; after the step the slot contains the replaced
    /// entry.
    pub slot: u32,
}

/// One atomic rename of one entry, or of the whole target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which entry; `None` for the target itself.
    pub entry: Option<EntrySlot>,
    /// What the rename does.
    pub act: Act,
}

/// How to publish: everything is staged, and only these steps are left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The steps in order.
    pub list: Vec<Step>,
    /// SHA-256 of the receipt that the steps publish, if they publish one.
    pub receipt: Option<Digest>,
    /// When the publication is decided.
    pub verdict: Verdict,
}

/// The contents of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Digest of what the plan makes, as in its receipt; in a rollback, of the generation's plan;
    /// in a removal, of nothing.
    pub plan: Digest,
    /// The end of the stage's name: its identity, or a random X if the identity is not certain.
    pub token: String,
    /// K: the number of the generation in which to keep what is replaced, or of the generation to
    /// publish again.
    pub generation: u32,
    /// What the publication moves.
    pub form: Form,
    /// Where the published objects were before: `staging_name` has the name.
    pub origin: Origin,
    /// The root of the staged tree, or the directory of the slots; in a removal, the tree that
    /// goes.
    pub stage: Identity,
    /// The boot in which the record was written.
    pub boot: String,
    /// How much the publication survives.
    pub durability: Durability,
    /// What happens to what is replaced.
    pub retention: Retention,
    /// Permission bits of the root of the tree that is replaced; a kept tree denies other users
    /// access.
    pub root_mode: Option<Mode>,
    /// How to publish.
    pub steps: Steps,
}

impl Record {
    /// The name of the object that comes, or of the directory of the slots, before the steps.
    #[must_use]
    pub(crate) fn staging_name(&self, names: &Names) -> String {
        match self.origin {
            Origin::Built => names.stage(&self.token),
            Origin::Generation => names.generation(self.generation),
        }
    }

    /// The permission bits that the root of a kept tree had, if the record contains them.
    pub(crate) fn root_mode_of(&self, kept: Identity) -> Option<Mode> {
        let replaced = self.steps().iter().find_map(|step| step.act.going());
        self.root_mode.filter(|_| replaced == Some(kept))
    }

    /// The name that a `Take` of a whole tree moves to.
    #[must_use]
    pub(crate) fn taken_to(&self, names: &Names) -> String {
        match self.origin {
            Origin::Built => names.generation(self.generation),
            Origin::Generation => names.stage(&self.token),
        }
    }

    /// Whether the publication is one put that is its own decision.
    ///
    /// It replaces nothing. The object that it puts is durable, and its name proves that the engine
    /// created it until the put. So no later run needs the record, before or after: it only serves
    /// this run, in case the fsync of the step fails.
    #[must_use]
    pub(crate) fn is_lone_put(&self) -> bool {
        self.form == Form::Tree
            && self.origin == Origin::Built
            && self.durability == Durability::Power
            && self.stage.is_certain()
            && self.steps.verdict == Verdict::BySteps
            && matches!(self.steps.list.as_slice(), [step] if step.act.going().is_none())
    }

    /// Whether it only takes the whole target away.
    #[must_use]
    pub(crate) fn is_removal(&self) -> bool {
        self.form == Form::Tree
            && matches!(
                self.steps(),
                [Step {
                    act: Act::Take { .. },
                    ..
                }]
            )
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps.list
    }
}
