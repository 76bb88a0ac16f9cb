//! When the certificates of the API's hosts expire.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tokio::time::{Duration, Instant};
use url::Url;

/// How long a certificate counts that is no longer shown. Behind one name there may be several servers, each with its
/// own certificate: with 240 health probes in an hour, each of them is seen many times. A certificate that was renewed
/// is forgotten after this time.
const MEMORY: Duration = Duration::from_hours(1);
/// The earliest ones are kept. A server that shows another certificate each time must not fill the memory.
const MAX_REMEMBERED: usize = 32;

/// The certificate chains lately seen, by the server that sent them.
#[derive(Debug, Default)]
pub(super) struct Certificates(BTreeMap<Server, Seen>);

/// Host and port.
type Server = (String, Option<u16>);

/// For each expiry of a chain, when such a chain was last seen. Chains with the same expiry need no distinction.
#[derive(Debug, Default)]
struct Seen(BTreeMap<SystemTime, Instant>);

impl Certificates {
    /// Records the chain that the server of `url` sent at `now`.
    pub(super) fn record(&mut self, url: &Url, expiry: SystemTime, now: Instant) {
        self.0.entry(server(url)).or_default().record(expiry, now);
    }

    /// For each host, the earliest expiry of a chain lately seen. Forgets the servers that are not among `configured`.
    pub(super) fn earliest_by_host(
        &mut self,
        configured: [&Url; 2],
        now: Instant,
    ) -> BTreeMap<String, SystemTime> {
        let configured = configured.map(server);
        self.0.retain(|server, _| configured.contains(server));
        let mut earliest = BTreeMap::new();
        for ((host, _), seen) in &self.0 {
            if let Some(expiry) = seen.earliest(now) {
                let known = earliest.entry(host.clone()).or_insert(expiry);
                *known = expiry.min(*known);
            }
        }
        earliest
    }
}

fn server(url: &Url) -> Server {
    (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default())
}

impl Seen {
    fn record(&mut self, expiry: SystemTime, now: Instant) {
        self.0.retain(|_, last_seen| is_recent(*last_seen, now));
        self.0.insert(expiry, now);
        if self.0.len() > MAX_REMEMBERED {
            self.0.pop_last();
        }
    }

    /// The last chain counts even if it was seen long ago: a log-in takes place every few hours.
    fn earliest(&self, now: Instant) -> Option<SystemTime> {
        let last = self.0.values().max()?;
        let mut counting = self.0.iter().filter(|(_, seen)| *seen == last || is_recent(**seen, now));
        counting.next().map(|(expiry, _)| *expiry)
    }
}

fn is_recent(seen: Instant, now: Instant) -> bool {
    now.saturating_duration_since(seen) < MEMORY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::at;

    const SECOND: Duration = Duration::from_secs(1);

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn earliest(certificates: &mut Certificates, now: Instant) -> Vec<(String, SystemTime)> {
        let (api, log_in) = (url("https://api.example"), url("https://log-in.example/x"));
        certificates.earliest_by_host([&api, &log_in], now).into_iter().collect()
    }

    fn of_the_api(expiry: u64) -> Vec<(String, SystemTime)> {
        vec![("api.example".to_owned(), at(expiry))]
    }

    #[tokio::test]
    async fn of_two_servers_behind_one_name_the_earlier_expiry_counts_whichever_was_seen_last() {
        let (mut certificates, api, start) =
            (Certificates::default(), url("https://api.example"), Instant::now());
        for probe in 0..20_u32 {
            let now = start + SECOND * probe;
            certificates.record(&api, at(if probe % 2 == 0 { 2_000 } else { 9_000 }), now);
            assert_eq!(earliest(&mut certificates, now), of_the_api(2_000), "{probe}");
        }
    }

    #[tokio::test]
    async fn a_renewed_certificate_counts_alone_after_an_hour() {
        let (mut certificates, api, start) =
            (Certificates::default(), url("https://api.example"), Instant::now());
        certificates.record(&api, at(2_000), start);
        certificates.record(&api, at(9_000), start + SECOND);
        assert_eq!(earliest(&mut certificates, start + MEMORY - SECOND), of_the_api(2_000));
        assert_eq!(earliest(&mut certificates, start + MEMORY), of_the_api(9_000));
        assert_eq!(
            earliest(&mut certificates, start + MEMORY * 24),
            of_the_api(9_000),
            "the last one is kept"
        );
    }

    #[tokio::test]
    async fn two_ports_of_one_host_are_two_servers() {
        let (api, log_in) = (url("https://api.example"), url("https://api.example:8443/log-in"));
        let (mut certificates, start) = (Certificates::default(), Instant::now());
        certificates.record(&log_in, at(2_000), start);
        certificates.record(&api, at(9_000), start + MEMORY * 3);
        let found = certificates.earliest_by_host([&api, &log_in], start + MEMORY * 3);
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            of_the_api(2_000),
            "the last log-in was three hours ago"
        );
    }

    #[tokio::test]
    async fn a_server_that_is_no_longer_configured_is_forgotten() {
        let (mut certificates, old, now) =
            (Certificates::default(), url("https://old.example"), Instant::now());
        certificates.record(&old, at(2_000), now);
        assert_eq!(earliest(&mut certificates, now), Vec::new());
        assert!(certificates.0.is_empty());
    }

    #[tokio::test]
    async fn a_new_certificate_at_each_probe_fills_no_memory() {
        let (mut certificates, api, now) =
            (Certificates::default(), url("https://api.example"), Instant::now());
        for number in 0..10_000 {
            certificates.record(&api, at(2_000 + number), now);
        }
        assert_eq!(certificates.0.values().map(|seen| seen.0.len()).sum::<usize>(), MAX_REMEMBERED);
        assert_eq!(earliest(&mut certificates, now), of_the_api(2_000));
    }
}
