//! Restores from Prometheus what the storage lost: whether a key or a secret was active, its last state, and since when a
//! key is broken.
//!
//! It runs in the background after the start, and it stops when everything is asked. An answer of the API that came
//! meanwhile counts more than what Prometheus remembers.

mod query;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
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
use crate::monitor::PartnerMonitor;
use crate::probe::{PlainClient, PlainError};
use crate::secret::{SecretKind, SecretSource};
use crate::store::Store;
use query::{Answers, Batch, Parsed, Sample, Scope, WINDOWS, Window};

/// For one query. Prometheus itself gives up after two minutes by default.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read, in bytes: 200 keys need less than 1 MB for each exporter that had them.
const MAX_ANSWER: usize = 16 << 20;
/// The delay after the first failure. It doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_mins(5);

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
    store: Store,
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
    /// If the file of authorities cannot be used.
    pub(crate) fn new(options: RestoreOptions, fleet: &Fleet) -> Result<Self, String> {
        let client = PlainClient::new(options.ca_file.as_deref())?;
        let context = fleet.context();
        let api = context.shared_state.inventory().settings.api.identity().to_string();
        let scope = Scope { matchers: options.matchers.clone(), api };
        Ok(Self { options, scope, client, key_index: fleet.key_index(), store: context.store.clone() })
    }

    /// Restores until nothing is left to ask. Prometheus may be unreachable for any time.
    pub(crate) async fn run(self, forgotten: Forgotten) {
        if forgotten.is_empty() {
            return;
        }
        let asked: usize = forgotten.keys.values().map(Vec::len).sum();
        let (mut open, mut restored) = (forgotten.keys, 0);
        for window in WINDOWS {
            let pass = self.pass(window, open).await;
            restored += pass.restored;
            open = pass.open;
        }
        for partner in forgotten.secrets {
            self.restore_secret(&partner).await;
        }
        let never_active: usize = open.values().map(Vec::len).sum();
        info!(asked, restored, never_active, "asked Prometheus about the keys that the storage did not know");
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
                    None => warn!(
                        partner = &*partner,
                        key = batch.first().map(|key| &**key),
                        "Prometheus has too many series about this key; its history is not restored"
                    ),
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
        let queries = self.scope.key_queries(window, &Batch { partner, keys: &names });
        let mut answers = Vec::with_capacity(queries.len());
        for query in queries {
            answers.push(self.ask_until_answered(&query).await?);
        }
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or_default();
        let answers = Answers { states: next(), since: next(), broken_at: next(), broken_since: next() };
        Some(query::remembered_keys(&answers, SystemTime::now()))
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
            let [states, since] = self.scope.secret_queries(window, &partner);
            let (Some(states), Some(since)) =
                (self.ask_until_answered(&states).await, self.ask_until_answered(&since).await)
            else {
                return;
            };
            let remembered = query::remembered_secret(&states, &since, &partner, SystemTime::now());
            let Some(remembered) = remembered else { continue };
            if let Some(monitor) = monitor.upgrade() {
                monitor.remember(remembered, &self.store);
            }
            if remembered.has_been_active {
                return;
            }
        }
    }

    /// Asks again after each failure, less and less often. Returns `None` if the answer is too large.
    async fn ask_until_answered(&self, query: &str) -> Option<Vec<Sample>> {
        let mut delay = FIRST_DELAY;
        loop {
            let cause = match self.ask(query).await {
                Ok(Parsed { samples, is_partial: false }) => return Some(samples),
                // A part of the past is better than none, but only after the rest had a chance to come back.
                Ok(Parsed { samples, is_partial: true }) if delay > FIRST_DELAY * 8 => return Some(samples),
                Ok(_) => "the answer is incomplete".to_owned(),
                Err(PlainError::TooLarge) => return None,
                Err(PlainError::Failed(cause)) => cause,
            };
            if delay == FIRST_DELAY {
                let server = self.server();
                warn!(
                    server,
                    cause, "cannot ask Prometheus what the storage lost; the probes run without it; retrying"
                );
            }
            sleep(delay).await;
            delay = (delay * 2).min(MAX_DELAY);
        }
    }

    async fn ask(&self, query: &str) -> Result<Parsed, PlainError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.extend(self.authorization().map_err(PlainError::Failed)?.map(|value| (AUTHORIZATION, value)));
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .append_pair("timeout", &format!("{}s", QUERY_TIMEOUT.as_secs()))
            .finish();
        let (status, body) =
            self.client.post(&self.query_url(), headers, form, MAX_ANSWER, QUERY_TIMEOUT).await?;
        if matches!(status, 401 | 403) {
            return Err(PlainError::Failed(format!("status {status}; check --restore.authorization-file")));
        }
        query::parse(status, &body).map_err(PlainError::Failed)
    }

    fn query_url(&self) -> Url {
        let mut url = self.options.url.clone();
        url.set_path(&format!("{}/api/v1/query", url.path().trim_end_matches('/')));
        url
    }

    /// Read for each query, because such a token is often renewed.
    fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let Some(file) = &self.options.authorization_file else { return Ok(None) };
        let secret = SecretSource::File(file.as_path().into()).read(SecretKind::HeaderValue);
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
