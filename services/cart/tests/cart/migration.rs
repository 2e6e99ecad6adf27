//! Carts and checkouts that an older version stored are unchanged after the migrations.

use std::sync::Arc;

use agora_cart::{
    MIGRATIONS,
    domain::CheckoutState,
    ports::{Carts as _, Checkouts as _},
    postgres::PgCarts,
};
use agora_chassis::SystemIds;
use agora_postgres::Db;
use agora_vocab::{Epoch, OrderId, UserId};
use sqlx::migrate::Migrator;
use uuid::Uuid;

use crate::fixture::{command, eur, held, units};

const STORED: &str = "
    insert into cart (id, user_id, version) values
        ('00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-0000000000a1', 7),
        ('00000000-0000-0000-0000-0000000000c2', '00000000-0000-0000-0000-0000000000a2', 2);
    insert into cart_item (id, cart_id, product_id, variant, quantity, seen_amount, seen_currency, created_at) values
        (gen_random_uuid(), '00000000-0000-0000-0000-0000000000a1', gen_random_uuid(), 'red', 2, 100, 'EUR', now()),
        (gen_random_uuid(), '00000000-0000-0000-0000-0000000000a1', gen_random_uuid(), '', 3, 250, 'EUR',
            now() - interval '1 hour');
    insert into taking (order_id, state, cart_id, cart_version, lines) values
        ('00000000-0000-0000-0000-0000000000e2', 'taken', '00000000-0000-0000-0000-0000000000c2', 1,
            '[{\"id\": \"00000000-0000-0000-0000-0000000000f1\", \"product\": \"00000000-0000-0000-0000-0000000000f2\",
               \"variant\": \"\", \"quantity\": 4, \"seen\": {\"amount\": 5, \"currency\": \"EUR\"}}]')";

#[tokio::test(flavor = "multi_thread")]
async fn carts_and_checkouts_of_an_older_version_are_kept() {
    let url = agora_testkit::postgres().await.url();
    let old = MIGRATIONS.iter().filter(|migration| migration.version < 3).cloned().collect();
    let old: &'static Migrator = Box::leak(Box::new(Migrator::with_migrations(old)));
    let before = Db::for_test(&url, old).await;
    sqlx::raw_sql(STORED).execute(&mut *before.acquire().await.unwrap()).await.unwrap();

    let carts = PgCarts::new(Db::for_test(&url, &MIGRATIONS).await, Arc::new(SystemIds), Epoch::default());
    let (first, second) = (UserId::new(Uuid::from_u128(0xa1)), UserId::new(Uuid::from_u128(0xa2)));
    let cart = carts.find(first.into()).await.unwrap().cart;
    let lines: Vec<_> = cart.lines.iter().map(|line| (line.quantity, line.variant.as_str(), line.seen)).collect();
    assert_eq!((cart.version, lines), (7, vec![(units(3), "", eur(250)), (units(2), "red", eur(100))]));

    assert_eq!(held(&carts, second).await, (2, vec![]));
    let order = OrderId::new(Uuid::from_u128(0xe2));
    let cancelled = carts.cancel_checkout(order, &command()).await.unwrap().into_inner();
    assert_eq!((cancelled, held(&carts, second).await), (CheckoutState::Returned, (3, vec![4])));
}
