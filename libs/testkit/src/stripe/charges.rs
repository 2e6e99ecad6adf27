//! Payment intents, refunds and balance transactions.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::{
    State,
    http::{Answer, Form, error},
};

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the provider has a clock of its own")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn next_id(state: &mut State, prefix: &str) -> String {
    state.objects += 1;
    format!("{prefix}_{:06}", state.objects)
}

/// An object, a list or a search.
pub fn read(state: &State, path: &str, query: &Form) -> Answer {
    let list =
        |data: Vec<Value>, has_more: bool| (200, json!({ "object": "list", "data": data, "has_more": has_more }));
    match path.strip_prefix("/v1/").unwrap_or_default() {
        "payment_intents/search" => {
            let wanted = query.get("query").map_or("", String::as_str);
            let fits = |intent: &&Value| {
                let key = intent["metadata"]["agora_key"].as_str().unwrap_or_default();
                wanted == format!("metadata['agora_key']:'{key}'")
            };
            list(state.intents.values().filter(fits).cloned().collect(), false)
        }
        "refunds" => {
            let of = query.get("payment_intent").map(String::as_str);
            let fits = |refund: &&Value| refund["payment_intent"].as_str() == of;
            list(state.refunds.values().filter(fits).cloned().collect(), false)
        }
        "balance_transactions" => {
            let since: u64 = query.get("created[gte]").and_then(|since| since.parse().ok()).unwrap_or_default();
            let after = query.get("starting_after").map_or("", String::as_str);
            let before: u64 = query.get("created[lt]").and_then(|before| before.parse().ok()).unwrap_or(u64::MAX);
            let is_between = |row: &&Value| row["created"].as_u64().is_some_and(|at| (since..before).contains(&at));
            let rows = state.transactions.iter().filter(is_between);
            let mut rows = rows.filter(|row| row["id"].as_str() > Some(after));
            // Small pages, so that every caller meets a second one.
            let page: Vec<Value> = rows.by_ref().take(2).cloned().collect();
            list(page, rows.next().is_some())
        }
        rest => match rest.strip_prefix("payment_intents/").and_then(|id| state.intents.get(id)) {
            Some(intent) => (200, intent.clone()),
            None => (404, error("invalid_request_error", "resource_missing")),
        },
    }
}

/// A request that changes something.
pub fn change(state: &mut State, path: &str, form: &Form) -> Answer {
    let segments: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    let answer = match segments[..] {
        ["payment_intents"] => return create(state, form),
        ["payment_intents", id, "confirm"] => confirm(state, id),
        ["payment_intents", id, "capture"] => {
            capture(state, id, form.get("amount_to_capture").and_then(|amount| amount.parse().ok()))
        }
        ["payment_intents", id, "cancel"] => cancel(state, id),
        ["refunds"] => refund(state, form),
        _ => None,
    };
    answer.map_or_else(|| (400, error("invalid_request_error", "payment_intent_unexpected_state")), |body| (200, body))
}

fn metadata(form: &Form) -> Map<String, Value> {
    let named = form.iter().filter_map(|(name, value)| {
        Some((name.strip_prefix("metadata[")?.strip_suffix(']')?.to_owned(), json!(value)))
    });
    named.collect()
}

fn create(state: &mut State, form: &Form) -> Answer {
    let text = |name: &str| form.get(name).cloned().unwrap_or_default();
    let Ok(amount) = text("amount").parse::<i64>() else {
        return (400, error("invalid_request_error", "parameter_invalid_integer"));
    };
    let token = form.get("payment_method").or(form.get("payment_method_data[card][token]")).cloned();
    let id = next_id(state, "pi");
    let intent = json!({
        "id": id, "object": "payment_intent", "amount": amount, "amount_received": 0, "amount_capturable": 0,
        "currency": text("currency"), "capture_method": text("capture_method"), "created": now(),
        "metadata": metadata(form), "status": "requires_confirmation", "next_action": null,
        "last_payment_error": null, "latest_charge": null, "cancellation_reason": null,
    });
    state.intents.insert(id.clone(), intent);
    match token.as_deref() {
        Some("pm_card_chargeDeclined" | "tok_chargeDeclined") => {
            let intent = decline(state, &id, "generic_decline");
            let mut body = error("card_error", "card_declined");
            body["error"]["decline_code"] = json!("generic_decline");
            body["error"]["payment_intent"] = intent;
            (402, body)
        }
        Some("pm_card_authenticationRequired") => {
            let url = format!("https://hooks.example/redirect/{id}");
            let intent = state.intents.entry(id).or_default();
            intent["status"] = json!("requires_action");
            intent["next_action"] = json!({ "type": "redirect_to_url", "redirect_to_url": { "url": url } });
            (200, intent.clone())
        }
        Some("pm_card_visa" | "tok_visa") => (200, confirm(state, &id).unwrap_or_default()),
        _ => (400, error("invalid_request_error", "resource_missing")),
    }
}

fn decline(state: &mut State, id: &str, code: &str) -> Value {
    let intent = state.intents.entry(id.to_owned()).or_default();
    intent["status"] = json!("requires_payment_method");
    intent["next_action"] = Value::Null;
    intent["last_payment_error"] =
        json!({ "type": "card_error", "code": "card_declined", "decline_code": code, "message": "declined" });
    intent.clone()
}

/// Authorises, and captures unless the capture is manual.
fn confirm(state: &mut State, id: &str) -> Option<Value> {
    let intent = state.intents.get_mut(id).filter(|intent| intent["status"] == "requires_confirmation")?;
    let amount = intent["amount"].as_i64()?;
    intent["latest_charge"] = json!({
        "id": id.replacen("pi", "ch", 1), "object": "charge", "authorization_code": "A1B2C3",
        "outcome": { "network_status": "approved_by_network", "seller_message": "Payment complete." },
    });
    intent["status"] = json!("requires_capture");
    intent["amount_capturable"] = json!(amount);
    if intent["capture_method"] == "manual" {
        return Some(intent.clone());
    }
    capture(state, id, None)
}

/// Captures an amount, or all of it, and releases the rest.
pub fn capture(state: &mut State, id: &str, amount: Option<i64>) -> Option<Value> {
    let intent = state.intents.get_mut(id).filter(|intent| intent["status"] == "requires_capture")?;
    let capturable = intent["amount_capturable"].as_i64()?;
    let amount = amount.unwrap_or(capturable);
    if !(1..=capturable).contains(&amount) {
        return None;
    }
    intent["status"] = json!("succeeded");
    intent["amount_received"] = json!(amount);
    intent["amount_capturable"] = json!(0);
    let intent = intent.clone();
    let charge = json!({
        "id": id.replacen("pi", "ch", 1), "object": "charge", "amount": intent["amount"], "amount_captured": amount,
        "currency": intent["currency"], "payment_intent": id,
    });
    post(state, "charge", amount, &charge);
    Some(intent)
}

fn cancel(state: &mut State, id: &str) -> Option<Value> {
    let open = ["requires_action", "requires_capture", "requires_confirmation", "requires_payment_method"];
    let intent = state.intents.get_mut(id)?;
    if !open.iter().any(|status| intent["status"] == **status) {
        return None;
    }
    intent["status"] = json!("canceled");
    intent["amount_capturable"] = json!(0);
    intent["next_action"] = Value::Null;
    Some(intent.clone())
}

/// The payer confirms, or fails to.
pub fn act(state: &mut State, id: &str, confirmed: bool) {
    if confirmed {
        let intent = state.intents.entry(id.to_owned()).or_default();
        intent["status"] = json!("requires_confirmation");
        intent["next_action"] = Value::Null;
    } else {
        decline(state, id, "authentication_required");
    }
}

fn refund(state: &mut State, form: &Form) -> Option<Value> {
    let (intent, amount) = (form.get("payment_intent")?, form.get("amount")?.parse::<i64>().ok()?);
    let currency = state.intents.get(intent)?["currency"].clone();
    let captured = state.intents.get(intent)?["amount_received"].as_i64()?;
    let of_intent = state.refunds.values().filter(|refund| refund["payment_intent"] == **intent);
    let refunded: i64 = of_intent.filter_map(|refund| refund["amount"].as_i64()).sum();
    if amount < 1 || refunded + amount > captured {
        return None;
    }
    let id = next_id(state, "re");
    let refund = json!({
        "id": id, "object": "refund", "payment_intent": intent, "amount": amount, "currency": currency,
        "status": "succeeded", "metadata": metadata(form),
    });
    state.refunds.insert(id, refund.clone());
    post(state, "refund", -amount, &refund);
    Some(refund)
}

fn post(state: &mut State, kind: &str, amount: i64, source: &Value) {
    let id = next_id(state, "txn");
    let row = json!({ "id": id, "type": kind, "amount": amount, "created": now(), "source": source });
    state.transactions.push(row);
}
