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

use tokio::time::{Duration, Instant};

/// What the answer to one probe says about a key or a secret.
pub(crate) trait Statement: Copy + Eq {
    /// Whether it refuses the key or the secret as a whole.
    fn is_refusal(self) -> bool;
}

/// What all probes of one key, or of one secret, said last. `P` identifies a probe.
#[derive(Debug)]
pub(crate) struct Confirmation<P, S> {
    probes: BTreeMap<P, Probe<P, S>>,
    waiting: Option<Waiting<P, S>>,
}

#[derive(Debug)]
struct Probe<P, S> {
    /// The last statement, and when it came; `None` before the first.
    last: Option<(S, Instant)>,
    /// The probe that contradicts this statement, and what that probe said. While neither of the two statements
    /// changes, the contradiction is settled: the refusal belongs to the route and not to the key.
    contradicted_by: Option<(P, S)>,
}

/// A refusal that waits for the statement of another probe.
#[derive(Debug)]
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
    /// Which of several probes to ask, and to believe if both refuse: the one with the lowest value.
    pub preference: &'a dyn Fn(&P) -> u8,
    pub now: Instant,
}

impl<P, S> Default for Confirmation<P, S> {
    fn default() -> Self {
        Self { probes: BTreeMap::new(), waiting: None }
    }
}

impl<P: Ord + Copy, S: Statement> Confirmation<P, S> {
    /// Adds a probe that has not answered yet. It can be asked.
    pub(crate) fn add(&mut self, probe: P) {
        self.probes.insert(probe, Probe { last: None, contradicted_by: None });
    }

    /// Removes probes. What they said no longer counts.
    pub(crate) fn remove(&mut self, is_removed: impl Fn(&P) -> bool) {
        self.probes.retain(|probe, _| !is_removed(probe));
        self.waiting.take_if(|waiting| is_removed(&waiting.from) || is_removed(&waiting.asked));
    }

    /// Forgets all statements, because they are about another token or secret.
    pub(crate) fn reset(&mut self) {
        self.waiting = None;
        for probe in self.probes.values_mut() {
            *probe = Probe { last: None, contradicted_by: None };
        }
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
                self.contradict(from, statement);
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
        if let Some(waiting) = &mut self.waiting {
            if waiting.from == from {
                waiting.statement = statement;
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
            if (situation.preference)(&from) <= (situation.preference)(&waiting.from) {
                waiting.statement = statement;
            }
            return self.stop_waiting();
        }
        if self.is_settled(&from) {
            return Decision::Keep;
        }
        let Some(asked) = self.probe_to_ask(&from, situation) else { return Decision::Move(statement) };
        self.waiting = Some(Waiting { from, statement, since: situation.now, asked, is_unanswered: false });
        Decision::Ask(asked)
    }

    /// Records a statement and returns the one before it.
    fn note(&mut self, from: P, statement: S, now: Instant) -> Option<S> {
        let probe = self.probes.entry(from).or_insert(Probe { last: None, contradicted_by: None });
        let before = probe.last.replace((statement, now)).map(|(before, _)| before);
        if before != Some(statement) {
            probe.contradicted_by = None;
        }
        before
    }

    /// Ends the wait with a contradiction, unless `by` is the probe that waits. The refusals that came during
    /// the wait are contradicted, too.
    fn contradict(&mut self, by: P, statement: S) {
        let Some(waiting) = self.waiting.take() else { return };
        for (name, probe) in &mut self.probes {
            let is_contradicted = |(last, at): (S, Instant)| last.is_refusal() && at >= waiting.since;
            if *name != by && probe.last.is_some_and(is_contradicted) {
                probe.contradicted_by = Some((by, statement));
            }
        }
    }

    fn is_settled(&self, from: &P) -> bool {
        let contradicted_by = self.probes.get(from).and_then(|probe| probe.contradicted_by);
        contradicted_by.is_some_and(|(by, statement)| {
            let last = self.probes.get(&by).and_then(|probe| probe.last);
            last.is_some_and(|(last, _)| last == statement)
        })
    }

    /// The probe that can confirm a refusal: one that speaks for the present state or was accepted last; if
    /// there is none, one that has not said anything yet.
    fn probe_to_ask(&self, from: &P, situation: &Situation<'_, P, S>) -> Option<P> {
        let others = || self.probes.iter().filter(|(name, _)| *name != from);
        let preference = |name: &P| (situation.preference)(name);
        let speaking = others().filter_map(|(name, probe)| {
            let (statement, at) = probe.last?;
            // Of two different refusals, the one of the preferred probe counts.
            let may_be_right = (situation.agrees)(statement) && preference(name) <= preference(from);
            (!statement.is_refusal() || may_be_right).then_some((name, at))
        });
        let speaking = speaking.min_by_key(|(name, at)| (preference(name), std::cmp::Reverse(*at)));
        let silent = || others().filter(|(_, probe)| probe.last.is_none()).map(|(name, _)| name);
        speaking.map(|(name, _)| *name).or_else(|| silent().min_by_key(|name| preference(name)).copied())
    }

    /// Lets the refusal count that waited too long. If no state is known yet, nothing can be lost: it counts as
    /// soon as the question has no answer.
    fn check_patience(&mut self, situation: &Situation<'_, P, S>) -> Decision<P, S> {
        let Some(waiting) = &self.waiting else { return Decision::Keep };
        let is_over = if situation.is_known {
            situation.now.saturating_duration_since(waiting.since) >= situation.patience
        } else {
            waiting.is_unanswered
        };
        if is_over { self.stop_waiting() } else { Decision::Keep }
    }

    fn stop_waiting(&mut self) -> Decision<P, S> {
        self.waiting.take().map_or(Decision::Keep, |waiting| Decision::Move(waiting.statement))
    }
}
