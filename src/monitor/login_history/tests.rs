use super::*;

/// The log-ins of one account in time that a test moves.
struct Account {
    history: LoginHistory,
    now: Instant,
    /// The firms of all log-ins that were sent, in order.
    sent: Vec<u64>,
}

impl Account {
    fn new() -> Self {
        Self { history: LoginHistory::default(), now: Instant::now(), sent: Vec::new() }
    }

    /// Asks for a log-in of the firm with this password; `answer` gives the response for each firm, `Ok` for a token.
    /// Returns whether the firm got a token.
    fn log_in(
        &mut self,
        password: &str,
        firm: u64,
        answer: impl Fn(u64) -> Result<(), LoginRefusal>,
    ) -> bool {
        let password = password.into();
        for _ in 0..3 {
            let history = self.history.of(&password);
            let proof = match history.permission(&Some(Firm::Id(firm)), self.now) {
                Permission::Allowed => None,
                Permission::ProofNeeded(Some(Firm::Id(prover))) => Some(prover),
                Permission::ProofNeeded(other) => panic!("{other:?}"),
                Permission::Blocked(_) => return false,
            };
            let tried = proof.unwrap_or(firm);
            self.sent.push(tried);
            let outcome = answer(tried);
            match outcome {
                Ok(()) => history.accept(Some(Firm::Id(tried))),
                Err(refusal) => {
                    let cause = (refusal, TokenFailure::refused_before(refusal));
                    let at = (SystemTime::now(), Duration::ZERO);
                    history.refuse(Some(Firm::Id(tried)), cause, at, self.now);
                    history.fingerprint.get_or_insert_with(|| fingerprint(&password));
                }
            }
            if proof.is_none() {
                return outcome.is_ok();
            }
        }
        panic!("a proof is asked for again and again");
    }

    /// Each firm asks once per minute.
    fn run(
        &mut self,
        minutes: u64,
        password: &str,
        firms: &[u64],
        answer: fn(u64) -> Result<(), LoginRefusal>,
    ) {
        for _ in 0..minutes {
            for firm in firms {
                self.log_in(password, *firm, answer);
            }
            self.pass(1);
        }
    }

    fn pass(&mut self, minutes: u64) {
        self.now += Duration::from_mins(minutes);
    }

    /// As after a restart: only what is persisted is known.
    fn restart(&mut self, password: &str) {
        self.history = LoginHistory::restore(self.history.record(), self.now);
        let password = password.into();
        for _ in 0..=MAX_PASSWORDS {
            let Some(known) = self.history.fingerprint_to_compare(&password) else { return };
            self.history.set_compared(&known, &password, known == fingerprint(&password));
        }
        panic!("a fingerprint is compared again and again");
    }

    fn sent(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.sent)
    }
}

/// It depends on the first byte of the password only, so that no test computes a slow hash.
fn fingerprint(password: &SecretString) -> PasswordFingerprint {
    let first = password.expose_secret().as_bytes()[0];
    let text = format!(r#"{{"salt":{:?},"hash":[{first}]}}"#, [first; 16]);
    serde_json::from_str(&text).unwrap()
}

const fn refused(_: u64) -> Result<(), LoginRefusal> {
    Err(LoginRefusal::Credentials)
}

#[expect(clippy::unnecessary_wraps, reason = "it is passed as an answer")]
const fn accepted(_: u64) -> Result<(), LoginRefusal> {
    Ok(())
}

/// Firms above 900 are refused.
const fn low_firms(firm: u64) -> Result<(), LoginRefusal> {
    if firm < 900 { Ok(()) } else { Err(LoginRefusal::Credentials) }
}

const ALL: [LoginRefusal; 5] = [
    LoginRefusal::Credentials,
    LoginRefusal::FirmSelection,
    LoginRefusal::UpdatePassword,
    LoginRefusal::RequireOtp,
    LoginRefusal::RequireCguApproval,
];

#[test]
fn a_refused_log_in_is_tried_once_more_after_fifteen_minutes() {
    let mut account = Account::new();
    assert!(!account.log_in("wrong", 80, refused));
    account.pass(14);
    assert!(!account.log_in("wrong", 80, refused));
    assert_eq!(account.sent(), [80]);
    account.pass(1);
    account.run(6_000, "wrong", &[80], refused);
    assert_eq!(account.sent(), [80]);
}

#[test]
fn a_log_in_that_needs_a_one_time_password_is_tried_once() {
    let tries = ALL.map(|refusal| {
        let mut account = Account::new();
        for _ in 0..100 {
            account.log_in("right", 80, |_| Err(refusal));
            account.pass(1);
        }
        account.sent().len()
    });
    assert_eq!(tries, [2, 2, 2, 1, 2]);
}

#[test]
fn a_wrong_password_behind_560_firms_makes_two_refusals() {
    let firms: Vec<_> = (1..=560).collect();
    let mut account = Account::new();
    account.run(60, "wrong", &firms, refused);
    assert_eq!(account.sent(), [1, 2]);
    account.restart("wrong");
    account.run(60, "wrong", &firms, refused);
    assert_eq!(account.sent(), [0; 0]);
}

#[test]
fn a_password_that_is_changed_at_myunisoft_makes_two_refusals() {
    let firms: Vec<_> = (1..=560).collect();
    let mut account = Account::new();
    account.run(1, "old", &firms, accepted);
    assert_eq!(account.sent().len(), 560);
    account.run(60, "old", &firms, refused);
    assert_eq!(account.sent(), [1, 2]);
}

#[test]
fn a_refused_firm_does_not_stop_the_other_firms() {
    let mut account = Account::new();
    let firms = [80, 999, 81, 82];
    account.run(240, "right", &firms, low_firms);
    let refusals = account.sent().iter().filter(|firm| **firm == 999).count();
    assert_eq!(refusals, 2);
    for firm in [80, 81, 82] {
        assert!(account.log_in("right", firm, low_firms), "{firm}");
    }
}

#[test]
fn the_second_refusal_of_a_firm_is_not_that_of_another_firm() {
    let mut account = Account::new();
    account.log_in("right", 999, low_firms);
    account.pass(15);
    account.log_in("right", 999, low_firms);
    assert!(account.log_in("right", 80, low_firms));
    assert_eq!(account.sent(), [999, 999, 80]);
}

#[test]
fn after_two_refused_firms_a_firm_that_was_opened_before_proves_the_password() {
    let mut account = Account::new();
    for firm in [80, 997, 998, 81, 999] {
        account.log_in("right", firm, low_firms);
    }
    assert_eq!(account.sent(), [80, 997, 998, 80, 81, 999]);
    assert!(account.log_in("right", 82, low_firms));
}

#[test]
fn a_proof_that_is_refused_makes_the_refusal_the_account_s() {
    let mut account = Account::new();
    account.log_in("old", 80, accepted);
    account.sent();
    let firms: Vec<_> = (80..640).collect();
    for firm in firms.iter().rev() {
        account.log_in("old", *firm, refused);
    }
    account.run(60, "old", &firms, refused);
    assert_eq!(account.sent(), [639, 638, 80]);
}

#[test]
fn a_missing_firm_is_not_the_account_s_refusal() {
    let mut account = Account::new();
    let choose = |firm| if firm < 900 { Ok(()) } else { Err(LoginRefusal::FirmSelection) };
    for firm in [997, 998, 999, 80] {
        assert_eq!(account.log_in("right", firm, choose), firm == 80);
    }
}

#[test]
fn several_wrong_passwords_of_one_account_are_counted_separately() {
    let mut account = Account::new();
    for _ in 0..100 {
        account.log_in("a-typo", 80, refused);
        account.log_in("b-typo", 80, refused);
        account.pass(1);
    }
    assert_eq!(account.sent().len(), 4);
    account.restart("a-typo");
    account.run(60, "a-typo", &[80], refused);
    account.restart("b-typo");
    account.run(60, "b-typo", &[80], refused);
    assert_eq!(account.sent(), [0; 0], "a typo and back");
    assert!(account.log_in("right", 80, accepted));
}

#[test]
fn a_reload_by_hand_allows_one_more_try_of_each_refused_firm() {
    let mut account = Account::new();
    account.run(60, "right", &[80, 998, 999], low_firms);
    account.sent();
    account.history.allow_another_try(account.now);
    account.run(60, "right", &[998, 999], low_firms);
    assert_eq!(account.sent(), [998, 999]);
}

#[test]
fn a_reload_by_hand_allows_one_try_of_one_firm_of_a_refused_account() {
    let firms: Vec<_> = (1..=560).collect();
    let mut account = Account::new();
    account.run(60, "wrong", &firms, refused);
    account.sent();
    for first in [&firms[..], &firms[7..]] {
        account.history.allow_another_try(account.now);
        account.run(60, "wrong", first, refused);
        assert_eq!(account.sent(), [first[0]]);
    }
    // The password was corrected at MyUnisoft.
    account.history.allow_another_try(account.now);
    account.run(1, "wrong", &firms, accepted);
    assert_eq!(account.sent(), firms);
}

#[test]
fn a_restart_does_not_reset_a_refusal() {
    for refusal in ALL {
        let mut account = Account::new();
        account.log_in("wrong", 80, |_| Err(refusal));
        account.restart("wrong");
        account.log_in("wrong", 80, |_| Err(refusal));
        assert_eq!(account.sent(), [80], "{refusal:?}: the delay lasts");
        account.pass(15);
        account.log_in("wrong", 80, |_| Err(refusal));
        let second = account.sent();
        assert_eq!(second.is_empty(), refusal == LoginRefusal::RequireOtp, "{refusal:?}");
        account.restart("wrong");
        account.pass(60);
        account.log_in("wrong", 80, |_| Err(refusal));
        assert_eq!(account.sent(), [0; 0], "{refusal:?}");
        account.restart("fixed");
        assert!(account.log_in("fixed", 80, accepted));
    }
}

#[test]
fn a_firm_that_was_refused_before_a_restart_stays_its_own_affair() {
    let mut account = Account::new();
    for firm in [999, 80] {
        account.log_in("right", firm, low_firms);
    }
    account.restart("right");
    account.log_in("right", 998, low_firms);
    assert!(account.log_in("right", 80, low_firms));
    let only_own = |record: &AccountRecord| record.passwords[0].firms.iter().all(|firm| firm.is_own);
    assert!(only_own(&account.history.record()));
}

#[test]
fn the_refusals_of_an_earlier_version_are_the_account_s() {
    let wrong = fingerprint(&"wrong".into());
    for (times, tries) in [(1, 1), (2, 0)] {
        let last = SystemTime::now() - Duration::from_hours(48);
        let refusal = RefusalRecord { times, last, refusal: LoginRefusal::Credentials };
        let password = PasswordRecord { password: wrong.clone(), account: Some(refusal), firms: Vec::new() };
        let mut account = Account::new();
        account.history =
            LoginHistory::restore(AccountRecord { journal: 0, passwords: vec![password] }, account.now);
        account.restart("wrong");
        account.run(60, "wrong", &[80, 81, 82], refused);
        assert_eq!(account.sent().len(), tries, "{times}");
    }
}

#[test]
fn at_most_eight_passwords_are_remembered() {
    let mut account = Account::new();
    for number in 0..20_u8 {
        account.log_in(&String::from_utf8(vec![b'a' + number]).unwrap(), 80, refused);
    }
    assert_eq!(account.history.record().passwords.len(), 8);
    assert_eq!(account.history.passwords.len(), 8);
}

#[test]
fn a_history_is_empty_until_a_log_in_is_accepted_or_refused() {
    let mut account = Account::new();
    assert!(account.history.is_empty());
    account.history.of(&"right".into());
    assert!(account.history.is_empty(), "the password was not tried yet");
    for (firms, answer) in [
        (&[80][..], accepted as fn(u64) -> Result<(), LoginRefusal>),
        (&[80], refused),
        (&[80, 999], low_firms),
    ] {
        let mut account = Account::new();
        account.run(1, "right", firms, answer);
        assert!(!account.history.is_empty(), "{firms:?}");
    }
}

#[test]
fn a_password_is_compared_with_each_fingerprint_once() {
    let mut account = Account::new();
    account.log_in("wrong", 80, refused);
    account.history = LoginHistory::restore(account.history.record(), account.now);
    let candidate = "candidate".into();
    let known = account.history.fingerprint_to_compare(&candidate).unwrap();
    account.history.set_compared(&known, &candidate, false);
    assert_eq!(account.history.fingerprint_to_compare(&candidate), None);
    assert_eq!(account.history.fingerprint_to_compare(&"another".into()), Some(known));
}

#[test]
fn two_fingerprints_of_one_password_become_one_history() {
    let mut account = Account::new();
    let password = "wrong".into();
    account.log_in("wrong", 80, refused);
    let other = fingerprint(&"x".into());
    let cause = (LoginRefusal::Credentials, TokenFailure::refused_before(LoginRefusal::Credentials));
    let at = (SystemTime::now(), Duration::ZERO);
    account.history.of_fingerprint(&other).refuse(Some(Firm::Id(81)), cause, at, account.now);
    account.history.set_compared(&other, &password, true);
    let record = account.history.record();
    assert_eq!(record.passwords.len(), 1);
    assert_eq!(record.passwords[0].firms.len(), 2);
    assert_eq!(record.passwords[0].account.as_ref().unwrap().times, MAX_REFUSALS);
    account.pass(60);
    assert!(!account.log_in("wrong", 82, refused), "two firms were refused");
    assert_eq!(account.sent(), [80]);
    let failure = account.history.of(&password).final_failure(&Some(Firm::Id(82))).unwrap();
    assert!(failure.failure.detail.contains("two firms"), "{failure:?}");
}

#[test]
fn of_two_fingerprints_of_one_password_the_one_with_more_refusals_counts() {
    for tries in [[1, 2], [2, 1]] {
        let mut account = Account::new();
        let cause = (LoginRefusal::Credentials, TokenFailure::refused_before(LoginRefusal::Credentials));
        let at = (SystemTime::now(), Duration::ZERO);
        let fingerprints = [fingerprint(&"one".into()), fingerprint(&"two".into())];
        for (known, times) in fingerprints.iter().zip(tries) {
            for _ in 0..times {
                let history = account.history.of_fingerprint(known);
                history.refuse(Some(Firm::Id(80)), cause.clone(), at, account.now);
            }
        }
        for known in &fingerprints {
            account.history.set_compared(known, &"wrong".into(), true);
        }
        let passwords = account.history.record().passwords;
        let counted: Vec<_> = passwords.iter().map(|known| known.firms[0].refusal.times).collect();
        assert_eq!(counted, [2], "{tries:?}");
    }
}

#[test]
fn refusals_of_the_same_fingerprint_are_counted_together() {
    let mut account = Account::new();
    let fingerprints = [fingerprint(&"one".into()), fingerprint(&"two".into())];
    let cause = (LoginRefusal::Credentials, TokenFailure::refused_before(LoginRefusal::Credentials));
    let at = (SystemTime::now(), Duration::ZERO);
    for known in [&fingerprints[0], &fingerprints[1], &fingerprints[0]] {
        let history = account.history.of_fingerprint(known);
        history.refuse(Some(Firm::Id(80)), cause.clone(), at, account.now);
    }
    let passwords = account.history.record().passwords;
    let counted: Vec<_> =
        passwords.iter().map(|known| (&known.password, known.firms[0].refusal.times)).collect();
    assert_eq!(counted, [(&fingerprints[0], 2), (&fingerprints[1], 1)]);
}

#[test]
fn the_failure_says_if_there_is_no_further_try() {
    let final_failure = |account: &mut Account, firm| {
        let failure = account.history.of(&"wrong".into()).final_failure(&Some(Firm::Id(firm)));
        failure.map(|failure| failure.failure.detail)
    };
    let mut account = Account::new();
    account.log_in("wrong", 80, refused);
    assert_eq!(final_failure(&mut account, 80), None, "it is tried once more");
    account.pass(15);
    account.log_in("wrong", 80, refused);
    assert!(final_failure(&mut account, 80).unwrap().contains("no further try"));
    assert_eq!(final_failure(&mut account, 81), None, "it was not tried yet");
    account.log_in("wrong", 81, refused);
    assert!(final_failure(&mut account, 82).unwrap().contains("two firms"), "the account is refused");
}

#[test]
fn a_firm_that_was_refused_since_does_not_prove_the_password() {
    let mut account = Account::new();
    for firm in [80, 81] {
        account.log_in("right", firm, accepted);
    }
    account.sent();
    let all_but_80 = |firm| if firm == 80 { refused(firm) } else { low_firms(firm) };
    for firm in [80, 998, 82] {
        account.log_in("right", firm, all_but_80);
    }
    assert_eq!(account.sent(), [80, 998, 81, 82]);
}

#[test]
fn the_second_refusal_of_a_firm_stays_its_own_affair() {
    let mut account = Account::new();
    for firm in [999, 80] {
        account.log_in("right", firm, low_firms);
    }
    account.pass(15);
    account.sent();
    for firm in [999, 998, 81] {
        account.log_in("right", firm, low_firms);
    }
    assert_eq!(account.sent(), [999, 998, 81], "only 998 is in doubt, so nothing must be proved");
}

#[test]
fn the_delay_counts_from_the_refusal_and_not_from_the_restart() {
    let mut account = Account::new();
    let last = SystemTime::now() - Duration::from_mins(10);
    let refusal = RefusalRecord { times: 1, last, refusal: LoginRefusal::Credentials };
    let firm = FirmRecord { firm: Some(Firm::Id(80)), is_own: false, refusal };
    let password =
        PasswordRecord { password: fingerprint(&"wrong".into()), account: None, firms: vec![firm] };
    let record = AccountRecord { journal: 0, passwords: vec![password] };
    account.history = LoginHistory::restore(record, account.now);
    account.restart("wrong");
    account.pass(4);
    account.log_in("wrong", 80, refused);
    assert_eq!(account.sent(), [0; 0]);
    account.pass(1);
    account.log_in("wrong", 80, refused);
    assert_eq!(account.sent(), [80]);
}
