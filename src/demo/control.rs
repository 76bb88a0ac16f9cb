//! The routes with which an operator changes the simulated API during a rehearsal.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use partner_simulator::{Fault, Scope, Simulator};
use strum::{EnumString, IntoStaticStr, VariantArray};
use tracing::info;

use super::partners;
use super::scenario::{SLOW_RESPONSE, end_faults};

/// What can happen to a key.
#[derive(Clone, Copy, Debug, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
enum KeyAction {
    Activate,
    Deactivate,
    Revoke,
    Restore,
    Disconnect,
    ReplaceToken,
}

/// What can happen to the secret of a partner.
#[derive(Clone, Copy, Debug, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
enum SecretAction {
    Activate,
    Deactivate,
}

/// What can happen to the whole API.
#[derive(Clone, Copy, Debug, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
enum ApiAction {
    Slow,
    Maintenance,
    Proxy,
    Heal,
}

/// A text, and the status of the response.
type Answer = (StatusCode, String);

/// `GET /` says what can be requested; each `POST` changes something.
pub(crate) fn control(simulator: Simulator) -> Router {
    Router::new()
        .route("/", get(async || help()))
        .route("/keys/{key}/{action}", post(change_key))
        .route("/secrets/{partner}/{action}", post(change_secret))
        .route("/api/{action}", post(change_api))
        .fallback(async || (StatusCode::NOT_FOUND, help()))
        .with_state(simulator)
}

fn names<'a, T: Copy + Into<&'static str> + 'a>(actions: &'a [T]) -> String {
    actions.iter().map(|action| (*action).into()).collect::<Vec<&str>>().join(", ")
}

fn help() -> String {
    let mut text = "Change the simulated API with POST requests:\n".to_owned();
    let lines = [
        ("/keys/KEY/ACTION       ", names(KeyAction::VARIANTS)),
        ("/secrets/PARTNER/ACTION", names(SecretAction::VARIANTS)),
        ("/api/ACTION            ", names(ApiAction::VARIANTS)),
    ];
    for (route, actions) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {route}  ACTION: {actions}");
    }
    for partner in partners() {
        let keys = partner.keys.iter().map(|key| &*key.name).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "Keys of {}: {keys}", partner.name);
    }
    text
}

fn unknown() -> Answer {
    (StatusCode::NOT_FOUND, format!("There is no such name or action.\n{}", help()))
}

fn told(text: String) -> Answer {
    info!("demo: on request: {text}");
    (StatusCode::OK, text + "\n")
}

async fn change_key(
    State(simulator): State<Simulator>,
    Path((name, action)): Path<(String, String)>,
) -> Answer {
    let (Some(key), Ok(action)) = (simulator.key(&name), action.parse()) else { return unknown() };
    told(match action {
        KeyAction::Activate => {
            key.activate();
            format!("{name}'s key is activated")
        }
        KeyAction::Deactivate => {
            key.set_pending();
            format!("{name}'s key waits for its activation")
        }
        KeyAction::Revoke => {
            key.revoke();
            format!("{name}'s key is revoked")
        }
        KeyAction::Restore => {
            key.restore();
            format!("{name}'s key works again")
        }
        KeyAction::Disconnect => {
            key.disconnect("Rehearsal");
            format!("{name}'s integration is disconnected")
        }
        // The response is the new token, so that it can be written into the token file.
        KeyAction::ReplaceToken => {
            info!("demo: on request: {name}'s key has a new token, which waits for its activation");
            return match key.replace_token() {
                Some(token) => (StatusCode::OK, token + "\n"),
                None => unknown(),
            };
        }
    })
}

async fn change_secret(
    State(simulator): State<Simulator>,
    Path((name, action)): Path<(String, String)>,
) -> Answer {
    let (Some(partner), Ok(action)) = (simulator.partner(&name), action.parse()) else { return unknown() };
    told(match action {
        SecretAction::Activate => {
            partner.activate_secret();
            format!("{name}'s secret is activated")
        }
        SecretAction::Deactivate => {
            partner.deactivate_secret();
            format!("{name}'s secret is refused")
        }
    })
}

async fn change_api(State(simulator): State<Simulator>, Path(action): Path<String>) -> Answer {
    let Ok(action) = action.parse() else { return unknown() };
    end_faults(&simulator);
    let text = match action {
        ApiAction::Slow => {
            simulator.inject(Scope::Everything, Fault::Delay(SLOW_RESPONSE));
            "the API is slow"
        }
        ApiAction::Maintenance => {
            simulator.begin_maintenance();
            "announced maintenance began"
        }
        ApiAction::Proxy => {
            simulator.inject(Scope::Everything, Fault::edge(StatusCode::BAD_GATEWAY));
            "a proxy in front of the API responds with status 502"
        }
        ApiAction::Heal => "the API works",
    };
    told(text.to_owned())
}
