//! The demo: a simulated fleet whose keys change state over time, with invented partners and at least one
//! key in every state.

mod configuration;
mod control;
mod folder;
mod scenario;
#[cfg(test)]
mod tests;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::config::{
    self, Api, Canary, Config, Connection, Credential, Health, Login, Probe, Settings, Target, Timing,
};
use crate::partner_api::{Firm, KeyInfoMode, Method};
use crate::secret::SecretSource;
use partner_simulator::{
    Access, Activation, EXERCICES, KeySpec, LoginSpec, PartnerSpec, Refusal, Simulator, USERS,
};

pub(crate) use configuration::FILE as CONFIGURATION_FILE;
pub(crate) use control::control;
pub(crate) use folder::FolderError;
pub(crate) use scenario::{Scenario, timetable};

/// Adds the fleet to the simulated API, and returns the configuration that monitors it.
///
/// The intervals are short, so that a viewer soon sees changes. A real configuration has longer ones.
#[must_use]
pub(crate) fn fleet(sim: &Simulator) -> Config {
    let api =
        Api { base_url: sim.base_url(), auth_url: sim.auth_url(), ca_pem: sim.ca_pem(), ..Api::default() };
    let health = Health { timing: timing(2), ..Health::default() };
    Config {
        settings: Settings { api, health, ..Settings::default() },
        partners: partners().iter().map(|partner| add_partner(sim, partner)).collect(),
    }
}

/// Adds the fleet to the simulated API, and writes a configuration that monitors it into this folder. Returns the files
/// that somebody changed since an earlier call; they are not written.
///
/// # Errors
/// If the folder cannot be written, or has a file with the name of one of these that the demo did not write.
pub(crate) fn write_folder(sim: &Simulator, folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    for partner in partners() {
        sim.add_partner(&partner);
    }
    folder::write(folder, &configuration::files(sim))
}

fn partners() -> [PartnerSpec; 3] {
    [valmy(), atelier(), quai()]
}

/// The keys that the scenario changes. All other keys keep their state.
const ACTIVATED: &str = "lefebvre";
const REVOKED: &str = "moreau";
const BUSY: &str = "girard";

/// A vendor whose customers give access to single societies.
fn valmy() -> PartnerSpec {
    PartnerSpec::new("valmy-logiciels", "demo-secret-of-valmy")
        .key(KeySpec::society("dupont", 80, 127))
        .key(pending(ACTIVATED, 128))
        .key(KeySpec::society(REVOKED, 80, 129))
        .key(KeySpec::society(BUSY, 80, 130))
        .key(pending("bernard", 131))
        .key(KeySpec::society("roux", 80, 132).refused(Refusal::new("ERR-API-TOKEN-NOT-FOUND")))
}

/// A vendor that works with whole firms. Its keys show everything that can go wrong.
fn atelier() -> PartnerSpec {
    let reason = "Intégration suspendue à la demande du cabinet";
    let log_in = LoginSpec::new("api@durand.example", "demo-password-of-durand").firm(83, "CABINET DURAND");
    PartnerSpec::new("atelier-nord", "demo-secret-of-atelier")
        .key(KeySpec::firm("martin", 81, &[1201, 1202]))
        .key(KeySpec::login("durand", log_in))
        .key(
            KeySpec::society("fontaine", 82, 140)
                .refused(Refusal::new("ERR-THIRD-PARTY-DISCONNECTED").message(reason)),
        )
        .key(KeySpec::society("chevalier", 82, 141).refused(Refusal::new("ERR-FOLDER-NOT-FOUND")))
        .key(KeySpec::society("petit", 82, 142).refused(Refusal::new("ERR-INVALID-API-JWT")))
        .key(KeySpec::society("garnier", 82, 143).refused(Refusal::new("ERR-FORBIDDEN-ACCESS")))
        .key(KeySpec::society("blanchet", 82, 144).forbidden(EXERCICES, Refusal::new("ERR-FORBIDDEN-ROUTE")))
}

/// A vendor whose secret MyUnisoft has not activated yet.
fn quai() -> PartnerSpec {
    PartnerSpec::new("quai-ouest", "demo-secret-of-quai")
        .secret_pending()
        .key(KeySpec::society("leroy", 84, 150))
}

/// A new key that no request of the exporter activates. Otherwise the first key/info request would
/// activate it at once.
fn pending(name: &str, society: u64) -> KeySpec {
    KeySpec::society(name, 80, society).pending().activation(Activation {
        possible: false,
        refused_before: Some(Refusal::new("ERR-TOKEN-ACTIVATION-FAILURE")),
        ..Activation::default()
    })
}

fn add_partner(sim: &Simulator, spec: &PartnerSpec) -> config::Partner {
    sim.add_partner(spec);
    config::Partner {
        name: spec.name.as_str().into(),
        secret: inline(&spec.secret),
        keys: spec.keys.iter().map(|key| configure_key(sim, key, &spec.name)).collect(),
    }
}

fn configure_key(sim: &Simulator, spec: &KeySpec, partner: &str) -> config::Key {
    config::Key {
        name: spec.name.as_str().into(),
        access: match spec.access {
            Access::Society { .. } => crate::partner_api::Access::Society,
            Access::Firm { .. } => crate::partner_api::Access::Firm,
        },
        credential: credential(sim, spec),
        probes: probes(spec).into(),
        labels: labels(spec, partner),
    }
}

/// A customer number, and a contact at the partner.
fn labels(spec: &KeySpec, partner: &str) -> config::Labels {
    let customer = match &spec.access {
        Access::Society { society, .. } => format!("C-{society}"),
        Access::Firm { .. } => format!("F-{}", spec.name),
    };
    let contact = format!("support@{partner}.example");
    let labels = [("customer", customer), ("contact", contact)];
    Arc::new(labels.map(|(name, value)| (name.into(), value.into())).into())
}

fn credential(sim: &Simulator, spec: &KeySpec) -> Credential {
    let Some(login) = &spec.login else {
        let token = sim.key(&spec.name).and_then(|key| key.token()).unwrap_or_default();
        return Credential::Token(inline(&token));
    };
    Credential::Login(Login {
        mail: login.mail.clone(),
        password: inline(&login.password),
        firm: login.firms.first().map(|firm| Firm::Id(firm.id)),
    })
}

/// The key/info probe, and a canary for each society of the key; for a firm without societies, a canary
/// that is about the firm.
fn probes(spec: &KeySpec) -> Vec<Probe> {
    let key_info = Probe {
        name: config::KEY_INFO.into(),
        target: Target::KeyInfo(KeyInfoMode::Extended),
        timing: timing(5),
    };
    let canaries = match &spec.access {
        Access::Society { .. } => vec![exercices("exercices".into(), None)],
        Access::Firm { societies, .. } if societies.is_empty() => {
            vec![canary("users", "users".into(), USERS, None)]
        }
        Access::Firm { societies, .. } => {
            societies.iter().map(|id| exercices(format!("exercices-{id}"), NonZeroU64::new(*id))).collect()
        }
    };
    [vec![key_info], canaries].concat()
}

fn exercices(probe: String, society: Option<NonZeroU64>) -> Probe {
    canary("exercices", probe, &format!("{EXERCICES}?version=1.0.0"), society)
}

fn canary(name: &str, probe: String, path: &str, society_id: Option<NonZeroU64>) -> Probe {
    let (name, path): (Arc<str>, Arc<str>) = (name.into(), path.into());
    Probe {
        name: probe.into(),
        target: Target::Canary(Canary {
            name,
            method: Method::Get,
            path,
            society_id,
            connection: Connection::Fresh,
        }),
        timing: timing(5),
    }
}

/// The timeout is a little shorter than the interval, so that a slow probe ends before the next one is
/// due.
fn timing(seconds: u64) -> Timing {
    let interval = Duration::from_secs(seconds);
    Timing { interval, timeout: interval.mul_f64(0.8) }
}

fn inline(secret: &str) -> SecretSource {
    SecretSource::Inline(SecretString::from(secret))
}
