//! What a crash left: looked at, not judged.
//!
//! Promises to write nothing. Objects are recognised by the identities that the record names, never by where they
//! stand; without times of birth the staged tree must also hold its token.
//!
//! Read next: `recovery.rs`, which judges.

use std::ffi::{OsStr, OsString};

use crate::fs::FsError;
use crate::identity::Identity;
use crate::node::ENGINE_DIR;
use crate::record::{Record, Step};
use crate::target::Target;

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At the name of the staged tree.
    Stage,
    /// At the target.
    Target,
    /// At the name of the generation that the record numbers.
    Generation,
    /// In trash that bears its identity.
    Trash,
    /// At none of these names.
    Gone,
}

/// How far the steps of a record were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    /// None; also of a record that has none yet.
    None,
    /// The first of two.
    Some,
    /// All.
    All,
    /// What stands at the names fits neither before nor after.
    Neither,
}

/// Where the two trees of a publication are, and what follows for its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The staged tree.
    pub staged: Place,
    /// The replaced tree, where there is one.
    pub replaced: Option<Place>,
    /// The steps.
    pub taken: Taken,
}

impl Sight {
    /// Whether steps were taken whose inverse has nothing to bring back.
    #[must_use]
    pub(crate) fn has_lost_the_old_tree(self) -> bool {
        let is_lost = matches!(self.replaced, Some(Place::Trash | Place::Gone));
        is_lost && matches!(self.taken, Taken::Some | Taken::All)
    }
}

/// The name of the file that marks a staged tree on filesystems without times of birth.
pub(crate) fn marker_name(token: &str) -> OsString {
    OsString::from(format!("token-{token}"))
}

/// Looks where the trees of a record are.
pub(crate) fn sight(target: &Target<'_>, record: &Record) -> Result<Sight, FsError> {
    let lookout = Lookout { target, record };
    let staged = lookout.place(record.stage, true)?;
    let old = record
        .steps
        .as_ref()
        .and_then(|steps| replaced_identity(&steps.list));
    let replaced = old.map(|old| lookout.place(old, false)).transpose()?;
    let at_target = target.meta()?.map(|meta| meta.identity);
    let at_stage = lookout.identity_at(&target.names.stage(&record.token))?;
    let taken = match &record.steps {
        None => first_part_taken(at_stage, record.stage),
        Some(steps) => taken(&steps.list, staged, replaced, at_target.is_some()),
    };
    Ok(Sight {
        staged,
        replaced,
        taken,
    })
}

/// The tree that a list of steps replaces.
pub(crate) fn replaced_identity(steps: &[Step]) -> Option<Identity> {
    steps.iter().find_map(|step| match step {
        Step::Put => None,
        Step::Swap { old } | Step::Take { old } => Some(*old),
    })
}

/// A first part took no step, unless somebody put another object at the name of its stage.
fn first_part_taken(at_stage: Option<Identity>, stage: Identity) -> Taken {
    if at_stage.is_none_or(|found| found == stage) {
        Taken::None
    } else {
        Taken::Neither
    }
}

/// Judges the steps by where their objects are. A step that is neither before nor after makes the whole neither.
fn taken(steps: &[Step], staged: Place, replaced: Option<Place>, target_exists: bool) -> Taken {
    let away = matches!(
        staged,
        Place::Stage | Place::Generation | Place::Trash | Place::Gone
    );
    match (steps, replaced) {
        ([Step::Put], None) if staged == Place::Target => Taken::All,
        ([Step::Put], None) if away && !target_exists => Taken::None,
        ([Step::Swap { .. }] | [Step::Take { .. }, Step::Put], Some(Place::Target)) if away => {
            Taken::None
        }
        ([Step::Swap { .. }] | [Step::Take { .. }, Step::Put], Some(_))
            if staged == Place::Target =>
        {
            Taken::All
        }
        ([Step::Take { .. }, Step::Put], Some(Place::Generation))
            if staged == Place::Stage && !target_exists =>
        {
            Taken::Some
        }
        _ => Taken::Neither,
    }
}

struct Lookout<'a> {
    target: &'a Target<'a>,
    record: &'a Record,
}

impl Lookout<'_> {
    fn identity_at(&self, name: &str) -> Result<Option<Identity>, FsError> {
        Ok(self
            .target
            .fs
            .meta(&self.target.parent, OsStr::new(name))?
            .map(|meta| meta.identity))
    }

    fn place(&self, identity: Identity, is_stage: bool) -> Result<Place, FsError> {
        let Target { names, name, .. } = self.target;
        let places = [
            (
                Place::Stage,
                OsString::from(names.stage(&self.record.token)),
            ),
            (Place::Target, name.clone()),
            (
                Place::Generation,
                OsString::from(names.generation(self.record.generation)),
            ),
            (Place::Trash, OsString::from(names.trash(identity))),
        ];
        for (place, name) in places {
            let found = self
                .target
                .fs
                .meta(&self.target.parent, &name)?
                .map(|meta| meta.identity);
            if found == Some(identity)
                && (identity.is_certain() || self.bears_token(&name)? == is_stage)
            {
                return Ok(place);
            }
        }
        Ok(Place::Gone)
    }

    /// An inode number without a time of birth may have been given out again: the token tells the staged tree.
    fn bears_token(&self, name: &OsStr) -> Result<bool, FsError> {
        let Target { fs, parent, .. } = self.target;
        let Ok(inner) = fs
            .open_dir(parent, name)
            .and_then(|dir| fs.open_dir(&dir, OsStr::new(ENGINE_DIR)))
        else {
            return Ok(false);
        };
        Ok(fs.meta(&inner, &marker_name(&self.record.token))?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Identity = Identity {
        inode: 1,
        birth: None,
    };

    fn check(
        steps: &[Step],
        staged: Place,
        replaced: Option<Place>,
        target_exists: bool,
        expected: Taken,
    ) {
        assert_eq!(
            taken(steps, staged, replaced, target_exists),
            expected,
            "{steps:?} {staged:?} {replaced:?}"
        );
    }

    #[test]
    fn steps_are_judged_by_where_their_objects_are() {
        let put = [Step::Put];
        check(&put, Place::Stage, None, false, Taken::None);
        check(&put, Place::Stage, None, true, Taken::Neither);
        check(&put, Place::Target, None, true, Taken::All);
        let swap = [Step::Swap { old: OLD }];
        check(&swap, Place::Stage, Some(Place::Target), true, Taken::None);
        check(&swap, Place::Target, Some(Place::Stage), true, Taken::All);
        check(&swap, Place::Target, Some(Place::Gone), true, Taken::All);
        check(
            &swap,
            Place::Stage,
            Some(Place::Stage),
            true,
            Taken::Neither,
        );
        check(
            &swap,
            Place::Stage,
            Some(Place::Generation),
            false,
            Taken::Neither,
        );
        check(&swap, Place::Gone, Some(Place::Gone), true, Taken::Neither);
        let take_put = [Step::Take { old: OLD }, Step::Put];
        check(
            &take_put,
            Place::Stage,
            Some(Place::Target),
            true,
            Taken::None,
        );
        check(
            &take_put,
            Place::Stage,
            Some(Place::Generation),
            false,
            Taken::Some,
        );
        check(
            &take_put,
            Place::Stage,
            Some(Place::Generation),
            true,
            Taken::Neither,
        );
        check(
            &take_put,
            Place::Target,
            Some(Place::Generation),
            true,
            Taken::All,
        );
    }
}
