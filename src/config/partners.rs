//! `partners:`, of the configuration file and of the key files, put together into one fleet.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use super::canaries::{self, Asker};
use super::credentials::{self, SECRET};
use super::decode::{At, Fields, Report, Reported, Source, shown};
use super::problem::Problem;
use super::settings::{self, KeyInfo, Settings};
use super::{Access, KEY_INFO, Key, Partner, Probe, Target, names};
use crate::secret::SecretSource;

/// The partners read so far.
pub(super) struct Fleet<'s> {
    settings: &'s Settings,
    partners: Vec<Draft>,
    by_name: HashMap<Arc<str>, usize>,
    key_info: Arc<str>,
}

/// A partner to which later files may still add keys.
struct Draft {
    name: Arc<str>,
    secret: Option<SecretSource>,
    /// Where an entry gave the secret.
    declared: Option<Place>,
    /// The last entry: two in one file are one too many.
    latest: Place,
    /// What to say when no entry gives the secret.
    orphan: Option<Problem>,
    keys: Vec<Key>,
    key_places: HashMap<Arc<str>, Place>,
}

/// Where something was given.
#[derive(Clone)]
struct Place {
    file: Arc<Path>,
    order: usize,
    line: usize,
}

impl Place {
    fn of(at: &At<'_>) -> Self {
        Self { file: Arc::clone(&at.source.path), order: at.source.order, line: at.line }
    }

    fn seen_from(&self, source: &Source) -> String {
        if self.order == source.order {
            format!("at line {}", self.line)
        } else {
            format!("at {}:{}", self.file.display(), self.line)
        }
    }
}

impl<'s> Fleet<'s> {
    pub(super) fn new(settings: &'s Settings) -> Self {
        Self { settings, partners: Vec::new(), by_name: HashMap::new(), key_info: KEY_INFO.into() }
    }

    /// Adds a file's `partners:`.
    pub(super) fn add(&mut self, at: &At<'_>, report: &mut Report) {
        let Ok(items) = at.items(report) else { return };
        for item in items {
            // What is wrong with one partner is in the report; the others are read all the same.
            let _ = self.add_partner(&item, report);
        }
    }

    fn add_partner(&mut self, at: &At<'_>, report: &mut Report) -> Result<(), Reported> {
        let [file, env, inline] = SECRET.all();
        let fields = at.fields(&["name", file, env, inline, "keys"], report)?;
        let index = fields.required("name", "add the partner's name", report, |name_at, report| {
            let name = names::name(name_at, report)?;
            Ok(self.entry(name, name_at, report))
        });
        let secret = credentials::partner_secret(&fields, report);
        if let Ok(index) = index {
            self.declare(index, &fields, secret, report);
        }
        if let Some(keys) = fields.get("keys") {
            self.add_keys(index.ok(), &keys, report);
        }
        index.map(|_| ())
    }

    /// The partner of this name, new or known from another file.
    fn entry(&mut self, name: &str, at: &At<'_>, report: &mut Report) -> usize {
        let place = Place::of(at);
        if let Some(&index) = self.by_name.get(name)
            && let Some(draft) = self.partners.get_mut(index)
        {
            if draft.latest.order == place.order {
                let line = draft.latest.line;
                let text = format!(
                    "the partner {} stands at line {line} already; rename one, or put all keys under one",
                    shown(name)
                );
                report.problem(at, text);
            }
            draft.latest = place;
            return index;
        }
        let name: Arc<str> = name.into();
        let index = self.partners.len();
        self.by_name.insert(Arc::clone(&name), index);
        self.partners.push(Draft {
            name,
            secret: None,
            declared: None,
            latest: place,
            orphan: None,
            keys: Vec::new(),
            key_places: HashMap::new(),
        });
        index
    }

    fn declare(
        &mut self,
        index: usize,
        fields: &Fields<'_>,
        secret: Result<Option<SecretSource>, Reported>,
        report: &mut Report,
    ) {
        let Some(draft) = self.partners.get_mut(index) else { return };
        let at = fields.at;
        match (secret, &draft.declared) {
            (Ok(None), None) => {
                let fault = "has no secret; add one of `secret_file`, `secret_env` and `secret`";
                let elsewhere = ", or give it the name of a partner that has one in another file";
                let text = format!("{fault}{}", if at.source.is_key_file() { elsewhere } else { "" });
                draft.orphan.get_or_insert_with(|| at.problem(text));
            }
            (Ok(None), Some(_)) => {}
            // In one file, the name that stands twice has been reported.
            (_, Some(first)) if first.order != at.source.order => {
                let text = format!(
                    "the partner {} has its secret {} already; remove the secret here to add keys to it, or rename one",
                    shown(&draft.name),
                    first.seen_from(at.source)
                );
                report.problem(at, text);
            }
            (_, Some(_)) => {}
            (secret, None) => {
                draft.secret = secret.ok().flatten();
                draft.declared = Some(Place::of(at));
                draft.orphan = None;
            }
        }
    }

    /// Adds keys to a partner; to none when the partner has no name, only to report what is wrong.
    fn add_keys(&mut self, partner: Option<usize>, at: &At<'_>, report: &mut Report) {
        let Ok(items) = at.items(report) else { return };
        for at in items {
            let draft = partner.and_then(|index| self.partners.get_mut(index));
            let _ = add_key(draft, &at, self.settings, &self.key_info, report);
        }
    }

    /// The partners, each with its secret; what lacks one is reported.
    pub(super) fn finish(self, report: &mut Report) -> Vec<Partner> {
        let mut partners = Vec::with_capacity(self.partners.len());
        for draft in self.partners {
            report.problems.extend(draft.orphan);
            if let Some(secret) = draft.secret {
                partners.push(Partner { name: draft.name, secret, keys: draft.keys });
            }
        }
        partners
    }
}

fn add_key(
    draft: Option<&mut Draft>,
    at: &At<'_>,
    settings: &Settings,
    key_info: &Arc<str>,
    report: &mut Report,
) -> Result<(), Reported> {
    const FIELDS: [&str; 9] =
        ["name", "access", "society_id", "token_file", "token_env", "token", "login", "key_info", "canaries"];
    let fields = at.fields(&FIELDS, report)?;
    let name = fields.required("name", "add the key's name", report, |at, report| {
        let name: Arc<str> = names::name(at, report)?.into();
        if let Some(draft) = draft.as_ref() {
            taken(draft, &name, at, report)?;
        }
        Ok(name)
    });
    let mut draft = draft;
    if let (Ok(name), Some(draft)) = (&name, &mut draft) {
        draft.key_places.entry(Arc::clone(name)).or_insert_with(|| Place::of(at));
    }
    let access =
        fields.required("access", "add `access: society` or `access: firm`", report, |at, report| {
            at.word(&["society", "firm"], Access::from_word, report)
        });
    let credential = credentials::of_key(&fields, report);
    let credential = access.and_then(|access| login_fits(access, &fields, report)).and(credential);
    let probes = access.and_then(|access| {
        let name = name.as_deref().ok();
        probes(access, name, &fields, settings, key_info, report)
    });
    let key = Key { name: name?, access: access?, credential: credential?, probes: probes? };
    if key.probes.is_empty() {
        report
            .warning(at, "is never probed: it has neither key_info nor a canary; give it one, or remove it");
    }
    if let Some(draft) = draft {
        draft.keys.push(key);
    }
    Ok(())
}

fn taken(draft: &Draft, name: &str, at: &At<'_>, report: &mut Report) -> Result<(), Reported> {
    let Some(place) = draft.key_places.get(name) else { return Ok(()) };
    let (name, place) = (shown(name), place.seen_from(at.source));
    Err(report.problem(at, format!("the partner has a key {name} {place} already; rename one")))
}

fn login_fits(access: Access, fields: &Fields<'_>, report: &mut Report) -> Result<(), Reported> {
    match (access, fields.get("login")) {
        (Access::Society, Some(at)) => Err(report
            .problem(&at, "yields tokens for a whole firm; write `access: firm`, or give a token instead")),
        _ => Ok(()),
    }
}

fn probes(
    access: Access,
    name: Option<&str>,
    fields: &Fields<'_>,
    settings: &Settings,
    key_info_name: &Arc<str>,
    report: &mut Report,
) -> Result<Vec<Probe>, Reported> {
    let society_id = society_id(access, fields, report);
    let key_info = key_info(fields, settings, report);
    let canaries = society_id.and_then(|society_id| {
        let asker = Asker { at: fields.at, name, access, society_id };
        let list = fields.optional("canaries", report, |at, _| Ok(*at))?;
        canaries::of_key(list.as_ref(), &asker, &settings.canaries, report)
    });
    let (key_info, canaries) = (key_info?, canaries?);
    let key_info = key_info.mode.map(|mode| Probe {
        name: Arc::clone(key_info_name),
        target: Target::KeyInfo(mode),
        timing: key_info.timing,
    });
    Ok(key_info.into_iter().chain(canaries).collect())
}

fn society_id(
    access: Access,
    fields: &Fields<'_>,
    report: &mut Report,
) -> Result<Option<NonZeroU64>, Reported> {
    fields.optional("society_id", report, |at, report| match access {
        Access::Society => Err(report.problem(at, canaries::NOT_FOR_SOCIETY_KEYS)),
        Access::Firm => canaries::society_id(at, report),
    })
}

/// What holds for the key: its own `key_info` over the fleet's.
fn key_info(fields: &Fields<'_>, settings: &Settings, report: &mut Report) -> Result<KeyInfo, Reported> {
    let inherited = settings.key_info?;
    let own = fields.optional("key_info", report, |at, report| settings::key_info(at, inherited, report))?;
    Ok(own.unwrap_or(inherited))
}
