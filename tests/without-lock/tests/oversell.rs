//! The tests of the guarantee prove themselves: with the lock taken away they see an oversell.
