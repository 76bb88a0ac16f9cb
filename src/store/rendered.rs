//! The text of each record of the state file, as it was written last. A write formats only the records that have changed:
//! while ten thousand keys start, some hundred of twenty thousand records change per second, and a processor that formats
//! all of them would delay probes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::fingerprint::Fingerprint;
use super::records::{Stored, Used};
use crate::key_state::{PersistedKeyState, PersistedSecretState};

/// The records are the items of lists in an object, and each level is indented by two spaces.
const LINE_BREAK: &str = "\n    ";

/// The lists of the state file that have one record for each key or partner.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    pub(super) keys: Texts<(Arc<str>, Arc<str>), Used<PersistedKeyState>>,
    pub(super) tokens: Texts<Fingerprint, Stored<PersistedKeyState>>,
    pub(super) partners: Texts<Arc<str>, Used<PersistedSecretState>>,
    pub(super) secrets: Texts<Fingerprint, Stored<PersistedSecretState>>,
}

/// The records of one list: what each of them says, and its text.
#[derive(Debug)]
pub(super) struct Texts<N, V>(BTreeMap<N, (V, Box<RawValue>)>);

impl<N, V> Default for Texts<N, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<N: Ord + Clone, V: PartialEq + Clone> Texts<N, V> {
    /// The texts of these records, which are in the order of their names. `record` makes a record from name and value.
    pub(super) fn of<'a, R: Serialize>(
        &mut self,
        records: impl Iterator<Item = (&'a N, &'a V)>,
        record: impl Fn(&N, &V) -> R,
    ) -> serde_json::Result<Vec<&RawValue>>
    where
        N: 'a,
        V: 'a,
    {
        let mut known = std::mem::take(&mut self.0).into_iter().peekable();
        let texts = records.map(|(name, value)| {
            // Both are in the same order, so what comes before this name is no longer in the list.
            while known.next_if(|(other, _)| other < name).is_some() {}
            let same = known.next_if(|(other, (last, _))| other == name && last == value);
            same.map_or_else(|| Ok((name.clone(), (value.clone(), text(&record(name, value))?))), Ok)
        });
        self.0 = texts.collect::<serde_json::Result<_>>()?;
        Ok(self.0.values().map(|(_, text)| &**text).collect())
    }
}

/// The indented text of one record.
fn text(record: &impl Serialize) -> serde_json::Result<Box<RawValue>> {
    // A line break within a string is escaped, so each one is between two fields.
    RawValue::from_string(serde_json::to_string_pretty(record)?.replace('\n', LINE_BREAK))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn only_records_that_have_changed_are_formatted_again() {
        let mut texts = Texts::default();
        let formatted = Cell::new(0);
        let mut format = |records: &[(u32, &str)]| {
            let records: Vec<_> = records.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            formatted.set(0);
            let record = |name: &u32, value: &String| {
                formatted.set(formatted.get() + 1);
                format!("{name}{value}")
            };
            let records = records.iter().map(|(name, value)| (name, value));
            let texts = texts.of(records, record).unwrap();
            (texts.iter().map(|text| text.get()).collect::<String>(), formatted.get())
        };
        assert_eq!(format(&[(2, "b"), (4, "d")]), (r#""2b""4d""#.to_owned(), 2));
        assert_eq!(format(&[(2, "b"), (4, "d")]), (r#""2b""4d""#.to_owned(), 0));
        assert_eq!(format(&[(2, "b"), (3, "c"), (4, "e")]), (r#""2b""3c""4e""#.to_owned(), 2));
        assert_eq!(format(&[(1, "a"), (4, "e"), (5, "f")]), (r#""1a""4e""5f""#.to_owned(), 2));
        assert_eq!(format(&[]), (String::new(), 0));
    }
}
