//! A drawn picture of a product that has no photograph: the same one for the same name and category. Pure.

use std::fmt::Write as _;

use super::product::Details;

/// Width and height of a picture.
const SIZE: u32 = 400;
/// Shapes of a picture.
const SHAPES: u32 = 7;

/// The picture of a product, an SVG document. The category gives the colour, the name the shapes. Contains no text of the
/// product, so that there is nothing to escape.
pub fn draw(details: &Details) -> String {
    let category = details.category.as_ref().map_or("", |category| category.as_str());
    let hue = hash(category) % 360;
    let mut random = hash(details.name.as_str());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {SIZE} {SIZE}\" role=\"img\">\
         <rect width=\"{SIZE}\" height=\"{SIZE}\" fill=\"hsl({hue} 30% 92%)\"/>"
    );
    for _ in 0..SHAPES {
        shape(&mut svg, &mut random, hue);
    }
    svg.push_str("</svg>");
    svg
}

/// Adds a circle, a rounded square or an arc.
fn shape(svg: &mut String, random: &mut u32, hue: u32) {
    let mut below = |bound: u32| {
        *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*random >> 8) % bound
    };
    let (x, y, size) = (60 + below(280), 60 + below(280), 30 + below(70));
    let colour = format!("hsl({} {}% {}%)", (hue + below(50)) % 360, 35 + below(35), 40 + below(40));
    let written = match below(3) {
        0 => write!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{size}\" fill=\"{colour}\" opacity=\".85\"/>"),
        1 => write!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{size}\" height=\"{size}\" rx=\"{}\" fill=\"{colour}\" opacity=\".85\"/>",
            size / 5
        ),
        _ => write!(
            svg,
            "<path d=\"M{x} {y}a{size} {size} 0 0 1 {size} {size}\" fill=\"none\" stroke=\"{colour}\" \
             stroke-width=\"{}\" stroke-linecap=\"round\"/>",
            8 + below(16)
        ),
    };
    // Writing to a text does not fail.
    debug_assert!(written.is_ok());
}

/// FNV-1a, which is the same on every machine and in every release.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
