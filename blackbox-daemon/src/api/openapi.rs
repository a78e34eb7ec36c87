//! The API's description, made from the handlers, and its browser page, served from the binary.
//!
//! Takes what the handlers say of themselves and adds what the layers before them answer, so that every status an
//! operation can have is described once, here or there.

use axum::Router;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::SwaggerUi;

use super::error::ErrorBody;

const ABOUT: &str = "A node flight recorder: sidecars submit telemetry and incidents, people and machines read \
reports and the live window. Every path but health and this description needs `Authorization: Bearer <key>`.";

/// What a gated operation can answer before its handler is asked.
const BEFORE: [(&str, &str); 6] = [
    (
        "400",
        "The request is not what it should be; the message says what is allowed.",
    ),
    ("401", "No key, or one that is not valid."),
    ("403", "The key does not allow this."),
    ("408", "The request took too long."),
    (
        "429",
        "Too many requests, or too many bytes; `Retry-After` says when to try again.",
    ),
    ("503", "Not now; `Retry-After` says when to try again."),
];
/// What an operation that takes a body can answer besides.
const BODY: [(&str, &str); 2] = [
    ("413", "The body is larger than allowed."),
    ("415", "The body is compressed; allowed: identity."),
];

/// The description with everything that operations share: title, security, and errors in one shape.
#[must_use]
pub fn complete(described: OpenApi) -> OpenApi {
    let mut api = described;
    api.info = InfoBuilder::new()
        .title("BlackBox Daemon API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(LicenseBuilder::new().name("MIT").build()))
        .build();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A key of BLACKBOX_API_KEY or BLACKBOX_API_KEYS_FILE, or a pod's service-account token.",
        ))
        .build();
    let components = api.components.get_or_insert_default();
    components.security_schemes.insert(
        "bearerAuth".to_owned(),
        RefOr::T(SecurityScheme::Http(bearer)),
    );
    let mut schemas = vec![(ErrorBody::name().into_owned(), ErrorBody::schema())];
    ErrorBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for item in api.paths.paths.values_mut() {
        let operations = [item.get.as_mut(), item.post.as_mut()];
        for operation in operations.into_iter().flatten() {
            if operation.security.is_none() {
                continue;
            }
            let body = operation.request_body.as_ref().map(|_| BODY);
            let answers = BEFORE.into_iter().chain(body.into_iter().flatten());
            for (status, what) in answers {
                let responses = &mut operation.responses.responses;
                responses
                    .entry(status.to_owned())
                    .or_insert_with(|| RefOr::T(error(what)));
            }
        }
    }
    api
}

fn error(what: &str) -> Response {
    let schema = Ref::from_schema_name(ErrorBody::name());
    ResponseBuilder::new()
        .description(what)
        .content(
            "application/json",
            ContentBuilder::new().schema(Some(schema)).build(),
        )
        .build()
}

/// `/swagger.json` and `/swagger/`, as in v1; and the two other places its documents mention.
pub fn pages(description: OpenApi) -> Router {
    let page = SwaggerUi::new("/swagger").url("/swagger.json", description.clone());
    let again = axum::Json(description);
    Router::from(page).route(
        "/swagger/doc.json",
        axum::routing::get(move || std::future::ready(again.clone())),
    )
}
