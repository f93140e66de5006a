//! The manifest of a pack: the objects that it was entered with.
//!
//! Promises that only an exact manifest is read as one; without it the pack counts as absent.
//! Does not promise that the objects exist: another process may have edited or removed them since.
//!
//! Read next: `pack.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ObjectMeta;
use crate::base::digest::Digest;
use crate::plan::node::Mode;

const FORMAT: u64 = 1;

/// The objects of a pack by digest.
pub(super) type Objects = BTreeMap<Digest, Same>;

/// Objects with the same bytes, which differ in mode or time.
#[derive(Clone, Debug, Default)]
pub(super) struct Same {
    pub(super) all: Vec<ObjectMeta>,
    /// The index of the first one among all objects of a pack that was read.
    pub(super) first: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestDto {
    format: u64,
    objects: Vec<(String, u64, u32, i64)>,
}

pub(super) fn write(objects: &Objects) -> String {
    let row = |object: &ObjectMeta| {
        (
            object.digest.to_string(),
            object.len,
            object.mode.bits(),
            object.mtime,
        )
    };
    let dto = ManifestDto {
        format: FORMAT,
        objects: objects
            .values()
            .flat_map(|same| &same.all)
            .map(row)
            .collect(),
    };
    serde_json::to_string(&dto).expect("strings and numbers serialize")
}

pub(super) fn read(bytes: &[u8]) -> Option<Objects> {
    let dto: ManifestDto = serde_json::from_slice(bytes).ok()?;
    if dto.format != FORMAT {
        return None;
    }
    let mut objects = Objects::new();
    for (digest, len, mode, mtime) in dto.objects {
        let object = ObjectMeta {
            digest: Digest::parse(&digest).ok()?,
            len,
            mode: Mode::new(mode).ok()?,
            mtime,
        };
        objects.entry(object.digest).or_default().all.push(object);
    }
    let mut count = 0;
    for same in objects.values_mut() {
        same.first = count;
        count += same.all.len();
    }
    Some(objects)
}
