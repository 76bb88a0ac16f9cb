//! The initial settings of a key.

use crate::refusal::Refusal;
use crate::spec::limits::Limits;
use crate::spec::login::LoginSpec;

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
        /// The person in the token's claims.
        person: u64,
        /// The societies that the `society-id` header may name.
        societies: Vec<u64>,
    },
}

/// How a new key is activated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// `canBeActivated` in key/info. If it is false, no request activates the key.
    pub possible: bool,
    /// Whether the response that activates the key already says so. If false, the next response says so.
    pub shown_at_once: bool,
    /// Whether any accepted request activates the key. If false, only `key/info?mode=extended` does.
    pub by_any_call: bool,
    /// How requests to routes other than key/info are refused before activation. `None`: they are accepted.
    pub refused_before: Option<Refusal>,
}

impl Default for Activation {
    fn default() -> Self {
        Self { possible: true, shown_at_once: false, by_any_call: true, refused_before: None }
    }
}

/// The `version` object of key/info.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A key at the start. The name is unique in the simulator: a second key with the same name replaces the first.
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
    pub forbidden: Vec<(String, Refusal)>,
    pub version: Version,
    /// The budget. `None`: the simulator's default.
    pub limits: Option<Limits>,
    /// The account of the key. Such a key has no token until its first log-in.
    pub login: Option<LoginSpec>,
}

impl KeySpec {
    /// An active key for one society.
    pub fn society(name: &str, schema: u64, society: u64) -> Self {
        Self::new(name, Access::Society { schema, society })
    }

    /// An active key for a schema, and the societies that its requests may name.
    pub fn firm(name: &str, schema: u64, societies: &[u64]) -> Self {
        Self::new(name, Access::Firm { schema, person: 3001, societies: societies.to_vec() })
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
            forbidden: Vec::new(),
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
        self.forbidden.push((route.to_owned(), refusal));
        self
    }
}
