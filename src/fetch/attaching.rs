//! What refers to a manifest: written and listed, for a command that can be interrupted.
//!
//! Read next: `registry/referrers.rs`; `../front/attaching.rs`, which keeps a list where a registry
//! keeps none.

use std::sync::Arc;

use rvenv_journal::Digest;

use super::fetcher::FetchControl;
use super::place::PlaceError;
use super::transfer::{RegistryFailed, Transfer};

impl Transfer {
    /// Writes a manifest with a subject under its own digest; returns whether the registry lists
    /// it.
    ///
    /// # Errors
    /// See [`RegistryFailed`].
    ///
    /// # Crash
    /// The manifest is there or not.
    pub fn refer(
        &self,
        kind: &'static str,
        manifest: &[u8],
        control: &FetchControl<'_>,
    ) -> Result<bool, RegistryFailed> {
        let side = Arc::clone(&self.side);
        let put = move |bytes: Vec<u8>| side.put_referrer(kind, &bytes);
        let mut all = self.each(vec![manifest.to_vec()], control, put)?;
        match all.pop() {
            Some(Ok(is_listed)) => Ok(is_listed),
            Some(Err(PlaceError::Interrupted)) | None => Err(RegistryFailed::Interrupted),
            Some(Err(source)) => Err(RegistryFailed::PutManifest {
                repository: self.repository.clone(),
                source,
            }),
        }
    }

    /// The pages of the list of what refers to a manifest; `None` if the registry keeps none.
    ///
    /// # Errors
    /// See [`RegistryFailed`].
    pub fn referrers(
        &self,
        subject: Digest,
        accept: &'static str,
        control: &FetchControl<'_>,
    ) -> Result<Option<Vec<Vec<u8>>>, RegistryFailed> {
        let side = Arc::clone(&self.side);
        let get = move |subject| side.referrers(subject, accept);
        let mut all = self.each(vec![subject], control, get)?;
        match all.pop() {
            Some(Ok(pages)) => Ok(pages),
            Some(Err(PlaceError::Interrupted)) | None => Err(RegistryFailed::Interrupted),
            Some(Err(source)) => Err(RegistryFailed::Referrers {
                subject,
                repository: self.repository.clone(),
                source,
            }),
        }
    }
}
