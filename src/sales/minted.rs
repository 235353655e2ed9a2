//! Ids and secrets, minted outside the decision.

use data_encoding::BASE32_NOPAD;

use crate::ids::{HoldId, OrderId, OrderItemId};

/// Ids and secrets of what a command may become: made for each attempt, because the decision knows no randomness.
#[derive(Clone, Debug)]
pub struct Minted {
    pub order_id: OrderId,
    pub items: Vec<(OrderItemId, AdmissionCode)>,
    pub hold_id: HoldId,
}

impl Minted {
    /// For an order of at most `quantity` tickets.
    pub fn new(quantity: usize) -> Self {
        let order_id = OrderId::mint();
        let item = |place| {
            order_id
                .item(place)
                .expect("no order has more tickets than TICKETS_PER_ORDER_MAX")
        };
        Self {
            items: (0..quantity)
                .map(|place| (item(place), AdmissionCode::mint()))
                .collect(),
            order_id,
            hold_id: HoldId::mint(),
        }
    }
}

/// What the door scans: 128 random bits in base32 (RFC 4648), 26 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct AdmissionCode(String);

impl AdmissionCode {
    fn mint() -> Self {
        Self(BASE32_NOPAD.encode(&rand::random::<[u8; 16]>()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A ticket to whoever reads it, so it stays out of logs.
impl std::fmt::Debug for AdmissionCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdmissionCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use data_encoding::BASE32_NOPAD;

    use super::AdmissionCode;

    #[test]
    fn an_admission_code_is_128_bits_none_of_which_is_known() {
        let codes: Vec<u128> = (0..1_000)
            .map(|_| {
                let code = AdmissionCode::mint();
                let bits = BASE32_NOPAD.decode(code.as_str().as_bytes()).unwrap();
                u128::from_be_bytes(bits.try_into().unwrap())
            })
            .collect();
        let (always, ever) = codes
            .iter()
            .fold((u128::MAX, 0), |(all, any), code| (all & code, any | code));
        assert_eq!((always, ever), (0, u128::MAX), "each bit is both");
        assert_eq!(codes.iter().collect::<HashSet<_>>().len(), codes.len());
    }
}
