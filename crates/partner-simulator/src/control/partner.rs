//! The handle of a partner.

use std::sync::Arc;

use crate::control::key::Key;
use crate::fault::{Fault, Scope};
use crate::refusal::Refusal;
use crate::shared::Shared;
use crate::spec::key::KeySpec;
use crate::state::partner::PartnerState;

/// Reads and changes one partner while the simulator runs. The handle of a removed partner does nothing.
#[derive(Clone)]
pub struct Partner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) name: Arc<str>,
}

impl Partner {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn secret(&self) -> String {
        self.change(|partner| partner.secret.clone()).unwrap_or_default()
    }

    /// Accepts the secret from now on.
    pub fn activate_secret(&self) {
        self.change(|partner| partner.refusal = None);
    }

    /// Deactivates the secret: the API refuses it as invalid.
    pub fn deactivate_secret(&self) {
        self.change(|partner| partner.refusal = Some(Refusal::new("ERR-INVALID-SECRET")));
    }

    /// Replaces the secret. The API no longer knows the earlier one.
    pub fn replace_secret(&self, secret: &str) {
        self.change(|partner| secret.clone_into(&mut partner.secret));
    }

    pub fn add_key(&self, key: &KeySpec) -> Key {
        self.shared.lock().add_key(&self.name, key);
        Key { shared: Arc::clone(&self.shared), name: key.name.as_str().into() }
    }

    /// Removes the partner and its keys.
    pub fn remove(&self) {
        self.shared.lock().remove_partner(&self.name);
    }

    /// Injects a fault for the requests with this partner's secret.
    pub fn inject(&self, fault: Fault) {
        self.shared.lock().fault_rules.add(self.scope(), fault, None);
    }

    /// Removes the faults injected for this partner.
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
