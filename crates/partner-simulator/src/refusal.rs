//! An error response of the API, in all body formats seen so far.

use std::borrow::Cow;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::error_codes::default_response;

/// The format of an error body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyForm {
    /// The documented format: an `error` root whose `details` contain `url`, `method`, `requestedAt` and `requestId`.
    #[default]
    Standard,
    /// `details` is an empty string.
    EmptyDetails,
    /// `details` contains `correlationId` instead of `requestId`.
    CorrelationId,
    /// Without the `error` root: `{"code":"OCR1","message":"…","details":""}`.
    Rootless,
}

impl BodyForm {
    /// All formats seen so far.
    pub const ALL: [Self; 4] = [Self::Standard, Self::EmptyDetails, Self::CorrelationId, Self::Rootless];
}

/// An error response of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: Cow<'static, str>,
    status: Option<StatusCode>,
    message: Option<String>,
    form: BodyForm,
}

/// The facts about the request that an error body reports in `details`.
#[derive(Clone, Debug)]
pub(crate) struct ErrorDetails {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) requested_at: String,
    pub(crate) request_id: String,
}

impl Refusal {
    /// An error code with its default status and message, in the documented body format.
    pub fn new(code: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.into(), status: None, message: None, form: BodyForm::default() }
    }

    /// Replaces the default status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Replaces the default message.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Replaces the body format.
    #[must_use]
    pub fn form(mut self, form: BodyForm) -> Self {
        self.form = form;
        self
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    pub(crate) fn http_status(&self) -> StatusCode {
        self.status.unwrap_or(default_response(&self.code).0)
    }

    pub(crate) fn body(&self, error_details: &ErrorDetails) -> Value {
        let message = self.message.as_deref().unwrap_or(default_response(&self.code).1);
        let details = match self.form {
            BodyForm::EmptyDetails | BodyForm::Rootless => json!(""),
            BodyForm::Standard => details(error_details, "requestId"),
            BodyForm::CorrelationId => details(error_details, "correlationId"),
        };
        let error = json!({"code": self.code, "message": message, "details": details});
        if self.form == BodyForm::Rootless { error } else { json!({ "error": error }) }
    }
}

fn details(error_details: &ErrorDetails, id_field: &str) -> Value {
    json!({
        "url": error_details.url,
        "method": error_details.method,
        "requestedAt": error_details.requested_at,
        id_field: error_details.request_id,
    })
}

/// Handlers return a refusal without a body. The middleware adds the body, because it knows the request.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.http_status();
        response.extensions_mut().insert(self);
        response
    }
}
