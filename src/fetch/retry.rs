//! Asking again if an error passes.

use super::client::Client;
use super::place::PlaceError;

/// Asks again if an error passes.
pub(super) fn retried<T>(
    client: &Client,
    ask: impl Fn() -> Result<T, PlaceError>,
) -> Result<T, PlaceError> {
    let mut attempts = 0;
    loop {
        let error = match ask() {
            Err(error) => error,
            done => return done,
        };
        let Some(wait) = client.wait(&error, attempts) else {
            return Err(error);
        };
        client.pause(wait, &|| false)?;
        attempts += 1;
    }
}
