//! A fleet's life against the simulated API, in paused time: hours pass in milliseconds.

mod accounts;
mod budget;
mod persisted_state;
mod reload;
mod schedule;
mod states;

use std::path::Path;
use std::sync::Arc;

use crate::config::{Config, Probe};
use crate::fleet::Fleet;
use crate::key_state::{KeyState, SecretState};
use crate::partner_api::KeyInfoMode;
use crate::partner_api::failure::Reason;
use crate::state::{KeyStatus, SharedState};
use crate::store::Store;
use partner_simulator::{Simulator, SimulatorBuilder};
use tokio::time::{Duration, sleep};

use crate::test_support::{SECRET, config, context, key_info, known_key};

/// Watchers at work, and what they show.
struct Watched {
    shared_state: Arc<SharedState>,
    fleet: Fleet,
    _memory: tempfile::TempDir,
}

impl Watched {
    fn start(config: &Config) -> Self {
        let memory = tempfile::tempdir().unwrap();
        let folder = memory.path().to_owned();
        Self::start_in(&folder, memory, config)
    }

    /// The same with its memory in `folder`, which need not exist.
    fn start_in(folder: &Path, memory: tempfile::TempDir, config: &Config) -> Self {
        let store = Store::open(folder, || {}).unwrap();
        let context = context(store);
        let shared_state = Arc::clone(&context.shared_state);
        let mut fleet = Fleet::new(Arc::new(context));
        fleet.apply(config).unwrap();
        Self { shared_state, fleet, _memory: memory }
    }

    fn key(&self, name: &str) -> KeyStatus {
        self.shared_state.inventory().key("acme", name).unwrap().status().clone()
    }

    fn state(&self, name: &str) -> KeyState {
        self.key(name).persisted.state
    }

    fn secret(&self) -> SecretState {
        self.shared_state.inventory().partners[0].secret().state
    }

    fn reason(&self, key: &str, probe: usize) -> Option<Reason> {
        self.key(key).probes[probe].episode.as_ref().map(|episode| episode.failure.reason)
    }
}

const fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

fn acme() -> SimulatorBuilder {
    Simulator::builder().partner("acme", SECRET)
}

fn extended() -> Probe {
    key_info(KeyInfoMode::Extended)
}

async fn one_key(simulator: &Simulator, probes: Vec<Probe>) -> Watched {
    let watched = Watched::start(&config(simulator, vec![known_key(simulator, "dupont", probes)]));
    sleep(minutes(2)).await;
    watched
}
