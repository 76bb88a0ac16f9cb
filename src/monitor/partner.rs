//! Monitors one partner's secret, which is sent with the requests of all its keys.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use secrecy::SecretString;
use tokio::time::{Duration, Instant};
use tracing::{info, warn};

use super::KeyMonitor;
use crate::config;
use crate::confirmation::{Confirmation, Decision, Situation, Statement};
use crate::key_state::{PersistedSecretState, SecretState};
use crate::partner_api::error::ErrorCode;
use crate::partner_api::judge::{Judgement, SecretEvidence};
use crate::partner_api::request_id::RequestId;
use crate::report::ProbeReport;
use crate::secret::{SecretError, SecretKind, SecretSource, WatchedSecret};
use crate::state::{MonitoredPartner, TransitionCause};
use crate::store::{
    CredentialId, Fingerprint, NamedContradiction, NamedKey, NamedRoute, ProbeName, StateUpdate, Store,
};

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
    /// The last response that refused the secret. It may be an earlier one than the response that moves the state.
    refusal: Option<TransitionCause>,
}

/// The keys of the partner, by the number that each got.
#[derive(Debug, Default)]
struct Members {
    keys: HashMap<u32, Member>,
    /// The numbers by name. During a reload, a key can have two: then the newer one counts.
    numbers: HashMap<Arc<str>, u32>,
    next: u32,
    /// The probes of the key that was added last.
    last_probes: Arc<[NamedRoute]>,
}

#[derive(Debug)]
struct Member {
    monitor: Weak<KeyMonitor>,
    name: Arc<str>,
    /// Of its token or account; `None` if the token could not be read yet.
    fingerprint: Option<Fingerprint>,
    /// Most keys share them.
    probes: Arc<[NamedRoute]>,
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

impl SecretAnswer<'_> {
    fn judgement(&self) -> Option<&Judgement> {
        self.report.and_then(|report| report.judgement.as_ref())
    }

    fn said(&self) -> Option<SecretEvidence> {
        self.judgement().and_then(|judgement| judgement.secret)
    }

    fn accepts(&self) -> bool {
        self.said() == Some(SecretEvidence::Accepted)
    }
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
                refusal: None,
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
    pub(super) fn add_key(
        &self,
        monitor: Weak<KeyMonitor>,
        key: &config::Key,
        fingerprint: Option<Fingerprint>,
        store: &Store,
    ) -> u32 {
        let probes: Arc<[_]> = key.probes.iter().map(NamedRoute::from).collect();
        let named = NamedKey { name: Arc::clone(&key.name), fingerprint: fingerprint.clone() };
        let number = self.members().add(Member { monitor, name: Arc::clone(&key.name), fingerprint, probes });
        let mut current = self.current();
        for index in 0..key.probes.len() {
            current.confirmation.add(SecretProbe { key: number, index });
        }
        self.restore_contradictions(&mut current, store, Some(&named));
        number
    }

    /// What the probes of a removed key said no longer counts. The key may have another name now: then what was
    /// settled about it counts for that name.
    pub(super) fn remove_key(&self, number: u32, store: &Store) {
        let mut current = self.current();
        let removed = self.members().remove(number);
        let probe = |index| SecretProbe { key: number, index };
        current.confirmation.remove(probe(0)..=probe(usize::MAX));
        if let Some(removed) = removed {
            self.restore_contradictions(&mut current, store, Some(&removed));
        }
    }

    /// That of the token of a key; `None` if the token could not be read yet.
    pub(super) fn fingerprint(&self, number: u32) -> Option<Fingerprint> {
        self.members().keys.get(&number)?.fingerprint.clone()
    }

    /// The token of a key was replaced, or could be read for the first time.
    pub(super) fn set_fingerprint(&self, number: u32, fingerprint: &Fingerprint, store: &Store) {
        let mut current = self.current();
        let named = self.members().keys.get_mut(&number).map(|member| {
            member.fingerprint = Some(fingerprint.clone());
            NamedKey { name: Arc::clone(&member.name), fingerprint: member.fingerprint.clone() }
        });
        self.restore_contradictions(&mut current, store, named.as_ref());
        current.confirmation.rename(|probe| probe.key == number);
        self.save_contradictions(&mut current, store);
    }

    /// Takes up contradictions about the secret that were settled before the start, or before a reload: all, or those
    /// of one key.
    fn restore_contradictions(&self, current: &mut CurrentSecret, store: &Store, of: Option<&NamedKey>) {
        let Some(id) = &current.id else { return };
        let is_same = |name: &ProbeName, key: &NamedKey| {
            let named = name.key.as_ref();
            named.is_some_and(|named| named.name == key.name || named.fingerprint == key.fingerprint)
        };
        let is_wanted =
            |it: &NamedContradiction| of.is_none_or(|key| is_same(&it.probe, key) || is_same(&it.by, key));
        let settled = store.secret_contradictions(&self.partner.name, id, is_wanted);
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
        let settled = settled.filter_map(|settled| NamedContradiction::new(settled, name)).collect();
        store.set_secret_contradictions(Arc::clone(&self.partner.name), id, settled);
    }

    /// Reads the secret again if its file changed. Never waits long for the file.
    pub(super) async fn refresh_secret(&self) {
        let refresh = self.current().watched.refresh();
        refresh.await;
    }

    /// Whether the file has another secret now than this one, which was sent.
    pub(super) async fn was_secret_replaced(&self, sent: Option<&CredentialId>, store: &Store) -> bool {
        let refresh = self.current().watched.refresh_now();
        refresh.await;
        self.secret(store).is_ok_and(|(_, id)| sent.is_some_and(|sent| *sent != id))
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
            current.refusal = None;
            let replaced = current.id.replace(id.clone());
            self.restore_contradictions(current, store, None);
            self.partner.set_secret(current.state, None);
            if replaced.is_some() {
                let state = current.state.state;
                info!(partner = &*self.partner.name, %state, "the secret was replaced");
            }
        }
        Ok((secret, id))
    }

    /// Takes up what Prometheus remembers about the secret.
    pub(crate) fn remember(&self, remembered: PersistedSecretState, store: &Store) {
        let mut current = self.current();
        let next = current.state.with_remembered(&remembered);
        if next == current.state {
            return;
        }
        current.state = next;
        if let Some(id) = current.id.clone() {
            let partner = Arc::clone(&self.partner.name);
            store.save_later(StateUpdate::Secret { partner, id, persisted: next });
        }
        self.partner.set_secret(next, None);
    }

    /// Takes the answer to a probe. A change is persisted before it is shown. Returns the probe that must be
    /// sent now, to confirm a refusal.
    pub(super) async fn hear(&self, answer: SecretAnswer<'_>, store: &Store) -> Option<SecretProbe> {
        let cause = {
            let mut current = self.current();
            // A response to a secret that was replaced meanwhile says nothing about the new one.
            if answer.id.is_some() && answer.id != current.id {
                return None;
            }
            if current.restore_persisted(&self.partner.name, store) {
                self.partner.set_secret(current.state, None);
            }
            if answer.accepts() {
                self.partner.note_acceptance();
            }
            let decision = current.hear(&answer);
            self.save_contradictions(&mut current, store);
            let evidence = match decision {
                Decision::Keep => return None,
                Decision::Ask(probe) => return Some(probe),
                Decision::Move(evidence) => evidence,
            };
            let next = current.state.step(evidence, SystemTime::now());
            if next == current.state {
                return None;
            }
            current.state = next;
            let refusal = current.refusal.clone().filter(|_| evidence.is_refusal());
            refusal.or_else(|| answer.report.map(TransitionCause::from))
        };
        self.persist_and_show(store, cause.unwrap_or_default()).await;
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

    async fn persist_and_show(&self, store: &Store, cause: TransitionCause) {
        let _guard = self.saving.lock().await;
        // Another answer may have changed the state again while this one waited.
        let (id, state) = {
            let current = self.current();
            (current.id.clone(), current.state)
        };
        let shown = self.partner.secret();
        let Some(id) = id.filter(|_| state != shown) else { return };
        let partner = Arc::clone(&self.partner.name);
        super::persist(store, StateUpdate::Secret { partner, id: id.clone(), persisted: state }).await;
        if self.current().id.as_ref() != Some(&id) {
            return;
        }
        self.partner.set_secret(state, cause.request_id.clone());
        if state.state != shown.state {
            self.log_transition(shown.state, state.state, &cause);
        }
    }

    fn current(&self) -> MutexGuard<'_, CurrentSecret> {
        self.secret.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_transition(&self, from: SecretState, to: SecretState, cause: &TransitionCause) {
        let partner = &*self.partner.name;
        let code = cause.code.as_ref().map(ErrorCode::as_str);
        let request_id = cause.request_id.as_ref().map(RequestId::as_str);
        if to == SecretState::Active {
            info!(partner, %from, %to, request_id, "secret state changed");
        } else {
            warn!(partner, %from, %to, code, request_id, "secret state changed");
        }
    }
}

impl Members {
    fn add(&mut self, mut member: Member) -> u32 {
        if member.probes == self.last_probes {
            member.probes = Arc::clone(&self.last_probes);
        } else {
            self.last_probes = Arc::clone(&member.probes);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.numbers.insert(Arc::clone(&member.name), number);
        self.keys.insert(number, member);
        number
    }

    fn remove(&mut self, number: u32) -> Option<NamedKey> {
        let Member { name, fingerprint, .. } = self.keys.remove(&number)?;
        if self.numbers.get(&name) == Some(&number) {
            self.numbers.remove(&name);
        }
        Some(NamedKey { name, fingerprint })
    }

    fn probe(&self, ProbeName { key, route }: &ProbeName) -> Option<SecretProbe> {
        let key = self.number(key.as_ref()?)?;
        let index = route.position(&self.keys.get(&key)?.probes)?;
        Some(SecretProbe { key, index })
    }

    /// The key with this name and this token; if there is none, the only key with this token. A name alone is enough
    /// only while one of the two tokens is unknown.
    fn number(&self, named: &NamedKey) -> Option<u32> {
        let fingerprint = |number: &u32| self.keys.get(number).and_then(|key| key.fingerprint.as_ref());
        let wanted = named.fingerprint.as_ref();
        let of_name = self.numbers.get(&named.name).copied();
        if of_name.is_some_and(|number| wanted.is_some() && fingerprint(&number) == wanted) {
            return of_name;
        }
        let mut of_token =
            self.numbers.values().filter(|number| wanted.is_some() && fingerprint(number) == wanted);
        match (of_token.next(), of_token.next()) {
            (Some(number), None) => Some(*number),
            (Some(_), Some(_)) => None,
            (None, _) => of_name.filter(|number| wanted.is_none() || fingerprint(number).is_none()),
        }
    }

    fn name(&self, SecretProbe { key, index }: SecretProbe) -> Option<ProbeName> {
        let Member { name, fingerprint, probes, .. } = self.keys.get(&key)?;
        let key = NamedKey { name: Arc::clone(name), fingerprint: fingerprint.clone() };
        Some(ProbeName { key: Some(key), route: probes.get(index)?.clone() })
    }
}

impl CurrentSecret {
    fn hear(&mut self, answer: &SecretAnswer<'_>) -> Decision<SecretProbe, SecretEvidence> {
        let (judgement, said) = (answer.judgement(), answer.said());
        if said == Some(SecretEvidence::Refused) {
            self.refusal = answer.report.map(TransitionCause::from);
        }
        // If the API refuses the key, it does not say whether it accepts the secret. What it said before can be out
        // of date.
        if said.is_none() && judgement.and_then(|judgement| judgement.key).is_some_and(Statement::is_refusal)
        {
            self.confirmation.mute(answer.from);
        }
        let state = self.state;
        let situation = Situation {
            agrees: &|evidence| state.agrees_with(evidence),
            is_known: state.state != SecretState::Unknown,
            patience: answer.patience,
            // Another key says more than another route of the same key.
            preference: &|probe: &SecretProbe| u8::from(probe.key == answer.from.key),
            // Two keys of another partner may have been configured at once. With three, nobody waits for all others.
            is_enough: &|refused| are_of_three_keys(refused),
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

fn are_of_three_keys(probes: &[SecretProbe]) -> bool {
    probes.iter().map(|probe| probe.key).collect::<BTreeSet<_>>().len() >= 3
}

fn unreadable(error: &SecretError) -> String {
    format!("the partner's secret can't be read: {error}")
}
