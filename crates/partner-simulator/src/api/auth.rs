//! Who may call what: authentication, budget, and what each key is refused.

use std::sync::Arc;

use http::HeaderMap;
use tokio::time::Instant;

use crate::paths::KEY_INFO;
use crate::refusal::Refusal;
use crate::request_info::Asked;
use crate::shared::World;
use crate::spec::key::Access;
use crate::state::State;
use crate::state::partner::PartnerState;
use crate::state::token::{code_for_unknown, not_found};

/// An accepted call's key, and what its token opens.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) key: Arc<str>,
    pub(crate) opens: Access,
    pub(crate) society_id: Option<String>,
}

/// Says whose token, account and secret a request carries, without judging them.
pub(crate) fn attribute(state: &State, asked: &mut Asked) {
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
pub(crate) fn admit(world: &World, asked: &Asked, rate: &mut HeaderMap) -> Result<Caller, Refusal> {
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
pub(crate) fn used(world: &World, asked: &Asked, caller: &Caller) {
    if let Some(key) = world.lock().keys.get_mut(&caller.key)
        && key.activation.possible
        && (asked.is_extended_key_info() || key.activation.by_any_call)
    {
        key.activated = true;
    }
}
