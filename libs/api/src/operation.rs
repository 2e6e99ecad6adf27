//! What the declarations of routes say about parameters and bodies, as schemas. Compiled with the feature `openapi` alone;
//! makes no document.

use std::borrow::Cow;

use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        Array, ObjectBuilder, Ref, RefOr, Required, Schema,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{SchemaType, Type},
    },
};

use crate::{
    CartToken, Commanded, EventStream, Gif, Html, HtmlOrText, IdempotencyKey, IfAny, IfMatch, IfNoneMatch, JsonLines,
    JsonObject, LastEventId, Lines, List, Localized, ProviderSignature, RequiredIdempotencyKey, Route, Svg, Yaml, cart,
    catalog, gateway, notification, order, payment, recommendation, search, user,
};

/// Named schemas, to which others refer.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// A route with what it takes and answers.
pub struct Operation {
    /// The name of its constant.
    pub name: &'static str,
    /// The text above its declaration; may be empty.
    pub documentation: String,
    pub route: Route,
    /// Of queries and headers; the path says its own.
    pub parameters: Vec<Parameter>,
    pub body: Option<Body>,
    /// What it answers to a request that it does not refuse.
    pub answers: Vec<Answer>,
}

/// A body of requests or answers.
pub struct Body {
    pub media_types: &'static [&'static str],
    /// Whether a request without it is refused.
    pub required: bool,
    pub schema: RefOr<Schema>,
    /// The schemas to which `schema` refers, and those to which they do.
    pub schemas: Schemas,
}

/// An answer by its status.
pub struct Answer {
    pub status: u16,
    pub body: Option<Body>,
}

/// The operations of a service.
pub struct Operations {
    pub service: &'static str,
    pub public: Vec<Operation>,
    /// For other services.
    pub internal: Vec<Operation>,
}

/// The operations of every service, the gateway's own first.
pub fn operations() -> Vec<Operations> {
    vec![
        of("gateway", gateway::routes::public_operations(), Vec::new()),
        of("user", user::routes::public_operations(), user::routes::internal_operations()),
        of("catalog", catalog::routes::public_operations(), catalog::routes::internal_operations()),
        of("cart", cart::routes::public_operations(), cart::routes::internal_operations()),
        of("order", order::routes::public_operations(), order::routes::internal_operations()),
        of("payment", payment::routes::public_operations(), payment::routes::internal_operations()),
        of("notification", notification::routes::public_operations(), Vec::new()),
        of("recommendation", recommendation::routes::public_operations(), Vec::new()),
        of("search", search::routes::public_operations(), Vec::new()),
    ]
}

fn of(service: &'static str, public: Vec<Operation>, internal: Vec<Operation>) -> Operations {
    Operations { service, public, internal }
}

impl Operation {
    /// A route that takes and answers nothing, with the lines above its declaration.
    pub(crate) fn new(name: &'static str, route: Route, documentation: &[&str]) -> Self {
        let lines: Vec<&str> = documentation.iter().map(|line| line.trim()).collect();
        let documentation = lines.join(" ");
        Self { name, documentation, route, parameters: Vec::new(), body: None, answers: Vec::new() }
    }

    pub(crate) fn with<P: Parameters>(mut self) -> Self {
        self.parameters.extend(P::parameters());
        self
    }

    pub(crate) fn body<C: Content>(mut self) -> Self {
        self.body = Some(Body::of::<C>());
        self
    }

    /// Adds an answer without a body.
    pub(crate) fn answer(mut self, status: u16) -> Self {
        self.answers.push(Answer { status, body: None });
        self
    }

    /// Gives a body to the last answer.
    pub(crate) fn of<C: Content>(mut self) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.body = Some(Body::of::<C>());
        }
        self
    }
}

impl Body {
    fn of<C: Content>() -> Self {
        let mut schemas = Schemas::new();
        C::schemas(&mut schemas);
        Self { media_types: C::MEDIA_TYPES, required: C::REQUIRED, schema: C::schema(), schemas }
    }
}

/// What a body can be.
pub trait Content {
    const MEDIA_TYPES: &'static [&'static str];
    /// Whether a request without it is refused.
    const REQUIRED: bool = true;

    fn schema() -> RefOr<Schema>;

    /// Adds the schemas to which [`Content::schema`] refers.
    fn schemas(_schemas: &mut Schemas) {}
}

/// One JSON value.
impl<T: ToSchema> Content for T {
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];

    fn schema() -> RefOr<Schema> {
        Ref::from_schema_name(T::name()).into()
    }

    fn schemas(schemas: &mut Schemas) {
        schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
        <T as ToSchema>::schemas(schemas);
    }
}

impl Content for JsonObject {
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().into()
    }
}

macro_rules! texts {
    ($($content:ident: $($media_type:literal),+;)+) => {$(
        impl Content for $content {
            const MEDIA_TYPES: &'static [&'static str] = &[$($media_type),+];

            fn schema() -> RefOr<Schema> {
                text()
            }
        }
    )+};
}

texts! {
    Html: "text/html";
    HtmlOrText: "text/html", "text/plain";
    Svg: "image/svg+xml";
    Gif: "image/gif";
    Yaml: "application/yaml";
    EventStream: "text/event-stream";
}

/// Of each line.
impl<T: ToSchema> Content for JsonLines<T> {
    const MEDIA_TYPES: &'static [&'static str] = &["application/x-ndjson"];

    fn schema() -> RefOr<Schema> {
        <T as Content>::schema()
    }

    fn schemas(schemas: &mut Schemas) {
        <T as Content>::schemas(schemas);
    }
}

/// Of each line.
impl<T: ToSchema> Content for Lines<T> {
    const MEDIA_TYPES: &'static [&'static str] = &["application/x-ndjson", "text/csv"];

    fn schema() -> RefOr<Schema> {
        <T as Content>::schema()
    }

    fn schemas(schemas: &mut Schemas) {
        <T as Content>::schemas(schemas);
    }
}

impl<T: ToSchema> Content for IfAny<T> {
    const MEDIA_TYPES: &'static [&'static str] = <T as Content>::MEDIA_TYPES;
    const REQUIRED: bool = false;

    fn schema() -> RefOr<Schema> {
        <T as Content>::schema()
    }

    fn schemas(schemas: &mut Schemas) {
        <T as Content>::schemas(schemas);
    }
}

impl<T: ToSchema> PartialSchema for List<T> {
    fn schema() -> RefOr<Schema> {
        let total = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some("How many items all pages hold together, where that is cheap to know."));
        let cursor = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Value of the parameter `cursor` for the next page; absent on the last one."));
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Object))
            .property("items", Array::new(Ref::from_schema_name(T::name())))
            .required("items")
            .property("total", total)
            .property("nextCursor", cursor)
            .into()
    }
}

impl<T: ToSchema> ToSchema for List<T> {
    fn name() -> Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Schemas) {
        schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
        <T as ToSchema>::schemas(schemas);
    }
}

/// Parameters of queries and headers.
pub trait Parameters {
    fn parameters() -> Vec<Parameter>;
}

impl<T: IntoParams> Parameters for T {
    fn parameters() -> Vec<Parameter> {
        T::into_params(|| Some(ParameterIn::Query))
    }
}

macro_rules! headers {
    ($($parameters:ident: $($name:literal $required:ident $description:literal),+;)+) => {$(
        impl Parameters for $parameters {
            fn parameters() -> Vec<Parameter> {
                vec![$(header($name, Required::$required, $description)),+]
            }
        }
    )+};
}

headers! {
    IdempotencyKey: "Idempotency-Key" False
        "1 to 255 visible ASCII characters. A repetition with the same key and body gets the answer of the first request.";
    RequiredIdempotencyKey: "Idempotency-Key" True
        "1 to 255 visible ASCII characters. A repetition with the same key and body gets the answer of the first request.";
    IfMatch: "If-Match" False
        "The entity tag of what the client has read. Without it, the version in the body is required.";
    IfNoneMatch: "If-None-Match" False
        "Entity tags of what the client has; if one is current, the answer is 304.";
    Localized:
        "Accept-Language" False "The languages of names and descriptions that the client prefers.",
        "X-Currency" False "The currency of prices, by its ISO 4217 code, unless the parameter `currency` names one.";
    CartToken: "X-Cart-Token" True "The token that the creation of the cart returned.";
    LastEventId: "Last-Event-ID" False "The id of the last event that the client received.";
    ProviderSignature: "Stripe-Signature" True "The provider's signature of the body.";
    Commanded: "X-Command-Id" True "A UUID, the same in each repetition of the command.";
}

fn header(name: &str, required: Required, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(description))
        .schema(Some(text()))
        .build()
}

fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}
