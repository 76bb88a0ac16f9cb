//! What is known about the log-ins of one account, and which log-in may be tried next. Pure.
//!
//! A refusal belongs to the mail, the password and the firm. Two firms refused and none accepted since make it the
//! account's: a wrong password behind 560 firms makes two refusals, not 1,120.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Duration, Instant};

use super::token_failure::TokenFailure;
use crate::partner_api::Firm;
use crate::partner_api::login::LoginRefusal;
use crate::password_fingerprint::PasswordFingerprint;
use crate::store::{AccountRecord, FirmRecord, PasswordRecord, RefusalRecord};

/// A refused log-in is tried once more, in case the refusal was an error, and then never again: no
/// documentation says how many refusals lock an account.
const MAX_REFUSALS: u32 = 2;
/// The delay before that second try.
pub(super) const REFUSAL_RETRY_DELAY: Duration = Duration::from_mins(15);
/// So many refused firms make the refusal the account's.
const FIRMS_OF_ACCOUNT: usize = 2;
/// How many passwords of one account are remembered. An operator who mistypes a password makes one or two.
const MAX_PASSWORDS: usize = 8;

/// The firm of a log-in; `None` if the configuration names none.
pub(super) type LoginFirm = Option<Firm>;

/// The log-ins of one account.
#[derive(Debug, Default)]
pub(super) struct LoginHistory {
    /// In the order in which they were tried first.
    passwords: BTreeMap<u64, PasswordHistory>,
    /// The last event of the journal that is included.
    pub(super) journal: u64,
}

/// The log-ins with one password.
#[derive(Debug, Default)]
pub(super) struct PasswordHistory {
    /// `None` while only its fingerprint is known, from before a restart or from the command `probe`.
    plain: Option<SecretString>,
    /// Of a password that was refused.
    pub(super) fingerprint: Option<PasswordFingerprint>,
    /// The passwords that were compared with the fingerprint and do not match it. A comparison is slow.
    differs_from: Vec<SecretString>,
    /// The firms that this process logged in with.
    opened: BTreeSet<LoginFirm>,
    refused: BTreeMap<LoginFirm, FirmRefusal>,
    /// The refusal of the account as a whole.
    account: Option<Refusal>,
}

#[derive(Debug)]
struct FirmRefusal {
    /// It is not the account's, because the password was accepted for another firm since, or because only the
    /// firm is missing.
    is_own: bool,
    refusal: Refusal,
}

/// Refusals in a row.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    times: u32,
    /// The time of the last one.
    last: SystemTime,
    /// When the next try is allowed; `None` means never.
    retry_at: Option<Instant>,
    cause: LoginRefusal,
    failure: TokenFailure,
}

/// Whether a log-in may be tried now.
#[derive(Debug)]
pub(super) enum Permission {
    Allowed,
    /// First the log-in with this firm, which the password opened before, must prove that the password is still
    /// right: other firms were refused since.
    ProofNeeded(LoginFirm),
    /// Not now, because of this failure.
    Blocked(TokenFailure),
}

impl LoginHistory {
    /// Whether no log-in was accepted or refused yet.
    pub(super) fn is_empty(&self) -> bool {
        self.passwords.values().all(|password| !password.is_refused() && password.opened.is_empty())
    }

    /// The history that an earlier process, or the command `probe`, left.
    pub(super) fn restore(record: AccountRecord, now: Instant) -> Self {
        let AccountRecord { journal, passwords } = record;
        let passwords = passwords.into_iter().map(|record| PasswordHistory::restore(record, now));
        Self { passwords: (0..).zip(passwords).collect(), journal }
    }

    /// What to persist: the refused passwords.
    pub(super) fn record(&self) -> AccountRecord {
        AccountRecord {
            journal: self.journal,
            passwords: self.passwords.values().filter_map(PasswordHistory::record).collect(),
        }
    }

    /// A fingerprint that has not been compared with `password` yet.
    pub(super) fn fingerprint_to_compare(&self, password: &SecretString) -> Option<PasswordFingerprint> {
        let unknown = self.passwords.values().find(|known| {
            known.plain.is_none() && !known.differs_from.iter().any(|other| same(other, password))
        });
        unknown.and_then(|unknown| unknown.fingerprint.clone())
    }

    /// Records whether `fingerprint` is of `password`.
    pub(super) fn set_compared(
        &mut self,
        fingerprint: &PasswordFingerprint,
        password: &SecretString,
        is_same: bool,
    ) {
        for known in self.passwords.values_mut() {
            if known.plain.is_none() && known.fingerprint.as_ref() == Some(fingerprint) {
                if is_same {
                    known.plain = Some(password.clone());
                } else {
                    known.differs_from.push(password.clone());
                }
            }
        }
        self.merge_equal();
    }

    /// Two fingerprints of the same password: the stricter refusals count.
    fn merge_equal(&mut self) {
        for (number, history) in std::mem::take(&mut self.passwords) {
            let is_same = |other: &&mut PasswordHistory| match (&other.plain, &history.plain) {
                (Some(one), Some(other)) => same(one, other),
                (None, _) | (_, None) => false,
            };
            match self.passwords.values_mut().find(is_same) {
                Some(other) => other.absorb(history),
                None => drop(self.passwords.insert(number, history)),
            }
        }
    }

    /// The history of this password. It is new if no fingerprint was found to be of this password before.
    pub(super) fn of(&mut self, password: &SecretString) -> &mut PasswordHistory {
        let is_it = |known: &PasswordHistory| known.plain.as_ref().is_some_and(|plain| same(plain, password));
        let history = self.find_or_add(is_it);
        history.plain.get_or_insert_with(|| password.clone());
        history
    }

    /// The history of the password with this fingerprint.
    pub(super) fn of_fingerprint(&mut self, fingerprint: &PasswordFingerprint) -> &mut PasswordHistory {
        let history = self.find_or_add(|known| known.fingerprint.as_ref() == Some(fingerprint));
        history.fingerprint.get_or_insert_with(|| fingerprint.clone());
        history
    }

    /// If there are too many passwords, the oldest one is forgotten.
    fn find_or_add(&mut self, is_it: impl Fn(&PasswordHistory) -> bool) -> &mut PasswordHistory {
        let known = self.passwords.iter().find(|(_, known)| is_it(known)).map(|(number, _)| *number);
        let number = known.unwrap_or_else(|| {
            if self.passwords.len() >= MAX_PASSWORDS {
                self.passwords.pop_first();
            }
            self.passwords.last_key_value().map_or(0, |(last, _)| last + 1)
        });
        self.passwords.entry(number).or_default()
    }

    /// Allows one more try of each refused log-in; of a refused account, one try of one firm.
    pub(super) fn allow_another_try(&mut self, now: Instant) {
        for password in self.passwords.values_mut() {
            let firms = password.refused.values_mut().map(|refused| &mut refused.refusal);
            for refusal in firms.chain(&mut password.account) {
                refusal.retry_at = Some(now);
            }
        }
    }
}

impl PasswordHistory {
    /// Whether a log-in with this password and firm may be tried now.
    pub(super) fn permission(&self, firm: &LoginFirm, now: Instant) -> Permission {
        // While the account is refused, the refusals of its firms do not matter.
        let refusal = self.account.as_ref().or_else(|| Some(&self.refused.get(firm)?.refusal));
        if let Some(refusal) = refusal
            && refusal.retry_at.is_none_or(|retry_at| now < retry_at)
        {
            let left = refusal.retry_at.map(|retry_at| retry_at - now);
            return Permission::Blocked(refusal.failure.with_retry_time(left));
        }
        match self.prover() {
            Some(prover) if self.account.is_none() && self.suspects().count() >= FIRMS_OF_ACCOUNT => {
                Permission::ProofNeeded(prover.clone())
            }
            Some(_) | None => Permission::Allowed,
        }
    }

    /// The refusal of this firm, if it is not tried again.
    pub(super) fn final_failure(&self, firm: &LoginFirm) -> Option<TokenFailure> {
        let refusal = self.account.as_ref().or_else(|| Some(&self.refused.get(firm)?.refusal))?;
        refusal.retry_at.is_none().then(|| refusal.failure.with_retry_time(None))
    }

    /// The password was accepted, so the refusals of other firms are their own.
    pub(super) fn accept(&mut self, firm: LoginFirm) {
        self.account = None;
        self.refused.remove(&firm);
        for refused in self.refused.values_mut() {
            refused.is_own = true;
        }
        self.opened.insert(firm);
    }

    /// Records a refusal that happened at `last`; `age` ago, if the clock can be trusted.
    pub(super) fn refuse(
        &mut self,
        firm: LoginFirm,
        (cause, failure): (LoginRefusal, TokenFailure),
        (last, age): (SystemTime, Duration),
        now: Instant,
    ) {
        let before = self.refused.get(&firm);
        let times = before.map_or(0, |before| before.refusal.times).saturating_add(1);
        let is_own = before.is_some_and(|before| before.is_own) || cause == LoginRefusal::FirmSelection;
        let retry_at = retry_at(times, cause, age, now);
        let refusal = Refusal { times, last, retry_at, cause, failure };
        self.refused.insert(firm, FirmRefusal { is_own, refusal: refusal.clone() });
        let times_of_account = match &self.account {
            // This was the one further try of a refused account.
            Some(account) => Some(account.times.saturating_add(1)),
            None => self.is_account_refused().then_some(MAX_REFUSALS),
        };
        if let Some(times) = times_of_account {
            let failure = refusal.failure.of_account();
            self.account = Some(Refusal { times, retry_at: None, failure, ..refusal });
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        !self.refused.is_empty() || self.account.is_some()
    }

    /// The refused firms whose refusal may be the account's.
    fn suspects(&self) -> impl Iterator<Item = &LoginFirm> {
        self.refused.iter().filter(|(_, refused)| !refused.is_own).map(|(firm, _)| firm)
    }

    /// A firm that the password opened and that was not refused since.
    fn prover(&self) -> Option<&LoginFirm> {
        self.opened.iter().find(|firm| !self.refused.contains_key(*firm))
    }

    /// Two refused firms are the account's refusal. If the password opened another firm before, and did not open
    /// one of these two, that other firm must be refused too.
    fn is_account_refused(&self) -> bool {
        let count = self.suspects().count();
        let opened = self.suspects().filter(|firm| self.opened.contains(*firm)).count();
        count > FIRMS_OF_ACCOUNT
            || (count == FIRMS_OF_ACCOUNT && (opened == FIRMS_OF_ACCOUNT || self.prover().is_none()))
    }

    fn absorb(&mut self, other: Self) {
        self.fingerprint = self.fingerprint.take().or(other.fingerprint);
        self.opened.extend(other.opened);
        for (firm, refused) in other.refused {
            match self.refused.get(&firm) {
                Some(known) if known.refusal.times >= refused.refusal.times => {}
                Some(_) | None => drop(self.refused.insert(firm, refused)),
            }
        }
        self.account = self.account.take().or(other.account);
        if self.account.is_none()
            && self.is_account_refused()
            && let Some(last) = self.refused.values().max_by_key(|refused| refused.refusal.last)
        {
            let Refusal { failure, .. } = &last.refusal;
            let failure = failure.clone().of_account();
            self.account =
                Some(Refusal { times: MAX_REFUSALS, retry_at: None, failure, ..last.refusal.clone() });
        }
    }

    fn restore(record: PasswordRecord, now: Instant) -> Self {
        let firm = |FirmRecord { firm, is_own, refusal }| {
            (firm, FirmRefusal { is_own, refusal: Refusal::restore(refusal, now) })
        };
        Self {
            fingerprint: Some(record.password),
            refused: record.firms.into_iter().map(firm).collect(),
            account: record.account.map(|account| Refusal::restore(account, now)),
            ..Self::default()
        }
    }

    /// `None` if there is nothing to persist.
    fn record(&self) -> Option<PasswordRecord> {
        let firms = self.refused.iter().map(|(firm, FirmRefusal { is_own, refusal })| FirmRecord {
            firm: firm.clone(),
            is_own: *is_own,
            refusal: refusal.record(),
        });
        Some(PasswordRecord {
            password: self.fingerprint.clone().filter(|_| self.is_refused())?,
            account: self.account.as_ref().map(Refusal::record),
            firms: firms.collect(),
        })
    }
}

impl Refusal {
    fn restore(RefusalRecord { times, last, refusal }: RefusalRecord, now: Instant) -> Self {
        // If the clock was set back, the delay must not become longer.
        let age = last.elapsed().unwrap_or_default();
        Self {
            times,
            last,
            retry_at: retry_at(times, refusal, age, now),
            cause: refusal,
            failure: TokenFailure::refused_before(refusal),
        }
    }

    const fn record(&self) -> RefusalRecord {
        RefusalRecord { times: self.times, last: self.last, refusal: self.cause }
    }
}

/// When a log-in that was refused so many times may be tried again.
fn retry_at(times: u32, cause: LoginRefusal, age: Duration, now: Instant) -> Option<Instant> {
    let max = match cause {
        // A one-time password may be mailed at each try.
        LoginRefusal::RequireOtp => 1,
        LoginRefusal::Credentials
        | LoginRefusal::FirmSelection
        | LoginRefusal::UpdatePassword
        | LoginRefusal::RequireCguApproval => MAX_REFUSALS,
    };
    (times < max).then(|| now + REFUSAL_RETRY_DELAY.saturating_sub(age))
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

#[cfg(test)]
mod tests;
