//! Who may call what: authentication, budget, and what each key is refused.

use std::sync::Arc;

use axum::extract::Request;
use http::{HeaderMap, header};
use tokio::time::Instant;

use super::fault::Concerned;
use super::refusal::Refusal;
use super::routes::KEY_INFO;
use super::spec::Access;
use super::state::{PartnerState, State, World, not_found};
use super::tokens::code_for_unknown;

/// What a request says of itself.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) url: String,
    pub(super) route: String,
    pub(super) bearer: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) society_id: Option<String>,
    pub(super) accepts_gzip: bool,
    /// The account that a log-in names.
    pub(super) mail: Option<String>,
    /// Whose the token or the account is, even one that isn't accepted.
    pub(super) key: Option<Arc<str>>,
    /// Whose the secret is.
    pub(super) partner: Option<Arc<str>>,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        let header = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
        let bearer = header(header::AUTHORIZATION.as_str()).and_then(|value| {
            let token = value.strip_prefix("Bearer ")?.trim();
            (!token.is_empty()).then(|| token.to_owned())
        });
        Self {
            method: request.method().to_string(),
            url: request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            route: request.uri().path().to_owned(),
            bearer,
            secret: header("x-third-party-secret"),
            society_id: header("society-id"),
            accepts_gzip: header("accept-encoding").is_some_and(|accepted| accepted.contains("gzip")),
            mail: None,
            key: None,
            partner: None,
        }
    }

    fn is_extended_key_info(&self) -> bool {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        self.route == KEY_INFO && query.split('&').any(|parameter| parameter == "mode=extended")
    }

    pub(super) fn concerned(&self) -> Concerned<'_> {
        Concerned { route: &self.route, partner: self.partner.as_deref(), key: self.key.as_deref() }
    }
}

/// An accepted call's key, and what its token opens.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) key: Arc<str>,
    pub(super) opens: Access,
    pub(super) society_id: Option<String>,
}

/// Says whose token, account and secret a request carries, without judging them.
pub(super) fn attribute(state: &State, asked: &mut Asked) {
    let token = asked.bearer.as_ref().and_then(|token| state.tokens.get(token));
    let account = asked.mail.as_ref().and_then(|mail| state.accounts.get(mail));
    asked.key = token.map(|token| &token.key).or(account.map(|account| &account.key)).cloned();
    let partner = asked.secret.as_deref().and_then(|secret| owner(state, secret));
    asked.partner = partner.map(|(name, _)| Arc::clone(name));
}

fn owner<'a>(state: &'a State, secret: &str) -> Option<(&'a Arc<str>, &'a PartnerState)> {
    state.partners.iter().find(|(_, partner)| partner.secret == secret)
}

/// Judges a call to an authenticated route. Whatever the verdict, the headers tell of the budget once it is known
/// whose it is.
pub(super) fn admit(world: &World, asked: &Asked, rate: &mut HeaderMap) -> Result<Caller, Refusal> {
    let mut state = world.lock();
    let caller = recognise(&state, asked)?;
    charge(&mut state, world, asked, rate)?;
    limit_concurrency(&state, world, asked, &caller)?;
    allow(&state, asked, &caller)?;
    Ok(caller)
}

/// Token and secret. The documentation doesn't tell which of two bad ones is reported; here it is the secret.
fn recognise(state: &State, asked: &Asked) -> Result<Caller, Refusal> {
    let bearer = asked.bearer.as_ref().ok_or(Refusal::new("ERR-INVALID-AUTH-HEADER"))?;
    let secret = asked.secret.as_deref().ok_or(Refusal::new("ERR-SECRET-HEADER-NOT-SET"))?;
    let (partner, its) = owner(state, secret).ok_or(Refusal::new("ERR-INVALID-SECRET"))?;
    if let Some(refusal) = &its.refusal {
        return Err(refusal.clone());
    }
    let token = state.tokens.get(bearer).ok_or_else(|| Refusal::new(code_for_unknown(bearer)))?;
    let key = state.keys.get(&token.key).ok_or_else(|| not_found(&token.opens))?;
    if key.partner != *partner {
        return Err(Refusal::new("ERR-INVALID-SECRET"));
    }
    if token.has_ended(Instant::now()) {
        return Err(token.ended.clone());
    }
    match &key.refusal {
        Some(refusal) => Err(refusal.clone()),
        None => Ok(Caller {
            key: Arc::clone(&token.key),
            opens: token.opens.clone(),
            society_id: asked.society_id.clone(),
        }),
    }
}

fn charge(state: &mut State, world: &World, asked: &Asked, rate: &mut HeaderMap) -> Result<(), Refusal> {
    let State { tokens, keys, .. } = state;
    let Some(token) = asked.bearer.as_ref().and_then(|bearer| tokens.get_mut(bearer)) else { return Ok(()) };
    let Some(key) = keys.get(&token.key) else { return Ok(()) };
    let cost = world.costs.get(&asked.route).copied().unwrap_or(1);
    let paid = token.budget.take(cost, &key.limits, Instant::now());
    *rate = token.budget.headers(&key.limits, Instant::now(), &world.clock);
    if paid { Ok(()) } else { Err(Refusal::new("ERR-TOO-MANY-REQUEST")) }
}

fn limit_concurrency(state: &State, world: &World, asked: &Asked, caller: &Caller) -> Result<(), Refusal> {
    let limit = world.concurrency;
    let traffic = match state.keys.get(&caller.key) {
        Some(key) if limit.per_key => &key.traffic,
        _ => &state.traffic,
    };
    if traffic.in_flight(&asked.route) > limit.limit { Err(Refusal::new(limit.code)) } else { Ok(()) }
}

fn allow(state: &State, asked: &Asked, caller: &Caller) -> Result<(), Refusal> {
    let Some(key) = state.keys.get(&caller.key) else { return Ok(()) };
    let forbidden = key.forbidden.get(&asked.route);
    let too_early = match &key.activation.refused_before {
        refusal @ Some(_) if !key.activated && asked.route != KEY_INFO => refusal.as_ref(),
        _ => None,
    };
    match forbidden.or(too_early) {
        Some(refusal) => Err(refusal.clone()),
        None => Ok(()),
    }
}

/// An accepted call is what a new key was waiting for.
pub(super) fn used(world: &World, asked: &Asked, caller: &Caller) {
    if let Some(key) = world.lock().keys.get_mut(&caller.key)
        && key.activation.possible
        && (asked.is_extended_key_info() || key.activation.by_any_call)
    {
        key.activated = true;
    }
}
