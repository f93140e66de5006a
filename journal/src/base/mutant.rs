//! Mutants: builds of the engine that break one promise, to check that the tests notice.
//!
//! Without the feature `mutants` nothing is ever dropped, and the compiler removes every check.
//! With it, a process drops what `RVENV_MUTANT` names, and nothing else. Such a build is only
//! useful for `tests/mutants.rs`. Only `safeguard.rs` asks what is dropped.

/// Declares the safeguards and their names.
macro_rules! safeguards {
    ($($safeguard:ident),* $(,)?) => {
        /// What can be dropped: a sync, a state of the journal, a comparison, or an order of two
        /// effects.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Safeguard {
            $($safeguard),*
        }

        #[cfg(feature = "mutants")]
        const SAFEGUARDS: &[(&str, Safeguard)] =
            &[$((stringify!($safeguard), Safeguard::$safeguard)),*];
    };
}

safeguards! {
    // The stage.
    StageName,
    SyncOfStageName,
    IdentityOfStage,
    OwnerOfStage,
    MarkerOfStage,
    SyncOfMarkerDirs,
    SyncOfEngineDir,
    // Staging, and the journal.
    BarrierOfStage,
    SyncOfStagedFiles,
    SyncOfStagedDirs,
    SyncOfDraft,
    SyncOfDraftRename,
    SyncOfRecord,
    SyncOfRecordRename,
    // The checks before and after the steps, and the steps.
    LookAtLock,
    LastLook,
    LookAtMoves,
    LookAtSteps,
    LookIntoSlots,
    PinOfEntries,
    PinOfGeneration,
    SyncOfEntries,
    SyncOfSlots,
    SyncOfHome,
    EntriesBeforeSlots,
    SyncBetweenNames,
    LookBeforePut,
    // The ends.
    StateSettle,
    StateUndo,
    StateDoubt,
    SyncOfDecision,
    SyncOfUndo,
    SyncBeforeTrash,
    SyncOfTrash,
    SyncOfRetirement,
    SyncOfGeneration,
    SyncOfFormerRecord,
    CloseOfGeneration,
    SyncOfClosed,
    ModeOfGeneration,
    SyncOfOpened,
    TrashBeforeUnlink,
    KeepBeforeRecord,
    LookBeforeRecord,
    ReceiptOfUndone,
    LossOfOld,
    TrashBeforeRecord,
    SyncOfDiscard,
    SyncOfDiscardedRecord,
    // Recovery.
    SyncOfFound,
    SyncOfFoundDraft,
    IdentityOfPlace,
    TokenOfPlace,
    IdentityOfTrash,
    OwnerOfTrash,
    RecordOfTrash,
    BootOfDoubt,
    ReceiptOfDoubt,
    TornBesideStage,
    OwnerOfJournal,
    LinksOfJournal,
    ModeOfJournal,
    OneJournal,
}

/// Whether this process drops the effect of a safeguard.
#[cfg(not(feature = "mutants"))]
pub(super) const fn drops(_safeguard: Safeguard) -> bool {
    false
}

/// Whether this process drops the effect of a safeguard.
#[cfg(feature = "mutants")]
pub(super) fn drops(safeguard: Safeguard) -> bool {
    asked() == Some(safeguard)
}

/// The names of all safeguards.
#[cfg(feature = "mutants")]
pub fn safeguards() -> impl Iterator<Item = &'static str> {
    SAFEGUARDS.iter().map(|(name, _)| *name)
}

#[cfg(feature = "mutants")]
#[expect(
    clippy::disallowed_methods,
    reason = "no setting of a caller's: it makes another build out of this one"
)]
fn asked() -> Option<Safeguard> {
    static ASKED: std::sync::OnceLock<Option<Safeguard>> = std::sync::OnceLock::new();
    *ASKED.get_or_init(|| {
        let asked = std::env::var("RVENV_MUTANT").ok()?;
        let found = SAFEGUARDS.iter().find(|(name, _)| *name == asked);
        Some(found.expect("RVENV_MUTANT names a safeguard").1)
    })
}
