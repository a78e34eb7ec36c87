//! Schemas of values that are more than their Rust type says: times, severities, tags, free objects.
//!
//! Each says exactly what its parser takes, so that a client made from the description sends nothing that is refused.
//! Where a parser also takes a second spelling (`HIGH`), the description has the first one only.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat,
    Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::api::submit::{MAX_KEY, MAX_KEYS, MAX_TAG, MAX_TAGS};
use crate::report::format::Format;

/// Text without control characters.
const PLAIN: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
/// A Go duration, or zero without a unit.
const DURATION: &str = r"^(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+)$";
/// RFC 3339, as far as its digits go.
const TIME: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$";

macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident = $schema:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(in crate::api) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                RefOr::T(Schema::from($schema))
            }
        }

        impl ToSchema for $name {}
    )*};
}

schemas! {
    /// A time of a query: absolute, or a duration that ends now.
    Time = AnyOfBuilder::new().item(moment()).item(duration()).build();
    /// A report's format by its name.
    ReportFormat = one_of(Format::ALL.map(Format::name));
    /// An export's format by its name.
    FileFormat = one_of(["json", "csv"]);
    /// The beginning of a container's id, or a cgroup's path.
    Container = text().pattern(Some(r"^([0-9a-f]{12,}|/.*)$")).build();
    /// Tags of a body.
    Tags = tags();
    /// A free object of a body.
    Free = free();
}

/// What must be absent, or `null`, in a telemetry object or a batch.
pub(in crate::api) fn nothing() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Null)
        .description(Some(
            "Not here: what has `entries` is a batch, and each of them has its own `pod_name`.",
        ))
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn one_of(names: impl IntoIterator<Item = &'static str>) -> Object {
    text().enum_values(Some(names)).build()
}

/// A time.
pub(in crate::api) fn moment() -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    text().format(Some(format)).pattern(Some(TIME)).build()
}

fn duration() -> Object {
    text().pattern(Some(DURATION)).examples(["10m"]).build()
}

fn tags() -> Object {
    let key = text().max_length(Some(MAX_KEY)).pattern(Some(PLAIN));
    let value = text().max_length(Some(MAX_TAG)).build();
    ObjectBuilder::new()
        .max_properties(Some(MAX_TAGS))
        .property_names(Some(Schema::Object(key.build())))
        .additional_properties(Some(AdditionalProperties::from(Schema::Object(value))))
        .build()
}

fn free() -> Object {
    let key = text().max_length(Some(MAX_KEY)).build();
    ObjectBuilder::new()
        .max_properties(Some(MAX_KEYS))
        .property_names(Some(Schema::Object(key)))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .build()
}
