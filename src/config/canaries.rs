//! Reads `canaries:`, the routes that the fleet can be probed with, and each key's own list of canaries.

use checked_yaml::{Cursor, Fields, Reported, nearest, quoted};
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::timing::timing;
use super::{
    Canary, Connection, HEALTH, KEY_INFO, Probe, Section, Target, Timing, names, unfit_routes, urls, variant,
};
use crate::partner_api::{Access, EXERCICES_PATH, Method};

/// The canary that exists without being declared.
const BUILT_IN: &str = "exercices";

/// A canary as `canaries:` declares it, before a key uses it.
struct DeclaredCanary {
    /// Without a society.
    canary: Canary,
    /// Whether the route is about one society, so that a firm key must say which one.
    society: bool,
    timing: Timing,
}

/// All declared canaries. Invalid ones are kept too, so that their use is not reported as a second error.
pub(super) struct Canaries {
    by_name: HashMap<Arc<str>, Result<DeclaredCanary, Reported>>,
    /// An error if the section could not be read. Any name may then have been declared in it.
    section: Result<(), Reported>,
}

impl Canaries {
    /// Reads the top level's `canaries`, and adds the built-in one.
    pub(super) fn read(fields: &Fields<'_>) -> Self {
        let built_in = DeclaredCanary::new(BUILT_IN, Method::Get, EXERCICES_PATH, true, Timing::KEY);
        let by_name = HashMap::from([(BUILT_IN.into(), Ok(built_in))]);
        let mut canaries = Self { by_name, section: Ok(()) };
        let declared = fields.optional("canaries", |at| canaries.read_declared(at));
        canaries.section = declared.map(|_| ());
        canaries
    }

    fn read_declared(&mut self, at: &Cursor<'_>) -> Result<(), Reported> {
        let mut lines = HashMap::new();
        for (key, at) in at.entries()? {
            let name = key.name.as_str();
            if let Some(line) = lines.insert(name, key.line) {
                let name = quoted(name);
                at.error(format!("the canary {name} is already declared at line {line}; rename one"));
                continue;
            }
            let declared = match names::error_in(name).or_else(|| reserved_name_error(name)) {
                Some(text) => Err(at.error(text)),
                None => DeclaredCanary::read(name, &at),
            };
            self.by_name.insert(name.into(), declared);
        }
        Ok(())
    }

    fn get(&self, name: &str, at: &Cursor<'_>) -> Result<&DeclaredCanary, Reported> {
        self.find(name)?.ok_or_else(|| {
            let hint = match nearest(name, self.by_name.keys().map(AsRef::as_ref)) {
                Some(near) => format!("did you mean {}?", quoted(near)),
                None => "declare it under `canaries` in the configuration file".to_owned(),
            };
            at.error(format!("there is no canary {}; {hint}", quoted(name)))
        })
    }

    /// As `get`, for an item without `canary`. Its `name` may have been meant as a new name.
    fn get_by_probe_name(&self, name: &str, at: &Cursor<'_>) -> Result<&DeclaredCanary, Reported> {
        self.find(name)?.ok_or_else(|| {
            let name = quoted(name);
            at.error(format!("there is no canary {name}; add `canary` with the name of the canary to run"))
        })
    }

    fn find(&self, name: &str) -> Result<Option<&DeclaredCanary>, Reported> {
        match self.by_name.get(name) {
            Some(declared) => declared.as_ref().map(Some).map_err(|reported| *reported),
            None => self.section.map(|()| None),
        }
    }
}

fn reserved_name_error(name: &str) -> Option<&'static str> {
    matches!(name, HEALTH | KEY_INFO).then_some("is the name of a built-in probe; choose another name")
}

impl DeclaredCanary {
    fn new(name: &str, method: Method, path: &str, society: bool, timing: Timing) -> Self {
        let connection = Connection::default();
        let canary = Canary { name: name.into(), method, path: path.into(), society_id: None, connection };
        Self { canary, society, timing }
    }

    fn read(name: &str, at: &Cursor<'_>) -> Result<Self, Reported> {
        let fields = Section::Canary.read(at)?;
        if let Some(at) = fields.get("path").filter(|at| !at.is_null())
            && let Some(reason) = at.text().ok().and_then(unfit_routes::reason_against)
        {
            at.warning(reason);
        }
        let path = match fields.get("path") {
            None if name == BUILT_IN => Ok(EXERCICES_PATH),
            _ => fields.required(
                "path",
                "add the path to request, such as `path: /api/v1/society`",
                urls::canary_path,
            ),
        };
        let method = fields.optional("method", |at| variant(at));
        let society = fields.optional("society", Cursor::boolean);
        let connection = fields.optional("connection", |at| variant(at));
        let timing = timing(&fields, Timing::KEY);
        let (method, society) = (method?.unwrap_or(Method::Get), society?.unwrap_or(true));
        let connection = connection?.unwrap_or_default();
        let Self { canary, society, timing } = Self::new(name, method, path?, society, timing?);
        Ok(Self { canary: Canary { connection, ..canary }, society, timing })
    }
}

/// Reads a society's id. Only a key with firm access may have one.
pub(super) fn society_id(access: Access, at: &Cursor<'_>) -> Result<NonZeroU64, Reported> {
    match access {
        Access::Firm => at.number("a society's id, a whole number above 0"),
        Access::Society => Err(at.error(
            "is only for firm access, because a token with society access already names its society; \
             remove it",
        )),
    }
}

/// The key whose canaries are read.
pub(super) struct KeyContext<'a> {
    pub(super) at: &'a Cursor<'a>,
    /// `None` if it has no valid name.
    pub(super) name: Option<&'a str>,
    pub(super) access: Access,
    pub(super) society_id: Option<NonZeroU64>,
}

/// A key's canaries: those in its list, or the built-in one if it has no list.
pub(super) fn of_key(
    list: Option<&Cursor<'_>>,
    key: &KeyContext<'_>,
    canaries: &Canaries,
) -> Result<Vec<Probe>, Reported> {
    let Some(list) = list else {
        return Ok(vec![key.probe_without_overrides(BUILT_IN, key.at, canaries)?]);
    };
    let mut probes = Vec::new();
    let mut lines: HashMap<Arc<str>, usize> = HashMap::new();
    let mut outcome = Ok(());
    for at in list.items()? {
        let Ok(probe) = key.item(&at, canaries) else {
            outcome = Err(Reported);
            continue;
        };
        if let Some(line) = lines.insert(Arc::clone(&probe.name), at.line) {
            let name = quoted(&probe.name);
            outcome = Err(at.error(format!(
                "this key already has a canary {name} at line {line}; give one of them another `name`"
            )));
        }
        probes.push(probe);
    }
    outcome.map(|()| probes)
}

impl KeyContext<'_> {
    /// Reads an item of the key's list: a name, or a mapping with overrides.
    fn item(&self, at: &Cursor<'_>, canaries: &Canaries) -> Result<Probe, Reported> {
        if at.is_scalar() {
            return self.probe_without_overrides(at.text()?, at, canaries);
        }
        for (field, at) in at.entries()? {
            if matches!(field.name.as_str(), "path" | "method" | "society") {
                return Err(at.error("can't be set for one key; declare another canary under `canaries`"));
            }
        }
        let fields = Section::CanaryOfKey.read(at)?;
        let name = fields.optional("name", |at| {
            let name = names::name(at)?;
            reserved_name_error(name).map_or(Ok(name), |text| Err(at.error(text)))
        });
        let society_id = fields.optional("society_id", |at| society_id(self.access, at));
        let connection = fields.optional("connection", |at| variant(at));
        let declared = match (fields.get("canary"), fields.get("name")) {
            (Some(at), _) => at.text().and_then(|name| canaries.get(name, &at)),
            (None, Some(at)) => {
                name.and_then(|_| at.text()).and_then(|name| canaries.get_by_probe_name(name, &at))
            }
            (None, None) => Err(at.missing("canary", "name the canary, such as `canary: exercices`")),
        };
        let declared = declared?;
        let timing = timing(&fields, declared.timing);
        let declared_name = &declared.canary.name;
        let name = name?
            .filter(|name| *name != &**declared_name)
            .map_or_else(|| Arc::clone(declared_name), Arc::from);
        let mut probe = self.probe(at, declared, name, society_id?, timing?)?;
        if let (Some(connection), Target::Canary(canary)) = (connection?, &mut probe.target) {
            canary.connection = connection;
        }
        Ok(probe)
    }

    fn probe_without_overrides(
        &self,
        canary: &str,
        at: &Cursor<'_>,
        canaries: &Canaries,
    ) -> Result<Probe, Reported> {
        let declared = canaries.get(canary, at)?;
        self.probe(at, declared, Arc::clone(&declared.canary.name), None, declared.timing)
    }

    fn society_id_missing(&self, canary: &str) -> String {
        let key = self.name.map_or_else(|| "this key".to_owned(), |name| format!("the key {}", quoted(name)));
        let canary = quoted(canary);
        format!(
            "{key} has firm access and its canary {canary} is about one society; add `society_id`, or remove \
             the canary from the key's `canaries`"
        )
    }

    fn probe(
        &self,
        at: &Cursor<'_>,
        declared: &DeclaredCanary,
        name: Arc<str>,
        society_id: Option<NonZeroU64>,
        timing: Timing,
    ) -> Result<Probe, Reported> {
        if !declared.society && society_id.is_some() {
            let name = quoted(&name);
            let text = format!("the canary {name} is about the firm as a whole; remove `society_id`");
            return Err(at.error(text));
        }
        if !declared.society && self.access == Access::Society {
            at.warning(format!(
                "the canary {} is about the firm as a whole (society: false), but the key has access to one society \
                 only; choose a canary about the society, or a key with firm access",
                quoted(&name)
            ));
        }
        let society_id = match self.access {
            Access::Firm if declared.society => {
                let id = society_id.or(self.society_id);
                Some(id.ok_or_else(|| at.error(self.society_id_missing(&name)))?)
            }
            Access::Firm | Access::Society => None,
        };
        let target = Target::Canary(Canary { society_id, ..declared.canary.clone() });
        Ok(Probe { name, target, timing })
    }
}
