//! Reads and checks a web configuration file (`--web.config.file`).
//!
//! The format is that of Prometheus' exporter-toolkit. A setting that this crate does not support is an
//! error: protection that is configured but missing is worse than no protection.

mod tls;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use checked_yaml::{Cursor, Diagnostics, Problem, Problems, Reported, Source, file};
use http::{HeaderName, HeaderValue};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

pub(crate) use tls::{ClientAuth, TlsConfig};

/// The costs that bcrypt allows: a hash with another cost cannot be computed.
const VALID_COSTS: std::ops::RangeInclusive<u32> = 4..=31;
/// From this cost on, one log-in takes seconds.
const SLOW_COST: u32 = 15;

/// A valid web configuration. The default has no protection: plain HTTP without users.
#[derive(Clone, Debug, Default)]
pub struct WebConfig {
    /// `None`: plain HTTP.
    pub(crate) tls: Option<TlsConfig>,
    /// Whether HTTP/2 is offered. It is offered over TLS only.
    pub(crate) http2: bool,
    /// Headers for each response. `None` removes a default header.
    pub(crate) headers: Headers,
    /// The users with a password; if there are none, no client is asked for a password. Names are unique.
    pub(crate) users: Vec<User>,
    /// `None`: no limit.
    pub(crate) rate_limit: Option<RateLimit>,
    /// The digest of all files that were read: equal digests mean equal protection.
    pub(crate) digest: [u8; 32],
}

/// An entry of `basic_auth_users`.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    /// The bcrypt hash of the password.
    pub(crate) hash: SecretString,
    /// The cost of the hash.
    pub(crate) cost: u32,
}

/// `rate_limit`: a token bucket; each request takes one token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    /// The time until one token is added; not zero.
    pub(crate) interval: Duration,
    /// The capacity of the bucket.
    pub(crate) burst: u32,
}

/// A web configuration, and what was found while it was read.
#[derive(Clone, Debug, Default)]
pub struct LoadedWebConfig {
    pub config: WebConfig,
    pub warnings: Vec<Problem>,
    /// Every file that was read: the web configuration file, certificates and keys.
    pub files: Vec<PathBuf>,
}

impl LoadedWebConfig {
    /// Describes the configuration and its warnings for a person.
    pub fn summary(&self) -> String {
        let WebConfig { tls, http2, users, rate_limit, .. } = &self.config;
        let tls = match tls {
            Some(tls) => {
                let http2 = if *http2 { ", HTTP/2" } else { "" };
                format!("TLS ({}{http2})", tls.client_certificates.auth)
            }
            None => "plain HTTP".to_owned(),
        };
        let users = match users.len() {
            0 => "no password required".to_owned(),
            1 => "1 user".to_owned(),
            several => format!("{several} users"),
        };
        let rate = rate_limit.map_or_else(String::new, |RateLimit { interval, burst }| {
            format!(", one request per {} (burst of {burst})", humantime::format_duration(interval))
        });
        let mut summary = format!("Web: {tls}, {users}{rate}\n");
        for warning in &self.warnings {
            // Writing to a string cannot fail.
            let _ = writeln!(summary, "warning: {warning}");
        }
        summary
    }
}

/// Reads a web configuration file, and the certificates and keys that it names.
///
/// # Errors
/// All errors of the file at once.
pub fn load(path: &Path) -> Result<LoadedWebConfig, Problems> {
    let diagnostics = Diagnostics::default();
    let mut files = Files::default();
    let source = Source::new(path, 0, &diagnostics);
    let config = read(&source, &mut files);
    source.finish();
    let (config, warnings) = diagnostics.into_result(config.unwrap_or_default())?;
    let config = WebConfig { digest: files.digest.finalize().into(), ..config };
    Ok(LoadedWebConfig { config, warnings, files: files.read })
}

/// The files that have been read so far.
#[derive(Default)]
struct Files {
    read: Vec<PathBuf>,
    digest: Sha256,
}

impl Files {
    fn record(&mut self, path: &Path, content: &[u8]) {
        self.read.push(path.to_owned());
        self.digest.update(Sha256::digest(content));
    }

    /// Reads the file that a field names.
    fn read_field(&mut self, at: &Cursor<'_>) -> Result<(PathBuf, Vec<u8>), Reported> {
        let path = at.path()?;
        let content =
            file::read(&path).map_err(|text| at.error(format!("the file {} {text}", path.display())))?;
        self.record(&path, &content);
        Ok((path, content))
    }
}

fn read(source: &Source<'_>, files: &mut Files) -> Result<WebConfig, Reported> {
    const FIELDS: [&str; 4] = ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"];
    let root = source.read()?;
    files.record(&source.path, &fs::read(&source.path).unwrap_or_default());
    let at = Cursor::root(source, &root);
    let fields = at.fields(&FIELDS)?;
    let tls =
        fields.optional("tls_server_config", |at| require_content(at).and_then(|()| tls::read(at, files)));
    let http = fields.optional("http_server_config", http_server);
    let users = fields.optional("basic_auth_users", |at| require_content(at).and_then(|()| users(at)));
    let rate_limit = fields.optional("rate_limit", rate_limit);
    let (http2, headers) = http?.unwrap_or((true, Vec::new()));
    Ok(WebConfig {
        tls: tls?,
        http2,
        headers,
        users: users?.unwrap_or_default(),
        rate_limit: rate_limit?.flatten(),
        digest: [0; 32],
    })
}

/// Refuses a protection without content: it is more likely an editor's half-finished save than a request
/// to have no protection.
fn require_content(at: &Cursor<'_>) -> Result<(), Reported> {
    if at.is_empty() {
        return Err(at.error("is empty; fill it, or remove it to run without this protection"));
    }
    Ok(())
}

type Headers = Vec<(HeaderName, Option<HeaderValue>)>;

fn http_server(at: &Cursor<'_>) -> Result<(bool, Headers), Reported> {
    let fields = at.fields(&["http2", "headers"])?;
    let http2 = fields.optional("http2", Cursor::boolean);
    let headers = fields.optional("headers", headers);
    Ok((http2?.unwrap_or(true), headers?.unwrap_or_default()))
}

fn headers(at: &Cursor<'_>) -> Result<Headers, Reported> {
    const CHOICES: [(&str, &[&str]); 5] = [
        ("Strict-Transport-Security", &[]),
        ("X-Content-Type-Options", &["nosniff"]),
        ("X-Frame-Options", &["deny", "sameorigin"]),
        ("X-XSS-Protection", &[]),
        ("Content-Security-Policy", &[]),
    ];
    let fields = at.fields(&CHOICES.map(|(name, _)| name))?;
    let mut headers = Vec::new();
    for (name, choices) in CHOICES {
        let value = fields.optional(name, |at| header_value(at, choices))?;
        if let (Some(value), Ok(name)) = (value, name.parse()) {
            headers.push((name, value));
        }
    }
    Ok(headers)
}

/// Reads the value of a header; `None` if it is blank.
fn header_value(at: &Cursor<'_>, choices: &[&str]) -> Result<Option<HeaderValue>, Reported> {
    if at.is_blank() {
        return Ok(None);
    }
    let choices: Vec<_> = choices.iter().map(|choice| (*choice, *choice)).collect();
    let text = if choices.is_empty() { at.text()? } else { at.one_of(&choices)? };
    HeaderValue::from_str(text)
        .map(Some)
        .map_err(|_| at.error("has a character that is not allowed in an HTTP header; remove it"))
}

fn users(section: &Cursor<'_>) -> Result<Vec<User>, Reported> {
    let mut users: Vec<User> = Vec::new();
    let mut outcome = Ok(());
    for (key, at) in section.entries()? {
        let name = key.name.as_str().to_owned();
        // An error about this entry would quote the hash.
        if name.contains("$2") {
            outcome = Err(section.error("has a hash in the place of a user's name; write `NAME: HASH`"));
            continue;
        }
        if users.iter().any(|user| user.name == name) {
            outcome = Err(at.error("is written twice; keep one"));
            continue;
        }
        match bcrypt_hash(&at) {
            Ok((hash, cost)) => users.push(User { name, hash, cost }),
            Err(reported) => outcome = Err(reported),
        }
        at.note_inline_secret();
    }
    outcome.map(|()| users)
}

/// Reads a bcrypt hash and its cost.
fn bcrypt_hash(at: &Cursor<'_>) -> Result<(SecretString, u32), Reported> {
    let text = at.text()?;
    let cost = text.parse::<bcrypt::HashParts>().map(|parts| parts.get_cost());
    match cost {
        Ok(cost) if VALID_COSTS.contains(&cost) => {
            if cost >= SLOW_COST {
                at.warning(format!(
                    "has the cost {cost}, so the first log-in takes seconds; use a cost of 10 to 12"
                ));
            }
            Ok((SecretString::from(text), cost))
        }
        _ => Err(at.error("is not a bcrypt hash; write what `htpasswd -nBC 10 NAME` prints after the colon")),
    }
}

fn rate_limit(at: &Cursor<'_>) -> Result<Option<RateLimit>, Reported> {
    let fields = at.fields(&["interval", "burst"])?;
    let interval =
        fields.required("interval", "add the time after which one more request is allowed", |at| {
            // Zero is the only duration that Go accepts without a unit. It means no limit.
            if at.text()? == "0" { Ok(Duration::ZERO) } else { at.duration() }
        });
    if matches!(interval, Ok(Duration::ZERO)) {
        // No limit, whatever the burst is.
        return fields.optional("burst", |at| at.number::<u32>("a whole number")).map(|_| None);
    }
    let burst = fields.required("burst", "add the number of requests that are allowed at once", |at| {
        let burst = at.number("a whole number from 1")?;
        if burst == 0 {
            return Err(at.error("is zero, so every request would be refused; write a whole number from 1"));
        }
        Ok(burst)
    });
    let (interval, burst) = (interval?, burst?);
    Ok(Some(RateLimit { interval, burst }))
}
