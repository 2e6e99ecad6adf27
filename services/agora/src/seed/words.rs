//! Names and phrases of the sample products in English, German and French. Data only.

/// A phrase in English, German and French.
pub type Phrase = [&'static str; 3];

/// Products of one category and brand: each type in each series.
#[derive(Debug)]
pub struct Range {
    /// Begins the stock keeping units.
    pub prefix: &'static str,
    pub category: &'static str,
    pub brand: &'static str,
    pub supplier: &'static str,
    /// Kinds of products, each with the price of the first series in euro cents.
    pub types: [(Phrase, i64); 5],
    /// Names that follow the kind.
    pub series: [&'static str; 10],
    pub materials: [Phrase; 3],
    pub features: [Phrase; 4],
    /// Whether the products have variants by colour.
    pub coloured: bool,
}

/// Colours of variants.
pub const COLOURS: [&str; 6] = ["sand", "slate", "moss", "rust", "ink", "snow"];

/// What the first sample products are.
pub static RANGES: [Range; 10] = [
    Range {
        prefix: "LMP",
        category: "Lighting",
        brand: "Lumen & Oak",
        supplier: "Nordlicht Handels GmbH",
        types: [
            (["Desk lamp", "Schreibtischlampe", "Lampe de bureau"], 5_990),
            (["Floor lamp", "Stehlampe", "Lampadaire"], 12_900),
            (["Pendant lamp", "Pendelleuchte", "Suspension"], 8_950),
            (["Wall lamp", "Wandleuchte", "Applique"], 6_490),
            (["Night light", "Nachtlicht", "Veilleuse"], 1_690),
        ],
        series: ["Arne", "Bodil", "Dagny", "Embla", "Frode", "Gunnar", "Hedda", "Ivar", "Jorunn", "Kjell"],
        materials: [
            ["Oiled oak and linen", "Geölte Eiche und Leinen", "Chêne huilé et lin"],
            ["Spun aluminium, matt black", "Gedrücktes Aluminium, mattschwarz", "Aluminium repoussé, noir mat"],
            ["Opal glass on brass", "Opalglas auf Messing", "Verre opale sur laiton"],
        ],
        features: [
            ["Dims without steps.", "Stufenlos dimmbar.", "Variation continue."],
            ["Warm light of 2700 K.", "Warmes Licht mit 2700 K.", "Lumière chaude de 2700 K."],
            ["The bulb can be replaced.", "Das Leuchtmittel ist austauschbar.", "L'ampoule se remplace."],
            [
                "With three metres of textile cable.",
                "Mit drei Metern Textilkabel.",
                "Avec trois mètres de câble textile.",
            ],
        ],
        coloured: false,
    },
    Range {
        prefix: "KIT",
        category: "Kitchen",
        brand: "Herdfeuer",
        supplier: "Kontor Alt & Sohn",
        types: [
            (["Frying pan", "Bratpfanne", "Poêle"], 3_990),
            (["Saucepan", "Stielkasserolle", "Casserole"], 4_490),
            (["Chef's knife", "Kochmesser", "Couteau de chef"], 6_950),
            (["Teapot", "Teekanne", "Théière"], 3_890),
            (["Mixing bowl", "Rührschüssel", "Saladier"], 1_890),
        ],
        series: ["Alma", "Bruno", "Clara", "Dora", "Emil", "Frieda", "Gustav", "Hanna", "Ida", "Johann"],
        materials: [
            ["Cast iron, seasoned", "Gusseisen, eingebrannt", "Fonte culottée"],
            ["Brushed steel", "Gebürsteter Stahl", "Acier brossé"],
            ["Enamel in two layers", "Zweischichtiges Emaille", "Émail en deux couches"],
        ],
        features: [
            ["For every hob.", "Für alle Herdarten.", "Pour toutes les plaques."],
            ["Handle of walnut.", "Griff aus Nussbaum.", "Manche en noyer."],
            ["Goes into the dishwasher.", "Spülmaschinenfest.", "Passe au lave-vaisselle."],
            ["Spare parts for thirty years.", "Ersatzteile für dreißig Jahre.", "Pièces détachées pendant trente ans."],
        ],
        coloured: false,
    },
    Range {
        prefix: "PAP",
        category: "Paper",
        brand: "Papierboot",
        supplier: "Buchgrosso Mitte",
        types: [
            (["Notebook", "Notizbuch", "Carnet"], 1_290),
            (["Sketchbook", "Skizzenbuch", "Carnet de croquis"], 1_690),
            (["Diary", "Tagebuch", "Journal"], 1_990),
            (["Photo album", "Fotoalbum", "Album photo"], 2_890),
            (["Letter set", "Briefset", "Nécessaire de correspondance"], 1_490),
        ],
        series: ["Amsel", "Bachstelze", "Dohle", "Elster", "Fink", "Gimpel", "Kiebitz", "Lerche", "Meise", "Star"],
        materials: [
            ["Cotton paper of 120 g/m²", "Baumwollpapier, 120 g/m²", "Papier coton de 120 g/m²"],
            ["Recycled paper, cloth cover", "Recyclingpapier, Leineneinband", "Papier recyclé, couverture en toile"],
            ["Wood-free paper, thread-stitched", "Holzfreies Papier, fadengeheftet", "Papier sans bois, cousu"],
        ],
        features: [
            ["Lies flat on the table.", "Liegt flach auf dem Tisch.", "S'ouvre bien à plat."],
            ["Takes ink without bleeding.", "Tintenfest.", "L'encre ne traverse pas."],
            ["With a pocket for slips.", "Mit Tasche für Zettel.", "Avec une pochette."],
            ["Two ribbons to mark pages.", "Zwei Lesebändchen.", "Deux signets."],
        ],
        coloured: false,
    },
    Range {
        prefix: "OUT",
        category: "Outdoor",
        brand: "Fjellvind",
        supplier: "Bergquell Ausruestung AG",
        types: [
            (["Tent", "Zelt", "Tente"], 18_900),
            (["Sleeping bag", "Schlafsack", "Sac de couchage"], 9_900),
            (["Trekking poles", "Trekkingstöcke", "Bâtons de marche"], 5_490),
            (["Camping stove", "Campingkocher", "Réchaud"], 3_990),
            (["Headlamp", "Stirnlampe", "Lampe frontale"], 3_490),
        ],
        series: ["Skarv", "Terne", "Lom", "Rype", "Hegre", "Ørn", "Falk", "Svale", "Ugle", "Trost"],
        materials: [
            ["Recycled nylon, sealed seams", "Recyceltes Nylon, versiegelte Nähte", "Nylon recyclé, coutures étanches"],
            ["Anodised aluminium", "Eloxiertes Aluminium", "Aluminium anodisé"],
            ["Titanium and cork", "Titan und Kork", "Titane et liège"],
        ],
        features: [
            ["Tested at minus 10 °C.", "Bei minus 10 °C geprüft.", "Testé à moins 10 °C."],
            ["Packs small.", "Kleines Packmaß.", "Se range facilement."],
            ["Can be repaired on the way.", "Unterwegs zu reparieren.", "Se répare en route."],
            ["Weighs less than a litre of water.", "Leichter als ein Liter Wasser.", "Plus léger qu'un litre d'eau."],
        ],
        coloured: false,
    },
    Range {
        prefix: "AUD",
        category: "Audio",
        brand: "Klarton",
        supplier: "Volt & Watt Distribution",
        types: [
            (["Headphones", "Kopfhörer", "Casque"], 9_900),
            (["Bookshelf speakers", "Regallautsprecher", "Enceintes"], 24_900),
            (["Radio", "Radio", "Radio"], 7_990),
            (["Record player", "Plattenspieler", "Platine"], 29_900),
            (["Microphone", "Mikrofon", "Microphone"], 8_490),
        ],
        series: ["Adagio", "Ballade", "Coda", "Duett", "Etude", "Fuge", "Largo", "Menuett", "Rondo", "Sonate"],
        materials: [
            ["Birch plywood", "Birkenschichtholz", "Contreplaqué de bouleau"],
            ["Die-cast zinc", "Zinkdruckguss", "Zamak moulé"],
            ["Recycled plastic, felt", "Recycelter Kunststoff, Filz", "Plastique recyclé, feutre"],
        ],
        features: [
            ["Every part can be replaced.", "Jedes Teil ist austauschbar.", "Chaque pièce se remplace."],
            ["A knob for each function.", "Ein Knopf für jede Funktion.", "Un bouton par fonction."],
            ["Measured one by one.", "Einzeln eingemessen.", "Mesuré un par un."],
            ["Five years of warranty.", "Fünf Jahre Garantie.", "Cinq ans de garantie."],
        ],
        coloured: false,
    },
    Range {
        prefix: "GAR",
        category: "Garden",
        brand: "Gruener Daumen",
        supplier: "Kontor Alt & Sohn",
        types: [
            (["Secateurs", "Gartenschere", "Sécateur"], 3_490),
            (["Watering can", "Gießkanne", "Arrosoir"], 3_290),
            (["Hand trowel", "Pflanzkelle", "Transplantoir"], 1_690),
            (["Plant pot", "Pflanztopf", "Pot de fleurs"], 1_290),
            (["Bird feeder", "Vogelhaus", "Mangeoire"], 2_990),
        ],
        series: ["Ahorn", "Birke", "Distel", "Efeu", "Farn", "Ginster", "Hasel", "Klee", "Linde", "Malve"],
        materials: [
            ["Galvanised steel", "Verzinkter Stahl", "Acier galvanisé"],
            ["Forged steel and ash", "Geschmiedeter Stahl und Esche", "Acier forgé et frêne"],
            ["Frostproof clay", "Frostfester Ton", "Terre cuite résistante au gel"],
        ],
        features: [
            ["Well balanced in the hand.", "Liegt gut in der Hand.", "Bien équilibré."],
            ["Stays outdoors all year.", "Bleibt das ganze Jahr draußen.", "Reste dehors toute l'année."],
            ["Spare parts for life.", "Ersatzteile auf Dauer.", "Pièces détachées à vie."],
            ["Made by a family of smiths.", "Aus einer Familienschmiede.", "Fabriqué par une famille de forgerons."],
        ],
        coloured: false,
    },
    Range {
        prefix: "TOY",
        category: "Toys",
        brand: "Holzwurm",
        supplier: "Spielkiste Import",
        types: [
            (["Building blocks", "Bauklötze", "Blocs de construction"], 2_990),
            (["Train set", "Eisenbahn", "Train"], 4_990),
            (["Puzzle", "Puzzle", "Puzzle"], 1_690),
            (["Marble run", "Kugelbahn", "Circuit à billes"], 5_490),
            (["Spinning top", "Kreisel", "Toupie"], 890),
        ],
        series: ["Bär", "Dachs", "Eule", "Frosch", "Hase", "Igel", "Luchs", "Maus", "Otter", "Wal"],
        materials: [
            ["Beech, oiled", "Buche, geölt", "Hêtre huilé"],
            ["Maple, dyed with water", "Ahorn, wassergebeizt", "Érable teinté à l'eau"],
            ["Cork and lime", "Kork und Linde", "Liège et tilleul"],
        ],
        features: [
            ["From three years.", "Ab drei Jahren.", "À partir de trois ans."],
            ["Fits the parts of the other sets.", "Passt zu den anderen Sets.", "Compatible avec les autres coffrets."],
            ["In a bag of linen.", "Im Leinenbeutel.", "Dans un sac en lin."],
            ["Single parts can be ordered.", "Einzelteile sind nachbestellbar.", "Les pièces se commandent une à une."],
        ],
        coloured: false,
    },
    Range {
        prefix: "TEX",
        category: "Textiles",
        brand: "Wollgras",
        supplier: "Nordlicht Handels GmbH",
        types: [
            (["Wool blanket", "Wolldecke", "Plaid en laine"], 7_990),
            (["Cushion", "Kissen", "Coussin"], 2_990),
            (["Tablecloth", "Tischdecke", "Nappe"], 4_490),
            (["Bed linen", "Bettwäsche", "Parure de lit"], 8_900),
            (["Scarf", "Schal", "Écharpe"], 3_490),
        ],
        series: ["Amrum", "Baltrum", "Fehmarn", "Föhr", "Hiddensee", "Juist", "Langeoog", "Pellworm", "Rügen", "Sylt"],
        materials: [
            ["Lambswool", "Lammwolle", "Laine d'agneau"],
            ["Stone-washed linen", "Gewaschenes Leinen", "Lin lavé"],
            ["Organic cotton", "Biobaumwolle", "Coton biologique"],
        ],
        features: [
            ["Woven in a mill from 1887.", "Gewebt in einer Weberei von 1887.", "Tissé dans une usine de 1887."],
            ["Needs no iron.", "Bügelfrei.", "Sans repassage."],
            ["Washes at 40 °C.", "Waschbar bei 40 °C.", "Lavable à 40 °C."],
            ["Dyed without heavy metals.", "Schwermetallfrei gefärbt.", "Teint sans métaux lourds."],
        ],
        coloured: true,
    },
    Range {
        prefix: "BAG",
        category: "Bags",
        brand: "Reisig",
        supplier: "Bergquell Ausruestung AG",
        types: [
            (["Backpack", "Rucksack", "Sac à dos"], 8_900),
            (["Shoulder bag", "Umhängetasche", "Sacoche"], 6_900),
            (["Travel bag", "Reisetasche", "Sac de voyage"], 10_900),
            (["Wallet", "Portemonnaie", "Portefeuille"], 3_900),
            (["Wash bag", "Kulturbeutel", "Trousse de toilette"], 2_900),
        ],
        series: ["Aller", "Bode", "Eider", "Fulda", "Havel", "Isar", "Lahn", "Neckar", "Oker", "Saale"],
        materials: [
            ["Waxed canvas", "Gewachstes Segeltuch", "Toile cirée"],
            ["Leather, vegetable-tanned", "Pflanzlich gegerbtes Leder", "Cuir à tannage végétal"],
            ["Recycled sailcloth", "Recyceltes Segel", "Voile recyclée"],
        ],
        features: [
            ["Sewn by hand.", "Von Hand genäht.", "Cousu à la main."],
            ["Buckles of brass.", "Schnallen aus Messing.", "Boucles en laiton."],
            ["Keeps the rain out.", "Hält Regen ab.", "Résiste à la pluie."],
            ["Repaired for free.", "Kostenlose Reparatur.", "Réparation gratuite."],
        ],
        coloured: true,
    },
    Range {
        prefix: "BTH",
        category: "Bath",
        brand: "Quellrand",
        supplier: "Kontor Alt & Sohn",
        types: [
            (["Soap dish", "Seifenschale", "Porte-savon"], 1_290),
            (["Mirror", "Spiegel", "Miroir"], 5_900),
            (["Towel rail", "Handtuchhalter", "Porte-serviettes"], 3_490),
            (["Laundry basket", "Wäschekorb", "Panier à linge"], 4_490),
            (["Bath brush", "Badebürste", "Brosse de bain"], 1_590),
        ],
        series: ["Ammer", "Boden", "Chiem", "Eib", "König", "Müritz", "Plön", "Schaal", "Tegern", "Wann"],
        materials: [
            ["Thermally treated ash", "Thermoesche", "Frêne thermotraité"],
            ["Stoneware, glazed", "Glasiertes Steinzeug", "Grès émaillé"],
            ["Brushed steel", "Gebürsteter Stahl", "Acier brossé"],
        ],
        features: [
            ["Dries quickly.", "Trocknet schnell.", "Sèche vite."],
            ["Mounted without drilling.", "Hält ohne Bohren.", "Se pose sans percer."],
            ["Wipes clean.", "Leicht abzuwischen.", "S'essuie facilement."],
            ["Packed without plastic.", "Plastikfrei verpackt.", "Emballé sans plastique."],
        ],
        coloured: false,
    },
];
