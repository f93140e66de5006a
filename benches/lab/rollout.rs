//! A rollout by simulation: what hosts ask of a registry, and until when all of them have an
//! environment.
//!
//! Each host begins at a random time of a window, as a timer with a random delay lets it, and gets
//! as many bytes as one host did when it was measured. The servers share their bandwidth equally
//! among the hosts that are being served, and give each no more than its own link takes.
//! Promises the same result for the same input. Does not know latency, processors and caches: it
//! says what the network must do.

use super::relay::Traffic;

/// A kind of network and a way to use it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) hosts: u32,
    /// How many hosts ask one mirror; `None` if all ask the registry.
    pub(crate) per_mirror: Option<u32>,
    /// The length of the window, in seconds.
    pub(crate) window: f64,
    /// What a server sends in a second, in bytes.
    pub(crate) server: f64,
    /// What a host receives in a second, in bytes.
    pub(crate) link: f64,
}

/// What a rollout costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rollout {
    /// All that the registry is asked, by hosts or by mirrors.
    pub(crate) at_registry: Traffic,
    /// The most requests to one server in a second.
    pub(crate) peak_requests: f64,
    /// When the last host has everything, in seconds after the first begins.
    pub(crate) last: f64,
    /// The longest that a host waits for its bytes, in seconds.
    pub(crate) longest: f64,
}

/// Simulates a rollout in which each host needs this.
pub(crate) fn simulate(terms: Terms, host: Traffic) -> Rollout {
    let group = terms.per_mirror.unwrap_or(terms.hosts).min(terms.hosts);
    let mut begins = begins(group, terms.window);
    begins.sort_by(f64::total_cmp);
    let bytes = as_float(host.bytes);
    let ends = served(&begins, bytes, terms);
    let waits = ends.iter().zip(&begins).map(|(end, begin)| end - begin);
    let askers = match terms.per_mirror {
        Some(per_mirror) => terms.hosts.div_ceil(per_mirror),
        None => terms.hosts,
    };
    Rollout {
        at_registry: Traffic {
            requests: host.requests * u64::from(askers),
            bytes: host.bytes * u64::from(askers),
        },
        peak_requests: busiest(&begins) * as_float(host.requests),
        last: ends.iter().copied().fold(0.0, f64::max),
        longest: waits.fold(0.0, f64::max),
    }
}

/// When each host begins: the same for every run.
fn begins(hosts: u32, window: f64) -> Vec<f64> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        // Xorshift (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from(u32::try_from(state >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    };
    (0..hosts).map(|_| next() * window).collect()
}

/// When each host ends. All need the same, so that they end in the order in which they began, each
/// when the service of one host since its begin is what it needs.
fn served(begins: &[f64], bytes: f64, terms: Terms) -> Vec<f64> {
    let rate = |active: usize| {
        let active = f64::from(u32::try_from(active).unwrap_or(u32::MAX));
        terms.link.min(terms.server / active.max(1.0))
    };
    let mut ends = Vec::with_capacity(begins.len());
    // The service that one host got which was there from the beginning, when each began.
    let mut service = 0.0;
    let mut at_begin: Vec<f64> = Vec::with_capacity(begins.len());
    let mut now = 0.0;
    while ends.len() < begins.len() {
        let active = at_begin.len() - ends.len();
        let comes = begins.get(at_begin.len()).copied();
        let needs = at_begin
            .get(ends.len())
            .map(|begun| begun + bytes - service);
        let goes = needs.map(|needs| now + needs / rate(active));
        match (comes, goes) {
            (Some(comes), goes) if goes.is_none_or(|goes| comes <= goes) => {
                if active > 0 {
                    service += (comes - now) * rate(active);
                }
                now = comes;
                at_begin.push(service);
            }
            (_, Some(goes)) => {
                service += needs.unwrap_or_default();
                now = goes;
                ends.push(now);
            }
            (_, None) => break,
        }
    }
    ends
}

/// The most hosts that begin within one second.
fn busiest(begins: &[f64]) -> f64 {
    let mut first = 0;
    let mut most = 0;
    for (at, begin) in begins.iter().enumerate() {
        while begins.get(first).is_some_and(|other| begin - other > 1.0) {
            first += 1;
        }
        most = most.max(at + 1 - first);
    }
    f64::from(u32::try_from(most).unwrap_or(u32::MAX))
}

/// As a number that can be divided; what is counted here has fewer than 53 bits.
#[expect(clippy::cast_precision_loss, reason = "fewer than 53 bits")]
pub(crate) fn as_float(count: u64) -> f64 {
    count as f64
}
