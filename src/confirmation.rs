//! Decides which statements about a key or a secret move its state.
//!
//! Several probes speak about one key, and the probes of all its keys speak about one secret. If they contradict
//! each other, the state must not follow whoever spoke last. So a refusal is confirmed by a second probe before
//! it moves a state, and a contradiction keeps the state. An acceptance needs no confirmation.
//!
//! These functions send nothing: they return which probe to ask.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

/// What the answer to one probe says about a key or a secret.
pub(crate) trait Statement: Copy + Eq {
    /// Whether it refuses the key or the secret as a whole.
    fn is_refusal(self) -> bool;
}

/// What all probes of one key, or of one secret, said last. `P` identifies a probe.
#[derive(Debug)]
pub(crate) struct Confirmation<P, S> {
    /// The last statement of each probe, and when it came; `None` before the first.
    probes: BTreeMap<P, Option<(S, Instant)>>,
    /// The settled contradictions, by the probe that is refused.
    contradictions: BTreeMap<P, Contradiction<P, S>>,
    /// Whether they changed since [`Confirmation::changed_contradictions`] was last called.
    is_changed: bool,
    waiting: Option<Waiting<P, S>>,
}

/// A refusal that the statement of another probe contradicts: it belongs to the route and not to the key. While
/// neither of the two statements changes, the contradiction is settled, and nobody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contradiction<P, S> {
    /// The probe that is refused.
    pub probe: P,
    pub refusal: S,
    /// The probe that contradicts it.
    pub by: P,
    pub said: S,
}

/// A refusal that waits for the statement of another probe.
#[derive(Clone, Copy, Debug)]
struct Waiting<P, S> {
    from: P,
    statement: S,
    since: Instant,
    asked: P,
    /// Whether `asked` answered without a statement.
    is_unanswered: bool,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision<P, S> {
    /// The state stays.
    Keep,
    /// This statement counts: it moves the state, or confirms it.
    Move(S),
    /// The state stays until this probe has answered. It must be sent now, and its answer passed to
    /// [`Confirmation::hear`].
    Ask(P),
}

/// The state that the statements are about, and the moment of the answer.
pub(crate) struct Situation<'a, P, S> {
    /// Whether a statement agrees with the present state.
    pub agrees: &'a dyn Fn(S) -> bool,
    /// Whether the state is the result of an earlier statement.
    pub is_known: bool,
    /// A refusal that no other probe confirms or contradicts counts after this time.
    pub patience: Duration,
    /// Which of several probes to ask, and to believe if both refuse: the one with the lowest value. A probe with
    /// the value 0 speaks for the key or the secret as a whole: together with it, one other refusal is enough.
    pub preference: &'a dyn Fn(&P) -> u8,
    pub now: Instant,
}

impl<P, S> Default for Confirmation<P, S> {
    fn default() -> Self {
        Self { probes: BTreeMap::new(), contradictions: BTreeMap::new(), is_changed: false, waiting: None }
    }
}

impl<P: Ord + Copy, S: Statement> Confirmation<P, S> {
    /// Adds a probe that has not answered yet. It can be asked.
    pub(crate) fn add(&mut self, probe: P) {
        self.probes.insert(probe, None);
    }

    /// Removes probes. What they said no longer counts. The other probes cost nothing: a large fleet has many.
    pub(crate) fn remove(&mut self, removed: RangeInclusive<P>) {
        let is_removed = |probe: &P| removed.contains(probe);
        self.probes.extract_if(removed.clone(), |_, _| true).for_each(drop);
        self.end_contradictions(|it| is_removed(&it.probe) || is_removed(&it.by));
        self.waiting.take_if(|waiting| is_removed(&waiting.from) || is_removed(&waiting.asked));
    }

    /// Forgets all statements, because they are about another token or secret.
    pub(crate) fn reset(&mut self) {
        self.probes.values_mut().for_each(|last| *last = None);
        self.contradictions.clear();
        self.is_changed = false;
        self.waiting = None;
    }

    /// Takes up a contradiction that was settled before the start. What the two probes said since counts more.
    pub(crate) fn restore(&mut self, settled: Contradiction<P, S>, now: Instant) {
        let Contradiction { probe, refusal, by, said } = settled;
        let may_have_said = |probe: &P, statement: S| {
            let last = self.probes.get(probe);
            last.is_some_and(|last| last.is_none_or(|(last, _)| last == statement))
        };
        if may_have_said(&probe, refusal) && may_have_said(&by, said) {
            for (probe, statement) in [(probe, refusal), (by, said)] {
                self.probes.entry(probe).or_default().get_or_insert((statement, now));
            }
            self.contradictions.insert(probe, settled);
        }
    }

    /// All settled contradictions, if they changed since the last call.
    pub(crate) fn changed_contradictions(
        &mut self,
    ) -> Option<impl Iterator<Item = &Contradiction<P, S>> + use<'_, P, S>> {
        std::mem::take(&mut self.is_changed).then(|| self.contradictions.values())
    }

    /// Takes the answer to a probe. `said` is `None` if the answer says nothing about the key or the secret,
    /// or if the probe could not be sent.
    pub(crate) fn hear(
        &mut self,
        from: P,
        said: Option<S>,
        situation: &Situation<'_, P, S>,
    ) -> Decision<P, S> {
        match said {
            None => self.hear_nothing(from, situation),
            Some(statement) if statement.is_refusal() && !(situation.agrees)(statement) => {
                self.hear_refusal(from, statement, situation)
            }
            Some(statement) => {
                self.note(from, statement, situation.now);
                self.contradict(from, statement, (situation.agrees)(statement));
                Decision::Move(statement)
            }
        }
    }

    fn hear_nothing(&mut self, from: P, situation: &Situation<'_, P, S>) -> Decision<P, S> {
        if let Some(waiting) = &mut self.waiting {
            waiting.is_unanswered |= waiting.asked == from;
        }
        self.check_patience(situation)
    }

    /// A refusal that would move the state.
    fn hear_refusal(&mut self, from: P, statement: S, situation: &Situation<'_, P, S>) -> Decision<P, S> {
        let before = self.note(from, statement, situation.now);
        if let Some(waiting) = self.waiting {
            return self.hear_second_refusal(waiting, from, statement, before, situation);
        }
        if self.contradictions.contains_key(&from) {
            return Decision::Keep;
        }
        let Some(asked) = self.probe_to_ask(&[from], situation) else { return Decision::Move(statement) };
        self.waiting = Some(Waiting { from, statement, since: situation.now, asked, is_unanswered: false });
        Decision::Ask(asked)
    }

    /// A refusal while another one waits. `before` is what the same probe said before.
    fn hear_second_refusal(
        &mut self,
        mut waiting: Waiting<P, S>,
        from: P,
        statement: S,
        before: Option<S>,
        situation: &Situation<'_, P, S>,
    ) -> Decision<P, S> {
        if waiting.from == from {
            waiting.statement = statement;
            self.waiting = Some(waiting);
            return self.check_patience(situation);
        }
        // The answer to the question counts, and so does a probe that was accepted before. A probe that
        // keeps refusing says nothing new.
        let was_accepted = before.is_some_and(|before| !before.is_refusal());
        let is_next = waiting.is_unanswered && before != Some(statement);
        if waiting.asked != from && !was_accepted && !is_next {
            return Decision::Keep;
        }
        // The first refusal may be the route's own. Of two different ones, the preferred probe is right.
        let [first, second] = [waiting.from, from].map(|probe| (situation.preference)(&probe));
        if second <= first {
            waiting.statement = statement;
        }
        self.waiting = Some(waiting);
        // Two routes can be refused for causes of their own. So a third probe that was accepted last decides, when
        // it is due: the answer to a question is not a question again.
        let is_enough = first.min(second) == 0;
        let third = self.probe_to_ask(&[from, waiting.from], situation).filter(|_| !is_enough);
        let Some(asked) = third else { return self.stop_waiting() };
        self.waiting = Some(Waiting { asked, is_unanswered: false, ..waiting });
        self.check_patience(situation)
    }

    /// Records a statement and returns the one before it.
    fn note(&mut self, from: P, statement: S, now: Instant) -> Option<S> {
        let before = self.probes.insert(from, Some((statement, now))).flatten().map(|(before, _)| before);
        if before != Some(statement) {
            self.end_contradictions(|it| it.probe == from || it.by == from);
        }
        before
    }

    fn end_contradictions(&mut self, is_ended: impl Fn(&Contradiction<P, S>) -> bool) {
        let before = self.contradictions.len();
        self.contradictions.retain(|_, it| !is_ended(it));
        self.is_changed |= self.contradictions.len() != before;
    }

    /// Ends the wait with a contradiction, unless `by` is the probe that waits. The refusals that came during
    /// the wait are contradicted, too. An acceptance that moves the state contradicts every refusal.
    fn contradict(&mut self, by: P, said: S, agrees_with_state: bool) {
        let since = self.waiting.take().map(|waiting| waiting.since);
        if since.is_none() && agrees_with_state {
            return;
        }
        let since = since.filter(|_| agrees_with_state);
        for (&probe, last) in &self.probes {
            let refusal =
                last.filter(|(last, at)| last.is_refusal() && since.is_none_or(|since| *at >= since));
            let Some((refusal, _)) = refusal.filter(|_| probe != by) else { continue };
            self.contradictions.insert(probe, Contradiction { probe, refusal, by, said });
            self.is_changed = true;
        }
    }

    /// The probe that can confirm the refusal of the first of these probes: one that speaks for the present state or
    /// was accepted last; if there is none, one that has not said anything yet.
    fn probe_to_ask(&self, refused: &[P], situation: &Situation<'_, P, S>) -> Option<P> {
        let others = || self.probes.iter().filter(|(name, _)| !refused.contains(name));
        let preference = |name: &P| (situation.preference)(name);
        let of_refused = refused.first().map(preference);
        let speaking = others().filter_map(|(name, last)| {
            let (statement, at) = (*last)?;
            // Of two different refusals, the one of the preferred probe counts.
            let may_be_right = (situation.agrees)(statement) && Some(preference(name)) <= of_refused;
            (!statement.is_refusal() || may_be_right).then_some((name, at))
        });
        let speaking = speaking.min_by_key(|(name, at)| (preference(name), std::cmp::Reverse(*at)));
        let silent = || others().filter(|(_, last)| last.is_none()).map(|(name, _)| name);
        speaking.map(|(name, _)| *name).or_else(|| silent().min_by_key(|name| preference(name)).copied())
    }

    /// Lets the refusal count that waited too long. If no state is known yet, nothing can be lost: it counts as
    /// soon as the question has no answer.
    fn check_patience(&mut self, situation: &Situation<'_, P, S>) -> Decision<P, S> {
        let Some(waiting) = &self.waiting else { return Decision::Keep };
        let is_late = situation.now.saturating_duration_since(waiting.since) >= situation.patience;
        let is_over = is_late || (!situation.is_known && waiting.is_unanswered);
        if is_over { self.stop_waiting() } else { Decision::Keep }
    }

    fn stop_waiting(&mut self) -> Decision<P, S> {
        self.waiting.take().map_or(Decision::Keep, |waiting| Decision::Move(waiting.statement))
    }
}
