//! What the answers to the probes of a key mean for its state and for the partner's secret.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::{Duration, Instant};
use tracing::{info, warn};

use super::super::partner::{SecretAnswer, SecretProbe};
use super::super::persist;
use super::{KeyMonitor, KeySession};
use crate::config::{Probe, Target};
use crate::confirmation::{Confirmation, Decision, Situation, Statement as _};
use crate::key_state::{EvidenceSource, KeyState, PersistedKeyState};
use crate::partner_api::KeyInfoMode;
use crate::partner_api::error::ErrorCode;
use crate::partner_api::judge::KeyEvidence;
use crate::partner_api::request_id::RequestId;
use crate::report::ProbeReport;
use crate::state::TransitionCause;
use crate::store::{CredentialId, NamedContradiction, NamedRoute, ProbeName, StateUpdate, Store};

/// A refusal that no other probe confirms or contradicts counts after this number of intervals.
const PATIENCE_INTERVALS: u32 = 3;

/// Takes up the contradictions between the probes of a key that were settled before the start, or when the key last
/// had this token. `key` is named by partner and key.
pub(super) fn restore_contradictions(
    confirmation: &mut Confirmation<usize, KeyEvidence>,
    probes: &[Probe],
    store: &Store,
    key: &(Arc<str>, Arc<str>),
    id: &CredentialId,
) {
    let settled = store.key_contradictions(key, id);
    if settled.is_empty() {
        return;
    }
    let routes: Vec<_> = probes.iter().map(NamedRoute::from).collect();
    let index = |name: &ProbeName| name.route.position(&routes);
    for settled in settled.iter().filter_map(|settled| settled.resolve(index)) {
        confirmation.restore(settled, Instant::now());
    }
}

impl KeyMonitor {
    /// Passes the answer to the partner's secret. If a refusal of the secret must be confirmed, the other key
    /// is probed in a task of its own: this key must not wait for the turn of another key.
    pub(super) async fn hear_secret(
        &self,
        index: usize,
        id: Option<CredentialId>,
        report: Option<&ProbeReport>,
    ) {
        let from = SecretProbe { key: self.number, index };
        let patience = self.patience(index);
        let answer = SecretAnswer { from, id, report, patience };
        let store = &self.context.store;
        let Some(asked) = self.partner_monitor.hear(answer, store).await else { return };
        if let Some(key) = self.partner_monitor.key(asked) {
            tokio::spawn(key.run_detached(asked.index));
        } else {
            // The key was removed meanwhile, so it does not answer. That is never a question again.
            let answer = SecretAnswer { from: asked, id: None, report: None, patience };
            self.partner_monitor.hear(answer, store).await;
        }
    }

    /// Changes the key's state if the response proves something: first on disk, then in the shared state.
    /// `report` is `None` if the probe was skipped. Returns the probe that must be sent now, to confirm a
    /// refusal.
    pub(super) async fn hear(
        &self,
        session: &mut KeySession,
        index: usize,
        report: Option<&ProbeReport>,
    ) -> Option<usize> {
        let id = session.id.clone()?;
        if let Some(report) = report {
            Self::keep_refusal(session, report);
        }
        let known = self.key.status().persisted;
        let decision = self.decide(session, index, report, &known);
        self.save_contradictions(session, &id);
        let evidence = match decision {
            Decision::Keep => return None,
            Decision::Ask(asked) => return Some(asked),
            Decision::Move(evidence) => evidence,
        };
        let next = known.step(evidence, self.evidence_source(session, index), SystemTime::now());
        if next == known {
            return None;
        }
        let (partner, key) = (Arc::clone(&self.key.partner.name), Arc::clone(&self.key.name));
        persist(&self.context.store, StateUpdate::Key { partner, key, id, persisted: next }).await;
        let cause = Self::cause(session, report, evidence);
        if next.state != known.state {
            self.log_transition(known.state, next.state, index, &cause);
        }
        self.key.status().set_persisted(next, Some(cause));
        None
    }

    fn decide(
        &self,
        session: &mut KeySession,
        index: usize,
        report: Option<&ProbeReport>,
        known: &PersistedKeyState,
    ) -> Decision<usize, KeyEvidence> {
        let said = report.and_then(|report| report.judgement.as_ref()?.key);
        let situation = Situation {
            agrees: &|evidence| known.agrees_with(evidence),
            // A key that worked is not refused for want of an answer, whatever its present token is.
            is_known: known.state != KeyState::Unknown || known.history.has_worked,
            patience: self.patience(index),
            // key/info is about the key as a whole.
            preference: &|&index: &usize| u8::from(!self.is_key_info(index)),
            // key/info and one canary are enough: a customer must not wait for a canary with a long interval.
            is_enough: &|refused| refused.iter().any(|index| self.is_key_info(*index)),
            now: Instant::now(),
        };
        session.confirmation.hear(index, said, &situation)
    }

    /// Persists the settled contradictions, if they changed.
    fn save_contradictions(&self, session: &mut KeySession, id: &CredentialId) {
        let Some(settled) = session.confirmation.changed_contradictions() else { return };
        let name = |index: usize| {
            let probe = self.probes().get(index)?;
            Some(ProbeName { key: None, route: probe.into() })
        };
        let settled = settled.filter_map(|settled| NamedContradiction::new(settled, name)).collect();
        self.context.store.set_key_contradictions(self.full_name(), id, settled);
    }

    /// How long a refusal of this probe waits for another probe.
    fn patience(&self, index: usize) -> Duration {
        let interval = self.probes().get(index).map(|probe| probe.timing.interval);
        interval.unwrap_or_default() * PATIENCE_INTERVALS
    }

    /// The code and the request ID of the last response that said this about the key. It may be an earlier one than
    /// the response that moves the state.
    fn cause(session: &KeySession, report: Option<&ProbeReport>, evidence: KeyEvidence) -> TransitionCause {
        if let Some((_, cause)) = session.refusals.iter().find(|(said, _)| *said == evidence) {
            return cause.clone();
        }
        TransitionCause { code: None, request_id: report.and_then(|report| report.request_id.clone()) }
    }

    /// Keeps the code and the request ID of a refusal until the state moves because of it.
    fn keep_refusal(session: &mut KeySession, report: &ProbeReport) {
        let said = report.judgement.as_ref().and_then(|judgement| judgement.key);
        let Some(evidence) = said.filter(|evidence| evidence.is_refusal()) else { return };
        session.refusals.retain(|(kept, _)| *kept != evidence);
        session.refusals.push((evidence, report.into()));
    }

    fn is_key_info(&self, index: usize) -> bool {
        self.probes().get(index).is_some_and(|probe| matches!(probe.target, Target::KeyInfo(_)))
    }

    fn evidence_source(&self, session: &KeySession, index: usize) -> EvidenceSource {
        if self.is_extended(index) {
            return EvidenceSource::Authority;
        }
        let Some(key_info) = (0..self.probes().len()).find(|index| self.is_extended(*index)) else {
            return EvidenceSource::Authority;
        };
        // If key/info no longer responds, canaries decide: otherwise the key would stay pending for ever. One
        // timeout says nothing.
        let patience = self.patience(key_info);
        let is_recent = |at: Instant| Instant::now().saturating_duration_since(at) < patience;
        let (has_failed, is_pending) = {
            let status = self.key.status();
            let has_failed = status.probes.get(key_info).is_none_or(|probe| probe.episode.is_some());
            (has_failed, status.persisted.state == KeyState::Pending)
        };
        let key_info_works = match session.key_info_answered {
            Some(at) => !has_failed || is_recent(at),
            // Before its first answer, a key that was pending before the start is still pending.
            None => is_recent(session.started) && (!has_failed || is_pending),
        };
        if key_info_works { EvidenceSource::CanaryBesideKeyInfo } else { EvidenceSource::Authority }
    }

    pub(super) fn is_extended(&self, index: usize) -> bool {
        let target = self.probes().get(index).map(|probe| &probe.target);
        target.is_some_and(|target| matches!(target, Target::KeyInfo(KeyInfoMode::Extended)))
    }

    fn log_transition(&self, from: KeyState, to: KeyState, index: usize, cause: &TransitionCause) {
        let (partner, key) = (&*self.key.partner.name, &*self.key.name);
        let probe = self.probes().get(index).map(|probe| &*probe.name);
        let code = cause.code.as_ref().map(ErrorCode::as_str);
        let request_id = cause.request_id.as_ref().map(RequestId::as_str);
        if to.is_refused() {
            warn!(partner, key, %from, %to, probe, code, request_id, "key state changed");
        } else {
            info!(partner, key, %from, %to, probe, request_id, "key state changed");
        }
    }
}
