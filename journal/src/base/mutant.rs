//! Mutants: builds of the engine that break one promise, to check that the tests notice.
//!
//! Without the feature `mutants` nothing is ever dropped, and the compiler removes every check.
//! With it, a process drops what `RVENV_MUTANT` names, and nothing else. Such a build is only
//! useful for `tests/mutants.rs`. Only `safeguard.rs` asks what is dropped.

/// Declares the sites and their names.
macro_rules! sites {
    ($($site:ident),* $(,)?) => {
        /// What can be dropped: a sync, a state of the journal, a comparison, or an order of two
        /// effects.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Site {
            $($site),*
        }

        #[cfg(feature = "mutants")]
        const SITES: &[(&str, Site)] = &[$((stringify!($site), Site::$site)),*];
    };
}

sites! {
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

/// Whether this process drops the effect of a site.
#[cfg(not(feature = "mutants"))]
pub(super) const fn drops(_site: Site) -> bool {
    false
}

/// Whether this process drops the effect of a site.
#[cfg(feature = "mutants")]
pub(super) fn drops(site: Site) -> bool {
    asked() == Some(site)
}

/// The names of all sites.
#[cfg(feature = "mutants")]
pub fn sites() -> impl Iterator<Item = &'static str> {
    SITES.iter().map(|(name, _)| *name)
}

#[cfg(feature = "mutants")]
#[expect(
    clippy::disallowed_methods,
    reason = "no setting of a caller's: it makes another build out of this one"
)]
fn asked() -> Option<Site> {
    static ASKED: std::sync::OnceLock<Option<Site>> = std::sync::OnceLock::new();
    *ASKED.get_or_init(|| {
        let asked = std::env::var("RVENV_MUTANT").ok()?;
        let found = SITES.iter().find(|(name, _)| *name == asked);
        Some(found.expect("RVENV_MUTANT names a site").1)
    })
}
