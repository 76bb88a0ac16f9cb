//! Fleets that run against the simulated API in paused time: hours take milliseconds.

mod accounts;
mod budget;
mod contradictions;
mod credentials;
mod log_ins;
mod model;
mod on_request;
mod pending;
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

/// A running fleet and the state that it shows. Its storage directory is removed at the end.
struct RunningFleet {
    shared_state: Arc<SharedState>,
    inner: Fleet,
    _parent: tempfile::TempDir,
}

impl RunningFleet {
    fn start(config: &Config) -> Self {
        let parent = tempfile::tempdir().unwrap();
        let storage = parent.path().to_owned();
        Self::start_with_storage(&storage, parent, config)
    }

    /// The same with a storage directory in `parent`, which may not exist yet.
    fn start_with_storage(storage: &Path, parent: tempfile::TempDir, config: &Config) -> Self {
        let store = Store::open(storage, |_| {}).unwrap();
        let context = context(store);
        let shared_state = Arc::clone(&context.shared_state);
        let mut inner = Fleet::new(Arc::new(context));
        inner.apply(config).unwrap();
        Self { shared_state, inner, _parent: parent }
    }

    /// Applies a new configuration, as a reload does.
    fn apply(&mut self, config: &Config) {
        self.inner.apply(config).unwrap();
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

fn simulator_builder() -> SimulatorBuilder {
    Simulator::builder().partner("acme", SECRET)
}

fn extended() -> Probe {
    key_info(KeyInfoMode::Extended)
}

async fn fleet_of_one_key(simulator: &Simulator, probes: Vec<Probe>) -> RunningFleet {
    let fleet = RunningFleet::start(&config(simulator, vec![known_key(simulator, "dupont", probes)]));
    sleep(minutes(2)).await;
    fleet
}
