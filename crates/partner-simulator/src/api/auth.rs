//! Authentication and authorisation: token, secret, budget, concurrency and forbidden routes.

use std::sync::Arc;

use http::HeaderMap;
use tokio::time::Instant;

use crate::paths::KEY_INFO;
use crate::refusal::Refusal;
use crate::request_info::RequestInfo;
use crate::shared::Shared;
use crate::spec::key::Access;
use crate::state::State;
use crate::state::partner::PartnerState;
use crate::state::token::{token_not_found, unknown_token_code};

/// The key of an accepted request, and what its token gives access to.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) key: Arc<str>,
    pub(crate) access: Access,
    pub(crate) society_id: Option<String>,
}

/// Finds the key and the partner of a request without checking whether they are accepted.
pub(crate) fn identify(state: &State, info: &mut RequestInfo) {
    let token = info.bearer.as_ref().and_then(|token| state.tokens.get(token));
    let account = info.mail.as_ref().and_then(|mail| state.accounts.get(mail));
    info.key = token.map(|token| &token.key).or(account.map(|account| &account.key)).cloned();
    let partner = info.secret.as_deref().and_then(|secret| partner_with_secret(state, secret));
    info.partner = partner.map(|(name, _)| Arc::clone(name));
}

fn partner_with_secret<'a>(state: &'a State, secret: &str) -> Option<(&'a Arc<str>, &'a PartnerState)> {
    state.partners.iter().find(|(_, partner)| partner.secret == secret)
}

/// Checks a request to an authenticated route. `budget_headers` gets the budget headers as soon as the token is known,
/// whether the request is accepted or refused.
pub(crate) fn authorize(
    shared: &Shared,
    info: &RequestInfo,
    budget_headers: &mut HeaderMap,
) -> Result<Caller, Refusal> {
    let mut state = shared.lock();
    let caller = authenticate(&state, info)?;
    charge_budget(&mut state, shared, info, budget_headers)?;
    check_concurrency(&state, shared, info, &caller)?;
    check_route(&state, info, &caller)?;
    Ok(caller)
}

/// Checks the secret, then the token. If both are wrong, the API's documentation does not say which error is
/// reported. Here it is the error of the secret.
fn authenticate(state: &State, info: &RequestInfo) -> Result<Caller, Refusal> {
    let bearer = info.bearer.as_ref().ok_or(Refusal::new("ERR-INVALID-AUTH-HEADER"))?;
    let secret = info.secret.as_deref().ok_or(Refusal::new("ERR-SECRET-HEADER-NOT-SET"))?;
    let (partner, partner_state) =
        partner_with_secret(state, secret).ok_or(Refusal::new("ERR-INVALID-SECRET"))?;
    if let Some(refusal) = &partner_state.refusal {
        return Err(refusal.clone());
    }
    let token = state.tokens.get(bearer).ok_or_else(|| Refusal::new(unknown_token_code(bearer)))?;
    let key = state.keys.get(&token.key).ok_or_else(|| token_not_found(&token.access))?;
    if key.partner != *partner {
        return Err(Refusal::new("ERR-INVALID-SECRET"));
    }
    if token.is_expired(Instant::now()) {
        return Err(token.refusal_after_expiry.clone());
    }
    match &key.refusal {
        Some(refusal) => Err(refusal.clone()),
        None => Ok(Caller {
            key: Arc::clone(&token.key),
            access: token.access.clone(),
            society_id: info.society_id.clone(),
        }),
    }
}

fn charge_budget(
    state: &mut State,
    shared: &Shared,
    info: &RequestInfo,
    budget_headers: &mut HeaderMap,
) -> Result<(), Refusal> {
    let State { tokens, keys, .. } = state;
    let Some(token) = info.bearer.as_ref().and_then(|bearer| tokens.get_mut(bearer)) else { return Ok(()) };
    let Some(key) = keys.get(&token.key) else { return Ok(()) };
    let cost = shared.costs.get(&info.route).copied().unwrap_or(1);
    let within_budget = token.budget.try_spend(cost, &key.limits, Instant::now());
    *budget_headers = token.budget.headers(&key.limits, Instant::now(), &shared.clock);
    if within_budget { Ok(()) } else { Err(Refusal::new("ERR-TOO-MANY-REQUEST")) }
}

fn check_concurrency(
    state: &State,
    shared: &Shared,
    info: &RequestInfo,
    caller: &Caller,
) -> Result<(), Refusal> {
    let limit = shared.concurrency;
    let traffic = match state.keys.get(&caller.key) {
        Some(key) if limit.per_key => &key.traffic,
        _ => &state.traffic,
    };
    if traffic.in_flight(&info.route) > limit.limit { Err(Refusal::new(limit.code)) } else { Ok(()) }
}

fn check_route(state: &State, info: &RequestInfo, caller: &Caller) -> Result<(), Refusal> {
    let Some(key) = state.keys.get(&caller.key) else { return Ok(()) };
    let forbidden = key.forbidden.get(&info.route);
    let too_early = match &key.activation.refused_before {
        refusal @ Some(_) if !key.activated && info.route != KEY_INFO => refusal.as_ref(),
        _ => None,
    };
    match forbidden.or(too_early) {
        Some(refusal) => Err(refusal.clone()),
        None => Ok(()),
    }
}

/// Activates a new key, because its request was accepted.
pub(crate) fn activate_key(shared: &Shared, info: &RequestInfo, caller: &Caller) {
    if let Some(key) = shared.lock().keys.get_mut(&caller.key)
        && key.activation.possible
        && (info.is_extended_key_info() || key.activation.by_any_call)
    {
        key.activated = true;
    }
}
