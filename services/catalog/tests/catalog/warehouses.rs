//! Warehouses and the locations where they stand.

use agora_api::{List, catalog as api};
use agora_testkit::refused;
use agora_vocab::WarehouseId;
use serde_json::json;

use crate::{
    fixture::fresh,
    shop::{Shop, order_id},
};

const PATH: &str = "/api/v1/warehouses";

#[tokio::test]
async fn ca13_warehouses_are_created_changed_and_deleted_by_admins() {
    let shop = Shop::open().await;
    let admin = &shop.admin;
    let location = shop.named("/api/v1/locations", "Hamburg").await;
    let body = json!({"name": "North", "priority": 3, "locationId": location["id"]});
    let created = shop.public.post(PATH, body).with(admin).await.expect(201);
    let north: api::Warehouse = created.parse();
    let one = format!("{PATH}/{}", north.id);
    assert_eq!((created.header("location"), created.header("etag")), (one.as_str(), "\"1\""));
    assert_eq!((north.name.as_str(), north.priority, north.location.as_deref()), ("North", 3, Some("Hamburg")));
    assert_eq!(shop.public.get(&one).with(admin).await.expect(200).parse::<api::Warehouse>(), north);
    let page: List<api::Warehouse> = shop.public.get(PATH).with(admin).await.expect(200).parse();
    assert_eq!(page.items.iter().map(|warehouse| warehouse.name.as_str()).collect::<Vec<_>>(), ["main", "North"]);

    let create = |body| shop.public.post(PATH, body).with(admin);
    refused(&create(json!({"name": "NORTH"})).await, 409, "NAME_TAKEN", &["name"]);
    let category = shop.named("/api/v1/categories", "Hamburg").await;
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "x", "priority": -1}), "priority"),
        (json!({"name": "x", "priority": 1001}), "priority"),
        (json!({"name": "x", "locationId": fresh()}), "locationId"),
        (json!({"name": "x", "locationId": category["id"]}), "locationId"),
    ] {
        refused(&create(body).await, 422, "VALIDATION_FAILED", &[field]);
    }

    let change = |body| shop.public.patch(&one, body).with(admin);
    refused(&change(json!({"priority": 1})).await, 428, "VERSION_REQUIRED", &[]);
    refused(&change(json!({"name": null, "version": 1})).await, 422, "VALIDATION_FAILED", &["name"]);
    refused(&change(json!({"name": "Main", "version": 1})).await, 409, "NAME_TAKEN", &["name"]);
    assert_eq!(change(json!({"priority": 3, "version": 1})).await.expect(200).body["version"], 1);
    let changed: api::Warehouse = change(json!({"priority": 0, "version": 1})).await.expect(200).parse();
    assert_eq!((changed.version, changed.priority, changed.location_id), (2, 0, north.location_id));

    let city = format!("/api/v1/locations/{}", location["id"].as_str().unwrap());
    refused(&shop.public.delete(&city).with(admin).await, 409, "IN_USE", &[]);
    let moved: api::Warehouse = change(json!({"locationId": null, "version": 2})).await.expect(200).parse();
    assert_eq!((moved.location_id, moved.location), (None, None));
    shop.public.delete(&city).with(admin).await.expect(204);

    for request in [shop.public.get(PATH), shop.public.get(&one), shop.public.post(PATH, json!({"name": "x"}))] {
        assert_eq!([request.clone().await.status, request.with(&shop.customer).await.status], [401, 403]);
    }
    shop.public.delete(&one).with(admin).await.expect(204);
    assert_eq!(shop.public.get(&one).with(admin).await.status, 404);
}

#[tokio::test]
async fn ca13_units_are_kept_by_warehouse_and_sold_by_its_priority() {
    let shop = Shop::open().await;
    let admin = &shop.admin;
    let id = shop.product("Chair", 3).await.id;
    let second = shop.public.post(PATH, json!({"name": "Second", "priority": 5})).with(admin).await.expect(201);
    let second: api::Warehouse = second.parse();
    let one = format!("{PATH}/{}", second.id);
    let set = json!({"quantity": 4, "warehouseId": second.id});
    shop.public.put(&format!("/api/v1/products/{id}/inventory"), set).with(admin).await.expect(200);
    assert_eq!(shop.stock(id).await, 7);
    shop.reserve(order_id(), 1, json!([{"productId": id, "quantity": 3}])).await.expect(200);
    let reserved = "select count(*) from stock as s join warehouse as w on w.id = s.warehouse_id \
        where w.name = 'main' and s.reserved = 3 and s.on_hand = 3";
    assert_eq!(shop.database.count(reserved).await, 1, "the lowest number first");

    // It keeps the units that a cancelled order returns.
    let set = json!({"quantity": 0, "warehouseId": second.id});
    shop.public.put(&format!("/api/v1/products/{id}/inventory"), set).with(admin).await.expect(200);
    refused(&shop.public.delete(&one).with(admin).await, 409, "IN_USE", &[]);
    let main = format!("{PATH}/{}", WarehouseId::MAIN);
    refused(&shop.public.delete(&main).with(admin).await, 409, "IN_USE", &[]);
    shop.public.get(&main).with(admin).await.expect(200);
}
