//! What each purchase wants, by the pattern. Pure: the same seed, the same wants in the same order.

use std::collections::VecDeque;

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::options::Pattern;

/// What one purchase wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// These of the tickets that were read, by their places in that list.
    Tickets(Box<[u32]>),
    /// Any so many of the type.
    Any(u16),
}

/// What there is to want.
pub struct Wants {
    kind: Kind,
    per_purchase: usize,
    rng: StdRng,
}

enum Kind {
    /// Each ticket once; what was given back, again.
    Distinct(VecDeque<u32>),
    /// The same seats in rounds, each round in an order of its own, so that every seat is wanted in every round.
    Same {
        seats: Vec<u32>,
        at: usize,
    },
    Any(u16),
}

impl Wants {
    /// Of `tickets_len` tickets that were read. Of the hot ones, all of these.
    pub fn new(pattern: Pattern, tickets_len: u32, per_purchase: u16, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut shuffled = || {
            let mut places: Vec<u32> = (0..tickets_len).collect();
            places.shuffle(&mut rng);
            places
        };
        let kind = match pattern {
            Pattern::SellThrough | Pattern::Hold => Kind::Distinct(shuffled().into()),
            Pattern::Hot => Kind::Same {
                seats: shuffled(),
                at: 0,
            },
            Pattern::Any => Kind::Any(per_purchase),
        };
        Self {
            kind,
            per_purchase: per_purchase.into(),
            rng,
        }
    }

    /// None when there is nothing left to want.
    pub fn next(&mut self) -> Option<Want> {
        match &mut self.kind {
            Kind::Distinct(places) => {
                if places.len() < self.per_purchase {
                    return None;
                }
                Some(Want::Tickets(places.drain(..self.per_purchase).collect()))
            }
            Kind::Same { seats, at } => {
                if seats.len() < self.per_purchase {
                    return None;
                }
                if *at + self.per_purchase > seats.len() {
                    seats.shuffle(&mut self.rng);
                    *at = 0;
                }
                let want = &seats[*at..*at + self.per_purchase];
                *at += self.per_purchase;
                Some(Want::Tickets(want.into()))
            }
            Kind::Any(quantity) => Some(Want::Any(*quantity)),
        }
    }

    /// Somebody gave these back: another may want them.
    pub fn give_back(&mut self, want: &Want) {
        if let (Kind::Distinct(places), Want::Tickets(given)) = (&mut self.kind, want) {
            places.extend(given);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn places(wants: &mut Wants, len: usize) -> Vec<u32> {
        std::iter::from_fn(|| wants.next())
            .take(len)
            .flat_map(|want| match want {
                Want::Tickets(places) => places.into_vec(),
                Want::Any(_) => panic!("a ticket was wanted"),
            })
            .collect()
    }

    #[test]
    fn every_ticket_is_wanted_once_and_in_the_seeds_order() {
        let mut wants = Wants::new(Pattern::SellThrough, 10, 3, 7);
        let wanted = places(&mut wants, 100);
        assert_eq!(wanted.len(), 9, "the tenth makes no purchase of three");
        assert_eq!(wanted.iter().collect::<BTreeSet<_>>().len(), 9);
        let mut again = Wants::new(Pattern::SellThrough, 10, 3, 7);
        assert_eq!(places(&mut again, 100), wanted);
        let mut other = Wants::new(Pattern::SellThrough, 10, 3, 8);
        assert_ne!(places(&mut other, 100), wanted);
    }

    #[test]
    fn every_hot_seat_is_wanted_in_every_round() {
        let mut wants = Wants::new(Pattern::Hot, 4, 1, 1);
        for _ in 0..5 {
            let round: BTreeSet<u32> = places(&mut wants, 4).into_iter().collect();
            assert_eq!(round, BTreeSet::from([0, 1, 2, 3]));
        }
    }

    #[test]
    fn what_is_given_back_is_wanted_again() {
        let mut wants = Wants::new(Pattern::Hold, 1, 1, 1);
        let want = wants.next().unwrap();
        assert_eq!(wants.next(), None);
        wants.give_back(&want);
        assert_eq!(wants.next(), Some(want));
    }
}
