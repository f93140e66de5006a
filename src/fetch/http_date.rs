//! Times in headers of HTTP, as far as `Retry-After` needs them.
//!
//! Promises to compare two times of the same server, so that no clock of this machine is read.
//!
//! Read next: `client.rs`, which waits.

use std::time::Duration;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// How long a header `Retry-After` asks to wait: a number of seconds, or a time, which is compared
/// with the header `Date` of the same answer.
pub(super) fn wait(retry_after: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = retry_after.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let seconds = unix_seconds(retry_after)?.saturating_sub(unix_seconds(date?)?);
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that servers may write (RFC 9110, 5.6.7).
fn unix_seconds(text: &str) -> Option<i64> {
    let (_, text) = text.trim().split_once(", ")?;
    let words: Vec<&str> = text.split(' ').collect();
    let [day, month, year, time, "GMT"] = words.as_slice() else {
        return None;
    };
    let month = i64::try_from(MONTHS.iter().position(|name| name == month)?).ok()?;
    let number = |text: &str| text.parse::<i64>().ok().filter(|n| (0..10_000).contains(n));
    let clock: Option<Vec<i64>> = time.split(':').map(number).collect();
    let clock = clock?;
    let [hours, minutes, seconds] = clock.as_slice() else {
        return None;
    };
    let days = days_since_1970(number(year)?, month, number(day)?);
    Some(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
}

/// Days of the Gregorian calendar; January is month 0.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // In a year that begins in March, the leap day is the last day.
    let (year, month) = if month > 1 {
        (year, month - 2)
    } else {
        (year - 1, month + 10)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_asks_for_seconds_or_names_a_time() {
        assert_eq!(
            unix_seconds("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(unix_seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            unix_seconds("Thu, 29 Feb 2024 12:30:58 GMT"),
            Some(1_709_209_858)
        );
        let date = Some("Wed, 31 Dec 2025 23:59:50 GMT");
        let seconds = |text: &str| wait(text, date).map(|wait| wait.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds("Thu, 01 Jan 2026 00:00:20 GMT"), Some(30));
        assert_eq!(seconds("Wed, 31 Dec 2025 00:00:00 GMT"), Some(0));
        assert_eq!(wait("Thu, 01 Jan 2026 00:00:20 GMT", None), None);
        for text in [
            "",
            "-1",
            "soon",
            "Thu, 01 Foo 2026 00:00:20 GMT",
            "x, 1 Jan 99999 0:0:0 GMT",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
