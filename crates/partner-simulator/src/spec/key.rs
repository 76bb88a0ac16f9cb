//! What keys are like when they come into being.

use crate::refusal::Refusal;
use crate::spec::limits::Limits;
use crate::spec::login::LoginSpec;

/// What a token opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// One society.
    Society {
        /// The schema that holds it.
        schema: u64,
        /// Its id.
        society: u64,
    },
    /// A whole schema.
    Firm {
        /// Its id.
        schema: u64,
        /// The person in the token's claims.
        person: u64,
        /// The societies a `society-id` may name.
        societies: Vec<u64>,
    },
}

/// How a new key becomes an active one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// `canBeActivated`; where it is false, the key stays as it is whatever is called.
    pub possible: bool,
    /// Whether the very answer that activates the key says so already, or the next one first.
    pub shown_at_once: bool,
    /// Whether any accepted call activates, or `key/info?mode=extended` alone.
    pub by_any_call: bool,
    /// What calls other than key/info get before activation; `None`: they are accepted.
    pub refused_before: Option<Refusal>,
}

impl Default for Activation {
    fn default() -> Self {
        Self { possible: true, shown_at_once: false, by_any_call: true, refused_before: None }
    }
}

/// The `version` of key/info.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The key's.
    pub current: u32,
    /// The newest there is.
    pub latest: u32,
    /// Whether the key's is a beta.
    pub beta: bool,
}

/// What a token looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenForm {
    /// A JWT, with an `exp` claim where the token ends.
    #[default]
    JwtWithExp,
    /// A JWT without `exp`: MyUnisoft's documentation calls the claim optional.
    Jwt,
    /// Nothing that a client could read.
    Opaque,
}

/// A key, as it is at the start. Its name is unique in the simulator: a second key of that name replaces the first.
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// By which tests call it; never sent.
    pub name: String,
    /// What it opens.
    pub access: Access,
    /// Its token, where it isn't to be minted.
    pub token: Option<String>,
    /// The shape of minted tokens.
    pub form: TokenForm,
    /// Whether it was activated before.
    pub activated: bool,
    /// How it gets activated.
    pub activation: Activation,
    /// Why it is refused, where it is.
    pub refusal: Option<Refusal>,
    /// Routes it may not call, and what those answer.
    pub forbidden: Vec<(String, Refusal)>,
    /// What key/info says of its version.
    pub version: Version,
    /// Its budget, where it isn't the simulator's default.
    pub limits: Option<Limits>,
    /// The account behind it: it then has no token but those that log-ins give.
    pub login: Option<LoginSpec>,
}

impl KeySpec {
    /// An active key for one society.
    #[must_use]
    pub fn society(name: &str, schema: u64, society: u64) -> Self {
        Self::new(name, Access::Society { schema, society })
    }

    /// An active key for a schema, and the societies its calls may name.
    #[must_use]
    pub fn firm(name: &str, schema: u64, societies: &[u64]) -> Self {
        Self::new(name, Access::Firm { schema, person: 3001, societies: societies.to_vec() })
    }

    /// An API Cabinet account; its tokens open the firm chosen at log-in.
    #[must_use]
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
            forbidden: Vec::new(),
            version: Version { current: 1, latest: 1, beta: false },
            limits: None,
            login: None,
        }
    }

    /// Not activated yet; the first accepted call activates it, and key/info says so from the second answer on.
    #[must_use]
    pub fn pending(mut self) -> Self {
        self.activated = false;
        self
    }

    /// Not activated yet, and `canBeActivated` is false.
    #[must_use]
    pub fn never_activated(mut self) -> Self {
        self.activated = false;
        self.activation.possible = false;
        self
    }

    /// How it gets activated.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// With this token.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// With minted tokens of this form.
    #[must_use]
    pub fn token_form(mut self, form: TokenForm) -> Self {
        self.form = form;
        self
    }

    /// Every call is refused.
    #[must_use]
    pub fn refused(mut self, refusal: Refusal) -> Self {
        self.refusal = Some(refusal);
        self
    }

    /// Calls to this route (path without query) are refused, and key/info doesn't list it.
    #[must_use]
    pub fn forbidden(mut self, route: &str, refusal: Refusal) -> Self {
        self.forbidden.push((route.to_owned(), refusal));
        self
    }

    /// With a budget of its own.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// With this version in key/info.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }
}
