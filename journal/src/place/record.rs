//! The record: what a journal says of the publication that it belongs to.
//!
//! Promises that a record names only the siblings of its own target (I6): the names are derived from the target, the token
//! and the numbers of slots.
//! Does not promise that the disk still looks as the record says; `recovery/evidence.rs` looks.
//!
//! Read next: `place/record_json.rs`, `recovery/decide.rs`.

use crate::base::digest::Digest;
use crate::base::identity::Identity;
use crate::base::path::RelPath;
use crate::place::names::{Direction, Names};
use crate::plan::node::Mode;

/// What survives what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Success survives a power cut.
    #[default]
    Power,
    /// Success survives the death of the process; a power cut may leave neither the old nor the new tree.
    Process,
}

/// When a publication is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All steps taken is the decision: recovery settles.
    Taken,
    /// Somebody still has to look at the published tree: until then recovery undoes.
    Awaited,
}

impl Verdict {
    /// Where a publication goes whose steps were all taken and of which nothing more is known.
    pub(crate) fn direction(self) -> Direction {
        match self {
            Self::Taken => Direction::Settle,
            Self::Awaited => Direction::Undo,
        }
    }
}

/// What becomes of what a publication replaced.
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
    /// The target as a whole; journal and stage stand beside it.
    Tree,
    /// Entries inside the target; journal and stage stand in the engine's directory in it.
    Entries,
}

/// Where that which comes to its place stood before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a stage that was built for the publication.
    Built,
    /// In the kept generation `K`, which goes back or forward.
    Generation,
}

/// What a rename does, with the identities on both of its sides; each has its inverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Something comes to an absent name.
    Put {
        /// What comes.
        new: Identity,
    },
    /// Two things change places.
    Swap {
        /// What comes.
        new: Identity,
        /// What goes.
        old: Identity,
    },
    /// Something goes, and nothing comes.
    Take {
        /// What goes.
        old: Identity,
    },
}

impl Act {
    /// What comes.
    #[must_use]
    pub fn coming(self) -> Option<Identity> {
        match self {
            Self::Put { new } | Self::Swap { new, .. } => Some(new),
            Self::Take { .. } => None,
        }
    }

    /// What goes.
    #[must_use]
    pub fn going(self) -> Option<Identity> {
        match self {
            Self::Put { .. } => None,
            Self::Swap { old, .. } | Self::Take { old } => Some(old),
        }
    }
}

/// One entry of a target, and the name in the stage that it changes places with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntrySlot {
    /// The entry.
    pub path: RelPath,
    /// The number that is its name in the stage; afterwards what was replaced stands there.
    pub slot: u32,
}

/// One atomic rename of one entry, or of the whole target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which entry; `None` is the target itself.
    pub entry: Option<EntrySlot>,
    /// What the rename does.
    pub act: Act,
}

/// What publishes: everything is staged, these steps are all that is left to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The steps in their order.
    pub list: Vec<Step>,
    /// SHA-256 of the receipt that comes with the steps, if one does.
    pub receipt: Option<Digest>,
    /// When the publication is decided.
    pub verdict: Verdict,
}

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Digest of the plan; of the generation's plan when that comes back.
    pub plan: Digest,
    /// What the stage's name ends with: its identity, or a random X where that proves nothing.
    pub token: String,
    /// K: the number that what is replaced gets, should it be kept; or the generation that comes back.
    pub generation: u32,
    /// What the publication moves.
    pub form: Form,
    /// Where that which comes stood before.
    pub source: Origin,
    /// The staged tree's root; of entries, the directory of the slots.
    pub stage: Identity,
    /// The start of the machine in which the record was written.
    pub boot: String,
    /// What the publication promises to survive.
    pub durability: Durability,
    /// What becomes of what is replaced.
    pub retention: Retention,
    /// Permission bits of the root of the tree that is replaced; while it is kept it is closed to others.
    pub root_mode: Option<Mode>,
    /// What publishes.
    pub steps: Steps,
}

impl Record {
    /// The name of what comes, or of the directory of the slots, before the steps.
    #[must_use]
    pub(crate) fn origin(&self, names: &Names) -> String {
        match self.source {
            Origin::Built => names.stage(&self.token),
            Origin::Generation => names.generation(self.generation),
        }
    }

    /// The permission bits that the root of a kept tree had, if the record knows them.
    pub(crate) fn root_mode_of(&self, kept: Identity) -> Option<Mode> {
        let replaced = self.steps().iter().find_map(|step| step.act.going());
        self.root_mode.filter(|_| replaced == Some(kept))
    }

    /// The name to which a whole tree is taken out of the way.
    #[must_use]
    pub(crate) fn aside(&self, names: &Names) -> String {
        match self.source {
            Origin::Built => names.generation(self.generation),
            Origin::Generation => names.stage(&self.token),
        }
    }

    /// Whether all there is to do is one put that is its own decision.
    ///
    /// It replaces nothing; what it puts is durable, and says itself whose it is until it is put. So no later run has to
    /// know of it, before or after: its record only serves the run itself, should the disk not confirm the step.
    #[must_use]
    pub(crate) fn is_lone_put(&self) -> bool {
        self.form == Form::Tree
            && self.source == Origin::Built
            && self.durability == Durability::Power
            && self.stage.is_certain()
            && self.steps.verdict == Verdict::Taken
            && matches!(self.steps.list.as_slice(), [step] if step.act.going().is_none())
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps.list
    }
}
