//! Uses of coupons by orders. A use is given back by `end_order_with_coupon.sql`.

use agora_postgres::Tx;

use crate::{
    domain::{CouponCode, Order},
    ports::{CreateError, StoreError},
};

/// Claims a use of a coupon for an order that the transaction has created. On an error the caller rolls back.
///
/// The coupon's row is locked by the first statement, so that claims of one coupon count one after another.
pub(super) async fn claim(tx: &mut Tx, order: &Order, code: &CouponCode) -> Result<(), CreateError> {
    let claim = sqlx::query_scalar(include_str!("../../sql/claim_coupon.sql")).bind(code.as_str());
    let claimed: Option<Option<i32>> = claim.fetch_optional(&mut **tx).await.map_err(StoreError::from)?;
    let per_user_max = claimed.ok_or(CreateError::CouponExhausted)?;
    let insert = sqlx::query(include_str!("../../sql/insert_coupon_use.sql"))
        .bind(order.id.uuid())
        .bind(code.as_str())
        .bind(order.user.uuid())
        .bind(per_user_max);
    let inserted = insert.execute(&mut **tx).await.map_err(StoreError::from)?;
    if inserted.rows_affected() == 1 { Ok(()) } else { Err(CreateError::CouponExhausted) }
}
