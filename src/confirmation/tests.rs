//! Statements of several probes about one key that is active at the start.

use super::*;

/// What a probe says. The state of the key is the last statement that moved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Accepted,
    NotFound,
    Forbidden,
}
use Said::{Accepted, Forbidden, NotFound};

impl Statement for Said {
    fn is_refusal(self) -> bool {
        self != Accepted
    }
}

const INTERVAL: Duration = Duration::from_mins(1);

/// A key with its state; `None` is the unknown state.
struct Key {
    state: Option<Said>,
    confirmation: Confirmation<u8, Said>,
    now: Instant,
    /// How many refusals are enough although another probe was accepted last.
    enough: usize,
}

impl Key {
    fn new(probes: u8, state: Option<Said>) -> Self {
        let mut confirmation = Confirmation::default();
        (0..probes).for_each(|probe| confirmation.add(probe));
        Self { state, confirmation, now: Instant::now(), enough: usize::MAX }
    }

    /// A key whose probes were all accepted.
    fn accepted(probes: u8) -> Self {
        let mut key = Self::new(probes, Some(Accepted));
        for probe in 0..probes {
            assert_eq!(key.hear(probe, Some(Accepted)), None);
        }
        key
    }

    /// Takes an answer, and returns the probe that must be asked. A lower number is preferred.
    fn hear(&mut self, from: u8, said: Option<Said>) -> Option<u8> {
        self.hear_with(from, said, |probe| *probe)
    }

    /// The same if only the probe 0 is preferred.
    fn hear_as_canaries(&mut self, from: u8, said: Said) -> Option<u8> {
        self.hear_with(from, Some(said), |probe| u8::from(*probe > 0))
    }

    fn hear_with(&mut self, from: u8, said: Option<Said>, preference: fn(&u8) -> u8) -> Option<u8> {
        self.now += Duration::from_secs(1);
        let state = self.state;
        let situation = Situation {
            agrees: &|said| state == Some(said),
            is_known: state.is_some(),
            patience: INTERVAL * 3,
            preference: &preference,
            is_enough: &|refused| refused.len() >= self.enough,
            now: self.now,
        };
        match self.confirmation.hear(from, said, &situation) {
            Decision::Keep => None,
            Decision::Move(said) => {
                self.state = Some(said);
                None
            }
            Decision::Ask(probe) => Some(probe),
        }
    }
}

#[test]
fn the_refusal_of_the_only_probe_counts_at_once() {
    let mut key = Key::accepted(1);
    assert_eq!(key.hear(0, Some(NotFound)), None);
    assert_eq!(key.state, Some(NotFound));
}

#[test]
fn a_second_refusal_confirms_the_first() {
    let mut key = Key::accepted(2);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    assert_eq!(key.state, Some(Accepted), "the state waits for the confirmation");
    assert_eq!(key.hear(0, Some(NotFound)), None);
    assert_eq!(key.state, Some(NotFound));
}

#[test]
fn an_acceptance_contradicts_a_refusal_and_the_question_is_asked_once() {
    let mut key = Key::accepted(2);
    assert_eq!(key.hear(1, Some(Forbidden)), Some(0));
    for _ in 0..100 {
        assert_eq!(key.hear(0, Some(Accepted)), None);
        assert_eq!(key.hear(1, Some(Forbidden)), None, "settled");
        assert_eq!(key.state, Some(Accepted));
    }
}

#[test]
fn a_settled_contradiction_is_asked_again_if_one_of_the_answers_changes() {
    let settled = || {
        let mut key = Key::accepted(3);
        assert_eq!(key.hear(2, Some(Forbidden)), Some(0));
        assert_eq!(key.hear(0, Some(Accepted)), None);
        key
    };
    let mut key = settled();
    assert_eq!(key.hear(2, Some(NotFound)), Some(0), "another refusal");
    let mut key = settled();
    assert_eq!(key.hear(2, Some(Accepted)), None);
    assert_eq!(key.hear(2, Some(Forbidden)), Some(0), "refused again after an acceptance");
    let mut key = settled();
    assert_eq!(key.hear(0, Some(NotFound)), Some(1), "the probe that contradicted is refused itself");
    assert_eq!(key.hear(1, Some(Accepted)), None);
    assert_eq!(key.hear(2, Some(Forbidden)), Some(1), "its contradiction no longer holds");
}

#[test]
fn a_refused_key_that_one_route_refused_already_is_told_by_the_other_probe() {
    let mut key = Key::accepted(2);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    assert_eq!(key.hear(0, Some(Accepted)), None);
    assert_eq!(key.hear(0, Some(NotFound)), None, "no other probe was accepted last");
    assert_eq!(key.state, Some(NotFound));
}

#[test]
fn without_an_answer_the_state_waits_and_the_next_statement_decides() {
    for (said, expected) in [(Accepted, Accepted), (NotFound, NotFound)] {
        let mut key = Key::accepted(2);
        assert_eq!(key.hear(1, Some(NotFound)), Some(0));
        assert_eq!(key.hear(0, None), None, "a timeout");
        assert_eq!(key.hear(1, Some(NotFound)), None, "the same probe cannot confirm itself");
        assert_eq!(key.state, Some(Accepted));
        assert_eq!(key.hear(0, Some(said)), None);
        assert_eq!(key.state, Some(expected));
    }
}

#[test]
fn a_refusal_that_nobody_confirms_or_contradicts_counts_after_three_intervals() {
    let mut key = Key::accepted(2);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    for _ in 0..3 {
        assert_eq!(key.hear(0, None), None);
        assert_eq!(key.state, Some(Accepted));
        key.now += Duration::from_secs(58);
        assert_eq!(key.hear(1, Some(NotFound)), None);
    }
    key.hear(0, None);
    key.now += Duration::from_secs(6);
    key.hear(0, None);
    assert_eq!(key.state, Some(NotFound));
}

#[test]
fn a_probe_that_is_accepted_itself_ends_the_wait() {
    let mut key = Key::accepted(2);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    assert_eq!(key.hear(0, None), None);
    assert_eq!(key.hear(1, Some(Accepted)), None);
    key.now += INTERVAL * 9;
    assert_eq!(key.hear(0, None), None);
    assert_eq!(key.state, Some(Accepted));
}

#[test]
fn a_probe_that_has_not_answered_since_the_start_is_asked() {
    let mut key = Key::new(2, Some(Accepted));
    assert_eq!(
        key.hear(1, Some(Forbidden)),
        Some(0),
        "a restart must not turn a settled refusal into a state"
    );
    assert_eq!(key.hear(0, Some(Accepted)), None);
    assert_eq!(key.state, Some(Accepted));
}

#[test]
fn the_first_refusal_of_an_unknown_key_does_not_wait_for_an_answer_that_does_not_come() {
    let mut key = Key::new(2, None);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    assert_eq!(key.hear(0, None), None);
    assert_eq!(key.state, Some(NotFound));
}

#[test]
fn of_two_different_refusals_the_preferred_probe_is_believed() {
    for (first, second) in [((1, Forbidden), (0, NotFound)), ((0, NotFound), (1, Forbidden))] {
        let mut key = Key::accepted(2);
        assert_eq!(key.hear(first.0, Some(first.1)), Some(second.0));
        assert_eq!(key.hear(second.0, Some(second.1)), None);
        assert_eq!(key.state, Some(NotFound));
    }
}

#[test]
fn another_refusal_of_the_preferred_probe_counts_at_once() {
    let mut key = Key::new(2, Some(Forbidden));
    assert_eq!(key.hear(0, Some(Forbidden)), None);
    assert_eq!(key.hear(1, Some(Forbidden)), None);
    assert_eq!(key.hear(0, Some(NotFound)), None);
    assert_eq!(key.state, Some(NotFound));
    assert_eq!(key.hear(1, Some(Forbidden)), Some(0));
}

#[test]
fn two_routes_that_refuse_for_different_causes_do_not_move_the_state_back_and_forth() {
    let mut key = Key::accepted(2);
    assert_eq!(key.hear(1, Some(Forbidden)), Some(0));
    assert_eq!(key.hear(0, Some(NotFound)), None);
    let state = Some(NotFound);
    let mut questions = 0;
    for _ in 0..50 {
        for (probe, said) in [(1, Forbidden), (0, NotFound)] {
            if let Some(asked) = key.hear(probe, Some(said)) {
                questions += 1;
                let answer = if asked == 0 { NotFound } else { Forbidden };
                assert_eq!(key.hear(asked, Some(answer)), None);
            }
            assert_eq!(key.state, state);
        }
    }
    assert_eq!(questions, 1);
}

#[test]
fn an_acceptance_ends_every_refusal_at_once() {
    let mut key = Key::new(2, Some(NotFound));
    assert_eq!(key.hear(0, Some(NotFound)), None);
    assert_eq!(key.hear(1, Some(Accepted)), None);
    assert_eq!(key.state, Some(Accepted));
}

#[test]
fn probes_that_keep_refusing_do_not_confirm_one_another() {
    let mut key = Key::accepted(1);
    (1..20).for_each(|probe| key.confirmation.add(probe));
    for round in 0..10 {
        for probe in 1..20 {
            if let Some(asked) = key.hear(probe, Some(NotFound)) {
                assert_eq!((asked, round), (0, 0));
                (2..20).for_each(|other| assert_eq!(key.hear(other, Some(NotFound)), None));
                assert_eq!(key.hear(asked, Some(Accepted)), None);
            }
            assert_eq!(key.state, Some(Accepted));
        }
    }
}

#[test]
fn while_an_answer_is_awaited_a_settled_refusal_confirms_nothing_and_a_new_one_does() {
    let settled = || {
        let mut key = Key::accepted(4);
        assert_eq!(key.hear(2, Some(NotFound)), Some(0));
        assert_eq!(key.hear(0, Some(Accepted)), None);
        assert_eq!(key.hear(1, Some(NotFound)), Some(0));
        key
    };
    let mut key = settled();
    assert_eq!(key.hear(2, Some(NotFound)), None);
    assert_eq!(key.state, Some(Accepted));
    assert_eq!(key.hear(0, None), None);
    assert_eq!(key.hear(2, Some(NotFound)), None);
    assert_eq!(key.state, Some(Accepted), "it says nothing new without an answer, too");
    let mut key = settled();
    assert_eq!(key.hear(3, Some(NotFound)), None);
    assert_eq!(key.state, Some(Accepted), "it was accepted before, and so was the probe that is asked");
    assert_eq!(key.hear(0, Some(NotFound)), None);
    assert_eq!(key.state, Some(NotFound));
}

/// A key without key/info: three canaries with the numbers 1 to 3, of which the last one was accepted last.
fn three_canaries() -> Key {
    let mut key = Key::new(0, Some(Accepted));
    (1..=3).for_each(|probe| key.confirmation.add(probe));
    (1..=3).for_each(|probe| assert_eq!(key.hear(probe, Some(Accepted)), None));
    key
}

#[test]
fn two_canaries_that_refuse_wait_for_a_third_one_that_was_accepted_last() {
    let two_refuse = || {
        let mut key = three_canaries();
        assert_eq!(key.hear(3, Some(NotFound)), Some(1));
        assert_eq!(key.hear(1, Some(NotFound)), None, "the answer to a question is not a question again");
        assert_eq!(key.state, Some(Accepted));
        key
    };
    let mut key = two_refuse();
    assert_eq!(key.hear(2, Some(NotFound)), None);
    assert_eq!(key.state, Some(NotFound), "all refuse");
    let mut key = two_refuse();
    for _ in 0..50 {
        assert_eq!(key.hear(2, Some(Accepted)), None);
        assert_eq!(key.hear(3, Some(NotFound)), None, "both refusals are contradicted");
        assert_eq!(key.hear(1, Some(NotFound)), None);
        assert_eq!(key.state, Some(Accepted));
    }
    let mut key = two_refuse();
    key.hear(2, None);
    key.now += INTERVAL * 3;
    key.hear(2, None);
    assert_eq!(key.state, Some(NotFound), "no verdict for three intervals");
}

#[test]
fn a_second_canary_does_not_confirm_while_key_info_was_accepted_last_and_does_not_answer() {
    let mut key = Key::accepted(3);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    assert_eq!(key.hear(0, None), None, "a timeout");
    assert_eq!(key.hear(2, Some(NotFound)), None);
    assert_eq!(key.state, Some(Accepted));
    assert_eq!(key.hear(0, Some(Accepted)), None);
    for probe in [1, 2, 1, 2] {
        assert_eq!(key.hear(probe, Some(NotFound)), None);
        assert_eq!(key.state, Some(Accepted));
    }
    assert_eq!(key.hear(0, Some(NotFound)), None);
    assert_eq!(key.state, Some(NotFound), "nobody is accepted any more");
}

#[test]
fn two_probes_wait_for_a_third_one_that_was_accepted_last_if_they_are_not_enough() {
    for (first, second) in [(0, 1), (1, 0)] {
        let two_refuse = || {
            let mut key = Key::accepted(3);
            assert_eq!(key.hear(1, Some(Accepted)), None, "accepted last");
            assert_eq!(key.hear(first, Some(NotFound)), Some(second));
            assert_eq!(key.hear(second, Some(NotFound)), None, "no further question");
            assert_eq!(key.state, Some(Accepted));
            key
        };
        let mut key = two_refuse();
        assert_eq!(key.hear(2, Some(NotFound)), None);
        assert_eq!(key.state, Some(NotFound));
        let mut key = two_refuse();
        for _ in 0..9 {
            assert_eq!(key.hear(2, Some(Accepted)), None);
            assert_eq!(key.hear(0, Some(NotFound)), None);
            assert_eq!(key.hear(1, Some(NotFound)), None);
            assert_eq!(key.state, Some(Accepted), "a call with the key works");
        }
    }
}

#[test]
fn two_refusals_are_enough_while_no_state_is_known() {
    let mut key = Key::new(3, None);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    assert_eq!(key.hear(0, Some(Forbidden)), None);
    assert_eq!(key.state, Some(Forbidden), "the preferred probe is believed");
}

#[test]
fn a_limit_of_refusals_is_enough_although_others_were_accepted_last() {
    let mut key = Key { enough: 3, ..Key::accepted(9) };
    assert_eq!(key.hear(8, Some(NotFound)), Some(0));
    assert_eq!(key.hear(0, Some(NotFound)), None);
    assert_eq!(key.hear(8, Some(NotFound)), None, "the same probe counts once");
    assert_eq!(key.state, Some(Accepted));
    assert_eq!(key.hear(5, Some(NotFound)), None, "any probe that was accepted last counts");
    assert_eq!(key.state, Some(NotFound));
}

#[test]
fn a_probe_that_repeats_its_refusal_does_not_replace_what_the_preferred_probe_said() {
    let mut key = Key::accepted(3);
    assert_eq!(key.hear(1, Some(Forbidden)), Some(0));
    assert_eq!(key.hear(0, Some(NotFound)), None);
    assert_eq!(key.hear(1, Some(Forbidden)), None);
    assert_eq!(key.hear(2, Some(Forbidden)), None);
    assert_eq!(key.state, Some(NotFound));
}

#[test]
fn a_probe_that_no_longer_says_anything_contradicts_nothing_and_the_refusal_counts_after_three_intervals() {
    let mut key = Key::accepted(2);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    assert_eq!(key.hear(0, Some(Accepted)), None);
    assert!(changes(&mut key).is_some_and(|settled| settled.len() == 1));
    key.confirmation.mute(0);
    key.confirmation.mute(0);
    assert_eq!(changes(&mut key), Some(Vec::new()));
    assert_eq!(key.hear(1, Some(NotFound)), Some(0), "its answer changed, so it is asked");
    assert_eq!(key.hear(0, None), None);
    assert_eq!(key.hear(1, Some(NotFound)), None);
    assert_eq!(key.state, Some(Accepted));
    key.now += INTERVAL * 3;
    assert_eq!(key.hear(1, Some(NotFound)), None);
    assert_eq!(key.state, Some(NotFound));
}

#[test]
fn a_refusing_probe_that_no_longer_says_anything_leaves_the_contradictions_of_the_others() {
    let mut key = Key::accepted(3);
    for probe in [1, 2] {
        assert_eq!(key.hear(probe, Some(NotFound)), Some(0));
        assert_eq!(key.hear(0, Some(Accepted)), None);
    }
    assert!(changes(&mut key).is_some_and(|settled| settled.len() == 2));
    key.confirmation.mute(2);
    let other = Contradiction { probe: 1, refusal: NotFound, by: 0, said: Accepted };
    assert_eq!(changes(&mut key), Some(vec![other]));
}

#[test]
fn nobody_waits_for_a_third_probe_that_no_longer_says_anything() {
    let mut key = Key::accepted(3);
    key.confirmation.mute(2);
    key.confirmation.restore(Contradiction { probe: 1, refusal: NotFound, by: 2, said: Accepted }, key.now);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    assert_eq!(key.hear(0, Some(NotFound)), None);
    assert_eq!(key.state, Some(NotFound));
}

#[test]
fn a_contradiction_that_contradicts_nothing_is_not_restored() {
    for (by, refusal, said) in [(1, NotFound, Accepted), (0, NotFound, NotFound), (0, Accepted, Accepted)] {
        let mut key = Key::new(2, Some(Accepted));
        key.confirmation.restore(Contradiction { probe: 1, refusal, by, said }, key.now);
        assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    }
}

#[test]
fn a_refusal_for_another_cause_that_is_settled_is_restored() {
    let mut key = Key::new(2, Some(NotFound));
    let settled = Contradiction { probe: 1, refusal: Forbidden, by: 0, said: NotFound };
    key.confirmation.restore(settled, key.now);
    assert_eq!(key.hear(1, Some(Forbidden)), None);
    assert_eq!(key.state, Some(NotFound));
}

#[test]
fn a_route_that_goes_on_with_the_old_cause_does_not_hide_the_new_one_of_key_info_and_another_route() {
    let mut key = Key { state: Some(NotFound), ..three_canaries() };
    key.confirmation.add(0);
    (0..=3).for_each(|probe| assert_eq!(key.hear(probe, Some(NotFound)), None));
    // key/info has the number 0, and all canaries count the same.
    assert_eq!(key.hear_as_canaries(2, Forbidden), Some(0));
    assert_eq!(key.hear_as_canaries(0, Forbidden), None);
    assert_eq!(key.state, Some(Forbidden));
}

#[test]
fn contradictions_are_reported_again_when_one_of_their_probes_is_renamed() {
    let mut key = Key::accepted(3);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    assert_eq!(key.hear(0, Some(Accepted)), None);
    assert!(changes(&mut key).is_some());
    for (renamed, is_reported) in [(2, false), (1, true), (0, true)] {
        key.confirmation.rename(|probe| *probe == renamed);
        assert_eq!(changes(&mut key).is_some(), is_reported, "{renamed}");
    }
}

#[test]
fn an_acceptance_that_moves_the_state_contradicts_the_refusals_that_stand() {
    let mut key = three_canaries();
    for probe in 1..=3 {
        key.hear(probe, Some(NotFound));
    }
    assert_eq!(key.state, Some(NotFound));
    assert_eq!(key.hear(2, Some(Accepted)), None);
    for probe in [3, 1, 3, 1] {
        assert_eq!(key.hear(probe, Some(NotFound)), None, "settled");
        assert_eq!(key.state, Some(Accepted));
    }
    assert_eq!(key.hear(2, Some(NotFound)), None);
    assert_eq!(key.state, Some(NotFound), "refused again before the others were accepted");
}

fn changes(key: &mut Key) -> Option<Vec<Contradiction<u8, Said>>> {
    key.confirmation.changed_contradictions().map(|settled| settled.copied().collect())
}

#[test]
fn contradictions_are_reported_when_they_change_and_count_again_when_they_are_restored() {
    let mut key = Key::accepted(3);
    assert_eq!(changes(&mut key), None);
    let mut expected = Vec::new();
    for probe in [1, 2] {
        assert_eq!(key.hear(probe, Some(NotFound)), Some(0));
        assert_eq!(changes(&mut key), None);
        assert_eq!(key.hear(0, Some(Accepted)), None);
        expected.push(Contradiction { probe, refusal: NotFound, by: 0, said: Accepted });
        assert_eq!(changes(&mut key).as_deref(), Some(&*expected));
        assert_eq!(changes(&mut key), None);
    }
    // After a restart, key/info does not answer.
    let restored = || {
        let mut key = Key::new(3, Some(Accepted));
        for settled in &expected {
            key.confirmation.restore(*settled, key.now);
        }
        assert_eq!(changes(&mut key), None);
        key
    };
    let mut key = restored();
    for probe in [1, 2, 0, 1, 2, 0] {
        assert_eq!(key.hear(probe, (probe > 0).then_some(NotFound)), None);
        assert_eq!(key.state, Some(Accepted));
        key.now += INTERVAL;
    }
    assert_eq!(key.hear(0, Some(NotFound)), None);
    assert_eq!(key.state, Some(NotFound));
    assert_eq!(changes(&mut key), Some(Vec::new()));
    let mut key = restored();
    assert_eq!(key.hear(1, Some(Forbidden)), Some(0), "another refusal is a question");
    assert_eq!(changes(&mut key).as_deref(), Some(&expected[1..]));
    key.confirmation.remove(2..=2);
    assert_eq!(changes(&mut key), Some(Vec::new()));
    let mut key = Key::new(2, Some(Accepted));
    key.confirmation.restore(expected[1], key.now);
    assert_eq!(key.hear(0, None), None);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0), "nothing is known: there is no probe 2");
}

#[test]
fn what_was_said_since_the_start_counts_more_than_a_restored_contradiction() {
    let mut key = Key::new(2, Some(Accepted));
    assert_eq!(key.hear(1, Some(Accepted)), None);
    let settled = Contradiction { probe: 1, refusal: NotFound, by: 0, said: Accepted };
    key.confirmation.restore(settled, key.now);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    let mut key = Key::new(2, Some(Forbidden));
    assert_eq!(key.hear(0, Some(Forbidden)), None);
    key.confirmation.restore(settled, key.now);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0), "the key is refused by another code now");
}

#[test]
fn after_a_question_without_an_answer_the_next_new_statement_counts() {
    let mut key = Key::new(3, Some(Accepted));
    key.enough = 2;
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    assert_eq!(key.hear(2, Some(NotFound)), None);
    assert_eq!(key.state, Some(Accepted), "the question is open");
    assert_eq!(key.hear(0, None), None);
    assert_eq!(key.hear(2, Some(NotFound)), None);
    assert_eq!(key.state, Some(Accepted), "it says nothing new");
    assert_eq!(key.hear(2, Some(Forbidden)), None);
    assert_eq!(key.state, Some(NotFound));
}

#[test]
fn an_acceptance_that_moves_the_state_contradicts_no_acceptance() {
    let mut key = Key::accepted(3);
    key.enough = 2;
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    assert_eq!(key.hear(0, Some(NotFound)), None);
    assert_eq!(key.state, Some(NotFound));
    assert_eq!(key.hear(0, Some(Accepted)), None);
    let settled = Contradiction { probe: 1, refusal: NotFound, by: 0, said: Accepted };
    assert_eq!(changes(&mut key), Some(vec![settled]));
}

#[test]
fn a_removed_probe_is_neither_asked_nor_waited_for() {
    let mut key = Key::accepted(3);
    assert_eq!(key.hear(2, Some(NotFound)), Some(0));
    key.confirmation.remove(0..=0);
    assert_eq!(key.hear(2, Some(NotFound)), Some(1));
    key.confirmation.remove(1..=1);
    assert_eq!(key.hear(2, Some(NotFound)), None);
    assert_eq!(key.state, Some(NotFound));
}

#[test]
fn after_a_reset_the_earlier_statements_do_not_count() {
    let mut key = Key::accepted(2);
    assert_eq!(key.hear(1, Some(NotFound)), Some(0));
    key.confirmation.reset();
    key.state = None;
    assert_eq!(key.hear(0, None), None);
    assert_eq!(key.state, None);
}
