//! Monitors one partner's secret, which is sent with the requests of all its keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use secrecy::SecretString;
use tokio::time::{Duration, Instant};
use tracing::{info, warn};

use super::KeyMonitor;
use crate::config;
use crate::confirmation::{Confirmation, Decision, Situation};
use crate::key_state::{PersistedSecretState, SecretState};
use crate::partner_api::judge::SecretEvidence;
use crate::partner_api::request_id::RequestId;
use crate::report::ProbeReport;
use crate::secret::{SecretError, SecretKind, SecretSource, WatchedSecret};
use crate::state::MonitoredPartner;
use crate::store::{CredentialId, NamedContradiction, ProbeName, StateUpdate, Store};

/// Monitors one partner's secret; shared by the monitors of its keys.
#[derive(Debug)]
pub(crate) struct PartnerMonitor {
    /// The partner in the shared state.
    pub partner: Arc<MonitoredPartner>,
    /// Where the secret is read from, to compare it with a new configuration.
    source: SecretSource,
    /// The identity of the API that the secret is for.
    api: Arc<str>,
    secret: Mutex<CurrentSecret>,
    members: Mutex<Members>,
    /// Locked while a change is being persisted, so that changes reach the disk in order.
    saving: tokio::sync::Mutex<()>,
}

/// The secret, and what its state follows from.
#[derive(Debug)]
struct CurrentSecret {
    watched: WatchedSecret,
    /// Of the secret that the state belongs to; `None` if it could not be read yet.
    id: Option<CredentialId>,
    /// The version of the secret that `id` was last computed for: a fingerprint costs more than a comparison.
    id_version: Option<u64>,
    /// The newest state. It is shown when it is on disk.
    state: PersistedSecretState,
    confirmation: Confirmation<SecretProbe, SecretEvidence>,
}

/// The keys of the partner, by the number that each got.
#[derive(Debug, Default)]
struct Members {
    keys: HashMap<u32, Member>,
    /// The numbers by name. During a reload, a key can have two: then the newer one counts.
    numbers: HashMap<Arc<str>, u32>,
    next: u32,
}

#[derive(Debug)]
struct Member {
    monitor: Weak<KeyMonitor>,
    name: Arc<str>,
    /// The names of its probes.
    probes: Box<[Arc<str>]>,
}

/// One probe of one key: it says something about the secret, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SecretProbe {
    /// The number of the key among the keys of the partner.
    pub(super) key: u32,
    /// The index of the probe.
    pub(super) index: usize,
}

/// The answer to a probe, as far as it concerns the secret.
pub(super) struct SecretAnswer<'a> {
    pub(super) from: SecretProbe,
    /// Of the secret that was sent; `None` if none was sent.
    pub(super) id: Option<CredentialId>,
    /// `None` if the probe was skipped.
    pub(super) report: Option<&'a ProbeReport>,
    /// How long a refusal waits at most for another probe to confirm it.
    pub(super) patience: Duration,
}

impl PartnerMonitor {
    /// Starts with the persisted state of the secret, if there is one.
    pub(crate) fn new(store: &Store, partner: &config::Partner, api: Arc<str>) -> Self {
        let mut watched = WatchedSecret::new(partner.secret.clone(), SecretKind::HeaderValue);
        let id = watched.current().ok().map(|secret| CredentialId::of_secret(&api, &partner.name, secret));
        let problem = watched.problem().map(unreadable);
        let new = PersistedSecretState::new(SystemTime::now());
        let state = match &id {
            Some(id) => store.adopt_secret(Arc::clone(&partner.name), id, new),
            None => store.last_secret(&partner.name, &api).unwrap_or(new),
        };
        let monitored = MonitoredPartner::new(Arc::clone(&partner.name), state);
        super::publish_credential_problem(
            &mut monitored.credential_problem(),
            problem,
            false,
            &partner.name,
            None,
        );
        Self {
            partner: Arc::new(monitored),
            source: partner.secret.clone(),
            api,
            secret: Mutex::new(CurrentSecret {
                watched,
                id,
                id_version: None,
                state,
                confirmation: Confirmation::default(),
            }),
            members: Mutex::default(),
            saving: tokio::sync::Mutex::default(),
        }
    }

    /// Whether a new monitor with these arguments would do the same.
    pub(crate) fn matches(&self, partner: &config::Partner, api: &str) -> bool {
        self.source == partner.secret && *self.api == *api
    }

    pub(super) const fn api(&self) -> &Arc<str> {
        &self.api
    }

    /// Adds a key. Returns its number.
    pub(super) fn add_key(&self, monitor: Weak<KeyMonitor>, key: &config::Key, store: &Store) -> u32 {
        let probes = key.probes.iter().map(|probe| Arc::clone(&probe.name)).collect();
        let number = self.members().add(Member { monitor, name: Arc::clone(&key.name), probes });
        let mut current = self.current();
        for index in 0..key.probes.len() {
            current.confirmation.add(SecretProbe { key: number, index });
        }
        let is_of_key = |probe: &ProbeName| probe.key.as_ref() == Some(&key.name);
        self.restore_contradictions(&mut current, store, |it| is_of_key(&it.probe) || is_of_key(&it.by));
        number
    }

    /// What the probes of a removed key said no longer counts.
    pub(super) fn remove_key(&self, number: u32) {
        self.members().remove(number);
        let probe = |index| SecretProbe { key: number, index };
        self.current().confirmation.remove(probe(0)..=probe(usize::MAX));
    }

    /// Takes up contradictions about the secret that were settled before the start, or before a reload.
    fn restore_contradictions(
        &self,
        current: &mut CurrentSecret,
        store: &Store,
        is_wanted: impl Fn(&NamedContradiction) -> bool,
    ) {
        let Some(id) = &current.id else { return };
        let settled = store.contradictions(id, is_wanted);
        let members = self.members();
        for settled in settled.iter().filter_map(|settled| settled.resolve(|name| members.probe(name))) {
            current.confirmation.restore(settled, Instant::now());
        }
    }

    /// Persists the settled contradictions, if they changed.
    fn save_contradictions(&self, current: &mut CurrentSecret, store: &Store) {
        let Some(id) = &current.id else { return };
        let Some(settled) = current.confirmation.changed_contradictions() else { return };
        let members = self.members();
        let name = |probe| members.name(probe);
        store.set_contradictions(
            id,
            settled.filter_map(|settled| NamedContradiction::new(settled, name)).collect(),
        );
    }

    /// Reads the secret again if its file changed. Never waits long for the file.
    pub(super) async fn refresh_secret(&self) {
        let refresh = self.current().watched.refresh();
        refresh.await;
    }

    /// Has the file of the secret read ahead, for a probe that is due in a moment. Returns whether there is one.
    pub(super) fn read_secret_ahead(&self) -> bool {
        let current = self.current();
        current.watched.read_ahead();
        current.watched.has_file()
    }

    /// The secret as it was when it was last refreshed. Each secret has a state of its own.
    ///
    /// # Errors
    /// If it could never be read: why.
    pub(super) fn secret(&self, store: &Store) -> Result<(SecretString, CredentialId), String> {
        let mut guarded = self.current();
        let current = &mut *guarded;
        let secret = current.watched.current().cloned().map_err(|error| unreadable(&error));
        super::publish_credential_problem(
            &mut self.partner.credential_problem(),
            current.watched.problem().map(unreadable),
            secret.is_ok(),
            &self.partner.name,
            None,
        );
        let secret = secret?;
        let version = current.watched.version();
        if let Some(id) = current.id.as_ref().filter(|_| current.id_version == Some(version)) {
            return Ok((secret, id.clone()));
        }
        let id = CredentialId::of_secret(&self.api, &self.partner.name, &secret);
        current.id_version = Some(version);
        if current.id.as_ref() != Some(&id) {
            let new = PersistedSecretState::new(SystemTime::now());
            current.state = store.adopt_secret(Arc::clone(&self.partner.name), &id, new);
            current.confirmation.reset();
            let replaced = current.id.replace(id.clone());
            self.restore_contradictions(current, store, |_| true);
            *self.partner.secret() = current.state;
            if replaced.is_some() {
                let state = current.state.state;
                info!(partner = &*self.partner.name, %state, "the secret was replaced");
            }
        }
        Ok((secret, id))
    }

    /// Takes the answer to a probe. A change is persisted before it is shown. Returns the probe that must be
    /// sent now, to confirm a refusal.
    pub(super) async fn hear(&self, answer: SecretAnswer<'_>, store: &Store) -> Option<SecretProbe> {
        {
            let mut current = self.current();
            // A response to a secret that was replaced meanwhile says nothing about the new one.
            if answer.id.is_some() && answer.id != current.id {
                return None;
            }
            if current.restore_persisted(&self.partner.name, store) {
                *self.partner.secret() = current.state;
            }
            let decision = current.hear(&answer);
            self.save_contradictions(&mut current, store);
            let next = match decision {
                Decision::Keep => return None,
                Decision::Ask(probe) => return Some(probe),
                Decision::Move(evidence) => current.state.step(evidence, SystemTime::now()),
            };
            if next == current.state {
                return None;
            }
            current.state = next;
        }
        self.persist_and_show(store, answer.report).await;
        None
    }

    /// The key that a probe belongs to, if it is still configured.
    pub(super) fn key(&self, probe: SecretProbe) -> Option<Arc<KeyMonitor>> {
        self.members().keys.get(&probe.key).and_then(|member| member.monitor.upgrade())
    }

    /// May be locked while the secret is locked, and not the other way round.
    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn persist_and_show(&self, store: &Store, report: Option<&ProbeReport>) {
        let _guard = self.saving.lock().await;
        // Another answer may have changed the state again while this one waited.
        let (id, state) = {
            let current = self.current();
            (current.id.clone(), current.state)
        };
        let shown = *self.partner.secret();
        let Some(id) = id.filter(|_| state != shown) else { return };
        let partner = Arc::clone(&self.partner.name);
        super::persist(store, StateUpdate::Secret { partner, id: id.clone(), persisted: state }).await;
        if self.current().id.as_ref() != Some(&id) {
            return;
        }
        *self.partner.secret() = state;
        if state.state != shown.state {
            self.log_transition(shown.state, state.state, report);
        }
    }

    fn current(&self) -> MutexGuard<'_, CurrentSecret> {
        self.secret.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_transition(&self, from: SecretState, to: SecretState, report: Option<&ProbeReport>) {
        let partner = &*self.partner.name;
        let code = report.and_then(ProbeReport::code);
        let request_id = report.and_then(|report| report.request_id.as_ref()).map(RequestId::as_str);
        if to == SecretState::Active {
            info!(partner, %from, %to, request_id, "secret state changed");
        } else {
            warn!(partner, %from, %to, code, request_id, "secret state changed");
        }
    }
}

impl Members {
    fn add(&mut self, member: Member) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.numbers.insert(Arc::clone(&member.name), number);
        self.keys.insert(number, member);
        number
    }

    fn remove(&mut self, number: u32) {
        let Some(Member { name, .. }) = self.keys.remove(&number) else { return };
        if self.numbers.get(&name) == Some(&number) {
            self.numbers.remove(&name);
        }
    }

    fn probe(&self, name: &ProbeName) -> Option<SecretProbe> {
        let key = *self.numbers.get(name.key.as_ref()?)?;
        let index = self.keys.get(&key)?.probes.iter().position(|probe| *probe == name.probe)?;
        Some(SecretProbe { key, index })
    }

    fn name(&self, SecretProbe { key, index }: SecretProbe) -> Option<ProbeName> {
        let member = self.keys.get(&key)?;
        Some(ProbeName { key: Some(Arc::clone(&member.name)), probe: Arc::clone(member.probes.get(index)?) })
    }
}

impl CurrentSecret {
    fn hear(&mut self, answer: &SecretAnswer<'_>) -> Decision<SecretProbe, SecretEvidence> {
        let said = answer.report.and_then(|report| report.judgement.as_ref()?.secret);
        let state = self.state;
        let situation = Situation {
            agrees: &|evidence| state.agrees_with(evidence),
            is_known: state.state != SecretState::Unknown,
            patience: answer.patience,
            // Another key says more than another route of the same key.
            preference: &|probe: &SecretProbe| u8::from(probe.key == answer.from.key),
            now: Instant::now(),
        };
        self.confirmation.hear(answer.from, said, &situation)
    }

    /// Takes over a persisted state that this monitor does not know yet: the storage directory may have become
    /// readable only after the start. A secret that was active needs no older state. Returns whether the state
    /// changed.
    fn restore_persisted(&mut self, partner: &Arc<str>, store: &Store) -> bool {
        let persisted =
            self.id.as_ref().filter(|_| !self.state.has_been_active).and_then(|id| store.secret(partner, id));
        let Some(persisted) = persisted.filter(|persisted| *persisted != self.state) else { return false };
        self.state = persisted;
        true
    }
}

fn unreadable(error: &SecretError) -> String {
    format!("the partner's secret can't be read: {error}")
}
