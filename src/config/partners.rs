//! Reads `partners:` of the configuration file and of the key files, and merges them into one fleet.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use checked_yaml::{Cursor, Diagnostics, Fields, Problem, Reported, Source, quoted};

use super::canaries::{self, KeyContext};
use super::settings::{self, Defaults, KeyInfo};
use super::{Key, Partner, Probe, Section, Target, credentials, names, variant};
use crate::partner_api::Access;
use crate::secret::SecretSource;

/// The partners that were read so far.
pub(super) struct Partners<'d> {
    defaults: &'d Defaults,
    drafts: Vec<Draft>,
    by_name: HashMap<Arc<str>, usize>,
}

/// A partner to which later files may still add keys.
struct Draft {
    name: Arc<str>,
    secret: Option<SecretSource>,
    /// The entry that gave the secret.
    secret_place: Option<Place>,
    /// The last entry with this name. A second one in the same file is an error.
    last_entry: Place,
    /// The error to report if no entry gives the secret.
    missing_secret: Option<Problem>,
    keys: Vec<Key>,
    key_places: HashMap<Arc<str>, Place>,
}

impl Draft {
    fn new(name: Arc<str>, last_entry: Place) -> Self {
        Self {
            name,
            secret: None,
            secret_place: None,
            last_entry,
            missing_secret: None,
            keys: Vec::new(),
            key_places: HashMap::new(),
        }
    }
}

/// The entry's place in the files.
#[derive(Clone)]
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
        Self { defaults, drafts: Vec::new(), by_name: HashMap::new() }
    }

    /// Adds the `partners:` of one file.
    pub(super) fn add(&mut self, at: &Cursor<'_>) {
        let Ok(items) = at.items() else { return };
        for item in items {
            // The errors are in the diagnostics. After an invalid partner, the next ones are still read.
            let _ = self.add_partner(&item);
        }
    }

    fn add_partner(&mut self, at: &Cursor<'_>) -> Result<(), Reported> {
        let fields = at.fields(Section::Partner.fields())?;
        let index = fields.required("name", "add the partner's name", |name_at| {
            let name = names::name(name_at)?;
            Ok(self.find_or_add(name, name_at))
        });
        let secret = credentials::partner_secret(&fields);
        if let Ok(index) = index {
            self.set_secret(index, &fields, secret);
        }
        if let Some(keys) = fields.get("keys") {
            self.add_keys(index.ok(), &keys);
        }
        index.map(|_| ())
    }

    /// The index of the partner with this name, which may be known from another file.
    fn find_or_add(&mut self, name: &str, at: &Cursor<'_>) -> usize {
        let place = Place::of(at);
        if let Some(&index) = self.by_name.get(name)
            && let Some(draft) = self.drafts.get_mut(index)
        {
            if draft.last_entry.order == place.order {
                let line = draft.last_entry.line;
                let text = format!(
                    "the partner {} is already declared at line {line}; \
                     rename one, or put all keys under one entry",
                    quoted(name)
                );
                at.error(text);
            }
            draft.last_entry = place;
            return index;
        }
        let name: Arc<str> = name.into();
        let index = self.drafts.len();
        self.by_name.insert(Arc::clone(&name), index);
        self.drafts.push(Draft::new(name, place));
        index
    }

    fn set_secret(
        &mut self,
        index: usize,
        fields: &Fields<'_>,
        secret: Result<Option<SecretSource>, Reported>,
    ) {
        let Some(draft) = self.drafts.get_mut(index) else { return };
        let at = fields.at;
        match (secret, &draft.secret_place) {
            (Ok(None), None) => {
                let error = "has no secret; add one of `secret_file`, `secret_env` or `secret`";
                let elsewhere = ", or use the name of a partner that has a secret in another file";
                let text = format!("{error}{}", if at.source.order > 0 { elsewhere } else { "" });
                draft.missing_secret.get_or_insert_with(|| at.problem(text));
            }
            (Ok(None), Some(_)) => {}
            // In the same file, the repeated name has already been reported.
            (_, Some(first)) if first.order != at.source.order => {
                let text = format!(
                    "the partner {} already has a secret {}; \
                     remove the secret here to add keys to that partner, or rename one",
                    quoted(&draft.name),
                    first.relative_to(at.source)
                );
                at.error(text);
            }
            (_, Some(_)) => {}
            (secret, None) => {
                draft.secret = secret.ok().flatten();
                draft.secret_place = Some(Place::of(at));
                draft.missing_secret = None;
            }
        }
    }

    /// Adds keys to a partner. If the partner has no valid name, the keys are read only to report their
    /// errors.
    fn add_keys(&mut self, partner: Option<usize>, at: &Cursor<'_>) {
        let Ok(items) = at.items() else { return };
        for at in items {
            let draft = partner.and_then(|index| self.drafts.get_mut(index));
            let _ = add_key(draft, &at, self.defaults);
        }
    }

    /// The partners. Each one without a secret is reported and omitted.
    pub(super) fn finish(self, diagnostics: &Diagnostics) -> Vec<Partner> {
        let mut partners = Vec::with_capacity(self.drafts.len());
        for draft in self.drafts {
            if let Some(missing_secret) = draft.missing_secret {
                diagnostics.error(missing_secret);
            }
            if let Some(secret) = draft.secret {
                partners.push(Partner { name: draft.name, secret, keys: draft.keys });
            }
        }
        partners
    }
}

fn add_key(draft: Option<&mut Draft>, at: &Cursor<'_>, defaults: &Defaults) -> Result<(), Reported> {
    let fields = at.fields(Section::Key.fields())?;
    let name = fields.required("name", "add the key's name", |at| {
        let name: Arc<str> = names::name(at)?.into();
        if let Some(draft) = draft.as_ref() {
            check_name_is_free(draft, &name, at)?;
        }
        Ok(name)
    });
    let mut draft = draft;
    if let (Ok(name), Some(draft)) = (&name, &mut draft) {
        draft.key_places.entry(Arc::clone(name)).or_insert_with(|| Place::of(at));
    }
    let access = fields.required("access", "add `access: society` or `access: firm`", |at| variant(at));
    let credential = credentials::of_key(&fields);
    let credential = access.and_then(|access| check_login_is_allowed(access, &fields)).and(credential);
    let probes = access.and_then(|access| {
        let name = name.as_deref().ok();
        probes(access, name, &fields, defaults)
    });
    let key = Key { name: name?, access: access?, credential: credential?, probes: probes? };
    if key.probes.is_empty() {
        at.warning(
            "is never probed, because it has neither key_info nor a canary; \
             add one of them, or remove the key",
        );
    }
    if let Some(draft) = draft {
        draft.keys.push(key);
    }
    Ok(())
}

fn check_name_is_free(draft: &Draft, name: &str, at: &Cursor<'_>) -> Result<(), Reported> {
    let Some(place) = draft.key_places.get(name) else { return Ok(()) };
    let (name, place) = (quoted(name), place.relative_to(at.source));
    Err(at.error(format!("the partner already has a key {name} {place}; rename one")))
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
