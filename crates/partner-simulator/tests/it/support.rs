//! A plain HTTP client for the simulator.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use partner_simulator::{Key, Simulator, SimulatorBuilder};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;

/// No test needs this long. A request without a response fails the test after this time.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) const SECRET: &str = "secret-of-acme";

/// One partner with one active key for one society.
pub(crate) fn acme() -> SimulatorBuilder {
    Simulator::builder().partner("acme", SECRET).society_key("dupont", 80, 127)
}

/// Without redirects, without a proxy from the environment, and with ring as the only TLS provider.
pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .no_gzip()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(REQUEST_TIMEOUT)
}

pub(crate) fn client() -> Client {
    client_builder().tls_certs_only([]).build().unwrap()
}

pub(crate) fn dupont(sim: &Simulator) -> Key {
    sim.key("dupont").unwrap()
}

/// A request with the token of this key and the secret of acme.
pub(crate) fn get_as(sim: &Simulator, key: &str, path: &str) -> RequestBuilder {
    let token = sim.key(key).unwrap().token().unwrap();
    client().get(sim.url(path)).bearer_auth(token).header("X-Third-Party-Secret", SECRET)
}

pub(crate) async fn get(sim: &Simulator, key: &str, path: &str) -> Response {
    get_as(sim, key, path).send().await.unwrap()
}

/// A log-in with this body.
pub(crate) async fn log_in(sim: &Simulator, body: Value) -> Response {
    client().post(sim.auth_url()).json(&body).send().await.unwrap()
}

/// The status and the JSON body.
pub(crate) async fn status_and_json(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

/// The status and the error code of a body in the documented format.
pub(crate) async fn status_and_code(response: Response) -> (u16, String) {
    let (status, body) = status_and_json(response).await;
    (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

pub(crate) fn header(response: &Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().unwrap().to_owned())
}

/// The payload of a token.
pub(crate) fn claims(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}
