//! Translation between bodies of `/api/v1` and of earlier APIs. Nothing computes with the decimals shown here.

use agora_vocab::{AMOUNT_MAX, Currency};
use agora_web::Problem;
use serde_json::{Map, Value, json};

use super::exchange::Exchange;

/// The request body unchanged, or `{}`.
pub fn same(exchange: &Exchange) -> Value {
    if exchange.body.is_null() { json!({}) } else { exchange.body.clone() }
}

/// The request's body with `from` named `to`, and nothing else.
pub fn only(exchange: &Exchange, from: &str, to: &str) -> Value {
    json!({ to: exchange.body[from] })
}

/// Merges two objects; members of `more` win.
pub fn joined(body: &Value, more: Value) -> Value {
    let mut all = body.as_object().cloned().unwrap_or_default();
    if let Value::Object(more) = more {
        all.extend(more);
    }
    Value::Object(all)
}

/// Maps the `items` of a list.
pub fn items(list: &Value, turn: impl Fn(&Value) -> Value) -> Value {
    list["items"].as_array().map(|items| items.iter().map(turn).collect()).unwrap_or_default()
}

/// Money as a decimal number; other values are unchanged.
pub fn decimal(money: &Value) -> Value {
    let (Some(amount), Some(code)) = (money["amount"].as_i64(), money["currency"].as_str()) else {
        return money.clone();
    };
    let exponent = code.parse::<Currency>().map_or(2, Currency::exponent);
    let digits = format!("{:0>width$}", amount.unsigned_abs(), width = exponent as usize + 1);
    let (units, minor) = digits.split_at(digits.len() - exponent as usize);
    let sign = if amount < 0 { "-" } else { "" };
    let text = if minor.is_empty() { format!("{sign}{units}") } else { format!("{sign}{units}.{minor}") };
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// A decimal as money in euros, exact to the cent. Other values are unchanged, for the service to validate.
pub fn money(field: &'static str, amount: &Value) -> Result<Value, Problem> {
    let text = match amount {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        other => return Ok(other.clone()),
    };
    let wrong = || Problem::unprocessable().field(field, "must be an amount with at most two decimals, such as 19.99");
    let amount = cents(&text).filter(|cents| cents.unsigned_abs() <= AMOUNT_MAX.unsigned_abs()).ok_or_else(wrong)?;
    Ok(json!({ "amount": amount, "currency": Currency::EUR }))
}

/// "19.9" → 1990. Digits alone: no exponent, no more than two decimals.
fn cents(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (units, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    // A float prints whole numbers as "20.0".
    let decimals = decimals.trim_end_matches('0');
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if units.is_empty() || decimals.len() > 2 || !all_digits(units) || !all_digits(decimals) {
        return None;
    }
    let cents: i64 = format!("{units}{decimals:0<2}").parse().ok()?;
    Some(if negative { -cents } else { cents })
}

/// A new product with a decimal price; `renamed` maps earlier member names to ours.
pub fn new_product(body: &Value, renamed: &[(&str, &str)]) -> Result<Value, Problem> {
    let mut product: Map<String, Value> = body.as_object().cloned().unwrap_or_default();
    for (theirs, ours) in renamed {
        if let Some(value) = product.remove(*theirs) {
            product.insert((*ours).to_owned(), value);
        }
    }
    if let Some(price) = product.remove("price") {
        product.insert("price".to_owned(), money("price", &price)?);
    }
    Ok(Value::Object(product))
}

/// A product with a decimal price.
pub fn product(product: &Value) -> Value {
    if product["price"].is_null() {
        return product.clone();
    }
    joined(product, json!({ "price": decimal(&product["price"]), "currency": product["price"]["currency"] }))
}

/// An order with decimals and an integer number.
pub fn order(order: &Value) -> Value {
    let lines =
        |line: &Value| joined(line, json!({ "price": decimal(&line["price"]), "total": decimal(&line["total"]) }));
    let more = json!({
        "total": decimal(&order["total"]),
        "currency": order["total"]["currency"],
        "items": items(order, lines),
        "orderNumber": number(&order["number"]),
    });
    joined(order, more)
}

/// "A-1000001" → 1000001: the order number is the only id that stays an integer.
pub fn number(number: &Value) -> Value {
    let digits =
        number.as_str().and_then(|number| number.rsplit('-').next()).and_then(|digits| digits.parse::<u64>().ok());
    digits.map_or(Value::Null, Value::from)
}

/// A payment or refund with decimals.
pub fn payment(payment: &Value) -> Value {
    let more = json!({
        "amount": decimal(&payment["amount"]),
        "refunded": decimal(&payment["refunded"]),
        "currency": payment["amount"]["currency"],
    });
    joined(payment, more)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{cents, decimal, money, number};

    #[test]
    fn money_becomes_a_decimal_and_comes_back_to_the_cent() {
        for (amount, shown) in [(1999, "19.99"), (5, "0.05"), (0, "0.0"), (-1250, "-12.5"), (100, "1.0")] {
            let wire = json!({ "amount": amount, "currency": "EUR" });
            assert_eq!(decimal(&wire).to_string(), shown);
            assert_eq!(money("price", &decimal(&wire)).unwrap(), wire);
        }
        assert_eq!(decimal(&json!({ "amount": 1999, "currency": "JPY" })), json!(1999));
        assert_eq!(decimal(&Value::Null), Value::Null);
    }

    #[test]
    fn an_amount_that_cents_cannot_hold_is_refused() {
        for bad in ["19.999", "1e3", "", ".5", "1.2.3", "abc", "+1", "99999999999999999999"] {
            assert_eq!(cents(bad), None, "{bad}");
        }
        assert_eq!(money("price", &json!(19.999)).unwrap_err().status(), 422);
        assert_eq!(money("price", &json!(1e18)).unwrap_err().status(), 422);
    }

    #[test]
    fn the_orders_number_is_shown_as_an_integer() {
        assert_eq!(number(&json!("A-1000001")), json!(1_000_001));
        assert_eq!(number(&json!("A-2-1000001")), json!(1_000_001));
        assert_eq!(number(&Value::Null), Value::Null);
    }
}
