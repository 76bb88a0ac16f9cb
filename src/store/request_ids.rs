//! When each route of each API last sent a request ID, as the state file holds it: roughly, because this must not
//! cause a write for each response.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_with::serde_as;

use super::records::is_recent;
use crate::rfc3339::Rfc3339;

/// A time in the file is not replaced before it is this old.
const RESOLUTION: Duration = Duration::from_hours(1);

/// By the identity of the API and the path of the route.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestIdTimes(BTreeMap<Arc<str>, BTreeMap<Box<str>, SystemTime>>);

/// One route, in the file.
#[serde_as]
#[derive(Serialize, Deserialize)]
pub(super) struct RequestIdRecord {
    api: Arc<str>,
    path: Box<str>,
    #[serde_as(as = "Rfc3339")]
    last: SystemTime,
}

impl RequestIdTimes {
    /// Whether [`Self::record`] would change anything. A time in the future is replaced: the clock was set back.
    pub(super) fn is_due(&self, api: &str, path: &str, now: SystemTime) -> bool {
        let last = self.0.get(api).and_then(|routes| routes.get(path));
        !last.is_some_and(|last| now.duration_since(*last).is_ok_and(|age| age < RESOLUTION))
    }

    /// Returns whether the file has to be written.
    pub(super) fn record(&mut self, api: &Arc<str>, path: &str, now: SystemTime) -> bool {
        let is_due = self.is_due(api, path, now);
        if is_due {
            self.0.entry(Arc::clone(api)).or_default().insert(path.into(), now);
        }
        is_due
    }

    /// Each route of this API, with the time.
    pub(super) fn of(&self, api: &str) -> Vec<(Box<str>, SystemTime)> {
        let routes = self.0.get(api).into_iter().flatten();
        routes.map(|(path, last)| (path.clone(), *last)).collect()
    }

    /// Adds the times of a file that could be read only now.
    pub(super) fn merge_older(&mut self, older: Self) {
        for (api, routes) in older.0 {
            let known = self.0.entry(api).or_default();
            for (path, last) in routes {
                known.entry(path).or_insert(last);
            }
        }
    }

    /// Returns whether anything was removed.
    pub(super) fn remove_old(&mut self, now: SystemTime) -> bool {
        let mut is_changed = false;
        self.0.retain(|_, routes| {
            let before = routes.len();
            routes.retain(|_, last| is_recent(*last, now));
            is_changed |= routes.len() != before;
            !routes.is_empty()
        });
        is_changed
    }

    pub(super) fn records(&self) -> impl Iterator<Item = RequestIdRecord> {
        let routes = self.0.iter().flat_map(|(api, routes)| routes.iter().map(move |route| (api, route)));
        routes.map(|(api, (path, last))| RequestIdRecord {
            api: Arc::clone(api),
            path: path.clone(),
            last: *last,
        })
    }
}

impl FromIterator<RequestIdRecord> for RequestIdTimes {
    fn from_iter<T: IntoIterator<Item = RequestIdRecord>>(records: T) -> Self {
        let mut times = Self::default();
        for RequestIdRecord { api, path, last } in records {
            times.0.entry(api).or_default().insert(path, last);
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_request_id_is_written_once_per_hour() {
        let at = |minutes| SystemTime::UNIX_EPOCH + Duration::from_mins(minutes);
        let (api, mut times) = (Arc::from("api"), RequestIdTimes::default());
        let record = |times: &mut RequestIdTimes, path, minutes| times.record(&api, path, at(minutes));
        assert!(record(&mut times, "/a", 100));
        assert!(record(&mut times, "/b", 101));
        assert!(!record(&mut times, "/a", 159));
        assert_eq!(times.of("api"), [("/a".into(), at(100)), ("/b".into(), at(101))]);
        assert!(record(&mut times, "/a", 160));
        assert!(record(&mut times, "/a", 50), "the clock was set back");
        assert_eq!(times.of("api")[0].1, at(50));
        assert_eq!(times.of("another"), []);
        assert!(!times.remove_old(at(60)));
        assert!(times.remove_old(at(60 * 24 * 31)) && times.of("api").is_empty());
    }
}
