//! An error response of the API, in all body formats seen so far.

use std::borrow::Cow;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::clock::format_utc;
use crate::error_codes::default_response;
use crate::request::RequestInfo;

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
    /// The documented format, and the status as a numeric `code` beside `error`.
    NumericCode,
    /// The format of web frameworks, without the error code: `{"error":"Unauthorized","code":401,"message":"…"}`.
    Framework,
}

impl BodyForm {
    /// All formats seen so far.
    pub const ALL: [Self; 6] = [
        Self::Standard,
        Self::EmptyDetails,
        Self::CorrelationId,
        Self::Rootless,
        Self::NumericCode,
        Self::Framework,
    ];
}

/// An error response of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: Cow<'static, str>,
    pub(crate) status: StatusCode,
    message: Cow<'static, str>,
    form: BodyForm,
}

impl Refusal {
    /// An error code with its default status and message, in the documented body format.
    pub fn new(code: impl Into<Cow<'static, str>>) -> Self {
        let code = code.into();
        let (status, message) = default_response(&code);
        Self { code, status, message: message.into(), form: BodyForm::default() }
    }

    /// Replaces the default status.
    #[must_use]
    pub fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Replaces the default message.
    #[must_use]
    pub fn message(self, message: impl Into<String>) -> Self {
        Self { message: message.into().into(), ..self }
    }

    /// Replaces the body format.
    #[must_use]
    pub fn form(self, form: BodyForm) -> Self {
        Self { form, ..self }
    }

    /// The code in the body, if the format has one.
    pub(crate) fn sent_code(&self) -> Option<String> {
        (self.form != BodyForm::Framework).then(|| self.code.to_string())
    }

    pub(crate) fn body(&self, request: &RequestInfo) -> Value {
        let error = |details| json!({"code": self.code, "message": self.message, "details": details});
        let status = self.status.as_u16();
        match self.form {
            BodyForm::Standard => json!({"error": error(details(request, "requestId"))}),
            BodyForm::EmptyDetails => json!({"error": error(json!(""))}),
            BodyForm::CorrelationId => json!({"error": error(details(request, "correlationId"))}),
            BodyForm::Rootless => error(json!("")),
            BodyForm::NumericCode => json!({"error": error(details(request, "requestId")), "code": status}),
            BodyForm::Framework => {
                let reason = self.status.canonical_reason().unwrap_or("Error");
                json!({"error": reason, "code": status, "message": self.message})
            }
        }
    }
}

fn details(request: &RequestInfo, id_field: &str) -> Value {
    json!({
        "url": request.call.url,
        "method": request.call.method,
        "requestedAt": format_utc(request.shown_time),
        id_field: request.request_id,
    })
}

/// Handlers return a refusal without status and body. The middleware adds both, because it knows the request.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        Extension(self).into_response()
    }
}
