//! Contract of the port `Stock`, and the tables of stock.

use agora_catalog::{
    domain::{AdjustRefused, Adjustment, Reservation, StockLocation},
    ports::{AdjustError, Holds as _, Stock as _},
};
use agora_outbox::DedupKey;
use agora_vocab::{ProductId, Variant, WarehouseId};

use crate::fixture::{Database, command, fresh, held, hold, lines, main_location, reserve, seconds, stock_of, stocked};

#[tokio::test]
async fn stock_is_set_or_adjusted_but_not_below_the_reserved_units() {
    let database = &Database::create().await;
    let id = stocked(database, 5).await;
    let adjust = |by| async move { database.store.adjust(&main_location(id), by, "admin", &DedupKey::None).await };
    assert!(held(&reserve(database, hold(1), &[(id, 4)]).await));
    assert_eq!(adjust(Adjustment::Set(6)).await.unwrap().into_inner().stock, 2);
    assert_eq!(adjust(Adjustment::Add(-2)).await.unwrap().into_inner().stock, 0);
    for by in [Adjustment::Set(3), Adjustment::Add(-1)] {
        let refused = adjust(by).await;
        let below = AdjustRefused::BelowReserved { requested: 3, reserved: 4 };
        assert!(matches!(&refused, Err(AdjustError::Refused(why)) if *why == below), "{refused:?}");
    }
    assert_eq!(stock_of(database, id).await, 0);

    let nowhere = StockLocation { warehouse: WarehouseId::new(fresh()), ..main_location(id) };
    let unknown = database.store.adjust(&nowhere, Adjustment::Set(1), "admin", &DedupKey::None).await;
    assert!(matches!(unknown, Err(AdjustError::UnknownWarehouse)), "{unknown:?}");
    let nothing = main_location(ProductId::new(fresh()));
    let unknown = database.store.adjust(&nothing, Adjustment::Set(1), "admin", &DedupKey::None).await;
    assert!(matches!(unknown, Err(AdjustError::NotFound)), "{unknown:?}");
    database.check_invariants().await;
}

#[tokio::test]
async fn variants_have_separate_stock() {
    let database = &Database::create().await;
    let id = stocked(database, 2).await;
    let red = StockLocation { variant: Variant::parse("red").unwrap(), ..main_location(id) };
    database.store.adjust(&red, Adjustment::Set(1), "admin", &DedupKey::None).await.unwrap();
    assert_eq!(stock_of(database, id).await, 3);
    let result = database.store.reserve(hold(1), &lines(&[(id, 3)]), seconds(9), command()).await.unwrap();
    assert!(matches!(result.into_inner(), Reservation::Short(short) if short[0].available == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_ledger_is_append_only() {
    let database = &Database::create().await;
    stocked(database, 5).await;
    for sql in ["update stock_movement set quantity = 9", "delete from stock_movement", "truncate stock_movement"] {
        let mut connection = database.db.acquire().await.unwrap();
        let refused = sqlx::query(sql).execute(&mut *connection).await.unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{sql}: {refused}");
    }
    // A check constraint rejects more reserved units than units on hand.
    let mut connection = database.db.acquire().await.unwrap();
    let refused = sqlx::query("update stock set reserved = on_hand + 1").execute(&mut *connection).await.unwrap_err();
    assert_eq!(agora_postgres::constraint(&refused), Some("stock_never_oversold"));
}
