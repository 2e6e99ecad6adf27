//! Documents in OpenAPI 3.1: of all public routes, as the gateway serves them, and of one service with its internal ones.

use agora_api::{
    CODES, Problem,
    operation::{Operation, Operations},
};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::{
    operation::{about, operation},
    responses::{headers_by_name, refusals},
    schemas::NamedSchemas,
};

/// A document that is not complete.
struct Document {
    /// Whether answers have the headers of the gateway.
    edge: bool,
    paths: Map<String, Value>,
    schemas: NamedSchemas,
    tags: Vec<Value>,
}

/// The document of the public routes of all services.
pub(crate) fn merged(all: &[Operations]) -> Result<Value, String> {
    let mut document = Document::new(true)?;
    for of_service in all {
        document.tag(of_service.service);
        document.add(of_service.service, &of_service.public)?;
    }
    Ok(document.complete("Agora"))
}

/// The document of the routes of both ports of a service.
pub(crate) fn of_service(operations: &Operations) -> Result<Value, String> {
    let Operations { service, public, internal } = operations;
    let mut document = Document::new(*service == agora_topology::GATEWAY.name)?;
    document.tag(service);
    document.add(service, public)?;
    document.add(service, internal)?;
    Ok(document.complete(&format!("Agora: {service}")))
}

impl Document {
    fn new(edge: bool) -> Result<Self, String> {
        let mut schemas = NamedSchemas::default();
        let mut problem = vec![(Problem::name().into_owned(), Problem::schema())];
        Problem::schemas(&mut problem);
        schemas.add(&problem)?;
        Ok(Self { edge, paths: Map::new(), schemas, tags: Vec::new() })
    }

    fn tag(&mut self, service: &str) {
        self.tags.push(json!({ "name": service }));
    }

    fn add(&mut self, service: &str, operations: &[Operation]) -> Result<(), String> {
        for described in operations {
            let bodies = described.answers.iter().map(|answer| answer.body.as_ref()).chain([described.body.as_ref()]);
            for body in bodies.flatten() {
                self.schemas.add(&body.schemas)?;
            }
            let method = described.route.method.as_str().to_ascii_lowercase();
            let item = self.paths.entry(described.route.path).or_insert_with(|| json!({}));
            item[method] = operation(service, described, self.edge)?;
        }
        Ok(())
    }

    fn complete(self, title: &str) -> Value {
        let Self { paths, mut schemas, tags, .. } = self;
        schemas.limit_codes(CODES);
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": title,
                "version": env!("CARGO_PKG_VERSION"),
                "description": about(),
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "servers": [{ "url": "/" }],
            "tags": tags,
            "paths": paths,
            "components": {
                "schemas": schemas.into_json(),
                "responses": refusals(),
                "headers": headers_by_name(),
                "securitySchemes": {
                    "bearer": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": "The access token that `POST /api/v1/auth/login` returned.",
                    },
                    "internalToken": {
                        "type": "apiKey",
                        "in": "header",
                        "name": "X-Internal-Token",
                        "description": "The token of a service that calls another one. Clients have none.",
                    },
                },
            },
        })
    }
}
