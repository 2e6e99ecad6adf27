//! Searches over HTTP.

use agora_api::search::{FacetValue, Facets, PriceRange, Suggestion};
use agora_search::domain::Product;
use agora_testkit::refused;

use crate::{
    fixture::{Database, chair, deleted, named, stock, stored, time_of},
    shop::Shop,
};

fn described(name: &str, description: &str) -> Product {
    Product { description: description.into(), ..named(name) }
}

#[tokio::test]
async fn se1_a_product_is_found_by_each_of_its_words_in_any_case_accent_and_order() {
    let shop = Shop::open().await;
    let lamp = Product {
        sku: Some("LMP-07/b".into()),
        supplier: Some("Nordlicht".into()),
        description: "Wirft ein weiches Licht auf die Straße; 12 W.".into(),
        ..chair("Crème brûlée Lamp", "Leuchten", "Ånd & Co", 4_990)
    };
    shop.sell(&[lamp, chair("Кресло Ёлка", "Мебель", "Дом", 100), named("Other")]).await;
    for q in [
        "creme",
        "CRÈME",
        "lamp brulee",
        "LMP-07/b",
        "lmp07b",
        "strasse",
        "STRASSE",
        "leuchten",
        "and",
        "nordlicht",
        "12 w",
        "cre",
        "%20lamp,%20(cr%C3%A8me)!",
    ] {
        assert_eq!(shop.names(&format!("q={}", q.replace(' ', "%20"))).await, ["Crème brûlée Lamp"], "{q}");
    }
    assert_eq!(shop.names("q=КРЕСЛО%20елка").await, ["Кресло Ёлка"]);
    for q in ["lamp%20other", "xyzzy", "'", "%26%7C!()", "a:*"] {
        assert_eq!(shop.names(&format!("q={q}")).await, [""; 0], "{q}");
    }
}

#[tokio::test]
async fn se1_names_rank_before_brands_and_brands_before_descriptions() {
    let shop = Shop::open().await;
    let products = [
        described("Table", "goes with an oak chair"),
        chair("Bench", "Garden", "Oak", 1),
        named("Oak"),
        named("Oaken shelf"),
    ];
    shop.sell(&products).await;
    assert_eq!(shop.names("q=oak").await, ["Oak", "Oaken shelf", "Bench", "Table"]);
}

#[tokio::test]
async fn se1_a_misspelt_word_finds_what_is_meant_and_the_answer_says_so() {
    let shop = Shop::open().await;
    shop.sell(&[named("Oak chair"), named("Headphone"), named("Кресло"), named("Desk")]).await;
    for (q, name, corrected) in [
        ("oak%20chiar", "Oak chair", "oak chair"),
        ("cahir", "Oak chair", "chair"),
        ("headfone", "Headphone", "headphone"),
        ("крисло", "Кресло", "кресло"),
    ] {
        let found = shop.search(&format!("q={q}")).await;
        let names: Vec<_> = found.items.iter().map(|product| product.name.as_str()).collect();
        assert_eq!((names, found.corrected_query.as_deref()), (vec![name], Some(corrected)), "{q}");
    }
    assert_eq!(shop.search("q=chair").await.corrected_query, None);
    let nothing = shop.search("q=zzzzzzz").await;
    assert_eq!((nothing.total, nothing.corrected_query), (Some(0), None));
}

#[tokio::test]
async fn se1_completions_are_categories_brands_and_products_that_begin_with_the_text() {
    let shop = Shop::open().await;
    let lamp = chair("Oak lamp", "Lamps", "Oakley", 1);
    shop.sell(&[lamp.clone(), chair("Desk", "Oak furniture", "Ikon", 1)]).await;
    let items = shop.public.get("/api/v1/search/suggestions?q=oa").await.expect(200).body["items"].clone();
    let items: Vec<Suggestion> = serde_json::from_value(items).unwrap();
    let found: Vec<_> = items.iter().map(|item| (item.kind.as_str(), item.text.as_str())).collect();
    assert_eq!(found[0], ("category", "Lamps"));
    assert!(found.contains(&("category", "Oak furniture")) && found.contains(&("brand", "Oakley")), "{found:?}");
    let product = items.iter().find(|item| item.text == "Oak lamp").unwrap();
    assert_eq!((product.kind.as_str(), product.product_id), ("product", Some(lamp.id)));
    let one = shop.public.get("/api/v1/search/suggestions?q=oak%20l&limit=1").await.expect(200);
    assert_eq!(one.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn se2_facets_count_what_another_choice_of_their_filter_would_find() {
    let shop = Shop::open().await;
    let products = [
        chair("Oak chair", "Chairs", "Ikon", 900),
        chair("Oak stool", "Chairs", "Oldham", 2_600),
        chair("Oak table", "Tables", "Ikon", 9_000),
        chair("Elm table", "Tables", "Ikon", 9_000),
    ];
    shop.sell(&products).await;
    shop.store(&[], &[stock(products[1].id, 0, 2)]).await;
    let value = |value: &str, count| FacetValue { value: value.into(), count };
    let range = |from, below, count| PriceRange { currency: "EUR".into(), from, below: Some(below), count };
    let found = shop.search("q=oak&brand=Ikon").await;
    assert_eq!(found.total, Some(2));
    let expected = Facets {
        category: vec![value("Chairs", 1), value("Tables", 1)],
        brand: vec![value("Ikon", 2), value("Oldham", 1)],
        price: vec![range(0, 1_000, 1), range(5_000, 10_000, 1)],
        in_stock: 2,
    };
    assert_eq!(found.facets, Some(expected));

    let all = shop.search("").await.facets.unwrap();
    assert_eq!(all.category, [value("Chairs", 2), value("Tables", 2)]);
    assert_eq!((all.brand, all.in_stock), (vec![value("Ikon", 3), value("Oldham", 1)], 3));
    assert_eq!(shop.search("q=oak&facets=false").await.facets, None);
}

#[tokio::test]
async fn se2_filters_combine() {
    let shop = Shop::open().await;
    let products = [
        chair("Oak chair", "Chairs", "Ikon", 900),
        chair("Oak stool", "Chairs", "Oldham", 2_600),
        chair("Oak table", "Tables", "Ikon", 9_000),
    ];
    shop.sell(&products).await;
    shop.store(&[], &[stock(products[0].id, 0, 2)]).await;
    for (filters, expected) in [
        ("category=Chairs&sort=name", vec!["Oak chair", "Oak stool"]),
        ("category=Chairs&brand=Ikon", vec!["Oak chair"]),
        ("category=Chairs&inStock=true", vec!["Oak stool"]),
        ("minPrice=901&maxPrice=9000&sort=price", vec!["Oak stool", "Oak table"]),
        ("maxPrice=899", vec![]),
        ("category=chairs", vec![]),
    ] {
        assert_eq!(shop.names(&format!("q=oak&{filters}")).await, expected, "{filters}");
        assert_eq!(shop.names(filters).await, expected, "{filters} without a text");
    }
}

#[tokio::test]
async fn se2_every_order_is_paged_without_gaps_and_duplicates() {
    let shop = Shop::open().await;
    let mut products: Vec<Product> = (0..7_i64)
        .map(|n| {
            let name = if n % 2 == 0 { format!("Oak {n}") } else { format!("oak Chair {}", n / 2) };
            Product { created_at: time_of(n / 3), ..chair(&name, "Chairs", "Ikon", 100 * (n % 3 + 1)) }
        })
        .collect();
    products.push(described("Table", "of oak"));
    shop.sell(&products).await;
    for query in [
        "q=oak&sort=relevance",
        "q=oak&sort=name",
        "q=oak&sort=price",
        "q=oak&sort=-price",
        "q=oak&sort=createdAt",
        "q=oak&sort=-createdAt",
        "sort=name",
        "sort=price",
        "sort=-price",
        "sort=createdAt",
        "sort=-createdAt",
    ] {
        let whole = shop.names(&format!("{query}&limit=100")).await;
        assert_eq!(whole.len(), products.len(), "{query}");
        let (mut paged, mut cursor) = (Vec::new(), None);
        for _ in 0..products.len() {
            let after = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page = shop.search(&format!("{query}&limit=3{after}")).await;
            paged.extend(page.items.into_iter().map(|product| product.name));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(paged, whole, "{query}");
        let second = shop.search(&format!("{query}&limit=3&offset=3")).await;
        assert_eq!(
            second.items.iter().map(|product| &product.name).collect::<Vec<_>>(),
            whole[3..6].iter().collect::<Vec<_>>()
        );
        assert_eq!(second.total, Some(8), "{query}");
    }
    let prices = shop.search("q=oak&sort=-price&limit=100").await.items;
    assert!(prices.is_sorted_by(|a, b| a.price.amount >= b.price.amount));
}

#[tokio::test]
async fn se1_the_products_of_the_catalogs_list_are_answered_in_its_form() {
    let shop = Shop::open().await;
    let lamp = Product { image_url: Some("https://cdn.example/1".into()), ..described("Lamp", "bright") };
    shop.sell(std::slice::from_ref(&lamp)).await;
    let page = shop.public.get("/api/v1/search/products?q=lamp&sort=-price&limit=5&offset=0").await.expect(200);
    assert_eq!(page.body["total"], 1);
    let item = &page.body["items"][0];
    assert_eq!((item["id"].as_str().unwrap(), &item["stock"]), (lamp.id.to_string().as_str(), &5.into()));
    assert_eq!((&item["imageUrl"], &item["description"]), (&"https://cdn.example/1".into(), &"bright".into()));
    assert_eq!(item["createdAt"], item["updatedAt"]);
    assert_eq!(page.body.as_object().unwrap().keys().collect::<Vec<_>>(), ["items", "total"]);
}

#[tokio::test]
async fn a_deleted_product_is_not_found() {
    let shop = Shop::open().await;
    let lamp = named("Lamp");
    shop.sell(std::slice::from_ref(&lamp)).await;
    shop.store(&[deleted(&lamp)], &[]).await;
    shop.store(&[stored(&lamp)], &[stock(lamp.id, 9, 9)]).await;
    assert_eq!(shop.names("q=lamp").await, [""; 0]);
    assert_eq!(shop.names("").await, [""; 0]);
}

#[tokio::test]
async fn malformed_parameters_are_named() {
    let shop = Shop::open().await;
    let long = format!("q={}", "x".repeat(101));
    for (query, status, field) in [
        ("q=", 400, "q"),
        ("q=%07", 400, "q"),
        (long.as_str(), 400, "q"),
        ("sort=relevance", 400, "sort"),
        ("sort=best", 400, "sort"),
        ("category=", 400, "category"),
        ("minPrice=-1", 400, "minPrice"),
        ("maxPrice=1.5", 400, "maxPrice"),
        ("inStock=yes", 400, "inStock"),
        ("facets=1", 400, "facets"),
        ("cursor=x", 400, "cursor"),
        ("limit=101", 422, "limit"),
        ("offset=10001", 422, "offset"),
        ("colour=red", 400, "colour"),
    ] {
        let code = if status == 422 { "VALIDATION_FAILED" } else { "INVALID_QUERY" };
        refused(&shop.public.get(&format!("/api/v1/search?{query}")).await, status, code, &[field]);
    }
    let cursor = "eyJzIjoibmFtZSIsImsiOnsicCI6MX0sImkiOiIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDAifQ";
    refused(
        &shop.public.get(&format!("/api/v1/search?sort=name&cursor={cursor}")).await,
        400,
        "INVALID_QUERY",
        &["cursor"],
    );
}

#[tokio::test]
async fn a_search_without_a_database_is_refused_and_may_be_repeated() {
    let shop = Shop::open().await;
    shop.search("q=lamp").await;
    let Database { server, .. } = &shop.database;
    server.stop().await;
    let answer = shop.public.get("/api/v1/search?q=lamp").await.expect(503);
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn de17_the_router_serves_every_operation_of_the_document() {
    Shop::open().await.public.assert_serves_its_document().await;
}
