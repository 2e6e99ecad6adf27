//! Sixty constant sample products with realistic prices and stock. Data only.

/// A sample product.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Stock keeping unit; identifies an existing product.
    pub sku: &'static str,
    pub name: &'static str,
    pub description: &'static str,
    /// Unit price in euro cents.
    pub cents: i64,
    /// Initial units in stock.
    pub stock: i64,
    pub category: &'static str,
    pub brand: &'static str,
    pub supplier: &'static str,
}

/// Values shared by the products of one category.
#[derive(Clone, Copy)]
struct ProductLine {
    category: &'static str,
    brand: &'static str,
    supplier: &'static str,
}

const LIGHTING: ProductLine =
    ProductLine { category: "Lighting", brand: "Lumen & Oak", supplier: "Nordlicht Handels GmbH" };
const KITCHEN: ProductLine = ProductLine { category: "Kitchen", brand: "Herdfeuer", supplier: "Kontor Alt & Sohn" };
const BOOKS: ProductLine = ProductLine { category: "Books", brand: "Papierboot Verlag", supplier: "Buchgrosso Mitte" };
const OUTDOOR: ProductLine =
    ProductLine { category: "Outdoor", brand: "Fjellvind", supplier: "Bergquell Ausruestung AG" };
const ELECTRONICS: ProductLine =
    ProductLine { category: "Electronics", brand: "Klarton", supplier: "Volt & Watt Distribution" };
const GARDEN: ProductLine = ProductLine { category: "Garden", brand: "Gruener Daumen", supplier: "Kontor Alt & Sohn" };
const TOYS: ProductLine = ProductLine { category: "Toys", brand: "Holzwurm", supplier: "Spielkiste Import" };
const HOME: ProductLine = ProductLine { category: "Home", brand: "Wollgras", supplier: "Nordlicht Handels GmbH" };

const fn row(
    line: ProductLine,
    sku: &'static str,
    name: &'static str,
    cents: i64,
    stock: i64,
    description: &'static str,
) -> Row {
    let ProductLine { category, brand, supplier } = line;
    Row { sku, name, description, cents, stock, category, brand, supplier }
}

/// The sample products, grouped by category.
pub const PRODUCTS: [Row; 60] = [
    row(LIGHTING, "LMP-1001", "Desk lamp Arne", 7_990, 120, "Jointed oak arm, warm light, dimmer in the foot."),
    row(LIGHTING, "LMP-1002", "Floor lamp Bodil", 14_900, 45, "Linen shade on a tripod of ash, 150 cm high."),
    row(LIGHTING, "LMP-1003", "Pendant lamp Dot", 9_950, 60, "Spun aluminium, matt black outside, brass inside."),
    row(LIGHTING, "LMP-1004", "Reading light Clip", 2_490, 300, "Clamps to a shelf or a bed, three steps, USB-C."),
    row(LIGHTING, "LMP-1005", "String lights Patio, 10 m", 3_990, 180, "Twenty shatterproof bulbs for outdoors, IP65."),
    row(LIGHTING, "LMP-1006", "LED bulb E27, 3 pieces", 1_190, 900, "806 lumen, 2700 K, lasts 25 000 hours."),
    row(LIGHTING, "LMP-1007", "Night light Moon", 1_690, 240, "Goes on by itself when it is dark, off at dawn."),
    row(LIGHTING, "LMP-1008", "Table lamp Globe", 8_900, 70, "Opal glass on a marble foot, 25 cm across."),
    row(
        KITCHEN,
        "KIT-2001",
        "Cast iron pan, 28 cm",
        4_990,
        150,
        "Seasoned with linseed oil, for every hob and the oven.",
    ),
    row(KITCHEN, "KIT-2002", "Chef's knife, 20 cm", 8_950, 90, "Forged in one piece, handle of walnut."),
    row(KITCHEN, "KIT-2003", "Coffee grinder Mola", 6_490, 110, "Steel burrs, thirty steps, folding crank."),
    row(KITCHEN, "KIT-2004", "Teapot Kyusu, 0.6 l", 5_900, 55, "Clay from Tokoname, fine sieve in the spout."),
    row(KITCHEN, "KIT-2005", "Bread box Larch", 4_490, 80, "Keeps a loaf fresh for five days; the lid is a board."),
    row(KITCHEN, "KIT-2006", "Digital scale, 5 kg", 2_290, 210, "Weighs to the gram, glass top, wipes clean."),
    row(KITCHEN, "KIT-2007", "Mixing bowls, set of 3", 3_290, 160, "Steel with rubber feet; they nest."),
    row(KITCHEN, "KIT-2008", "Moka pot, 6 cups", 3_490, 190, "Aluminium, with a valve that can be cleaned."),
    row(
        BOOKS,
        "BOK-3001",
        "The Lighthouse Keeper's Ledger",
        1_999,
        400,
        "A novel of storms, debts and one honest clerk.",
    ),
    row(BOOKS, "BOK-3002", "Bread from Four Flours", 2_900, 220, "Sixty recipes that need time and little else."),
    row(BOOKS, "BOK-3003", "Birds at the Window", 1_890, 260, "Field guide to eighty birds of gardens and parks."),
    row(BOOKS, "BOK-3004", "A Short History of Maps", 3_490, 130, "How the world got its edges. With 90 plates."),
    row(BOOKS, "BOK-3005", "Queues and Other Patience", 1_690, 170, "Essays on waiting, in line and elsewhere."),
    row(BOOKS, "BOK-3006", "Repair It Yourself", 2_450, 240, "Step by step, from bicycle to toaster."),
    row(BOOKS, "BOK-3007", "The Night Ferry", 1_490, 350, "A detective who gets seasick, and a captain who does not."),
    row(BOOKS, "BOK-3008", "Mountains for Beginners", 2_190, 150, "Forty hikes between one hour and one day."),
    row(OUTDOOR, "OUT-4001", "Tent for two, Skarv", 24_900, 35, "Double wall, 2.1 kg, stands up in four minutes."),
    row(OUTDOOR, "OUT-4002", "Sleeping bag, comfort to 0 °C", 11_900, 60, "Recycled fill, zip on either side."),
    row(OUTDOOR, "OUT-4003", "Trekking poles, pair", 7_490, 95, "Carbon, three parts, cork handles."),
    row(OUTDOOR, "OUT-4004", "Backpack, 38 l", 12_900, 70, "Ventilated back, rain cover in the lid."),
    row(OUTDOOR, "OUT-4005", "Gas stove Pico", 3_990, 140, "Boils half a litre in three minutes, 78 g."),
    row(OUTDOOR, "OUT-4006", "Water bottle, 1 l", 2_190, 420, "Steel, one wall, fits every filter."),
    row(OUTDOOR, "OUT-4007", "Headlamp, 400 lm", 4_490, 180, "Red light for the tent, charges by USB-C."),
    row(OUTDOOR, "OUT-4008", "Hammock with straps", 3_990, 125, "Holds 200 kg, packs to the size of an apple."),
    row(ELECTRONICS, "ELC-5001", "Headphones Nine", 12_900, 85, "Closed, wired, every part can be replaced."),
    row(ELECTRONICS, "ELC-5002", "Wireless earbuds Pebble", 8_990, 200, "Eight hours, and 24 more in the case."),
    row(ELECTRONICS, "ELC-5003", "Bookshelf speakers, pair", 29_900, 30, "Two ways, birch plywood, made to be opened."),
    row(ELECTRONICS, "ELC-5004", "Keyboard, 75 percent", 11_900, 75, "Hot-swap switches, aluminium plate."),
    row(ELECTRONICS, "ELC-5005", "Mouse Quiet", 3_490, 260, "Clicks that wake nobody; one AA lasts a year."),
    row(ELECTRONICS, "ELC-5006", "USB-C charger, 65 W", 4_490, 330, "Two ports, gallium nitride, folds flat."),
    row(ELECTRONICS, "ELC-5007", "USB-C cable, 2 m", 1_490, 800, "Woven, 100 W, tested for 20 000 bends."),
    row(ELECTRONICS, "ELC-5008", "Radio Transistor", 7_990, 65, "FM and DAB+, a knob for each thing."),
    row(GARDEN, "GAR-6001", "Secateurs, bypass", 4_490, 140, "Forged blades, spare parts for life."),
    row(GARDEN, "GAR-6002", "Watering can, 9 l", 3_890, 90, "Galvanised, brass rose, well balanced."),
    row(GARDEN, "GAR-6003", "Hand trowel and fork", 2_790, 170, "Ash handles, steel that does not bend."),
    row(GARDEN, "GAR-6004", "Seed box Balcony", 2_490, 230, "Twelve herbs and salads with a calendar."),
    row(GARDEN, "GAR-6005", "Raised bed, 120 cm", 15_900, 25, "Larch, tongue and groove, no screws."),
    row(GARDEN, "GAR-6006", "Compost worms, 500 g", 2_990, 40, "With a leaflet on how to make them happy."),
    row(GARDEN, "GAR-6007", "Bird feeder House", 3_290, 100, "Rain stays out, cats too."),
    row(TOYS, "TOY-7001", "Building blocks, 60 pieces", 3_990, 150, "Beech, oiled, in a linen bag."),
    row(TOYS, "TOY-7002", "Train set, 40 parts", 5_990, 80, "Fits the tracks that you already have."),
    row(TOYS, "TOY-7003", "Puzzle Night Sky, 1000 pieces", 2_290, 210, "Northern sky, prints that do not shine."),
    row(TOYS, "TOY-7004", "Card game Market Day", 1_490, 340, "Two to five players, twenty minutes."),
    row(TOYS, "TOY-7005", "Kite Swift", 2_690, 120, "Single line, flies from 8 km/h."),
    row(TOYS, "TOY-7006", "Spinning tops, set of 4", 1_290, 280, "Each spins its own way."),
    row(TOYS, "TOY-7007", "Marble run, 90 parts", 7_490, 55, "Combines with the building blocks."),
    row(HOME, "HOM-8001", "Wool blanket, 130 x 200 cm", 8_990, 65, "Lambswool, woven in a mill from 1887."),
    row(HOME, "HOM-8002", "Linen bedding, 135 x 200 cm", 12_900, 50, "Stone-washed; needs no iron."),
    row(HOME, "HOM-8003", "Bath towels, set of 2", 3_990, 190, "Organic cotton, 500 g/m2."),
    row(HOME, "HOM-8004", "Candle Cedar", 1_990, 310, "Rapeseed wax, burns for 45 hours."),
    row(HOME, "HOM-8005", "Wall clock Station", 5_490, 85, "Silent sweep, readable from across the room."),
    row(HOME, "HOM-8006", "Doormat Coir", 2_990, 140, "Takes the mud, keeps its shape."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::PRODUCTS;

    #[test]
    fn sixty_products_in_eight_categories_have_unique_skus_and_names() {
        let distinct = |of: fn(&super::Row) -> &'static str| PRODUCTS.iter().map(of).collect::<BTreeSet<_>>().len();
        assert_eq!(PRODUCTS.len(), 60);
        assert_eq!((distinct(|row| row.sku), distinct(|row| row.name), distinct(|row| row.category)), (60, 60, 8));
        assert!(PRODUCTS.iter().all(|row| row.cents > 0 && row.stock > 0));
    }
}
