//! Base64, the alphabet of RFC 4648 with padding: what basic authentication and Docker's
//! configuration are written in.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes bytes.
pub(super) fn encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            let letter = usize::try_from(value)
                .ok()
                .and_then(|value| DIGITS.get(value));
            let is_padding = digit > group.len();
            let letter = letter.filter(|_| !is_padding).copied().unwrap_or(b'=');
            text.push(char::from(letter));
        }
    }
    text
}

/// Reads what [`encoded`] wrote, also without padding.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().trim_end_matches('=').as_bytes();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for letter in group {
            let value = DIGITS.iter().position(|digit| digit == letter)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        let len = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        bits <<= 6 * (4 - group.len());
        bytes.extend(bits.to_be_bytes().iter().skip(1).take(len));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_with_padding_and_read_back() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"a", "YQ=="),
            (b"ab", "YWI="),
            (b"abc", "YWJj"),
            (b"abcd", "YWJjZA=="),
            (b"\xff\xff\xff", "////"),
        ] {
            assert_eq!(encoded(bytes), text);
            assert_eq!(decoded(text).as_deref(), Some(bytes));
            assert_eq!(decoded(text.trim_end_matches('=')).as_deref(), Some(bytes));
        }
        for text in ["A", "AA*A", "AAAAA"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
