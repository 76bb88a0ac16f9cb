//! Authentication and authorization: token, secret, budget, concurrency and forbidden routes.

use std::sync::Arc;

use http::HeaderMap;
use tokio::time::Instant;

use crate::paths::KEY_INFO;
use crate::refusal::Refusal;
use crate::request::RequestInfo;
use crate::spec::Access;
use crate::state::token::{TokenState, token_not_found, unknown_token_code};
use crate::state::{KeyState, PartnerState, Shared, State};

/// The key of an accepted request, and what its token gives access to.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) key: Arc<str>,
    pub(crate) access: Access,
    /// Whether the request has a `society-id` header.
    pub(crate) names_society: bool,
    /// The society that the request is about.
    pub(crate) society: Option<u64>,
}

/// Finds the key and the partner of a request without checking whether they are accepted.
pub(crate) fn identify(state: &State, info: &mut RequestInfo) {
    let token = info.bearer.as_ref().and_then(|token| state.tokens.get(token));
    let log_in = info.log_in.as_ref().and_then(|log_in| Some((log_in, state.accounts.get(&log_in.mail)?)));
    let firm = log_in.and_then(|(log_in, account)| account.choose_firm(log_in.firm.as_ref()).ok()?);
    let firm = firm.map(|firm| firm.id);
    let key_of_account = log_in.and_then(|(_, account)| account.key_of(firm));
    info.call.key = token.map(|token| &token.key).or(key_of_account).cloned();
    info.call.schema = token.map(|token| token.access.schema()).or(firm);
    info.call.society = match token.map(|token| &token.access) {
        Some(Access::Society { society, .. }) => Some(*society),
        Some(Access::Firm { .. }) | None => info.call.society_id.as_deref().and_then(|id| id.parse().ok()),
    };
    let partner = info.secret.as_deref().and_then(|secret| partner_with_secret(state, secret));
    info.call.partner = partner.map(|(name, _)| Arc::clone(name));
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
    let route = info.call.route();
    let (clock, concurrency) = (state.clock, state.concurrency);
    let cost = state.costs.get(route).copied().unwrap_or(1);
    let simultaneous = state.traffic.simultaneous(concurrency.group(&info.call));

    let (token, key) = authenticate(&mut state, info)?;
    let within_budget = token.budget.try_spend(cost);
    *budget_headers = token.budget.headers(&clock);
    if !within_budget {
        budget_headers.extend(token.budget.retry_after(&clock));
        return Err(Refusal::new("ERR-TOO-MANY-REQUEST"));
    }
    if simultaneous > concurrency.limit {
        return Err(Refusal::new(concurrency.code));
    }
    let too_early = key.spec.activation.refused_before.as_ref();
    let too_early = too_early.filter(|_| !key.spec.activated && route != KEY_INFO);
    match key.spec.forbidden.get(route).or(too_early) {
        Some(refusal) => Err(refusal.clone()),
        None => Ok(Caller {
            key: Arc::clone(&token.key),
            access: token.access.clone(),
            names_society: info.call.society_id.is_some(),
            society: info.call.society,
        }),
    }
}

/// Checks the secret, then the token. If both are wrong, the API's documentation does not say which error is
/// reported. Here it is the error of the secret.
fn authenticate<'a>(
    state: &'a mut State,
    info: &RequestInfo,
) -> Result<(&'a mut TokenState, &'a KeyState), Refusal> {
    let bearer = info.bearer.as_ref().ok_or(Refusal::new("ERR-INVALID-AUTH-HEADER"))?;
    let secret = info.secret.as_deref().ok_or(Refusal::new("ERR-SECRET-HEADER-NOT-SET"))?;
    let (partner, partner_state) =
        partner_with_secret(state, secret).ok_or(Refusal::new("ERR-INVALID-SECRET"))?;
    if let Some(refusal) = &partner_state.refusal {
        return Err(refusal.clone());
    }
    let partner = Arc::clone(partner);
    let State { tokens, keys, .. } = state;
    let token = tokens.get_mut(bearer).ok_or_else(|| Refusal::new(unknown_token_code(bearer)))?;
    let key = keys.get(&token.key).ok_or_else(|| token_not_found(&token.access))?;
    if key.partner != partner {
        return Err(Refusal::new("ERR-INVALID-SECRET"));
    }
    if token.expires_at.is_some_and(|end| end <= Instant::now()) {
        return Err(token.refusal_after_expiry.clone());
    }
    match &key.spec.refusal {
        Some(refusal) => Err(refusal.clone()),
        None => Ok((token, key)),
    }
}

/// Activates a new key, because its request was accepted.
pub(crate) fn activate_key(shared: &Shared, info: &RequestInfo, caller: &Caller) {
    if let Some(KeyState { spec, .. }) = shared.lock().keys.get_mut(&caller.key)
        && spec.activation.possible
        && (info.call.is_extended_key_info() || spec.activation.by_any_call)
    {
        spec.activated = true;
    }
}
