//! Scenario of one purchase from the cart to the refund of a returned unit, in requests of the public API as shopper and as
//! admin, who is the seller. What no request shows, ledger, topics and histories, is read at the end.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use agora_api::{
    List,
    cart::Cart,
    catalog::Product,
    order::Order,
    payment::Payment,
    recommendation::Recommendation,
    search::SearchResult,
    user::{Tokens, User},
};
use agora_e2e::{at_rest, mailbox::Mailbox, wait::until, world::World};
use agora_shopper::{
    Shop,
    buy::{address, nonce},
    checker::{Evidence, PaymentSeen},
    client::Call,
};
use agora_vocab::{Currency, Money, OrderId, ProductId};
use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use tokio::process::Command;

use crate::install::{SETTLE_SECONDS_MAX, check_invariants};

/// Time limit until search and recommendations show what other services have changed. The target is 5 s without load; the
/// limit allows for a consumer group that assigns its partitions again because the autoscaler has added a pod.
const CONVERGED: Duration = Duration::from_secs(20);
/// Time limit from the acknowledged order to its reservation, and from the captured payment to the paid order: the worker of
/// payments continues what has had no result for 10 s.
const SETTLED: Duration = Duration::from_secs(15);
/// Time limit from the arrival of a return to its refund: the lease of a saga, 15 s, and one look of the worker.
const REFUNDED: Duration = Duration::from_secs(20);
/// Pause before each look at recommendations, of which a user may make 100 a minute.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Time limit of the comparison of all orders with their histories.
const VERIFIED: Duration = Duration::from_secs(30);
/// Characters of the suffix that makes names unique: fewer digits than a card number has.
const SUFFIX_CHARACTERS: usize = 12;

/// Price in cents and units in stock. The order takes all lamps and one of the cables.
const LAMP: (i64, i64) = (1_999, 2);
const CABLE: (i64, i64) = (450, 5);
/// Not ordered: the only product left in the category that can be recommended.
const SHADE: (i64, i64) = (2_500, 5);
const TOTAL: i64 = 2 * LAMP.0 + CABLE.0;

pub async fn te2_a_purchase_is_paid_mailed_shipped_in_two_parcels_and_partly_refunded(
    world: &World,
) -> anyhow::Result<()> {
    let story = Story::begin(world).await?;
    let order = story.order().await?;
    let payment = story.pay(&order).await?;
    let received = [format!("We received order {}", order.number), format!("Order {} is paid", order.number)];
    story.mailed(&received, "Total: 44.48 EUR").await?;
    story.recommends_what_goes_with_the_purchase().await?;
    story.search_shows("the sold units gone", [0, 4, 5]).await?;
    story.ship(&order).await?;
    story.send_back(&order, &payment).await?;
    story.search_shows("the returned unit", [1, 4, 5]).await?;
    let mut later = vec!["A refund for your order".to_owned()];
    later.extend(
        ["is being prepared", "is on its way", "is complete"].map(|what| format!("Order {} {what}", order.number)),
    );
    story.mailed(&later, "19.99 EUR").await?;
    story.mailbox.holds_once_for(&story.email, &received).await?;
    story.books_balance(&payment).await?;
    orders_equal_their_histories(world).await
}

/// A shopper, an admin, and three products of a category of their own.
struct Story<'a> {
    world: &'a World,
    shop: Shop,
    mailbox: Mailbox,
    /// Makes names and keys unique; only the products of this story have it.
    suffix: String,
    /// Address of the shopper.
    email: String,
    /// Access token of the shopper.
    shopper: String,
    /// Access token of the admin.
    admin: String,
    category: String,
    lamp: ProductId,
    cable: ProductId,
    shade: ProductId,
}

impl<'a> Story<'a> {
    /// Registers the shopper, logs in, and offers the products, which are not recommended to a user who bought nothing.
    async fn begin(world: &'a World) -> anyhow::Result<Self> {
        let shop = world.filled_shop().await?;
        let suffix: String = nonce().chars().take(SUFFIX_CHARACTERS).collect();
        let (email, password) = (format!("story-{suffix}@example.com"), format!("pass-{suffix}-of-e2e"));
        let register = json!({ "email": email, "password": password, "firstname": "Ada" });
        let registered: User = shop.request(201, &Call::post("/auth/register", register)).await?;
        ensure!(registered.email == email, "registered as {}", registered.email);
        let shopper = log_in(&shop, &email, &password).await?;
        let login = world.admin().await?;
        let admin = log_in(&shop, &login.email, login.password.expose()).await?;
        let category = format!("Story {suffix}");
        let lamp = offer(&shop, &admin, (&category, "lamp"), LAMP).await?;
        let cable = offer(&shop, &admin, (&category, "cable"), CABLE).await?;
        let shade = offer(&shop, &admin, (&category, "shade"), SHADE).await?;
        let mailbox = Mailbox::open(&world.cluster).await?;
        let story = Self { world, shop, mailbox, suffix, email, shopper, admin, category, lamp, cable, shade };
        story.search_shows("the new products", [LAMP.1, CABLE.1, SHADE.1]).await?;
        let before = story.recommendations().await?;
        let early = before.iter().find(|one| story.products().contains(&one.product_id));
        ensure!(early.is_none(), "recommended before the purchase: {early:?}");
        Ok(story)
    }

    fn products(&self) -> [ProductId; 3] {
        [self.lamp, self.cable, self.shade]
    }

    /// The key of a request: unique in the shop, the same when it is repeated.
    fn key(&self, request: &str) -> String {
        format!("{request}-{}", self.suffix)
    }

    /// Fills the cart and orders it at the total that the cart shows, and at no other one.
    async fn order(&self) -> anyhow::Result<Order> {
        let mut total = eur(0)?;
        for (name, product, quantity) in [("lamp", self.lamp, 2), ("cable", self.cable, 1)] {
            let add = Call::post("/cart/items", json!({ "productId": product, "quantity": quantity }));
            let add = add.bearer(&self.shopper).idempotency_key(self.key(&format!("add-{name}")));
            total = self.shop.request::<Cart>(201, &add).await?.total;
        }
        ensure!(total == eur(TOTAL)?, "the cart costs {total}");
        let of_total = |total: Money, key: &str| {
            let body = json!({ "shippingAddress": address(), "expectedTotal": total });
            Call::post("/orders", body).bearer(&self.shopper).idempotency_key(self.key(key))
        };
        let refused = self.shop.send_until_final(&of_total(eur(TOTAL - 1)?, "order-cheaper")).await;
        let code = refused.code();
        ensure!(code.as_deref() == Some("TOTAL_CHANGED"), "ordering at another total: {}", refused.describe());

        let placed: Order = self.shop.request(201, &of_total(total, "order")).await?;
        let lines: Vec<_> =
            placed.items.iter().map(|item| (item.product_id, item.quantity, item.price.amount)).collect();
        ensure!(lines == [(self.lamp, 2, LAMP.0), (self.cable, 1, CABLE.0)], "the order has the lines {lines:?}");
        ensure!(placed.total == total, "the order costs {}", placed.total);
        let pending = self.order_with("pending", placed.id, SETTLED, |order| order.status == "pending").await?;
        let cart: Cart = self.shop.request(200, &Call::get("/cart").bearer(&self.shopper)).await?;
        ensure!(cart.items.is_empty(), "the cart still has {} lines", cart.items.len());
        Ok(pending)
    }

    async fn pay(&self, order: &Order) -> anyhow::Result<Payment> {
        let started = Instant::now();
        let pay = json!({ "orderId": order.id, "amount": order.total, "method": "card", "token": "tok_ok" });
        let pay = Call::post("/payments", pay).bearer(&self.shopper).idempotency_key(self.key("pay"));
        let payment: Payment = self.shop.request(201, &pay).await?;
        let Payment { status, captured, .. } = &payment;
        ensure!(status == "captured" && *captured == order.total, "the payment is {status}, {captured} captured");
        let paid = self.order_with("paid", order.id, SETTLED, |order| order.status == "paid").await?;
        let (status, id) = (&paid.payment_status, paid.payment_id);
        ensure!(status == "paid" && id == Some(payment.id), "the order's payment {id:?} is {status}");
        println!(
            "    order {} over {} is paid after {:.1} s",
            paid.number,
            paid.total,
            started.elapsed().as_secs_f64()
        );
        Ok(payment)
    }

    /// Ships one lamp with the cable, then the other lamp. Each step changes the status of the order.
    async fn ship(&self, order: &Order) -> anyhow::Result<()> {
        let parcels = [(vec![(self.lamp, 1_u32), (self.cable, 1)], "processing"), (vec![(self.lamp, 1)], "shipped")];
        let mut shipments = Vec::new();
        for (number, (units, status)) in (1_usize..).zip(parcels) {
            let items = units.iter().map(|(product, quantity)| json!({ "productId": product, "quantity": quantity }));
            let items: Vec<_> = items.collect();
            let tracking = format!("PP {number}");
            let body = json!({ "items": items, "carrier": "Parcel Post", "trackingNumber": tracking });
            let ship = Call::post(format!("/orders/{}/shipments", order.id), body).bearer(&self.admin);
            let shipped: Order =
                self.shop.request(201, &ship.idempotency_key(self.key(&format!("ship-{number}")))).await?;
            ensure!(shipped.shipments.len() == number, "{} parcels instead of {number}", shipped.shipments.len());
            ensure!(shipped.status == status, "the order is {} after parcel {number}", shipped.status);
            let last = shipped.shipments.last().context("the order has no parcel")?;
            let packed: Vec<_> = last.items.iter().map(|item| (item.product_id, item.quantity)).collect();
            ensure!(packed == units, "parcel {number} contains {packed:?}");
            shipments.push(last.id);
        }
        for (shipment, status) in shipments.into_iter().zip(["shipped", "completed"]) {
            let deliver = Call::post(format!("/orders/{}/shipments/{shipment}/deliver", order.id), json!({}));
            let delivered: Order = self.shop.request(200, &deliver.bearer(&self.admin)).await?;
            ensure!(delivered.status == status, "the order is {} after a delivery", delivered.status);
        }
        let seen = self.read(order.id).await?;
        ensure!(seen.shipments.iter().all(|parcel| parcel.status == "delivered"), "{:?}", seen.shipments);
        println!("    both parcels are delivered, the order is {}", seen.status);
        Ok(())
    }

    /// Returns one lamp: requested by the shopper, accepted and received by the admin. Then, and not before, its price goes
    /// back.
    async fn send_back(&self, order: &Order, payment: &Payment) -> anyhow::Result<()> {
        let returns = format!("/orders/{}/returns", order.id);
        let body = json!({ "items": [{ "productId": self.lamp, "quantity": 1 }], "reason": "It is too bright" });
        let request = Call::post(returns.clone(), body).bearer(&self.shopper).idempotency_key(self.key("return"));
        let requested: Order = self.shop.request(201, &request).await?;
        let [returned] = requested.returns.as_slice() else { bail!("returns: {:?}", requested.returns) };
        let (status, amount) = (&returned.status, returned.amount);
        ensure!(status == "requested" && amount == eur(LAMP.0)?, "the return is {status}, of {amount}");
        let steps = [("accept", json!({}), "accepted"), ("receive", json!({ "resellable": true }), "received")];
        for (verb, body, expected) in steps {
            let before = self.payment(payment).await?;
            ensure!(before.refunded == eur(0)?, "{} are refunded before the unit is received", before.refunded);
            let step = Call::post(format!("{returns}/{}/{verb}", returned.id), body).bearer(&self.admin);
            let changed: Order = self.shop.request(200, &step).await?;
            let status = changed.returns.first().map(|returned| returned.status.as_str());
            ensure!(status == Some(expected), "the return is {status:?} after {verb}");
        }
        let started = Instant::now();
        let refunded = |order: &Order| {
            let is_refunded = order.returns.iter().all(|returned| returned.status == "refunded");
            is_refunded && order.payment_status == "partially_refunded"
        };
        let after = self.order_with("partially_refunded by its return", order.id, REFUNDED, refunded).await?;
        ensure!(after.status == "completed", "the order is {} after the refund of a part", after.status);
        let Payment { status, captured, refunded, .. } = self.payment(payment).await?;
        ensure!(
            status == "partially_refunded" && captured == eur(TOTAL)? && refunded == eur(LAMP.0)?,
            "the payment is {status}: {captured} captured, {refunded} refunded"
        );
        println!("    {refunded} of {captured} are refunded after {:.1} s", started.elapsed().as_secs_f64());
        Ok(())
    }

    async fn read(&self, order: OrderId) -> anyhow::Result<Order> {
        self.shop.request(200, &Call::get(format!("/orders/{order}")).bearer(&self.shopper)).await
    }

    async fn payment(&self, payment: &Payment) -> anyhow::Result<Payment> {
        self.shop.request(200, &Call::get(format!("/payments/{}", payment.id)).bearer(&self.shopper)).await
    }

    /// Waits until the shopper sees the order in this state.
    async fn order_with(
        &self,
        state: &str,
        order: OrderId,
        timeout: Duration,
        is_there: impl Fn(&Order) -> bool,
    ) -> anyhow::Result<Order> {
        until(&format!("the order is {state}"), timeout, async || {
            let seen = self.read(order).await?;
            let Order { status, payment_status, returns, .. } = &seen;
            ensure!(is_there(&seen), "the order is {status}, its payment {payment_status}, its returns {returns:?}");
            Ok(Some(seen))
        })
        .await
    }

    /// Waits until a search for the suffix finds lamp, cable and shade with these units, and counts as many products in stock
    /// as have some.
    async fn search_shows(&self, what: &str, units: [i64; 3]) -> anyhow::Result<()> {
        let started = Instant::now();
        let expected: BTreeMap<ProductId, i64> = self.products().into_iter().zip(units).collect();
        let stocked = units.iter().filter(|units| **units > 0).count() as u64;
        let search = Call::get(format!("/search?q={}&facets=true", self.suffix));
        until(&format!("search shows {what}"), CONVERGED, async || {
            let found: SearchResult = self.shop.request(200, &search).await?;
            let seen: BTreeMap<_, _> = found.items.iter().map(|item| (item.id, item.stock)).collect();
            let in_stock = found.facets.map(|facets| facets.in_stock);
            ensure!(seen == expected && in_stock == Some(stocked), "units {seen:?}, products in stock {in_stock:?}");
            Ok(Some(()))
        })
        .await?;
        println!("    search shows {what} after {:.1} s", started.elapsed().as_secs_f64());
        Ok(())
    }

    async fn recommendations(&self) -> anyhow::Result<Vec<Recommendation>> {
        let list: List<Recommendation> =
            self.shop.request(200, &Call::get("/recommendations").bearer(&self.shopper)).await?;
        Ok(list.items)
    }

    /// Waits until the first recommendation is the rest of the category from which the shopper bought, and says so.
    async fn recommends_what_goes_with_the_purchase(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        let reason = format!("Because you bought from {}", self.category);
        until("the recommendations follow the purchase", CONVERGED, async || {
            tokio::time::sleep(LOOK_PAUSE).await;
            let now = self.recommendations().await?;
            let first = now.first().context("nothing is recommended")?;
            ensure!(first.product_id == self.shade && first.reason.text == reason, "the first one is {first:?}");
            let bought = now.iter().find(|one| [self.lamp, self.cable].contains(&one.product_id));
            ensure!(bought.is_none(), "what was bought is recommended: {bought:?}");
            Ok(Some(()))
        })
        .await?;
        println!("    recommended after {:.1} s: {reason}", started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Waits until each of these mails has arrived at the shopper's address, once; the first one must contain the text.
    async fn mailed(&self, subjects: &[String], contents: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        self.mailbox.holds_once_for(&self.email, subjects).await?;
        let mails = self.mailbox.mails_to(&self.email).await?;
        let mail = mails.iter().find(|mail| subjects.first() == Some(&mail.subject)).context("the mail is gone")?;
        ensure!(mail.text.contains(contents), "`{}` does not contain {contents}: {}", mail.subject, mail.text);
        println!("    {} mails arrived after {:.1} s", subjects.len(), started.elapsed().as_secs_f64());
        Ok(())
    }

    /// The ledger has the capture and the refund of this payment and nothing else, and all invariants hold.
    async fn books_balance(&self, payment: &Payment) -> anyhow::Result<()> {
        let entry = |kind: &str, account: &str, amount| (kind.to_owned(), account.to_owned(), amount);
        let expected = [
            entry("capture", "provider", TOTAL),
            entry("capture", "seller", -TOTAL),
            entry("refund", "provider", -LAMP.0),
            entry("refund", "seller", LAMP.0),
        ];
        let entries = self.world.tables.ledger_of(payment.id).await?;
        ensure!(entries == expected, "the ledger has {entries:?}");
        let (id, order) = (payment.id, payment.order_id);
        let payments = vec![PaymentSeen { id, order, captured: TOTAL, refunded: LAMP.0 }];
        let by_api = Evidence { payments, ..Evidence::default() };
        let timeout = Duration::from_secs(SETTLE_SECONDS_MAX);
        let evidence = at_rest::complete(&self.world.tables, by_api, timeout).await?;
        let order = order.to_string();
        ensure!(evidence.topics.iter().any(|event| event.key == order), "no event of the order is on its topic");
        check_invariants(&[], &evidence)?;
        println!("    the ledger has {} entries and balances", evidence.ledger.len());
        Ok(())
    }
}

async fn log_in(shop: &Shop, email: &str, password: &str) -> anyhow::Result<String> {
    let login = Call::post("/auth/login", json!({ "email": email, "password": password }));
    Ok(shop.request::<Tokens>(200, &login).await?.access_token)
}

/// Creates a product in the category, with a name that contains the words of the category.
async fn offer(
    shop: &Shop,
    admin: &str,
    (category, name): (&str, &str),
    (price, stock): (i64, i64),
) -> anyhow::Result<ProductId> {
    let sku = format!("{category}-{name}").replace(' ', "-");
    let body = json!({
        "name": format!("{category} {name}"), "sku": sku, "category": category, "price": eur(price)?, "stock": stock,
    });
    let create = Call::post("/products", body).bearer(admin).idempotency_key(sku);
    Ok(shop.request::<Product>(201, &create).await?.id)
}

fn eur(amount: i64) -> anyhow::Result<Money> {
    Ok(Money::new(amount, Currency::EUR)?)
}

/// Rebuilds every order of the shop from its history with the program of the image, and compares it with its row.
async fn orders_equal_their_histories(world: &World) -> anyhow::Result<()> {
    let mut verify = Command::new(world.settings.programs.join("agora"));
    verify.args(["verify", "orders"]).env("ORDER_DATABASE_URL", world.tables.url("order")?.expose()).kill_on_drop(true);
    let verified = tokio::time::timeout(VERIFIED, verify.output()).await;
    let verified = verified.context("agora verify orders did not end")?.context("running agora verify orders")?;
    let output = String::from_utf8_lossy(&verified.stdout);
    ensure!(verified.status.success(), "{output}{}", String::from_utf8_lossy(&verified.stderr));
    println!("    {}", output.trim_end());
    Ok(())
}
