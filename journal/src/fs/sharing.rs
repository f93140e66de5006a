//! With which users a directory is shared, and what new objects inherit from it.
//!
//! Promises that an ACL keeps the system's own bytes and is never invented. The engine reads only
//! one thing from it: which permission bits it leaves to a new object. On a disk that has neither
//! groups nor ACLs nothing is shared.
//! Read next: `real/unix/sharing.rs`, which reads these values; `staging/build.rs`, which uses
//! them.

/// The version of the format in which Linux returns ACLs.
const VERSION: [u8; 4] = 2_u32.to_le_bytes();
/// Bytes of one entry: tag, permissions, id.
const ENTRY_LEN: usize = 8;

const OWNER: u16 = 0x01;
const GROUP: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHERS: u16 = 0x20;

/// An access control list, in the system's own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl(Vec<u8>);

/// With which users a directory is shared, in addition to its owner and its permission bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// The directory's own group.
    pub group: u32,
    /// Whether new objects inherit that group, and new directories this bit.
    pub is_setgid: bool,
    /// The directory's own ACL, if it has more than permission bits.
    pub acl: Option<Acl>,
    /// The ACL that new objects inherit; it replaces the umask for them.
    pub default_acl: Option<Acl>,
}

impl Sharing {
    /// Whether a directory with `other` hands down to new objects what this one does.
    #[must_use]
    pub fn gives_as(&self, other: &Self) -> bool {
        let group = |sharing: &Self| sharing.is_setgid.then_some(sharing.group);
        group(self) == group(other) && self.default_acl == other.default_acl
    }
}

impl Acl {
    /// Wraps the bytes that the system returned; `None` if there are none.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    /// The bytes to hand to the system.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The permission bits out of 0777 that it leaves to a new object; `None` if its format is
    /// unknown.
    ///
    /// The group bits are those of the mask, which limits every entry except the owner's and the
    /// others'.
    #[must_use]
    pub fn leaves(&self) -> Option<u32> {
        let entries = self.0.strip_prefix(&VERSION)?.chunks_exact(ENTRY_LEN);
        let (mut owner, mut group, mut mask, mut others) = (None, None, None, None);
        for entry in entries {
            let &[tag, tag_high, bits, _, ..] = entry else {
                return None;
            };
            let place = match u16::from_le_bytes([tag, tag_high]) {
                OWNER => &mut owner,
                GROUP => &mut group,
                MASK => &mut mask,
                OTHERS => &mut others,
                _ => continue,
            };
            *place = Some(u32::from(bits & 0o7));
        }
        Some(owner? << 6 | mask.or(group)? << 3 | others?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16)]) -> Acl {
        let mut bytes = VERSION.to_vec();
        for (tag, bits) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(bits.to_le_bytes());
            bytes.extend(u32::MAX.to_le_bytes());
        }
        Acl(bytes)
    }

    #[test]
    fn an_acl_leaves_what_its_owner_its_mask_and_the_others_have() {
        let plain = acl(&[(OWNER, 7), (GROUP, 5), (OTHERS, 1)]);
        assert_eq!(plain.leaves(), Some(0o751));
        let masked = acl(&[(OWNER, 6), (2, 7), (GROUP, 5), (MASK, 7), (OTHERS, 0)]);
        assert_eq!(masked.leaves(), Some(0o670));
    }

    #[test]
    fn an_acl_of_another_form_leaves_nothing_that_is_known() {
        assert_eq!(Acl::new(Vec::new()), None);
        for bytes in [&b"x"[..], &[3, 0, 0, 0], &VERSION] {
            assert_eq!(Acl(bytes.to_vec()).leaves(), None, "{bytes:?}");
        }
        assert_eq!(acl(&[(OWNER, 7), (OTHERS, 7)]).leaves(), None);
    }

    #[test]
    fn the_own_acl_and_a_group_that_is_not_handed_down_give_nothing() {
        let plain = Sharing::default();
        let own = Sharing {
            group: 5,
            acl: Acl::new(vec![1]),
            ..Sharing::default()
        };
        assert!(own.gives_as(&plain));
        let is_setgid = true;
        assert!(!Sharing { is_setgid, ..own }.gives_as(&plain));
    }
}
