//! A plan that fits the target, and the empty stage that it will be built in.
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
    /// Builds what is new beside its place and makes it durable.
    ///
    /// # Errors
    /// See [`StageFailed`]; the stage is given up.
    ///
    /// # Crash
    /// A part of it remains; the next run deletes it, as its name says whose it is.
    pub fn stage(self, options: &StageOptions<'_>) -> Result<Staged<'a>, StageFailed> {
        match self.begun.build(options) {
            Ok((counts, draft)) => Ok(Staged {
                begun: self.begun,
                counts,
                draft,
                lock: None,
            }),
            Err(source) => Err(StageFailed {
                target: self.begun.locks.target().path().into(),
                aftermath: self.begun.give_up(),
                shortage: source
                    .of_disk()
                    .and_then(|failed| self.begun.shortage(failed)),
                source,
            }),
        }
    }
}
