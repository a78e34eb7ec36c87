//! What every operation can answer beside what its handler says: the errors of the layers, and the headers.
//!
//! The one table of shared answers. A handler describes its own (404, 406, …) and may describe one of these itself;
//! headers are added to both.

use serde_json::{Map, Value, json};

/// An answer that operations share.
struct Shared {
    status: &'static str,
    what: &'static str,
    of: Of,
    headers: &'static [&'static str],
}

/// Which operations have it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    All,
    /// Those that need a key.
    Gated,
    /// Those with parameters or a body: what has neither cannot be wrong.
    Asked,
    /// Those that take a body.
    Body,
}

const ID: &str = "X-Request-Id";
const LIMIT: &str = "X-RateLimit-Limit";
const LEFT: &str = "X-RateLimit-Remaining";
const RESET: &str = "X-RateLimit-Reset";
const AGAIN: &str = "Retry-After";
/// `Retry-After` that need not be there.
const PERHAPS: &str = "Retry-After-If-Known";
const ASKS: &str = "WWW-Authenticate";

/// On everything that is answered after the caller was counted.
const COUNTED: [&str; 4] = [ID, LIMIT, LEFT, RESET];

const SHARED: [Shared; 9] = [
    Shared {
        status: "400",
        what: "A parameter or the body is not what it should be; the message says what is allowed.",
        of: Of::Asked,
        headers: &COUNTED,
    },
    Shared {
        status: "401",
        what: "No key, or one that is not valid.",
        of: Of::Gated,
        headers: &[ID, ASKS],
    },
    Shared {
        status: "403",
        what: "The key does not allow this, or the token is that of another pod.",
        of: Of::Gated,
        headers: &[ID],
    },
    Shared {
        status: "408",
        what: "The request took too long.",
        of: Of::All,
        headers: &[ID],
    },
    Shared {
        status: "413",
        what: "The body is larger than allowed.",
        of: Of::Body,
        headers: &COUNTED,
    },
    Shared {
        status: "415",
        what: "The body is compressed; allowed: identity.",
        of: Of::Body,
        headers: &COUNTED,
    },
    Shared {
        status: "429",
        what: "Too many requests, or too many bytes.",
        of: Of::Gated,
        headers: &[ID, LIMIT, LEFT, RESET, AGAIN],
    },
    Shared {
        status: "500",
        what: "It failed, and should not have; the daemon's log says more.",
        of: Of::All,
        headers: &[ID],
    },
    Shared {
        status: "503",
        what: "It cannot be had now; `Retry-After` says when to try again, if that helps.",
        of: Of::Gated,
        headers: &[ID, PERHAPS],
    },
];

/// Adds the shared answers and all headers to a description.
pub(super) fn add(api: &mut Value) {
    if let Some(paths) = api["paths"].as_object_mut() {
        let items = paths.values_mut().filter_map(Value::as_object_mut);
        for operation in items.flat_map(Map::values_mut) {
            describe(operation);
        }
    }
    api["components"]["headers"] = headers();
    api["components"]["responses"] = responses();
}

fn describe(operation: &mut Value) {
    let (gated, body) = (
        operation["security"].is_array(),
        operation["requestBody"].is_object(),
    );
    let asked = body || operation["parameters"].is_array();
    let own_headers: &[&str] = if gated { &COUNTED } else { &[ID] };
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    for (status, response) in responses.iter_mut() {
        // A handler's own word for what is shared has the shared headers.
        let shared = SHARED.iter().find(|shared| shared.status == status);
        for name in shared.map_or(own_headers, |shared| shared.headers) {
            let name = *name;
            response["headers"][header_name(name)] = reference("headers", name);
        }
    }
    for shared in &SHARED {
        let has = match shared.of {
            Of::All => true,
            Of::Gated => gated,
            Of::Asked => asked,
            Of::Body => body,
        };
        if has && !responses.contains_key(shared.status) {
            let name = component(shared.status);
            responses.insert(shared.status.to_owned(), reference("responses", &name));
        }
    }
    responses.sort_keys();
}

fn component(status: &str) -> String {
    format!("Error{status}")
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// The header that a component describes.
fn header_name(component: &str) -> &str {
    if component == PERHAPS {
        AGAIN
    } else {
        component
    }
}

fn responses() -> Value {
    let described = SHARED.iter().map(|shared| {
        let headers: Map<String, Value> = shared
            .headers
            .iter()
            .map(|name| (header_name(name).to_owned(), reference("headers", name)))
            .collect();
        let schema = reference("schemas", "ErrorBody");
        let response = json!({
            "description": shared.what,
            "headers": headers,
            "content": { "application/json": { "schema": schema } },
        });
        (component(shared.status), response)
    });
    Value::Object(described.collect())
}

fn headers() -> Value {
    let seconds = json!({ "type": "integer", "minimum": 1 });
    let count = json!({ "type": "integer", "minimum": 0 });
    let id = json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" });
    let bearer = json!({ "type": "string", "const": "Bearer" });
    let described = [
        (
            ID,
            "What the daemon's log calls this request: the client's own id, if it sent a plain one.",
            &id,
        ),
        (
            LIMIT,
            "Requests a minute that the caller may make here.",
            &count,
        ),
        (LEFT, "Those that are left of this minute.", &count),
        (
            RESET,
            "When the next minute begins: Unix time, seconds.",
            &count,
        ),
        (AGAIN, "Seconds until it may work.", &seconds),
        (
            PERHAPS,
            "Seconds until it may work, if waiting helps.",
            &seconds,
        ),
        (ASKS, "How to authenticate.", &bearer),
    ];
    let described = described.into_iter().map(|(name, what, schema)| {
        let header = json!({ "description": what, "required": name != PERHAPS, "schema": schema });
        (name.to_owned(), header)
    });
    Value::Object(described.collect())
}
