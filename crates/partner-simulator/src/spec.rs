//! The initial settings of partners, keys and accounts.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use crate::refusal::{BodyForm, Refusal};

/// A partner and its initial keys.
#[derive(Clone, Debug)]
pub struct PartnerSpec {
    /// The name that tests use. It is never sent.
    pub name: String,
    /// The value of the `X-Third-Party-Secret` header.
    pub secret: String,
    /// If set, all requests with this secret are refused.
    pub refusal: Option<Refusal>,
    pub keys: Vec<KeySpec>,
}

impl PartnerSpec {
    /// A partner with an active secret.
    pub fn new(name: &str, secret: &str) -> Self {
        Self { name: name.to_owned(), secret: secret.to_owned(), refusal: None, keys: Vec::new() }
    }

    /// The secret is not active yet: MyUnisoft activates it by hand, some time after generating it.
    #[must_use]
    pub fn secret_pending(mut self) -> Self {
        self.refusal = Some(Refusal::new("ERR-INVALID-SECRET"));
        self
    }

    #[must_use]
    pub fn key(mut self, key: KeySpec) -> Self {
        self.keys.push(key);
        self
    }
}

/// What a token gives access to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// One society.
    Society {
        /// The schema that contains the society.
        schema: u64,
        society: u64,
    },
    /// A whole schema.
    Firm {
        schema: u64,
        /// The societies that the `society-id` header may name.
        societies: Vec<u64>,
    },
}

impl Access {
    pub(crate) fn schema(&self) -> u64 {
        match self {
            Self::Society { schema, .. } | Self::Firm { schema, .. } => *schema,
        }
    }

    /// The societies that a request may be about.
    pub(crate) fn societies(&self) -> &[u64] {
        match self {
            Self::Society { society, .. } => std::slice::from_ref(society),
            Self::Firm { societies, .. } => societies,
        }
    }
}

/// How a new key is activated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// `canBeActivated` in key/info. If it is false, no request activates the key.
    pub possible: bool,
    /// Whether the response that activates the key already says so. If false, the next response says so.
    pub reported_immediately: bool,
    /// Whether any accepted request activates the key. If false, only `key/info?mode=extended` does.
    pub by_any_call: bool,
    /// How requests to all routes except key/info are refused before activation. `None`: they are accepted.
    pub refused_before: Option<Refusal>,
}

impl Default for Activation {
    fn default() -> Self {
        Self { possible: true, reported_immediately: false, by_any_call: true, refused_before: None }
    }
}

/// The `version` object of key/info.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Version {
    /// The version of the key.
    pub current: u32,
    /// The newest version.
    pub latest: u32,
    /// Whether the version of the key is a beta.
    pub beta: bool,
}

/// The format of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenForm {
    /// A JWT. It has an `exp` claim if the token expires.
    #[default]
    JwtWithExp,
    /// A JWT without `exp`: MyUnisoft's documentation says that the claim is optional.
    Jwt,
    /// A text that clients cannot decode.
    Opaque,
}

/// The initial settings of a key. A key replaces an earlier key with the same name.
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// The name that tests use. It is never sent.
    pub name: String,
    pub access: Access,
    /// The token. `None`: the simulator generates one.
    pub token: Option<String>,
    /// The format of generated tokens.
    pub form: TokenForm,
    /// Whether the key is active at the start.
    pub activated: bool,
    pub activation: Activation,
    /// If set, all requests with this key are refused.
    pub refusal: Option<Refusal>,
    /// The routes (paths without query) that the key may not use, and their refusals.
    pub forbidden: BTreeMap<String, Refusal>,
    pub version: Version,
    /// The budget. `None`: the simulator's default.
    pub limits: Option<Limits>,
    /// The account of the key. Such a key has no token until its first log-in. Keys with the same e-mail address share
    /// the account: it has the firms of all its keys, and otherwise the settings of the key added first.
    pub login: Option<LoginSpec>,
}

impl KeySpec {
    /// An active key for one society.
    pub fn society(name: &str, schema: u64, society: u64) -> Self {
        Self::new(name, Access::Society { schema, society })
    }

    /// An active key for a schema, and the societies that its requests may name.
    pub fn firm(name: &str, schema: u64, societies: &[u64]) -> Self {
        Self::new(name, Access::Firm { schema, societies: societies.to_vec() })
    }

    /// A key with an API Cabinet account. Its tokens give access to the firm chosen at log-in.
    pub fn login(name: &str, login: LoginSpec) -> Self {
        let schema = login.firms.first().map_or(0, |firm| firm.id);
        let mut key = Self::firm(name, schema, &[]);
        key.login = Some(login);
        key
    }

    fn new(name: &str, access: Access) -> Self {
        Self {
            name: name.to_owned(),
            access,
            token: None,
            form: TokenForm::default(),
            activated: true,
            activation: Activation::default(),
            refusal: None,
            forbidden: BTreeMap::new(),
            version: Version { current: 1, latest: 1, beta: false },
            limits: None,
            login: None,
        }
    }

    /// Not active yet. The first accepted request activates the key; key/info says so from the second response on.
    #[must_use]
    pub fn pending(mut self) -> Self {
        self.activated = false;
        self
    }

    /// Not active yet, and `canBeActivated` is false.
    #[must_use]
    pub fn never_activated(mut self) -> Self {
        self.activated = false;
        self.activation.possible = false;
        self
    }

    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Uses this token instead of a generated one.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Refuses all requests with this key.
    #[must_use]
    pub fn refused(mut self, refusal: Refusal) -> Self {
        self.refusal = Some(refusal);
        self
    }

    /// Refuses requests to this route (path without query). key/info does not list the route.
    #[must_use]
    pub fn forbidden(mut self, route: &str, refusal: Refusal) -> Self {
        self.forbidden.insert(route.to_owned(), refusal);
        self
    }
}

/// How many requests a token may make in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The number of requests in one window.
    pub total: u32,
    /// The duration of a window. A window starts with its first request.
    pub window: Duration,
    pub headers: RateHeaders,
    pub retry_after: RetryAfter,
}

impl Default for Limits {
    /// MyUnisoft's documented default: 20 requests in 10 seconds.
    fn default() -> Self {
        Self {
            total: 20,
            window: Duration::from_secs(10),
            headers: RateHeaders::default(),
            retry_after: RetryAfter::default(),
        }
    }
}

/// The format of the `X-Rate-Limit-…` headers. The API's documentation does not give the unit of `Reset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateHeaders {
    /// Seconds since the Unix epoch with a fraction (`1596442585.866154`), as in a real response.
    #[default]
    Seconds,
    /// Milliseconds since the Unix epoch.
    Milliseconds,
    /// Without `Reset`.
    WithoutReset,
    /// The values are not numbers.
    Garbage,
    /// Without the three headers.
    Absent,
}

/// The `Retry-After` header of a request beyond the budget. The API's documentation does not mention it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryAfter {
    #[default]
    Absent,
    /// The seconds until the window ends.
    Seconds,
    /// A date after the end of the window.
    Date,
}

/// A firm in a log-in response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmSpec {
    /// The numeric ID. It is also the schema in tokens.
    pub id: u64,
    pub label: String,
    /// The societies that the `society-id` header may name.
    pub societies: Vec<u64>,
}

/// The `status` in an answer of the log-in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginStatus {
    /// The answer contains a token.
    Authenticated,
    /// The log-in must name one of several firms.
    FirmSelection,
    /// A person must choose a new password.
    UpdatePassword,
    /// A person must type a code that is sent to them.
    RequireOtp,
    /// A person must accept the terms of use.
    RequireCguApproval,
}

/// Which earlier tokens of the account a log-in ends. The API's documentation does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndedTokens {
    #[default]
    None,
    SameFirm,
    AllFirms,
}

/// An API Cabinet account.
#[derive(Clone, Debug)]
pub struct LoginSpec {
    /// The e-mail address. Each account has another one.
    pub mail: String,
    pub password: String,
    /// The firms of the account. If there are several, a log-in must name one.
    pub firms: Vec<FirmSpec>,
    /// The lifetime of a token. The API's documentation says four hours.
    pub lifetime: Duration,
    /// The time zone of `expiresIn`, in minutes east of UTC. The API's documentation does not name the zone.
    pub offset_minutes: i32,
    /// How requests are refused with a token that has expired or that another log-in has ended.
    pub expired: Refusal,
    /// How many consecutive refusals lock the account.
    pub lock_after: u32,
    /// The `status` of the answers to correct passwords. `None`: as documented, a token without `status`, or
    /// `firm-selection` if the account has several firms and the log-in names none.
    pub status: Option<LoginStatus>,
    /// The HTTP status of the answers without a token. It is not documented.
    pub status_without_token: StatusCode,
    /// Whether `firm.id` in an answer is a text. Otherwise it is a number.
    pub firm_id_as_text: bool,
    /// The format of refusals. The API's documentation does not give it for the log-in service.
    pub refusal_form: BodyForm,
    pub ended_tokens: EndedTokens,
}

impl LoginSpec {
    /// An account without a firm.
    pub fn new(mail: &str, password: &str) -> Self {
        Self {
            mail: mail.to_owned(),
            password: password.to_owned(),
            firms: Vec::new(),
            lifetime: Duration::from_hours(4),
            offset_minutes: 0,
            expired: Refusal::new("ERR-FIRM-TOKEN-NOT-FOUND"),
            lock_after: 5,
            status: None,
            status_without_token: StatusCode::OK,
            firm_id_as_text: false,
            refusal_form: BodyForm::default(),
            ended_tokens: EndedTokens::default(),
        }
    }

    /// Adds a firm.
    #[must_use]
    pub fn firm(mut self, id: u64, label: &str) -> Self {
        self.firms.push(FirmSpec { id, label: label.to_owned(), societies: Vec::new() });
        self
    }

    /// Adds a society to the firm added last.
    #[must_use]
    pub fn society(mut self, id: u64) -> Self {
        if let Some(firm) = self.firms.last_mut() {
            firm.societies.push(id);
        }
        self
    }

    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the time zone of `expiresIn`, in minutes east of UTC.
    #[must_use]
    pub fn offset_minutes(mut self, minutes: i32) -> Self {
        self.offset_minutes = minutes;
        self
    }

    /// Sets how many consecutive refusals lock the account.
    #[must_use]
    pub fn lock_after(mut self, refusals: u32) -> Self {
        self.lock_after = refusals;
        self
    }
}
