//! A model of the truth, a noisy API between it and the fleet, and what the fleet may say.
//!
//! Each case is a random sequence of events: keys are revoked, restored and replaced, tokens are mistyped, keys are
//! renamed, routes contradict each other, requests fail in every technical way, and the exporter restarts. After
//! each event some minutes pass in paused time, and the states are compared with the truth.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use axum::http::{HeaderValue, StatusCode};
use partner_simulator::{
    EXERCICES, EndedTokens, Fault, KeySpec, LOG_IN, LoginSpec, Page, Refusal, SOCIETY, Simulator, USERS,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use tokio::time::{Duration, Instant, sleep};

use super::{RunningFleet, minutes};
use crate::config::{Config, Credential, Probe, Target};
use crate::key_state::{KeyState, PersistedKeyState, SecretState};
use crate::partner_api::{Firm, KeyInfoMode};
use crate::test_support::{SECRET, config, exercices, key_info, login_key, token_file_key};

const KEYS: [&str; 7] = ["dupont", "martin", "petit", "moreau", "simon", "durand", "leroy"];
/// How many of the keys have a permanent token.
const TOKENS: usize = 5;
/// The firms of the last two keys. They log in with one account, which has one valid token at a time.
const FIRMS: [u64; 2] = [90, 91];
const MAIL: &str = "api@durand.example";
/// What the API says about a key that it refuses.
const REFUSALS: [&str; 4] = [
    "ERR-API-TOKEN-NOT-FOUND",
    "ERR-FOLDER-NOT-FOUND",
    "ERR-THIRD-PARTY-DISCONNECTED",
    "ERR-INVALID-API-JWT",
];
/// What one route says about a key that the API accepts.
const CONTRADICTIONS: [&str; 4] =
    ["ERR-FORBIDDEN-ACCESS", "ERR-API-TOKEN-NOT-FOUND", "ERR-INVALID-API-JWT", "ERR-FOLDER-NOT-FOUND"];

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The API refuses the key.
    Refuse(usize, &'static str),
    /// The API accepts the key again.
    Restore(usize),
    /// The operator writes a mistyped token.
    Mistype(usize),
    /// The operator writes the right token again.
    Correct(usize),
    /// A new token is generated and written.
    Replace(usize),
    Rename(usize),
    /// The operator renames the key and the file of its token, which cannot be read yet.
    RenameUnreadable(usize),
    /// The file of the token can be read.
    Reveal(usize),
    /// One canary is refused, or two of three routes, although the API accepts the key.
    Contradict(usize, &'static str, bool),
    /// All requests with the key fail.
    Disturb(usize, Noise),
    /// The key belongs to another partner: the API refuses the partner's secret with it. At most two keys do.
    Misplace(usize),
    /// Ends noise and contradiction.
    Heal(usize),
    /// The API refuses the partner's secret, or accepts it again.
    Secret(bool),
    /// Another program logs in with the account. This ends the tokens of the account's keys.
    LogInElsewhere(u64),
    /// Nothing happens.
    Wait,
    Reload,
    /// A reload that changes a setting of all keys.
    ReloadAll,
    Restart,
    /// When the exporter is back, a gateway answers for the key.
    RestartBehindGateway(usize),
    /// The operator switches to another API, or back.
    SwitchApi,
}

#[derive(Clone, Copy, Debug)]
enum Noise {
    Close,
    Silence,
    BadGateway,
    CaptivePortal,
    Garbage,
    /// JSON with status 200 that a gateway wrote.
    GatewayJson,
    OverBudget,
    Maintenance,
}

impl Noise {
    fn fault(self) -> Fault {
        match self {
            Self::Close => Fault::Close,
            Self::Silence => Fault::Silence,
            Self::BadGateway => Fault::edge(StatusCode::BAD_GATEWAY),
            Self::CaptivePortal => Fault::captive_portal(),
            Self::Garbage => Fault::garbage(),
            Self::GatewayJson => Fault::Edge(Page::new(
                StatusCode::OK,
                HeaderValue::from_static("application/json"),
                r#"{"status":"maintenance","isActivated":true}"#,
            )),
            Self::OverBudget => Fault::refuse("ERR-TOO-MANY-REQUEST"),
            Self::Maintenance => Fault::maintenance(),
        }
    }
}

fn events() -> impl Strategy<Value = Vec<(Event, u64)>> {
    let key = || 0..KEYS.len();
    let noises = vec![
        Noise::Close,
        Noise::Silence,
        Noise::BadGateway,
        Noise::CaptivePortal,
        Noise::Garbage,
        Noise::GatewayJson,
        Noise::OverBudget,
        Noise::Maintenance,
    ];
    let event = prop_oneof![
        3 => (key(), select(&REFUSALS[..])).prop_map(|(key, code)| Event::Refuse(key, code)),
        3 => key().prop_map(Event::Restore),
        2 => key().prop_map(Event::Mistype),
        2 => key().prop_map(Event::Correct),
        1 => key().prop_map(Event::Replace),
        1 => key().prop_map(Event::Rename),
        1 => key().prop_map(Event::RenameUnreadable),
        2 => key().prop_map(Event::Reveal),
        3 => (key(), select(&CONTRADICTIONS[..]), any::<bool>())
            .prop_map(|(key, code, both)| Event::Contradict(key, code, both)),
        3 => (key(), select(noises)).prop_map(|(key, noise)| Event::Disturb(key, noise)),
        3 => key().prop_map(Event::Misplace),
        3 => key().prop_map(Event::Heal),
        1 => any::<bool>().prop_map(Event::Secret),
        2 => select(&FIRMS[..]).prop_map(Event::LogInElsewhere),
        1 => Just(Event::Wait),
        1 => Just(Event::Reload),
        1 => Just(Event::ReloadAll),
        1 => Just(Event::Restart),
        1 => key().prop_map(Event::RestartBehindGateway),
        1 => Just(Event::SwitchApi),
    ];
    proptest::collection::vec((event, 1..5_u64), 5..25)
}

/// The truth about one key, and what was seen of it.
struct ModelKey {
    /// The name in the simulator.
    name: &'static str,
    renamed: u32,
    /// `None` for a permanent token.
    firm: Option<u64>,
    /// The file of a permanent token.
    file: PathBuf,
    probes: Vec<Probe>,
    refused_with: Option<&'static str>,
    is_mistyped: bool,
    /// What the API says about it does not reach the exporter.
    is_disturbed: bool,
    contradicted_with: Option<&'static str>,
    /// The routes that contradict the truth.
    contradicting: &'static [&'static str],
    /// The file of its token does not exist.
    is_unreadable: bool,
    /// Whether it was seen that the key ever worked, at the present API and at the other one.
    has_worked: [bool; 2],
    /// The minutes since the last event that disturbs the key or changes the truth about it.
    quiet_for: u64,
    /// How many state changes the truth allows since the last look.
    allowed_changes: u64,
    changes_seen: u64,
}

struct World {
    simulator: Simulator,
    directory: tempfile::TempDir,
    fleet: Option<RunningFleet>,
    keys: Vec<ModelKey>,
    /// The keys that belong to another partner.
    misplaced: HashSet<usize>,
    is_secret_refused: bool,
    secret_quiet_for: u64,
    /// The last answer on each route of each key, since the exporter started or the key changed.
    answers: HashMap<(String, String), String>,
    /// Requests that may be sent besides the scheduled ones, since the start.
    allowed_questions: u64,
    questions: u64,
    started: Instant,
    restarts: u64,
    log_ins_elsewhere: u64,
    is_at_other_api: bool,
    keep_free: u32,
}

impl ModelKey {
    fn configured_name(&self) -> String {
        format!("{}-{}", self.name, self.renamed)
    }

    fn is_refused(&self) -> bool {
        self.is_mistyped || self.refused_with.is_some()
    }

    /// Whether the API accepts the key for some minutes.
    fn works(&self) -> bool {
        let is_answered = !self.is_disturbed && !self.is_unreadable && self.firm.is_none();
        is_answered && !self.is_refused() && self.contradicted_with.is_none() && self.quiet_for > 2
    }

    /// The states that the truth allows.
    fn expected(&self) -> &'static [KeyState] {
        if self.is_mistyped {
            return &[KeyState::Invalid];
        }
        self.refused_with.map_or(&[KeyState::Active], states_of)
    }

    /// The truth changed: the state may follow.
    fn change(&mut self, changes: u64) {
        self.allowed_changes += changes;
        self.quiet_for = 0;
    }
}

/// The states of a key that is refused with this code.
fn states_of(code: &str) -> &'static [KeyState] {
    match code {
        "ERR-API-TOKEN-NOT-FOUND" => &[KeyState::NotFound, KeyState::Revoked],
        "ERR-FOLDER-NOT-FOUND" => &[KeyState::FolderNotFound],
        "ERR-THIRD-PARTY-DISCONNECTED" => &[KeyState::Disconnected],
        "ERR-FORBIDDEN-ACCESS" => &[KeyState::Forbidden],
        _ => &[KeyState::Invalid],
    }
}

impl World {
    async fn new() -> Self {
        let mut builder = Simulator::builder().partner("acme", SECRET);
        for (number, name) in KEYS.iter().take(TOKENS).enumerate() {
            builder = builder.society_key(name, 80, 127 + number as u64);
        }
        for (name, firm) in KEYS[TOKENS..].iter().zip(FIRMS) {
            let login = LoginSpec { ended_tokens: EndedTokens::AllFirms, ..LoginSpec::new(MAIL, "right") };
            builder = builder.key(KeySpec::login(name, login.firm(firm, name)));
        }
        let simulator = builder.start().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let extended = || key_info(KeyInfoMode::Extended);
        let probes = [
            vec![extended(), exercices(None)],
            vec![extended(), exercices(None), canary("society", SOCIETY)],
            vec![exercices(None)],
            vec![key_info(KeyInfoMode::Routes), exercices(None)],
            vec![exercices(None), canary("society", SOCIETY), canary("users", USERS)],
            vec![extended()],
            vec![extended()],
        ];
        let firms = [None; TOKENS].into_iter().chain(FIRMS.map(Some));
        let keys = KEYS.iter().zip(probes).zip(firms).map(|((name, probes), firm)| ModelKey {
            name,
            renamed: 0,
            firm,
            file: directory.path().join(name),
            probes,
            refused_with: None,
            is_mistyped: false,
            is_disturbed: false,
            contradicted_with: None,
            contradicting: &[],
            is_unreadable: false,
            has_worked: [false; 2],
            quiet_for: 0,
            allowed_changes: 1,
            changes_seen: 0,
        });
        let mut world = Self {
            keys: keys.collect(),
            simulator,
            directory,
            fleet: None,
            misplaced: HashSet::new(),
            is_secret_refused: false,
            secret_quiet_for: 0,
            answers: HashMap::new(),
            allowed_questions: 0,
            questions: 0,
            started: Instant::now(),
            restarts: 0,
            log_ins_elsewhere: 0,
            is_at_other_api: false,
            keep_free: 5,
        };
        for index in 0..TOKENS {
            world.write_token(index);
        }
        world.start().await;
        world
    }

    fn config(&self) -> Config {
        let keys = self.keys.iter().map(|key| {
            let (name, probes) = (key.configured_name(), key.probes.clone());
            let Some(firm) = key.firm else { return token_file_key(&name, &key.file, probes) };
            let mut login = login_key(&name, MAIL, "right", probes);
            if let Credential::Login(login) = &mut login.credential {
                login.firm = Some(Firm::Id(firm));
            }
            login
        });
        let mut config = config(&self.simulator, keys.collect());
        config.settings.keep_free = self.keep_free;
        config.settings.api.identity = self.is_at_other_api.then(|| "other".into());
        config
    }

    async fn start(&mut self) {
        drop(self.fleet.take());
        // The tasks of the old fleet end, and unlock the storage directory.
        sleep(Duration::from_secs(2)).await;
        let storage = self.directory.path().join("data");
        let parent = tempfile::tempdir().unwrap();
        self.fleet = Some(RunningFleet::start_with_storage(&storage, parent, &self.config()));
        self.answers.clear();
        self.keys.iter_mut().for_each(|key| key.changes_seen = 0);
    }

    fn fleet(&self) -> &RunningFleet {
        self.fleet.as_ref().unwrap()
    }

    fn sim_key(&self, index: usize) -> partner_simulator::Key {
        self.simulator.key(self.keys[index].name).unwrap()
    }

    fn write_token(&self, index: usize) {
        let token = if self.keys[index].is_mistyped {
            "a-mistyped-token".to_owned()
        } else {
            self.sim_key(index).token().unwrap()
        };
        std::fs::write(&self.keys[index].file, token).unwrap();
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Event::LogInElsewhere(firm) => {
                self.simulator.account(MAIL).unwrap().another_log_in(firm).unwrap();
                self.log_ins_elsewhere += 1;
            }
            // A log-in has no token of the operator's.
            Event::Mistype(index)
            | Event::Correct(index)
            | Event::Replace(index)
            | Event::RenameUnreadable(index)
            | Event::Reveal(index)
                if index >= TOKENS => {}
            // Another token under another name is another key.
            Event::Mistype(index)
            | Event::Correct(index)
            | Event::Replace(index)
            | Event::RenameUnreadable(index)
                if self.keys[index].is_unreadable => {}
            Event::Refuse(index, code) => {
                self.sim_key(index).refuse(Refusal::new(code));
                if self.keys[index].refused_with.replace(code) != Some(code) {
                    self.keys[index].change(1);
                }
            }
            Event::Restore(index) => {
                self.sim_key(index).restore();
                if self.keys[index].refused_with.take().is_some() {
                    self.keys[index].change(1);
                }
            }
            Event::Mistype(index) | Event::Correct(index) => {
                let is_mistyped = matches!(event, Event::Mistype(_));
                self.end_undecidable_contradiction(index);
                if self.keys[index].is_mistyped != is_mistyped {
                    self.keys[index].is_mistyped = is_mistyped;
                    // To the state of the other token, and to what the API says about it.
                    self.keys[index].change(2);
                    self.write_token(index);
                    self.forget_answers(index);
                }
            }
            Event::Replace(index) => {
                self.end_undecidable_contradiction(index);
                self.sim_key(index).replace_token();
                self.keys[index].refused_with = None;
                self.keys[index].is_mistyped = false;
                // Unknown, perhaps pending, active.
                self.keys[index].change(3);
                self.write_token(index);
                self.forget_answers(index);
            }
            Event::Rename(index) => self.rename(index),
            Event::RenameUnreadable(index) => self.rename_unreadable(index),
            Event::Reveal(index) => self.reveal(index),
            Event::Contradict(index, code, both) => self.begin_contradiction(index, code, both),
            Event::Disturb(index, noise) => {
                self.sim_key(index).inject(noise.fault());
                self.keys[index].is_disturbed = true;
            }
            Event::Misplace(index) => self.misplace(index),
            Event::Heal(index) => self.heal(index),
            Event::Secret(is_refused) => self.set_secret(is_refused),
            Event::Wait => {}
            Event::Reload => self.apply(),
            Event::ReloadAll => {
                self.keep_free = 11 - self.keep_free;
                self.answers.clear();
                self.apply();
            }
            Event::Restart => {
                self.calm_all();
                self.restart().await;
            }
            Event::RestartBehindGateway(index) => {
                self.calm_all();
                self.sim_key(index).inject(Noise::GatewayJson.fault());
                self.keys[index].is_disturbed = true;
                self.restart().await;
            }
            Event::SwitchApi => self.switch_api(),
        }
    }

    fn rename_unreadable(&mut self, index: usize) {
        self.heal(index);
        std::fs::remove_file(&self.keys[index].file).unwrap();
        let name = format!("{}-{}", self.keys[index].name, self.keys[index].renamed + 1);
        self.keys[index].file = self.directory.path().join(name);
        self.keys[index].is_unreadable = true;
        self.rename(index);
    }

    fn reveal(&mut self, index: usize) {
        if std::mem::take(&mut self.keys[index].is_unreadable) {
            // To the state that it had, and to what the API says.
            self.keys[index].change(2);
            self.forget_answers(index);
            self.write_token(index);
        }
    }

    /// If no other probe gets an answer, the refusal counts after three intervals.
    fn begin_contradiction(&mut self, index: usize, code: &'static str, both: bool) {
        let key = &mut self.keys[index];
        let gets_answers = !key.is_disturbed && !self.is_secret_refused && !key.is_unreadable;
        if key.probes.len() > 1 && gets_answers && key.contradicted_with.is_none() {
            key.contradicted_with = Some(code);
            key.contradicting =
                if both && key.probes.len() > 2 { &[EXERCICES, SOCIETY] } else { &[EXERCICES] };
            self.contradict(index);
        }
    }

    fn misplace(&mut self, index: usize) {
        if self.misplaced.len() < 2 && !self.keys[index].is_disturbed {
            self.heal(index);
            self.misplaced.insert(index);
            self.refuse_secret_if_misplaced(index);
        }
    }

    fn refuse_secret_if_misplaced(&mut self, index: usize) {
        if self.misplaced.contains(&index) {
            self.keys[index].is_disturbed = true;
            self.sim_key(index).inject(Fault::refuse("ERR-INVALID-SECRET"));
        }
    }

    fn switch_api(&mut self) {
        self.calm_all();
        self.is_at_other_api = !self.is_at_other_api;
        self.secret_quiet_for = 0;
        self.answers.clear();
        for index in 0..self.keys.len() {
            self.end_undecidable_contradiction(index);
            // To the state that it had there, and to what the API says.
            self.keys[index].change(2);
            self.keys[index].has_worked.swap(0, 1);
        }
        self.apply();
    }

    fn rename(&mut self, index: usize) {
        self.calm(index);
        self.keys[index].renamed += 1;
        self.keys[index].changes_seen = 0;
        // The new name takes over what this token was at this API. What an earlier token was at the other API belongs
        // to the old name.
        self.keys[index].has_worked[1] = false;
        self.forget_answers(index);
        self.apply();
    }

    async fn restart(&mut self) {
        self.restarts += 1;
        self.start().await;
    }

    /// Ends noise. A contradiction stays.
    fn calm(&mut self, index: usize) {
        let is_disturbed = std::mem::take(&mut self.keys[index].is_disturbed);
        if is_disturbed {
            self.sim_key(index).heal();
            self.keys[index].quiet_for = 0;
            self.contradict(index);
            self.refuse_secret_if_misplaced(index);
        }
    }

    fn calm_all(&mut self) {
        (0..self.keys.len()).for_each(|index| self.calm(index));
    }

    /// Makes the routes refuse that contradict the truth.
    fn contradict(&self, index: usize) {
        let Some(code) = self.keys[index].contradicted_with else { return };
        for route in self.keys[index].contradicting {
            self.sim_key(index).inject_on(route, Fault::refuse(code));
        }
    }

    fn heal(&mut self, index: usize) {
        self.misplaced.remove(&index);
        self.sim_key(index).heal();
        let key = &mut self.keys[index];
        (key.is_disturbed, key.contradicted_with, key.quiet_for) = (false, None, 0);
        key.contradicting = &[];
    }

    /// For another token, everything is heard again. If no other probe gets an answer, a contradicting refusal
    /// counts after three intervals.
    fn end_undecidable_contradiction(&mut self, index: usize) {
        if self.is_secret_refused || self.keys[index].is_disturbed {
            self.heal(index);
        }
    }

    fn set_secret(&mut self, is_refused: bool) {
        let partner = self.simulator.partner("acme").unwrap();
        if is_refused {
            partner.deactivate_secret();
        } else {
            partner.activate_secret();
        }
        if self.is_secret_refused != is_refused {
            self.is_secret_refused = is_refused;
            self.secret_quiet_for = 0;
            self.keys.iter_mut().for_each(|key| key.quiet_for = 0);
        }
    }

    fn apply(&mut self) {
        let config = self.config();
        self.fleet.as_mut().unwrap().apply(&config);
    }

    fn forget_answers(&mut self, index: usize) {
        let name = self.keys[index].name;
        self.answers.retain(|(key, _), _| key != name);
    }

    /// Lets time pass, and compares what the fleet says with the truth.
    async fn pass(&mut self, waited: u64, event: Event) {
        let (started, states) = (Instant::now(), self.states());
        sleep(minutes(waited)).await;
        self.secret_quiet_for += waited;
        let is_anyone_disturbed = self.keys.iter().any(|key| key.is_disturbed);
        let secret = self.fleet().secret();
        if !self.is_secret_refused {
            // The keys of another partner do not change the state of the secret while another key works.
            let stays = self.secret_quiet_for > 2 && self.keys.iter().any(ModelKey::works);
            assert!(!stays || secret == SecretState::Active, "the secret is {secret} after {event:?}");
            let may_lag = self.secret_quiet_for <= 2 || is_anyone_disturbed;
            assert!(may_lag || secret == SecretState::Active, "the secret is {secret} after {event:?}");
        } else if self.secret_quiet_for > 2 && !is_anyone_disturbed {
            assert!(
                matches!(secret, SecretState::Rejected | SecretState::Pending),
                "the secret is {secret} after {event:?}"
            );
        }
        for (index, before) in states.into_iter().enumerate() {
            self.check_key(index, &before, waited, event);
        }
        self.check_calls(started, waited, event);
        // Per firm: one at the start, one at once when a token ends early, and then one in 15 minutes.
        let minutes = self.started.elapsed().as_secs() / 60;
        let per_firm = 2 * (1 + self.restarts) + minutes / 15;
        let log_ins = self.simulator.account(MAIL).unwrap().attempts().total - self.log_ins_elsewhere;
        assert!(log_ins <= per_firm * 2, "{log_ins} log-ins in {minutes} minutes, after {event:?}");
    }

    fn states(&self) -> Vec<PersistedKeyState> {
        let states = self.keys.iter().map(|key| self.fleet().key(&key.configured_name()).persisted);
        states.collect()
    }

    fn check_key(&mut self, index: usize, before: &PersistedKeyState, waited: u64, event: Event) {
        let is_secret_refused = self.is_secret_refused;
        let status = self.fleet().key(&self.keys[index].configured_name());
        let now = status.persisted;
        let key = &mut self.keys[index];
        let context = format!(
            "{} after {event:?} and {waited} min: {now:?}, before {before:?}, refused with {:?}, mistyped {}, \
             disturbed {}, contradicted with {:?}",
            key.name, key.refused_with, key.is_mistyped, key.is_disturbed, key.contradicted_with
        );
        // One change of the state for one change of the truth.
        let changes: u64 = status.changes.iter().map(|(_, times)| times).sum();
        let new_changes = changes - key.changes_seen;
        assert!(
            new_changes <= key.allowed_changes,
            "{new_changes} changes, {}: {context}",
            key.allowed_changes
        );
        key.allowed_changes -= new_changes;
        key.changes_seen = changes;
        // Never refused unless the truth says so. The truth changes only between the steps.
        if now.state.is_refused() && now.state != before.state {
            // A log-in's key/info may wait for another token. While nothing is known, the cause of the route counts first.
            let is_cause_of_route = before.state == KeyState::Unknown
                && key.is_refused()
                && key.contradicted_with.is_some_and(|code| states_of(code).contains(&now.state));
            key.allowed_changes += u64::from(is_cause_of_route);
            assert!(is_cause_of_route || key.expected().contains(&now.state), "not the truth: {context}");
        }
        // A key that is broken stays broken while the truth says so.
        if before.history.broken_since.is_some() && key.is_refused() {
            assert!(now.history.broken_since.is_some(), "resolved too early: {context}");
        }
        // Told within one interval and one confirmation.
        let is_quiet = !(key.is_disturbed || is_secret_refused || key.is_unreadable);
        key.quiet_for = if is_quiet { key.quiet_for + waited } else { 0 };
        // What was seen once is never forgotten.
        key.has_worked[0] |= now.history.has_worked;
        assert!(key.is_unreadable || now.history.has_worked == key.has_worked[0], "forgotten: {context}");
        // After its token was ended, a log-in may have to wait for the next one.
        let told_after = if key.firm.is_some() { 20 } else { 2 };
        if key.quiet_for >= told_after {
            assert!(key.expected().contains(&now.state), "not told: {context}");
            assert_eq!(
                now.history.broken_since.is_some(),
                key.is_refused() && now.history.has_worked,
                "{context}"
            );
            if now.has_been_active {
                assert_ne!(now.state, KeyState::NotFound, "it was active: {context}");
            }
            // What was allowed did not happen: for example, a key was revoked and restored between two probes.
            key.allowed_changes = 0;
        }
    }

    /// Each change of an answer costs at most one request more than the schedule.
    fn check_calls(&mut self, since: Instant, waited: u64, event: Event) {
        let (mut calls, mut due) = (0_u64, 0);
        for key in &self.keys {
            let sim_key = self.simulator.key(key.name).unwrap();
            due += key.probes.len() as u64 * (waited + 1);
            let calls_of_key = sim_key.calls();
            let probes = calls_of_key.iter().filter(|call| call.started >= since && call.route() != LOG_IN);
            for call in probes {
                calls += 1;
                let answer = format!("{:?} {:?}", call.status(), call.code());
                let route = (key.name.to_owned(), call.route().to_owned());
                if self.answers.insert(route, answer.clone()).is_none_or(|before| before != answer) {
                    self.allowed_questions += 1;
                }
            }
        }
        self.questions += calls.saturating_sub(due);
        assert!(self.questions <= self.allowed_questions, "{calls} calls, {due} due, after {event:?}");
    }
}

/// A canary on another route.
fn canary(name: &str, path: &str) -> Probe {
    let mut probe = exercices(None);
    if let Target::Canary(canary) = &mut probe.target {
        (canary.name, canary.path) = (name.into(), path.into());
    }
    Probe { name: name.into(), ..probe }
}

fn run(events: Vec<(Event, u64)>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let mut world = World::new().await;
        world.pass(3, Event::Wait).await;
        for (event, waited) in events {
            world.happen(event).await;
            world.pass(waited, event).await;
        }
    });
}

#[test]
fn the_states_are_always_true() {
    let config = ProptestConfig {
        cases: cases(),
        max_shrink_iters: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&events(), |events| {
        run(events);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Few by default: an hour of a fleet takes about a second.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(6)
}
