//! Bodies that are not one JSON value of a type of this crate: pages, pictures, lines, streams. Declarations of routes name
//! them; nothing makes a value of them.

use std::marker::PhantomData;

/// Any JSON object.
#[derive(Clone, Copy, Debug)]
pub struct JsonObject;

/// An HTML page.
#[derive(Clone, Copy, Debug)]
pub struct Html;

/// The same as an HTML page or as plain text.
#[derive(Clone, Copy, Debug)]
pub struct HtmlOrText;

/// A drawn picture.
#[derive(Clone, Copy, Debug)]
pub struct Svg;

/// A picture of pixels.
#[derive(Clone, Copy, Debug)]
pub struct Gif;

/// A YAML document.
#[derive(Clone, Copy, Debug)]
pub struct Yaml;

/// Server-sent events.
#[derive(Clone, Copy, Debug)]
pub struct EventStream;

/// A JSON value of the type on each line.
#[derive(Clone, Copy, Debug)]
pub struct JsonLines<T>(PhantomData<T>);

/// A JSON value of the type on each line, or its members as CSV.
#[derive(Clone, Copy, Debug)]
pub struct Lines<T>(PhantomData<T>);

/// A value of the type, or no body at all.
#[derive(Clone, Copy, Debug)]
pub struct IfAny<T>(PhantomData<T>);
