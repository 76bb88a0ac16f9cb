//! The simulated fleet of the demo, and how it changes over time.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::{Config, Credential};
use crate::demo;
use crate::secret::SecretSource;
use partner_simulator::{EXERCICES, HEALTH, KEY_INFO, Simulator};
use reqwest::Client;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::{Instant, advance};

const ROUND: Duration = Duration::from_secs(demo::scenario::ROUND);

fn exposed(source: &SecretSource) -> &str {
    match source {
        SecretSource::Inline(secret) => secret.expose_secret(),
        SecretSource::File(_)
        | SecretSource::UnnamedFile(_)
        | SecretSource::Env(_)
        | SecretSource::UnnamedEnv(_) => {
            panic!("the demo uses no file and no environment variable")
        }
    }
}

fn client_for(config: &Config) -> Client {
    let ca = reqwest::Certificate::from_pem(config.settings.api.ca_pem.as_ref().unwrap().as_bytes()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().timeout(Duration::from_mins(1)).tls_certs_only([ca]).build().unwrap()
}

/// Sends a request as the exporter does, with the token and the secret of the configured key.
async fn get(client: &Client, config: &Config, sim: &Simulator, name: &str, path: &str) -> (u16, Value) {
    let (partner, key) = config
        .partners
        .iter()
        .find_map(|partner| Some((partner, partner.keys.iter().find(|key| &*key.name == name)?)))
        .unwrap();
    let Credential::Token(token) = &key.credential else { panic!("{name} has no permanent token") };
    let request = client.get(sim.url(path)).bearer_auth(exposed(token));
    let response = request.header("x-third-party-secret", exposed(&partner.secret)).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

async fn demo() -> (Simulator, Config, Client) {
    let sim = Simulator::builder().tls().start().await.unwrap();
    let config = demo::fleet(&sim);
    let client = client_for(&config);
    (sim, config, client)
}

#[tokio::test]
async fn the_keys_start_in_different_states() {
    let (sim, config, client) = demo().await;
    let codes = [
        ("roux", "ERR-API-TOKEN-NOT-FOUND"),
        ("fontaine", "ERR-THIRD-PARTY-DISCONNECTED"),
        ("chevalier", "ERR-FOLDER-NOT-FOUND"),
        ("petit", "ERR-INVALID-API-JWT"),
        ("garnier", "ERR-FORBIDDEN-ACCESS"),
        ("leroy", "ERR-INVALID-SECRET"),
    ];
    for (key, expected) in codes {
        assert_eq!(get(&client, &config, &sim, key, KEY_INFO).await.1["error"]["code"], expected, "{key}");
    }
    for key in ["dupont", "moreau", "girard", "martin", "blanchet"] {
        assert_eq!(get(&client, &config, &sim, key, KEY_INFO).await.0, 200, "{key}");
    }
    for key in ["bernard", "lefebvre"] {
        for _ in 0..2 {
            let (_, info) = get(&client, &config, &sim, key, "/api/v1/key/info?mode=extended").await;
            assert_eq!(info["isActivated"], false, "{key}");
        }
    }
    let (_, refused) = get(&client, &config, &sim, "blanchet", EXERCICES).await;
    assert_eq!(refused["error"]["code"], "ERR-FORBIDDEN-ROUTE");
}

#[tokio::test]
async fn the_log_in_of_the_demo_succeeds() {
    let (sim, config, client) = demo().await;
    let logins =
        config.partners.iter().flat_map(|partner| &partner.keys).filter_map(|key| match &key.credential {
            Credential::Login(login) => Some(login),
            Credential::Token(_) => None,
        });
    let [login] = logins.collect::<Vec<_>>()[..] else { panic!("not exactly one log-in") };
    let body = serde_json::json!({
        "mail": login.mail, "password": exposed(&login.password), "firm": login.firm,
    });
    let response = client.post(config.settings.api.auth_url.clone()).json(&body).send().await.unwrap();
    assert!(response.json::<Value>().await.unwrap()["api_token"].is_string());
    assert_eq!(sim.account(&login.mail).unwrap().attempts().refused, 0);
}

#[tokio::test]
async fn the_configuration_is_valid() {
    let (_sim, config, _client) = demo().await;
    let keys: Vec<_> = config.partners.iter().flat_map(|partner| &partner.keys).collect();
    assert_eq!(keys.iter().map(|key| &key.name).collect::<BTreeSet<_>>().len(), keys.len());
    for key in &keys {
        let names: BTreeSet<_> = key.probes.iter().map(|probe| &probe.name).collect();
        assert_eq!(names.len(), key.probes.len());
        assert!(key.probes.iter().all(|probe| probe.timing.timeout <= probe.timing.interval));
    }
    let martin = keys.iter().find(|key| &*key.name == "martin").unwrap();
    assert_eq!(martin.probes.len(), 3);
    assert!(!format!("{config:?}").contains("demo-secret"));
}

#[tokio::test(start_paused = true)]
async fn each_event_happens_in_a_round() {
    let (sim, config, client) = demo().await;
    let scenario = tokio::spawn(demo::Scenario::new(1).run(sim.clone()));
    let started = Instant::now();
    let mut seen = BTreeSet::new();
    while started.elapsed() < ROUND {
        let health = client.get(sim.url(HEALTH)).send().await.unwrap();
        seen.insert(format!("health {}", health.status().as_u16()));
        for key in ["lefebvre", "moreau", "girard"] {
            let (status, body) = get(&client, &config, &sim, key, "/api/v1/key/info?mode=extended").await;
            let activated = body["isActivated"].as_bool();
            seen.insert(match activated {
                Some(activated) => format!("{key} activated: {activated}"),
                None => format!("{key} {status}"),
            });
        }
        advance(Duration::from_secs(1)).await;
    }
    scenario.abort();
    for expected in [
        "health 200",
        "health 503",
        "health 502",
        "lefebvre activated: false",
        "lefebvre activated: true",
        "moreau activated: true",
        "moreau 401",
        "girard activated: true",
        "girard 429",
    ] {
        assert!(seen.contains(expected), "{expected} is not in {seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_lap_ends_in_the_initial_state() {
    let (sim, config, client) = demo().await;
    let scenario = tokio::spawn(demo::Scenario::new(1).run(sim.clone()));
    tokio::time::sleep(ROUND.mul_f64(0.99)).await;
    scenario.abort();
    assert_eq!(client.get(sim.url(HEALTH)).send().await.unwrap().status(), 200);
    for (key, activated) in [("lefebvre", false), ("moreau", true), ("girard", true)] {
        let (_, info) = get(&client, &config, &sim, key, "/api/v1/key/info?mode=extended").await;
        assert_eq!(info["isActivated"], activated, "{key}");
    }
}

#[tokio::test]
async fn the_configuration_that_is_written_monitors_the_same_fleet() {
    let (_sim, config, _client) = demo().await;
    let written_for = Simulator::builder().tls().repeatable_tokens().start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    demo::write_folder(&written_for, folder.path()).unwrap();
    let file = folder.path().join(demo::CONFIGURATION_FILE);
    let loaded = crate::config::load(&file, crate::config::Secrets::Check).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let fleet = |config: &Config| {
        let keys = config.partners.iter().flat_map(|partner| {
            partner.keys.iter().map(|key| {
                let probes: Vec<_> = key.probes.iter().map(|probe| (&probe.name, &probe.target)).collect();
                format!("{} {} {:?} {probes:?}", partner.name, key.name, key.access)
            })
        });
        keys.collect::<Vec<_>>()
    };
    assert_eq!(fleet(&loaded.config), fleet(&config));
    assert_eq!(loaded.config.settings.api.base_url, written_for.base_url());
}
