//! A handle to change one partner while the simulator runs.

use std::sync::Arc;

use crate::control::key::Key;
use crate::fault::{Fault, Scope};
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::spec::key::KeySpec;
use crate::state::partner::PartnerState;

/// One partner. The handle of one that was removed does nothing.
#[derive(Clone)]
pub struct Partner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) name: Arc<str>,
}

impl Partner {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its secret.
    #[must_use]
    pub fn secret(&self) -> String {
        self.change(|partner| partner.secret.clone()).unwrap_or_default()
    }

    /// The secret is accepted from now on.
    pub fn activate_secret(&self) {
        self.change(|partner| partner.refusal = None);
    }

    /// The secret isn't activated (any more): the API doesn't recognise it.
    pub fn deactivate_secret(&self) {
        self.change(|partner| partner.refusal = Some(Refusal::new("ERR-INVALID-SECRET")));
    }

    /// Another secret; the one before is unknown from now on.
    pub fn replace_secret(&self, secret: &str) {
        self.change(|partner| secret.clone_into(&mut partner.secret));
    }

    /// One more key.
    pub fn add_key(&self, key: &KeySpec) -> Key {
        self.shared.lock().add_key(&self.name, key);
        Key { shared: Arc::clone(&self.shared), name: key.name.as_str().into() }
    }

    /// Forgets the partner and its keys.
    pub fn remove(&self) {
        self.shared.lock().remove_partner(&self.name);
    }

    /// Commands a fault for calls that carry this partner's secret.
    pub fn inject(&self, fault: Fault) {
        self.shared.lock().fault_rules.add(self.scope(), fault, None);
    }

    /// Withdraws what was commanded for this partner.
    pub fn heal(&self) {
        self.shared.lock().fault_rules.remove(&self.scope());
    }

    fn scope(&self) -> Scope {
        Scope::Partner(self.name.to_string())
    }

    fn change<T>(&self, change: impl FnOnce(&mut PartnerState) -> T) -> Option<T> {
        self.shared.lock().partners.get_mut(&self.name).map(change)
    }
}
