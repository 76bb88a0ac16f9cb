//! Decides which statements about a key or a secret move its state.
//!
//! Several probes speak about one key, and the probes of all its keys speak about one secret. If they contradict
//! each other, the state must not follow whoever spoke last. So a refusal is confirmed by a second probe before
//! it moves a state, and a contradiction keeps the state. An acceptance needs no confirmation.
//!
//! These functions send nothing: they return which probe to ask.

mod answers;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

use answers::Answers;

/// What the answer to one probe says about a key or a secret.
pub(crate) trait Statement: Copy + Eq {
    /// Whether it refuses the key or the secret as a whole.
    fn is_refusal(self) -> bool;
}

/// What all probes of one key, or of one secret, said last. `P` identifies a probe.
#[derive(Debug)]
pub(crate) struct Confirmation<P, S> {
    probes: Answers<P, Last<S>>,
    /// The settled contradictions, by the probe that is refused.
    contradictions: BTreeMap<P, Contradiction<P, S>>,
    /// Whether they changed since [`Confirmation::changed_contradictions`] was last called.
    is_changed: bool,
    /// Boxed, because nearly always nothing waits.
    waiting: Option<Box<Waiting<P, S>>>,
}

/// The last statement of a probe.
#[derive(Clone, Copy, Debug)]
enum Last<S> {
    /// There is none yet.
    Unheard,
    Said(S, Instant),
    /// The probe gets answers, but they no longer say anything.
    Mute,
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
#[derive(Clone, Debug)]
struct Waiting<P, S> {
    /// The probes that refuse, in the order of their answers.
    refused: Vec<P>,
    /// What the preferred one of them said.
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
    /// Whether the refusals of these probes are enough although another probe was accepted last.
    pub is_enough: &'a dyn Fn(&[P]) -> bool,
    pub now: Instant,
}

impl<S: Copy> Last<S> {
    const fn statement(self) -> Option<S> {
        match self {
            Self::Said(statement, _) => Some(statement),
            Self::Unheard | Self::Mute => None,
        }
    }
}

impl<P, S> Default for Confirmation<P, S> {
    fn default() -> Self {
        Self { probes: Answers::default(), contradictions: BTreeMap::new(), is_changed: false, waiting: None }
    }
}

impl<P: Ord + Copy, S: Statement> Confirmation<P, S> {
    /// Adds a probe that has not answered yet. It can be asked.
    pub(crate) fn add(&mut self, probe: P) {
        self.probes.insert(probe, Last::Unheard);
    }

    /// Removes probes. What they said no longer counts. The other probes cost nothing: a large fleet has many.
    pub(crate) fn remove(&mut self, removed: RangeInclusive<P>) {
        let is_removed = |probe: &P| removed.contains(probe);
        self.probes.remove(removed.clone());
        self.end_contradictions(|it| is_removed(&it.probe) || is_removed(&it.by));
        self.waiting.take_if(|it| it.refused.iter().any(&is_removed) || is_removed(&it.asked));
    }

    /// Forgets all statements, because they are about another token or secret.
    pub(crate) fn reset(&mut self) {
        self.probes.values_mut().for_each(|last| *last = Last::Unheard);
        self.contradictions.clear();
        self.is_changed = false;
        self.waiting = None;
    }

    /// Takes up a contradiction that was settled before the start. What the two probes said since counts more.
    pub(crate) fn restore(&mut self, settled: Contradiction<P, S>, now: Instant) {
        let Contradiction { probe, refusal, by, said } = settled;
        if probe == by || !refusal.is_refusal() || refusal == said {
            return;
        }
        let may_have_said = |probe: &P, statement: S| match self.probes.get(probe) {
            Some(Last::Unheard) => true,
            Some(Last::Said(last, _)) => *last == statement,
            Some(Last::Mute) | None => false,
        };
        if may_have_said(&probe, refusal) && may_have_said(&by, said) {
            for (probe, statement) in [(probe, refusal), (by, said)] {
                if let Some(last @ Last::Unheard) = self.probes.get_mut(&probe) {
                    *last = Last::Said(statement, now);
                }
            }
            self.contradictions.insert(probe, settled);
        }
    }

    /// Forgets what a probe said, because its answers no longer say anything. It no longer contradicts a refusal.
    pub(crate) fn mute(&mut self, probe: P) {
        let last = self.probes.get_mut(&probe).map(|last| std::mem::replace(last, Last::Mute));
        if last.is_some_and(|last| last.statement().is_some()) {
            self.end_contradictions(|it| it.probe == probe || it.by == probe);
        }
    }

    /// These probes have other names now: [`Self::changed_contradictions`] returns all if one is about them.
    pub(crate) fn rename(&mut self, is_renamed: impl Fn(&P) -> bool) {
        self.is_changed |= self.contradictions.values().any(|it| is_renamed(&it.probe) || is_renamed(&it.by));
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
        if let Some(waiting) = self.waiting.take() {
            return self.hear_second_refusal(waiting, from, statement, before, situation);
        }
        if self.contradictions.contains_key(&from) {
            return Decision::Keep;
        }
        let refused = vec![from];
        let Some(asked) = self.probe_to_ask(&refused, situation) else { return Decision::Move(statement) };
        let since = situation.now;
        self.waiting = Some(Box::new(Waiting { refused, statement, since, asked, is_unanswered: false }));
        Decision::Ask(asked)
    }

    /// A refusal while another one waits. `before` is what the same probe said before.
    fn hear_second_refusal(
        &mut self,
        mut waiting: Box<Waiting<P, S>>,
        from: P,
        statement: S,
        before: Option<S>,
        situation: &Situation<'_, P, S>,
    ) -> Decision<P, S> {
        // The answer to the question counts, and so does a probe that was accepted before. A probe that
        // keeps refusing says nothing new.
        let refused_before = waiting.refused.contains(&from);
        let was_accepted = before.is_some_and(|before| !before.is_refusal());
        let is_next = waiting.is_unanswered && before != Some(statement);
        if !refused_before && waiting.asked != from && !was_accepted && !is_next {
            self.waiting = Some(waiting);
            return Decision::Keep;
        }
        // The first refusal may be the route's own. Of two different ones, the preferred probe is right.
        let preference = |probe: &P| (situation.preference)(probe);
        let best = waiting.refused.iter().map(preference).min();
        if best.is_none_or(|best| preference(&from) <= best) {
            waiting.statement = statement;
        }
        if !refused_before {
            waiting.refused.push(from);
            // Two routes can be refused for causes of their own, and two keys can be those of another partner. So a
            // third probe that was accepted last decides, when it is due: the answer to a question is not a question
            // again. An unknown state has nothing to lose.
            let is_open = situation.is_known && !(situation.is_enough)(&waiting.refused);
            let third = self.probe_to_ask(&waiting.refused, situation).filter(|_| is_open);
            let Some(asked) = third else { return Decision::Move(waiting.statement) };
            (waiting.asked, waiting.is_unanswered) = (asked, false);
        }
        self.waiting = Some(waiting);
        self.check_patience(situation)
    }

    /// Records a statement and returns the one before it.
    fn note(&mut self, from: P, statement: S, now: Instant) -> Option<S> {
        let before = self.probes.insert(from, Last::Said(statement, now)).and_then(Last::statement);
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
        for (&probe, last) in self.probes.iter() {
            let Last::Said(refusal, at) = *last else { continue };
            if probe == by || !refusal.is_refusal() || since.is_some_and(|since| at < since) {
                continue;
            }
            self.contradictions.insert(probe, Contradiction { probe, refusal, by, said });
            self.is_changed = true;
        }
    }

    /// The probe that can confirm the refusal of these probes: one that speaks for the present state or
    /// was accepted last; if there is none, one that has not said anything yet. One that no longer says anything is
    /// the last resort, while nothing else confirms the refusal.
    fn probe_to_ask(&self, refused: &[P], situation: &Situation<'_, P, S>) -> Option<P> {
        let preference = |name: &P| (situation.preference)(name);
        let of_refused = refused.iter().map(preference).min();
        let rank = |name: &P, last: &Last<S>| match *last {
            // Of two different refusals, the one of the preferred probe counts.
            Last::Said(statement, at) => {
                let may_be_right = (situation.agrees)(statement) && Some(preference(name)) <= of_refused;
                let newest_first = Some(std::cmp::Reverse(at));
                (!statement.is_refusal() || may_be_right).then(|| (0, preference(name), newest_first))
            }
            Last::Unheard => Some((1, preference(name), None)),
            Last::Mute => (refused.len() == 1).then(|| (2, preference(name), None)),
        };
        let others = self.probes.iter().filter(|(name, _)| !refused.contains(name));
        let ranked = others.filter_map(|(name, last)| Some((rank(name, last)?, *name)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, name)| name)
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
