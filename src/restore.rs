//! Restores from Prometheus what the storage lost: whether a key or a secret was active, its last state, and since when a
//! key is broken.
//!
//! It runs in the background after the start, and it stops when everything is asked. An answer of the API that came
//! meanwhile counts more than what Prometheus remembers. While it fails, the page, the JSON and a metric say so.

mod query;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret as _;
use tokio::time::{Duration, sleep};
use tracing::{info, warn};
use url::Url;

use crate::fleet::{Fleet, KeyIndex};
use crate::key_state::PersistedKeyState;
use crate::monitor::{Context, PartnerMonitor};
use crate::probe::{PlainClient, PlainError};
use crate::secret::{SecretKind, SecretSource};
use crate::state::RestoreFailure;
use query::{Answers, Batch, Parsed, QueryError, Sample, Scope, WINDOWS, Window};

/// For one query. Prometheus itself gives up after two minutes by default.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read, in bytes: 200 keys need less than 1 MB for each exporter that had them.
const MAX_ANSWER: usize = 16 << 20;
/// The delay after the first failure. It doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_mins(5);
/// After this delay, a part of an answer is better than none.
const LAST_CHANCE: Duration = Duration::from_secs(8);

/// `--restore.…`
#[derive(Clone, Debug)]
pub(crate) struct RestoreOptions {
    /// Of Prometheus, with the path prefix if it has one.
    pub url: Url,
    /// Which series belong to the exporters of this fleet, as matchers of a query.
    pub matchers: String,
    /// A file with the value of the header `Authorization`.
    pub authorization_file: Option<PathBuf>,
    /// A PEM file with the authorities to trust.
    pub ca_file: Option<PathBuf>,
}

/// The keys and secrets that the storage knew nothing about at the start.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    /// The names of the keys of each partner.
    keys: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    secrets: Vec<Weak<PartnerMonitor>>,
}

/// Asks one Prometheus.
pub(crate) struct Restorer {
    options: RestoreOptions,
    scope: Scope,
    client: PlainClient,
    key_index: Arc<KeyIndex>,
    context: Arc<Context>,
    /// The number of keys about which Prometheus has too much to answer.
    given_up: AtomicUsize,
}

/// What one pass over the keys of a window left.
#[derive(Debug, Default)]
struct Pass {
    /// The keys that Prometheus did not show as active in this window: a longer one may.
    open: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    restored: usize,
}

impl Forgotten {
    pub(crate) fn of(fleet: &Fleet) -> Self {
        let mut keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (partner, key) in fleet.keys_without_history() {
            keys.entry(partner).or_default().push(key);
        }
        Self { keys, secrets: fleet.partners_without_history() }
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.secrets.is_empty()
    }
}

impl Restorer {
    /// # Errors
    /// If the file of authorities cannot be used. The page says it, too.
    pub(crate) fn new(options: RestoreOptions, fleet: &Fleet) -> Result<Self, String> {
        let context = Arc::clone(fleet.context());
        let client = PlainClient::new(options.ca_file.as_deref()).inspect_err(|cause| {
            report(&context, Err(&format!("--restore.ca-file: {cause}")));
        })?;
        let api = context.shared_state.inventory().settings.api.identity().to_string();
        let scope = Scope { matchers: options.matchers.clone(), api };
        let key_index = fleet.key_index();
        Ok(Self { options, scope, client, key_index, context, given_up: AtomicUsize::default() })
    }

    /// Restores until nothing is left to ask. Prometheus may be unreachable for any time.
    pub(crate) async fn run(self, forgotten: Forgotten) {
        if forgotten.is_empty() {
            report(&self.context, Ok(()));
            return;
        }
        let asked: usize = forgotten.keys.values().map(Vec::len).sum();
        let [last_minutes, longer @ ..] = WINDOWS;
        let Pass { mut open, mut restored } = self.pass(last_minutes, forgotten.keys).await;
        // They are few, and each concerns many keys. A long window can take Prometheus long.
        for partner in forgotten.secrets {
            self.restore_secret(&partner).await;
        }
        for window in longer {
            let pass = self.pass(window, open).await;
            restored += pass.restored;
            open = pass.open;
        }
        let never_active: usize = open.values().map(Vec::len).sum();
        info!(asked, restored, never_active, "asked Prometheus about the keys that the storage did not know");
        match self.given_up.load(Ordering::Relaxed) {
            0 => report(&self.context, Ok(())),
            keys => report(
                &self.context,
                Err(&format!("Prometheus has too many series about some keys (keys not restored: {keys})")),
            ),
        }
    }

    /// Asks about all keys in one window.
    async fn pass(&self, window: Window, keys: BTreeMap<Arc<str>, Vec<Arc<str>>>) -> Pass {
        let mut pass = Pass::default();
        for (partner, keys) in keys {
            // The last batch is the next one to ask about.
            let mut batches: Vec<Vec<_>> = keys.rchunks(window.batch).map(<[_]>::to_vec).collect();
            while let Some(batch) = batches.pop() {
                match self.ask_about(window, &partner, &batch).await {
                    Some(remembered) => self.apply(&mut pass, &partner, batch, &remembered),
                    None if batch.len() > 1 => {
                        let (first, second) = batch.split_at(batch.len() / 2);
                        batches.extend([second.to_vec(), first.to_vec()]);
                    }
                    None => {
                        self.given_up.fetch_add(1, Ordering::Relaxed);
                        warn!(
                            partner = &*partner,
                            key = batch.first().map(|key| &**key),
                            "Prometheus has too many series about this key; its history is not restored"
                        );
                    }
                }
            }
        }
        pass
    }

    /// What Prometheus remembers about these keys; `None` if its answer is too large.
    async fn ask_about(
        &self,
        window: Window,
        partner: &str,
        keys: &[Arc<str>],
    ) -> Option<BTreeMap<String, PersistedKeyState>> {
        let names: Vec<&str> = keys.iter().map(|key| &**key).collect();
        let batch = Batch { partner, keys: &names };
        let [states, since, broken_at, broken_since] =
            self.ask_all(&self.scope.key_queries(window, &batch)).await?;
        let mut answers = Answers { states, since, broken_at, broken_since, ..Default::default() };
        if answers.keys_disagree() {
            [answers.accepted_at, answers.refused_at] =
                self.ask_all(&self.scope.key_evidence_queries(window, &batch)).await?;
        }
        Some(query::remembered_keys(&answers, SystemTime::now()))
    }

    /// Asks one query after the other.
    async fn ask_all<const N: usize>(&self, queries: &[String; N]) -> Option<[Vec<Sample>; N]> {
        let mut answers = Vec::with_capacity(N);
        for query in queries {
            answers.push(self.ask_until_answered(query).await?);
        }
        answers.try_into().ok()
    }

    fn apply(
        &self,
        pass: &mut Pass,
        partner: &Arc<str>,
        batch: Vec<Arc<str>>,
        remembered: &BTreeMap<String, PersistedKeyState>,
    ) {
        for key in batch {
            let known = remembered.get(&*key).copied();
            if let (Some(known), Some(monitor)) = (known, self.key_index.find(partner, &key)) {
                pass.restored += usize::from(known.history.has_worked);
                // It waits for a probe of the key that is under way, and the other keys do not.
                tokio::spawn(async move { monitor.remember(known).await });
            }
            if !known.is_some_and(|known| known.history.has_worked) {
                pass.open.entry(Arc::clone(partner)).or_default().push(key);
            }
        }
    }

    async fn restore_secret(&self, monitor: &Weak<PartnerMonitor>) {
        let Some(partner) = monitor.upgrade().map(|monitor| Arc::clone(&monitor.partner.name)) else {
            return;
        };
        for window in WINDOWS {
            let Some(answers) = self.ask_about_secret(window, &partner).await else { return };
            let remembered = query::remembered_secret(&answers, &partner, SystemTime::now());
            let Some(remembered) = remembered else { continue };
            if let Some(monitor) = monitor.upgrade() {
                monitor.remember(remembered, &self.context.store);
            }
            if remembered.has_been_active {
                return;
            }
        }
    }

    async fn ask_about_secret(&self, window: Window, partner: &str) -> Option<Answers> {
        let [states, since] = self.ask_all(&self.scope.secret_queries(window, partner)).await?;
        let mut answers = Answers { states, since, ..Default::default() };
        if answers.secrets_disagree() {
            let evidence = self.ask_all(&self.scope.secret_evidence_queries(partner)).await;
            // Without it, the last change counts.
            [answers.accepted_at, answers.refused_at] = evidence.unwrap_or_default();
        }
        Some(answers)
    }

    /// Asks again after each failure, less and less often. Returns `None` if the answer is too large.
    async fn ask_until_answered(&self, query: &str) -> Option<Vec<Sample>> {
        let mut delay = FIRST_DELAY;
        loop {
            let is_last_chance = delay > LAST_CHANCE;
            let cause = match self.ask(query).await {
                // A part of the past is better than none, but only after the rest had a chance to come back.
                Ok(Parsed { samples, is_partial }) if !is_partial || is_last_chance => {
                    report(&self.context, Ok(()));
                    return Some(samples);
                }
                Ok(_) => "the answer is incomplete".to_owned(),
                Err(QueryError::TooLarge) => return None,
                Err(QueryError::TooSlow(_)) if is_last_chance => return None,
                Err(QueryError::TooSlow(cause) | QueryError::Failed(cause)) => cause,
            };
            if delay == FIRST_DELAY {
                let (server, cause) = (self.server(), &*cause);
                warn!(
                    server,
                    cause, "cannot ask Prometheus what the storage lost; the probes run without it; retrying"
                );
            }
            report(&self.context, Err(&format!("{}: {cause}", self.server())));
            sleep(delay).await;
            delay = (delay * 2).min(MAX_DELAY);
        }
    }

    async fn ask(&self, query: &str) -> Result<Parsed, QueryError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.extend(self.authorization().map_err(QueryError::Failed)?.map(|value| (AUTHORIZATION, value)));
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .append_pair("timeout", &format!("{}s", QUERY_TIMEOUT.as_secs()))
            .finish();
        let answer = self.client.post(&self.query_url(), headers, form, MAX_ANSWER, QUERY_TIMEOUT).await;
        let (status, body) = answer.map_err(|error| match error {
            PlainError::TooLarge => QueryError::TooLarge,
            PlainError::Failed(cause) => QueryError::Failed(cause),
        })?;
        if matches!(status, 401 | 403) {
            return Err(QueryError::Failed(format!("status {status}; check --restore.authorization-file")));
        }
        query::parse(status, &body)
    }

    fn query_url(&self) -> Url {
        let mut url = self.options.url.clone();
        url.set_path(&format!("{}/api/v1/query", url.path().trim_end_matches('/')));
        url
    }

    /// Read for each query, because such a token is often renewed.
    fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let Some(file) = &self.options.authorization_file else { return Ok(None) };
        // Unlike a token, it has a space after its scheme.
        let secret = SecretSource::File(file.as_path().into()).read(SecretKind::Password);
        let secret =
            secret.map_err(|error| format!("--restore.authorization-file can't be read: {error}"))?;
        let value = HeaderValue::from_str(secret.expose_secret());
        let mut value =
            value.map_err(|_| "--restore.authorization-file is not the value of a header".to_owned())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Host and port.
    fn server(&self) -> String {
        let port = self.options.url.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.options.url.host_str().unwrap_or_default())
    }
}

/// Says on the page, in the JSON and in `/metrics` whether the last query succeeded.
fn report(context: &Context, result: Result<(), &str>) {
    context.metrics.set_restore_success(result.is_ok());
    context.shared_state.set_restore_failure(result.err().map(RestoreFailure::now));
}
