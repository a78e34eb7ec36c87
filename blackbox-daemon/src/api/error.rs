//! Errors of the API: one shape, whoever found the fault.
//!
//! A handler returns an [`ApiError`]; it travels in the response's extensions until `answer` writes it as JSON, with
//! the request's id. Messages contain the texts v1 sent, so a client that looked for them still finds them.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What went wrong, for machines. The one list of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// No credentials.
    AuthenticationRequired,
    /// Credentials that are not valid.
    InvalidApiKey,
    /// Valid credentials that do not allow this.
    Forbidden,
    ValidationFailed,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    PayloadTooLarge,
    UnsupportedMediaType,
    RateLimitExceeded,
    InternalError,
    ServiceUnavailable,
}

impl Code {
    /// The HTTP status it goes with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::AuthenticationRequired | Self::InvalidApiKey => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::ValidationFailed => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RateLimitExceeded => StatusCode::TOO_MANY_REQUESTS,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The code for a status that a part below the handlers answered with.
    #[must_use]
    pub fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::InvalidApiKey,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::NOT_ACCEPTABLE => Self::NotAcceptable,
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::PAYLOAD_TOO_LARGE => Self::PayloadTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimitExceeded,
            StatusCode::SERVICE_UNAVAILABLE => Self::ServiceUnavailable,
            status if status.is_client_error() => Self::ValidationFailed,
            _ => Self::InternalError,
        }
    }
}

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub code: Code,
    /// What is wrong and what is allowed.
    pub message: String,
    /// The field of the body or the query that is wrong.
    pub field: Option<String>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            retry_after: None,
        }
    }

    /// A field whose value is not allowed.
    #[must_use]
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(Code::ValidationFailed, message)
        }
    }

    /// The same, to be tried again after `wait`.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..self
        }
    }
}

impl IntoResponse for ApiError {
    /// Status only; `answer` writes the body.
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Every error as clients get it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The code, as v1's documents have it.
    pub error: Code,
    pub code: Code,
    /// What is wrong and what is allowed.
    pub message: String,
    pub details: ErrorDetails,
    pub timestamp: Timestamp,
    /// What the daemon's log calls this request.
    pub request_id: String,
}

/// Where the fault is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorDetails {
    /// The field of the body or the query.
    #[schema(required = true)]
    pub field: Option<String>,
    pub code: Code,
}

impl ErrorBody {
    /// The error as an answer to one request.
    #[must_use]
    pub fn of(error: &ApiError, timestamp: Timestamp, request_id: String) -> Self {
        Self {
            error: error.code,
            code: error.code,
            message: error.message.clone(),
            details: ErrorDetails {
                field: error.field.clone(),
                code: error.code,
            },
            timestamp,
            request_id,
        }
    }
}
