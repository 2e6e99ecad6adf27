//! Deterministic ids of a saga's commands: the same step of the same order always has the same id. No I/O.

use agora_vocab::{CommandId, OrderId};
use uuid::{Builder, Uuid};

/// Multiplier and increment of a 128-bit linear congruential step (PCG, O'Neill 2014): odd, so it permutes.
const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;

/// The id of step `name` number `number` of an order in a recovery epoch: a restored database must not reuse the
/// command ids of the lost timeline.
///
/// A UUIDv8 (RFC 9562): 122 bits mixed from the arguments. Orders' ids are unique, so a collision needs two of them to
/// match by chance. It need not resist an attacker: no argument is under a client's control.
pub fn command_id(order: OrderId, epoch: u32, name: &str, number: i64) -> CommandId {
    let words = [u128::from(epoch), u128::from(number.unsigned_abs())];
    let text = name.bytes().map(u128::from);
    let mixed = words.into_iter().chain(text).fold(mix(order.uuid().as_u128()), |mixed, word| mix(mixed ^ word));
    CommandId::new(Builder::from_custom_bytes(mixed.to_be_bytes()).into_uuid())
}

/// A permutation of 128 bits in which every input bit reaches every output bit.
fn mix(word: u128) -> u128 {
    let word = (word ^ (word >> 67)).wrapping_mul(MULTIPLIER);
    let word = (word ^ (word >> 61)).wrapping_mul(MULTIPLIER);
    word ^ (word >> 64) ^ Uuid::NAMESPACE_OID.as_u128()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use agora_vocab::OrderId;
    use uuid::Uuid;

    use super::command_id;

    const STEPS: [&str; 9] =
        ["reserve", "commit", "release", "begin-checkout", "cancel-checkout", "pay", "settle", "void", "refund"];

    #[test]
    fn command_ids_are_deterministic_and_unique_per_step() {
        let mut seen = BTreeSet::new();
        for order in 0..200 {
            for epoch in 0..2 {
                for name in STEPS {
                    for number in 0..5 {
                        let id = || command_id(OrderId::new(Uuid::from_u128(order)), epoch, name, number);
                        assert_eq!(id(), id());
                        assert!(seen.insert(id()), "{order} {epoch} {name} {number}");
                    }
                }
            }
        }
        assert_eq!(seen.first().map(|id| id.uuid().get_version_num()), Some(8));
    }
}
