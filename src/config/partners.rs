//! Reads `partners:` of the configuration file and of the key files, and merges them into one fleet.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

use checked_yaml::{Cursor, Diagnostics, Fields, Problem, Reported, Source, quoted};

use super::canaries::{self, KeyContext};
use super::settings::{self, Defaults, KeyInfo};
use super::{Key, Labels, Partner, Probe, Section, Target, credentials, labels, names, variant};
use crate::partner_api::{Access, Method};
use crate::secret::SecretSource;

/// The partners that were read so far, by name.
pub(super) struct Partners<'d> {
    defaults: &'d Defaults,
    drafts: HashMap<Arc<str>, Draft>,
}

/// A partner to which later files may still add keys.
struct Draft {
    name: Arc<str>,
    /// The number of partners before it.
    position: usize,
    secret: Option<SecretSource>,
    /// The entry that gave the secret.
    secret_place: Option<Place>,
    /// The labels of all its keys, and the entry that gave them.
    labels: Option<(Labels, Place)>,
    /// The error to report if no entry gives the secret.
    missing_secret: Problem,
    /// The last entry with this name. A second one in the same file is an error.
    last_entry: Place,
    keys: Vec<DraftKey>,
    key_places: HashMap<Arc<str>, Place>,
}

/// A key with its own labels only.
struct DraftKey {
    key: Key,
    /// Where an error about its labels is reported; `None` if it has none of its own.
    labels_at: Option<Problem>,
}

/// The entry's place in the files.
struct Place {
    file: Arc<Path>,
    order: usize,
    line: usize,
}

impl Place {
    fn of(at: &Cursor<'_>) -> Self {
        Self { file: Arc::clone(&at.source.path), order: at.source.order, line: at.line }
    }

    fn relative_to(&self, source: &Source<'_>) -> String {
        if self.order == source.order {
            format!("at line {}", self.line)
        } else {
            format!("at {}:{}", self.file.display(), self.line)
        }
    }
}

impl<'d> Partners<'d> {
    pub(super) fn new(defaults: &'d Defaults) -> Self {
        Self { defaults, drafts: HashMap::new() }
    }

    /// Adds the `partners:` of one file.
    pub(super) fn add(&mut self, at: &Cursor<'_>) {
        for item in at.items().into_iter().flatten() {
            // The errors are in the diagnostics. After an invalid partner, the next ones are still read.
            let _ = self.add_partner(&item);
        }
    }

    fn add_partner(&mut self, at: &Cursor<'_>) -> Result<(), Reported> {
        let defaults = self.defaults;
        let fields = Section::Partner.read(at)?;
        let mut draft = fields.required("name", "add the partner's name", |name_at| {
            let name = names::name(name_at)?;
            Ok(self.find_or_add(name, name_at, at))
        });
        let secret = credentials::partner_secret(&fields, defaults.secrets);
        if let Ok(draft) = &mut draft {
            draft.set_secret(secret, at);
        }
        if let Some(at) = fields.get("labels")
            && let (Ok(labels), Ok(draft)) = (labels::labels(&at), &mut draft)
        {
            draft.set_labels(labels, &at);
        }
        if let Some(keys) = fields.get("keys") {
            for key in keys.items()? {
                // If the partner has no valid name, the keys are read only to report their errors.
                let _ = add_key(draft.as_deref_mut().ok(), &key, defaults);
            }
        }
        draft.map(|_| ())
    }

    /// The partner with this name, which may be known from another file.
    fn find_or_add(&mut self, name: &str, name_at: &Cursor<'_>, at: &Cursor<'_>) -> &mut Draft {
        let position = self.drafts.len();
        match self.drafts.entry(name.into()) {
            Entry::Vacant(entry) => {
                let name = Arc::clone(entry.key());
                entry.insert(Draft::new(name, position, Place::of(name_at), missing_secret(at)))
            }
            Entry::Occupied(entry) => {
                let draft = entry.into_mut();
                let Place { order, line, .. } = std::mem::replace(&mut draft.last_entry, Place::of(name_at));
                if order == name_at.source.order {
                    name_at.error(format!(
                        "the partner {} is already declared at line {line}; \
                         rename one, or put all keys under one entry",
                        quoted(name)
                    ));
                }
                draft
            }
        }
    }

    /// The partners in the order of the files. Each one without a secret is reported and omitted.
    pub(super) fn finish(self, diagnostics: &Diagnostics) -> Vec<Partner> {
        let mut drafts: Vec<_> = self.drafts.into_values().collect();
        drafts.sort_by_key(|draft| draft.position);
        let mut partners = Vec::with_capacity(drafts.len());
        for Draft { name, secret, secret_place, labels, missing_secret, keys, .. } in drafts {
            if secret_place.is_none() {
                diagnostics.error(missing_secret);
            }
            let labels = labels.map(|(labels, _)| labels).unwrap_or_default();
            let keys = keys.into_iter().map(|key| key.finish(&labels, diagnostics)).collect();
            partners.extend(secret.map(|secret| Partner { name, secret, keys }));
        }
        share_probes(&mut partners);
        partners
    }
}

/// Lets keys with the same probes share them: a large fleet has few different ones.
pub(super) fn share_probes(partners: &mut [Partner]) {
    let mut last: Option<Arc<[Probe]>> = None;
    for key in partners.iter_mut().flat_map(|partner| &mut partner.keys) {
        match &last {
            Some(last) if *last == key.probes => key.probes = Arc::clone(last),
            Some(_) | None => last = Some(Arc::clone(&key.probes)),
        }
    }
}

fn missing_secret(at: &Cursor<'_>) -> Problem {
    let elsewhere = ", or use the name of a partner that has a secret in another file";
    let elsewhere = if at.source.order > 0 { elsewhere } else { "" };
    at.problem(format!("has no secret; add one of `secret_file`, `secret_env` or `secret`{elsewhere}"))
}

impl Draft {
    fn new(name: Arc<str>, position: usize, last_entry: Place, missing_secret: Problem) -> Self {
        let (secret, secret_place, labels) = (None, None, None);
        let (keys, key_places) = (Vec::new(), HashMap::new());
        Self { name, position, secret, secret_place, labels, missing_secret, last_entry, keys, key_places }
    }

    /// Sets the secret that the entry `at` gives, if it gives one.
    fn set_secret(&mut self, secret: Result<Option<SecretSource>, Reported>, at: &Cursor<'_>) {
        match (secret, &self.secret_place) {
            (Ok(None), _) => {}
            (secret, None) => {
                self.secret = secret.ok().flatten();
                self.secret_place = Some(Place::of(at));
            }
            // The repeated name has already been reported.
            (_, Some(first)) if first.order == at.source.order => {}
            (_, Some(first)) => {
                at.error(format!(
                    "the partner {} already has a secret {}; \
                     remove the secret here to add keys to that partner, or rename one",
                    quoted(&self.name),
                    first.relative_to(at.source)
                ));
            }
        }
    }

    /// Sets the labels that one entry of the partner gives.
    fn set_labels(&mut self, labels: Labels, at: &Cursor<'_>) {
        match &self.labels {
            None => self.labels = Some((labels, Place::of(at))),
            // The repeated name has already been reported.
            Some((_, first)) if first.order == at.source.order => {}
            Some((_, first)) => {
                let (name, place) = (quoted(&self.name), first.relative_to(at.source));
                at.error(format!(
                    "the partner {name} already has labels {place}; write all its labels in one place"
                ));
            }
        }
    }

    /// Checks that no other key of the partner has this name.
    fn claim_name(&mut self, name: &Arc<str>, name_at: &Cursor<'_>, at: &Cursor<'_>) -> Result<(), Reported> {
        match self.key_places.entry(Arc::clone(name)) {
            Entry::Vacant(entry) => {
                entry.insert(Place::of(at));
                Ok(())
            }
            Entry::Occupied(entry) => {
                let (name, place) = (quoted(name), entry.get().relative_to(at.source));
                Err(name_at.error(format!("the partner already has a key {name} {place}; rename one")))
            }
        }
    }
}

impl DraftKey {
    /// The key, with the labels of its partner.
    fn finish(self, partner: &Labels, diagnostics: &Diagnostics) -> Key {
        let Self { mut key, labels_at } = self;
        match (labels::merged(partner, &key.labels), labels_at) {
            (Ok(labels), _) => key.labels = labels,
            (Err(text), Some(mut problem)) => {
                problem.text = text;
                diagnostics.error(problem);
            }
            // A key without labels of its own has those of its partner, which are few enough.
            (Err(_), None) => {}
        }
        key
    }
}

fn add_key(mut draft: Option<&mut Draft>, at: &Cursor<'_>, defaults: &Defaults) -> Result<(), Reported> {
    let fields = Section::Key.read(at)?;
    let name = fields.required("name", "add the key's name", |name_at| {
        let name: Arc<str> = names::name(name_at)?.into();
        if let Some(draft) = &mut draft {
            draft.claim_name(&name, name_at, at)?;
        }
        Ok(name)
    });
    let access = fields.required("access", "add `access: society` or `access: firm`", |at| variant(at));
    let credential = credentials::of_key(&fields, defaults.secrets);
    let credential = access.and_then(|access| check_login_is_allowed(access, &fields)).and(credential);
    let probes = access.and_then(|access| probes(access, name.as_deref().ok(), &fields, defaults));
    let labels_at = fields.get("labels");
    let labels = labels_at.as_ref().map_or_else(|| Ok(Labels::default()), labels::labels);
    let labels_at = labels_at.map(|at| at.problem(""));
    let (name, access, credential) = (name?, access?, credential?);
    let key = Key { name, access, credential, probes: probes?.into(), labels: labels? };
    check_refusals_can_be_learnt(&key.probes, &fields)?;
    if key.probes.is_empty() {
        at.warning(
            "is never probed, because it has neither key_info nor a canary: a new key stays untouched, and nothing \
             says whether it works; add one of them as soon as the key may be used",
        );
    }
    if let Some(draft) = draft {
        draft.keys.push(DraftKey { key, labels_at });
    }
    Ok(())
}

/// A refusal of HEAD has no body, so it never says that a key was revoked: another probe must be able to say it.
fn check_refusals_can_be_learnt(probes: &[Probe], fields: &Fields<'_>) -> Result<(), Reported> {
    let says_why = |probe: &Probe| match &probe.target {
        Target::KeyInfo(_) => true,
        Target::Canary(canary) => canary.method != Method::Head,
    };
    // A key without any probe is left untouched on purpose; that is a warning.
    if probes.is_empty() || probes.iter().any(says_why) {
        return Ok(());
    }
    let key_info = fields.get("key_info");
    let canaries = fields.get("canaries");
    let at = canaries.as_ref().or(key_info.as_ref()).unwrap_or(fields.at);
    Err(at.error(
        "has only canaries with the method HEAD, and key_info is off: a refusal of HEAD has no body, so the exporter \
         could never learn that the key was revoked; add a canary with the method GET, or set `key_info: {mode: routes}`",
    ))
}

fn check_login_is_allowed(access: Access, fields: &Fields<'_>) -> Result<(), Reported> {
    match (access, fields.get("login")) {
        (Access::Society, Some(at)) => {
            Err(at.error("gives tokens for a whole firm; write `access: firm`, or use a token instead"))
        }
        (Access::Society, None) | (Access::Firm, _) => Ok(()),
    }
}

fn probes(
    access: Access,
    name: Option<&str>,
    fields: &Fields<'_>,
    defaults: &Defaults,
) -> Result<Vec<Probe>, Reported> {
    let society_id = fields.optional("society_id", |at| canaries::society_id(access, at));
    let key_info = key_info(fields, defaults);
    let canaries = society_id.and_then(|society_id| {
        let key = KeyContext { at: fields.at, name, access, society_id };
        let list = fields.optional("canaries", |at| Ok(*at))?;
        canaries::of_key(list.as_ref(), &key, &defaults.canaries)
    });
    let (key_info, canaries) = (key_info?, canaries?);
    let key_info = key_info.mode.map(|mode| Probe {
        name: Arc::clone(&defaults.key_info_name),
        target: Target::KeyInfo(mode),
        timing: key_info.timing,
    });
    Ok(key_info.into_iter().chain(canaries).collect())
}

/// The key's own `key_info`, with the fleet's values for fields that it does not set.
fn key_info(fields: &Fields<'_>, defaults: &Defaults) -> Result<KeyInfo, Reported> {
    let inherited = defaults.key_info?;
    let own = fields.optional("key_info", |at| settings::key_info(at, inherited))?;
    Ok(own.unwrap_or(inherited))
}
