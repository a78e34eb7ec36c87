//! The API's description, made from the handlers, and its browser page, served from the binary.
//!
//! Takes what the handlers say of themselves and adds what the layers before them answer, so that every status an
//! operation can have is described once, here or there.

mod answers;
pub(super) mod schemas;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, RefOr};
use utoipa::{PartialSchema, ToSchema};
use utoipa_swagger_ui::SwaggerUi;

use super::error::ErrorBody;

const ABOUT: &str = "A node flight recorder: sidecars submit telemetry and incidents, people and machines read \
reports and the live window. Every path but health and this description needs `Authorization: Bearer <key>`.";

/// The groups of calls, in the order a newcomer wants them.
const TAGS: [(&str, &str); 4] = [
    ("sidecars", "What applications and their sidecars submit."),
    ("incidents", "Reports: who killed it, and why."),
    ("window", "What is recorded right now."),
    ("operations", "How the daemon fares."),
];

fn tag((name, description): (&str, &str)) -> Tag {
    TagBuilder::new()
        .name(name)
        .description(Some(description))
        .build()
}

/// The description with everything that operations share: title, security, and errors in one shape.
#[must_use]
pub fn complete(described: OpenApi) -> Value {
    let mut api = described;
    api.info = InfoBuilder::new()
        .title("BlackBox Daemon API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(LicenseBuilder::new().name("MIT").build()))
        .build();
    api.tags = Some(TAGS.map(tag).into());
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
    // utoipa's types have no header that is required, and no shared header at all. Texts and numbers are always JSON.
    let mut described = serde_json::to_value(api).unwrap_or_default();
    answers::add(&mut described);
    described
}

/// `/swagger.json` and `/swagger/`, as in v1; and the two other places its documents mention. The description is
/// written once: everybody may ask for it, as often as they like.
pub fn pages(description: &Value) -> Router {
    let json = Bytes::from(description.to_string());
    let json = get(move || {
        let kind = [(CONTENT_TYPE, "application/json")];
        std::future::ready((kind, json.clone()))
    });
    let page = SwaggerUi::new("/swagger").config(utoipa_swagger_ui::Config::from("/swagger.json"));
    Router::from(page)
        .route("/swagger.json", json.clone())
        .route("/swagger/doc.json", json)
}
