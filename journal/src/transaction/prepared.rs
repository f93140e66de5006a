//! A plan that fits the target, and the empty stage in which it will be built.
//!
//! Read next: `transaction/staged.rs`.

use crate::staging::build::StageOptions;
use crate::transaction::begun::Begun;
use crate::transaction::failures::StageFailed;
use crate::transaction::staged::Staged;

/// A plan that fits the target, and an empty stage for it.
#[derive(Debug)]
pub struct Prepared<'a> {
    pub(super) begun: Begun<'a>,
}

impl<'a> Prepared<'a> {
    /// Builds the new objects in the stage and makes them durable.
    ///
    /// # Errors
    /// See [`StageFailed`]; the stage is given up.
    ///
    /// # Crash
    /// A part of it remains; the next run deletes it, because its name proves that the engine
    /// created it.
    pub fn stage(self, options: &StageOptions<'_>) -> Result<Staged<'a>, StageFailed> {
        match self.begun.build(options) {
            Ok(built) => Ok(Staged {
                begun: self.begun,
                built,
                lock: None,
            }),
            Err(source) => Err(StageFailed {
                target: self.begun.locks.target().path().into(),
                aftermath: self.begun.delete_stage(),
                shortage: source
                    .of_disk()
                    .and_then(|failed| self.begun.shortage(failed)),
                source,
            }),
        }
    }
}
