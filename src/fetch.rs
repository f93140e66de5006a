//! Fetching: the bytes of wheels by their digests, from the cache, this machine or a server.
//!
//! Promises that each file that is fetched has the bytes with the digest that was asked for, that
//! no message or value that is shown has a password in it, and that only hosts that the caller
//! named are asked; a registry that the caller named may redirect to where it keeps its blobs.
//! Writes only to the cache. Does not choose wheels; a lock or its caller does.
//!
//! Read next: `fetch/fetcher.rs`, which asks the places in order; `fetch/settings.rs`, where they
//! come from.

pub mod address;
mod asked;
mod at_hand;
mod at_once;
mod attaching;
mod attestations;
mod base64;
mod bounded;
mod client;
mod credentials;
mod docker_config;
mod download;
mod ending;
mod failure;
mod fetcher;
mod hosts;
mod html_links;
mod http_date;
pub mod index_page;
mod keep;
mod layout;
mod oci_reference;
mod pace;
mod pages;
mod pip_config;
mod place;
mod places;
mod registry;
mod releases;
mod retry;
mod settings;
mod shelf;
mod stocked;
mod transfer;
mod uv_variables;

pub use address::{Address, AddressError};
pub use asked::{Asked, AskedError, Hashes};
pub use at_hand::AtHand;
pub use attestations::ATTESTED;
pub use credentials::KeyringProvider;
pub use download::Fetched;
pub use failure::FetchFailed;
pub use fetcher::{FetchControl, Fetcher, Progress};
pub use hosts::{HostRefused, Hosts};
pub use index_page::{IndexFile, PageError, PageKind};
pub use keep::keep;
pub use oci_reference::{Hosted, Reference, ReferenceError, Repository, is_reference};
pub use place::{Body, Found, Listing, Place, PlaceError, Resume};
pub use places::{Directory, LocalFile, Remote, SimpleIndex};
pub use registry::{Registry, Sending};
pub use releases::{NoWheel, Offer, Releases, Wanted};
pub use settings::{FetchOptions, Links, Order, Settings, SettingsError};
pub use shelf::{FETCHED, ShelfError, fetched_digest, is_fetched, is_part};
pub use stocked::{cached_bytes, fetched_wheels, is_at_hand, keep_bytes};
pub use transfer::{Parcel, ParcelBytes, RegistryFailed, Transfer};
