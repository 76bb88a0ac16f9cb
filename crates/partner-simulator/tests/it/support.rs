//! A client for the simulator, as plain as can be.

use std::time::Duration;

use partner_simulator::{Key, Simulator, SimulatorBuilder};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;

/// Far more than any test needs, and far less than anyone would wait for a hung one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const SECRET: &str = "secret-of-acme";

/// One partner, and one active key for one society.
pub(crate) fn acme() -> SimulatorBuilder {
    Simulator::builder().partner("acme", SECRET).society_key("dupont", 80, 127)
}

/// No redirects, no proxy of the environment, no provider but the one named.
pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().no_gzip().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE)
}

pub(crate) fn client() -> Client {
    client_builder().tls_certs_only([]).build().unwrap()
}

pub(crate) fn dupont(sim: &Simulator) -> Key {
    sim.key("dupont").unwrap()
}

/// A request with the token of that key, and the secret of acme.
pub(crate) fn get_as(sim: &Simulator, key: &str, path: &str) -> RequestBuilder {
    let token = sim.key(key).unwrap().token().unwrap();
    client().get(sim.url(path)).bearer_auth(token).header("X-Third-Party-Secret", SECRET)
}

pub(crate) async fn ask(sim: &Simulator, key: &str, path: &str) -> Response {
    get_as(sim, key, path).send().await.unwrap()
}

/// Status and JSON body.
pub(crate) async fn read(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Status, and the code of an error in the documented form.
pub(crate) async fn code(response: Response) -> (u16, String) {
    let (status, body) = read(response).await;
    (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

pub(crate) fn header(response: &Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().unwrap().to_owned())
}
