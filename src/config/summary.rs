//! The summary that `check-config` prints for a valid configuration. It is short, even for thousands of
//! keys.

use std::fmt::{self, Write as _};
use std::time::Duration;

use checked_yaml::quoted;

use super::budget::{REQUESTS, WINDOW, percent};
use super::{Config, Credential, Key, Loaded, Partner, Settings, Target, Timing};
use crate::partner_api::{Access, KeyInfoMode};

/// The first items of a list are written out, the others are only counted.
const MAX_LISTED: usize = 10;

impl Loaded {
    /// What the exporter understood, so that a reader can compare it with the intention. The text ends
    /// with a line break.
    #[must_use]
    pub(crate) fn summary(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = self.write_summary(&mut text);
        text
    }

    fn write_summary(&self, out: &mut String) -> fmt::Result {
        let Config { settings: Settings { api, health, division, .. }, partners } = &self.config;
        writeln!(out, "API: {}", api.base_url)?;
        if self.keys().any(|(_, key)| matches!(key.credential, Credential::Login(_))) {
            writeln!(out, "Log-in: {}", api.auth_url)?;
        }
        if let Some(proxy) = &api.proxy_url {
            // Only host and port: the rest may contain a password.
            let port = proxy.port_or_known_default().unwrap_or_default();
            writeln!(out, "Proxy: {}:{port}", proxy.host_str().unwrap_or_default())?;
        }
        if let Some(file) = &api.ca_file {
            writeln!(out, "Trusted certificates: {}", file.display())?;
        }
        writeln!(out, "Health: every {}", humantime::format_duration(health.timing.interval))?;
        if division.is_divided() {
            let keys = self.keys().count();
            writeln!(out, "Shard: {}, {keys} of {}", division.shard, counted_keys(division.fleet_keys))?;
        }
        writeln!(out, "Partners: {}", partners.len())?;
        write_list(out, partners.iter().map(describe_partner), "partners")?;
        writeln!(out, "Probes per minute: {}", self.probes_per_minute())?;
        if !self.largest_share.keys.is_empty() {
            let (share, keys) = (percent(self.largest_share.share), &self.largest_share.keys);
            let window = humantime::format_duration(WINDOW);
            writeln!(
                out,
                "Request budget used: at most {share} of {REQUESTS} requests per {window} and token ({keys})"
            )?;
        }
        self.write_keys_that_activate(out)?;
        writeln!(out, "Configuration files: {}", self.files.len())?;
        write_list(out, self.files.iter().map(|file| file.display()), "files")?;
        writeln!(out, "Warnings: {}", self.warnings.len())?;
        write_list(out, self.warnings.iter(), "warnings")
    }

    fn keys(&self) -> impl Iterator<Item = (&Partner, &Key)> {
        self.config.partners.iter().flat_map(|partner| partner.keys.iter().map(move |key| (partner, key)))
    }

    fn probes_per_minute(&self) -> String {
        let health = per_minute(self.config.settings.health.timing);
        let probes = self.keys().flat_map(|(_, key)| key.probes.iter());
        // Not `sum`, which gives -0 for an empty list.
        let keys = probes.fold(0.0, |sum, probe| sum + per_minute(probe.timing));
        format!("{} ({} for health, {} for keys)", rounded(health + keys), rounded(health), rounded(keys))
    }

    fn write_keys_that_activate(&self, out: &mut String) -> fmt::Result {
        const ACTIVATED: &str = "Activated by their first key_info probe (mode extended)";
        let extended = Target::KeyInfo(KeyInfoMode::Extended);
        let is_activated = |key: &Key| key.probes.iter().any(|probe| probe.target == extended);
        let keys = self.keys().filter(|(_, key)| is_activated(key));
        let names = keys.map(|(partner, key)| format!("{} of {}", quoted(&key.name), quoted(&partner.name)));
        let names: Vec<_> = names.collect();
        if names.is_empty() {
            return writeln!(out, "{ACTIVATED}: no key");
        }
        writeln!(out, "{ACTIVATED}, unless already active: {}", counted_keys(names.len()))?;
        write_list(out, names.iter(), "keys")
    }
}

fn write_list<T: fmt::Display>(
    out: &mut String,
    items: impl ExactSizeIterator<Item = T>,
    what: &str,
) -> fmt::Result {
    let more = items.len().saturating_sub(MAX_LISTED);
    for item in items.take(MAX_LISTED) {
        writeln!(out, "  {item}")?;
    }
    if more > 0 { writeln!(out, "  and {more} more {what}") } else { Ok(()) }
}

fn describe_partner(partner: &Partner) -> String {
    let total = counted_keys(partner.keys.len());
    let has_login = |key: &Key| matches!(key.credential, Credential::Login(_));
    let count_keys = |access, login| {
        partner.keys.iter().filter(|key| key.access == access && has_login(key) == login).count()
    };
    let kinds = [
        (count_keys(Access::Society, false), "society access by token"),
        (count_keys(Access::Firm, false), "firm access by token"),
        (count_keys(Access::Firm, true), "firm access by log-in"),
    ];
    let kinds = kinds.into_iter().filter(|(n, _)| *n > 0);
    let kinds: Vec<_> = kinds.map(|(n, kind)| format!("{n} {kind}")).collect();
    let separator = if kinds.is_empty() { "" } else { ": " };
    format!("{}: {total}{separator}{}", quoted(&partner.name), kinds.join(", "))
}

fn counted_keys(number: usize) -> String {
    format!("{number} {}", if number == 1 { "key" } else { "keys" })
}

fn per_minute(timing: Timing) -> f64 {
    Duration::from_mins(1).as_secs_f64() / timing.interval.as_secs_f64()
}

/// With one decimal, unless that is zero.
fn rounded(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
