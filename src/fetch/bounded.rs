//! A body that is read into memory: a page, a manifest, a token.
//!
//! Promises that its size is bounded before it is allocated, and that a silent server costs a
//! bounded time.
//! Read next: `pace.rs`.

use std::io::{self, Read};

use super::client::{Client, broken};
use super::pace::Pace;
use super::place::PlaceError;

const CHUNK_BYTES: usize = 64 << 10;

/// Reads a body of at most `max` bytes.
pub(super) fn read(
    client: &Client,
    mut reader: Box<dyn Read + Send>,
    shown: &str,
    max: usize,
) -> Result<Vec<u8>, PlaceError> {
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; CHUNK_BYTES]);
    let mut pace = Pace::new(client.timeout(), 0);
    loop {
        if client.is_stopped() {
            return Err(PlaceError::Interrupted);
        }
        let len = match reader.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(shown.to_owned(), &error)),
        };
        if bytes.len() + len > max {
            return Err(PlaceError::TooLarge {
                shown: shown.to_owned(),
                max: max as u64,
            });
        }
        bytes.extend(chunk.iter().take(len));
        if pace.is_silent(bytes.len() as u64) {
            return Err(PlaceError::Silent(shown.to_owned()));
        }
    }
}
