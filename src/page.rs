//! Pages of a list that can grow: a stretch between two keys, read from one of its ends.
//!
//! Pages are cut by key and never by offset: a row that joins or leaves the list moves no other row to another page.

/// From which end a page is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The first rows after `after`.
    Forward,
    /// The last rows before `before`.
    Backward,
}

/// Which rows of a list are asked for. `K` is the key that orders the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<K> {
    pub after: Option<K>,
    pub before: Option<K>,
    pub direction: Direction,
    /// How many rows at most.
    pub len_max: u64,
}

/// The rows of a page, in the list's order whatever the page's direction was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice<T> {
    pub rows: Vec<T>,
    pub has_previous: bool,
    pub has_next: bool,
}

impl<T> Slice<T> {
    /// Of a list that has nothing.
    pub fn empty() -> Self {
        Self {
            rows: vec![],
            has_previous: false,
            has_next: false,
        }
    }
}

impl<K> Page<K> {
    /// How many rows to read: one more than asked for tells whether the list goes on.
    pub fn read_max(&self) -> u64 {
        self.len_max + 1
    }

    /// Cuts what was read (up to [`Self::read_max`] rows, in the page's direction) to the page.
    ///
    /// Behind the end that a cursor marks there was at least the cursor's own row, so that nothing is read to find out.
    pub fn cut<T>(&self, mut rows: Vec<T>) -> Slice<T> {
        let len_max = usize::try_from(self.len_max).unwrap_or(usize::MAX);
        let goes_on = rows.len() > len_max;
        rows.truncate(len_max);
        match self.direction {
            Direction::Forward => Slice {
                rows,
                has_previous: self.after.is_some(),
                has_next: goes_on,
            },
            Direction::Backward => {
                rows.reverse();
                Slice {
                    rows,
                    has_previous: goes_on,
                    has_next: self.before.is_some(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(direction: Direction) -> Page<i32> {
        Page {
            after: None,
            before: None,
            direction,
            len_max: 2,
        }
    }

    #[test]
    fn one_row_too_many_tells_that_the_list_goes_on() {
        let slice = page(Direction::Forward).cut(vec![1, 2, 3]);
        assert_eq!(slice.rows, [1, 2]);
        assert!(slice.has_next && !slice.has_previous);
        let slice = page(Direction::Forward).cut(vec![1, 2]);
        assert!(!slice.has_next);
    }

    #[test]
    fn a_page_read_backward_is_still_in_the_lists_order() {
        let slice = page(Direction::Backward).cut(vec![9, 8, 7]);
        assert_eq!(slice.rows, [8, 9]);
        assert!(slice.has_previous && !slice.has_next);
    }
}
