//! A bare HTTP client, to compare the exporter with: `peer URL CA_FILE REQUESTS_PER_SECOND SECONDS`. It sends a GET on a new
//! connection with a full TLS handshake at each tick, and does nothing with the response.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::sync::Arc;

use reqwest::Client;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval};

fn client(ca_file: &str) -> Client {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.resumption = Resumption::disabled();
    Client::builder().tls_backend_preconfigured(tls).pool_max_idle_per_host(0).build().unwrap()
}

#[tokio::main]
async fn main() {
    // `cargo bench` itself passes a flag.
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [url, ca_file, rate, seconds] = arguments.as_slice() else { return };
    let (rate, seconds): (u32, u64) = (rate.parse().unwrap(), seconds.parse().unwrap());
    let client = client(ca_file);
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        ticks.tick().await;
        let request = client
            .get(url)
            .header("authorization", format!("Bearer {}", "a".repeat(42)))
            .header("x-third-party-secret", "secret");
        tokio::spawn(async move { request.send().await.unwrap().bytes().await.unwrap() });
    }
}
