//! However events arrive, the index is the same.

use agora_search::domain::{Product, ProductChange, StockChange};
use agora_vocab::{ProductId, Variant};

use crate::{
    fixture::{deleted, exported, named, stock, stored, time_of},
    shop::Shop,
};

enum Message {
    Product(ProductChange),
    Stock(StockChange),
}

/// The history of some products: created, changed, sold, some deleted.
fn history() -> (Vec<Message>, Vec<Product>) {
    let (mut messages, mut left) = (Vec::new(), Vec::new());
    for n in 0..6 {
        let mut product = named(&format!("Lamp {n}"));
        messages.push(Message::Product(stored(&product)));
        for version in 2..=4 {
            product = Product {
                version,
                name: format!("Lamp {n} of version {version}"),
                created_at: time_of(version),
                updated_at: time_of(version),
                ..product
            };
            messages.push(Message::Product(stored(&product)));
            messages.push(Message::Stock(stock(product.id, 10 * version + n, version)));
            messages.push(Message::Stock(red(product.id, version)));
        }
        if n % 3 == 0 {
            messages.push(Message::Product(deleted(&product)));
        } else {
            left.push(Product { created_at: time_of(1), ..product });
        }
    }
    (messages, left)
}

fn red(product: ProductId, version: i64) -> StockChange {
    StockChange { variant: Variant::parse("red").unwrap(), ..stock(product, version, version) }
}

async fn deliver(shop: &Shop, messages: &[&Message], batch: usize) {
    for batch in messages.chunks(batch) {
        let (mut products, mut levels) = (Vec::new(), Vec::new());
        for message in batch {
            match message {
                Message::Product(change) => products.push(change.clone()),
                Message::Stock(change) => levels.push(change.clone()),
            }
        }
        shop.store(&products, &levels).await;
    }
}

/// Orders of arrival: as sent, backwards, and shuffled in a repeatable way, each also three times.
fn arrivals(count: usize) -> Vec<Vec<usize>> {
    let sent: Vec<usize> = (0..count).collect();
    let backwards: Vec<usize> = (0..count).rev().collect();
    let mut orders =
        vec![sent.clone(), backwards, sent.iter().flat_map(|n| [*n; 3]).collect(), [sent.clone(), sent].concat()];
    for seed in 1..=4_usize {
        let mut shuffled: Vec<usize> = (0..3 * count).map(|n| n % count).collect();
        shuffled.sort_by_key(|n| (n * 7_919 * seed + seed * seed) % 104_729 % (count + seed));
        orders.push(shuffled);
    }
    orders
}

#[tokio::test]
async fn se1_duplicates_reordering_delay_and_replay_leave_the_same_index() {
    let (messages, left) = history();
    let mut expected = None;
    for (number, order) in arrivals(messages.len()).into_iter().enumerate() {
        let shop = Shop::open().await;
        let arriving: Vec<&Message> = order.iter().map(|n| &messages[*n]).collect();
        deliver(&shop, &arriving, 1 + 9 * (number % 3)).await;
        let contents = shop.database.contents().await;
        let found = shop.search("q=lamp&limit=100&sort=name").await.items;
        let created: Vec<_> = found.iter().map(|product| (product.id, product.created_at)).collect();
        assert_eq!(created, left.iter().map(|product| (product.id, product.created_at)).collect::<Vec<_>>());
        assert_eq!(&contents, expected.get_or_insert(contents.clone()), "arrival {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn se1_products_and_stock_that_are_stored_at_once_do_not_lose_each_other() {
    let shop = Shop::open().await;
    let products: Vec<Product> = (0..40).map(|n| named(&format!("Lamp {n}"))).collect();
    let changes: Vec<_> = products.iter().map(stored).collect();
    let levels: Vec<_> = products.iter().map(|product| stock(product.id, 5, 1)).collect();
    let mut running = Vec::new();
    for part in 0..8 {
        let (changes, levels, service) = (changes.clone(), levels.clone(), shop.service.clone());
        running.push(async move {
            if part % 2 == 0 { service.store(&changes, &[]).await } else { service.store(&[], &levels).await }
        });
    }
    for stored in futures::future::join_all(running).await {
        stored.unwrap();
    }
    let found = shop.search("q=lamp&limit=100").await.items;
    assert_eq!((found.len(), found.iter().map(|product| product.stock).sum::<i64>()), (40, 200));
}

#[tokio::test]
async fn se1_the_index_that_events_made_is_the_one_that_is_built_from_the_catalog() {
    let (messages, left) = history();
    let by_events = Shop::open().await;
    deliver(&by_events, &messages.iter().collect::<Vec<_>>(), 7).await;
    let by_export = Shop::open().await;
    let export = left.iter().map(|product| {
        let mut exported = exported(product, 0);
        let lamp: i64 = product.name[5..6].parse().unwrap();
        exported.stock = vec![stock(product.id, 40 + lamp, 4), red(product.id, 4)];
        exported
    });
    by_export.catalog.sell(export.collect());
    by_export.service.request_rebuild().await.unwrap();
    assert!(by_export.service.build().await.unwrap());
    for query in ["q=lamp&limit=100&sort=name", "limit=100&sort=price"] {
        assert_eq!(by_events.search(query).await, by_export.search(query).await);
    }
}
