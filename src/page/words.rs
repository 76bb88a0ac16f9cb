//! The words of closed lists: states, and where a problem is. In English they are those of the metrics and the JSON.

use super::{Reader, say};
use crate::diagnosis::Blame;
use crate::key_state::{KeyState, SecretState};
use crate::partner_api::Access;
use crate::state::HealthState;

pub(super) fn key_state(word: KeyState, reader: Reader) -> String {
    match word {
        KeyState::Unknown => say!(reader, "key-state-unknown"),
        KeyState::Pending => say!(reader, "key-state-pending"),
        KeyState::Active => say!(reader, "key-state-active"),
        KeyState::NotFound => say!(reader, "key-state-not-found"),
        KeyState::Revoked => say!(reader, "key-state-revoked"),
        KeyState::Disconnected => say!(reader, "key-state-disconnected"),
        KeyState::FolderNotFound => say!(reader, "key-state-folder-not-found"),
        KeyState::Invalid => say!(reader, "key-state-invalid"),
        KeyState::Forbidden => say!(reader, "key-state-forbidden"),
    }
}

pub(super) fn secret_state(word: SecretState, reader: Reader) -> String {
    match word {
        SecretState::Unknown => say!(reader, "secret-state-unknown"),
        SecretState::Pending => say!(reader, "secret-state-pending"),
        SecretState::Active => say!(reader, "secret-state-active"),
        SecretState::Rejected => say!(reader, "secret-state-rejected"),
    }
}

pub(super) fn api_state(word: HealthState, reader: Reader) -> String {
    match word {
        HealthState::Unknown => say!(reader, "api-state-unknown"),
        HealthState::Up => say!(reader, "api-state-up"),
        HealthState::Down => say!(reader, "api-state-down"),
        HealthState::Maintenance => say!(reader, "api-state-maintenance"),
    }
}

pub(super) fn blame(word: Blame, reader: Reader) -> String {
    match word {
        Blame::Platform => say!(reader, "blame-platform"),
        Blame::Network => say!(reader, "blame-network"),
        Blame::Secret => say!(reader, "blame-secret"),
        Blame::Key => say!(reader, "blame-key"),
        Blame::Route => say!(reader, "blame-route"),
        Blame::Budget => say!(reader, "blame-budget"),
        Blame::Exporter => say!(reader, "blame-exporter"),
    }
}

pub(super) fn access(word: Access, reader: Reader) -> String {
    match word {
        Access::Society => say!(reader, "access-society"),
        Access::Firm => say!(reader, "access-firm"),
    }
}
