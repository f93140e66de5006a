//! Times as RFC 3339 writes them, in UTC.
//!
//! Promises the same text on every machine. Does not promise a year of four digits after 9999.

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Seconds since 1970 as RFC 3339 has them.
#[must_use]
pub fn timestamp(seconds: i64) -> String {
    let (days, rest) = (
        seconds.div_euclid(DAY_SECONDS),
        seconds.rem_euclid(DAY_SECONDS),
    );
    // In a year that begins in March, the leap day is the last day; 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = year + era * 400 + next;
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_rfc_3339() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(1_709_209_858), "2024-02-29T12:30:58Z");
        assert_eq!(timestamp(784_111_777), "1994-11-06T08:49:37Z");
        assert_eq!(timestamp(946_684_799), "1999-12-31T23:59:59Z");
    }
}
