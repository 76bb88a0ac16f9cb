//! A call's place among those in flight.

use std::sync::Arc;

use crate::shared::World;

/// Holds a call's place among those in flight, until its answer is delivered or given up.
pub(crate) struct InFlight {
    world: Arc<World>,
    number: u64,
    key: Option<Arc<str>>,
    route: String,
}

impl InFlight {
    /// Takes over a place that was counted already.
    pub(crate) fn new(world: Arc<World>, number: u64, key: Option<Arc<str>>, route: String) -> Self {
        Self { world, number, key, route }
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.world.lock();
        state.traffic.end(&self.route);
        if let Some(key) = self.key.as_ref().and_then(|key| state.keys.get_mut(key)) {
            key.traffic.end(&self.route);
        }
    }
}
