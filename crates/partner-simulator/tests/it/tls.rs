//! The simulator over TLS, with good certificates and bad ones.

use std::time::Duration;

use bytes::Bytes;
use partner_simulator::{Fault, HEALTH, Scope, Simulator, TlsOptions, TlsVersions};
use reqwest::{Certificate, Client};
use tokio::io::AsyncReadExt;

use crate::support::client_builder;

fn trusting(sim: &Simulator) -> Client {
    let ca = Certificate::from_pem(sim.ca_pem().unwrap().as_bytes()).unwrap();
    client_builder().tls_certs_only([ca]).build().unwrap()
}

async fn health(sim: &Simulator) -> Result<u16, String> {
    let response = trusting(sim).get(sim.url(HEALTH)).send().await;
    response.map(|response| response.status().as_u16()).map_err(|error| format!("{error:?}"))
}

async fn presenting(options: TlsOptions) -> Simulator {
    Simulator::builder().tls_with(options).start().await.unwrap()
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served() {
    let sim = Simulator::builder().tls().start().await.unwrap();
    assert_eq!(sim.base_url().scheme(), "https");
    assert_eq!(health(&sim).await, Ok(200));
}

#[tokio::test]
async fn each_version_of_tls_can_be_had_alone() {
    for versions in [TlsVersions::Only12, TlsVersions::Only13] {
        let sim = presenting(TlsOptions { versions, ..TlsOptions::default() }).await;
        assert_eq!(health(&sim).await, Ok(200), "{versions:?}");
    }
}

#[tokio::test]
async fn each_bad_certificate_is_refused_for_its_reason() {
    let cases = [
        (TlsOptions::expired(), "Expired"),
        (TlsOptions::wrong_host(), "NotValidForName"),
        (TlsOptions::self_signed(), "UnknownIssuer"),
    ];
    for (options, reason) in cases {
        let error = health(&presenting(options).await).await.unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_short_lived_certificate_tells_when_it_ends() {
    let sim = presenting(TlsOptions::ending_in(Duration::from_mins(10))).await;
    let rest = sim.certificate_ends().unwrap().duration_since(sim.now()).unwrap();
    assert!(rest <= Duration::from_mins(10) && rest > Duration::from_secs(500));
    assert_eq!(health(&sim).await, Ok(200));
}

#[tokio::test]
async fn an_intermediate_may_end_before_the_leaf() {
    let day = Duration::from_hours(24);
    let sim = presenting(TlsOptions::intermediate_ending_in(day)).await;
    assert!(sim.certificate_ends().unwrap() <= sim.now() + day);
    assert_eq!(health(&sim).await, Ok(200));
}

#[tokio::test]
async fn a_renewed_certificate_is_presented_to_the_next_connection() {
    let sim = presenting(TlsOptions::expired()).await;
    assert!(health(&sim).await.is_err());
    sim.renew_certificate(&TlsOptions::default()).unwrap();
    assert_eq!(health(&sim).await, Ok(200));
}

#[tokio::test]
async fn an_unfinished_handshake_holds_up_nobody() {
    let sim = Simulator::builder().tls().start().await.unwrap();
    let silent = tokio::net::TcpStream::connect(sim.address()).await.unwrap();
    assert_eq!(health(&sim).await, Ok(200));
    drop(silent);
}

#[tokio::test]
async fn raw_bytes_and_closed_connections_work_inside_tls() {
    let sim = Simulator::builder().tls().start().await.unwrap();
    sim.inject(Scope::Everything, Fault::Raw(Bytes::from_static(b"no HTTP")));
    assert!(health(&sim).await.unwrap_err().contains("Parse"));
    sim.heal_all();
    sim.inject(Scope::Everything, Fault::Close);
    assert!(health(&sim).await.is_err());
}

#[tokio::test]
async fn two_simulators_do_not_trust_each_other() {
    let one = Simulator::builder().tls().start().await.unwrap();
    let two = Simulator::builder().tls().start().await.unwrap();
    assert!(trusting(&one).get(two.url(HEALTH)).send().await.is_err());
}

#[tokio::test]
async fn plain_http_on_the_tls_port_ends_in_no_answer() {
    let sim = Simulator::builder().tls().start().await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(sim.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
}
