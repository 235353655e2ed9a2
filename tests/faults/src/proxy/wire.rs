//! Messages of PostgreSQL's protocol, version 3: a letter, and a length that counts itself. A client's first has no letter.
//! <https://www.postgresql.org/docs/15/protocol-message-formats.html>

use tokio::{io::AsyncReadExt, net::tcp::OwnedReadHalf};

/// Longer messages than this nobody sends here: it bounds what is read into memory.
const MESSAGE_LEN_MAX: usize = 16 << 20;

pub struct Message(Vec<u8>);

/// What one side says, message by message.
pub struct Messages {
    from: OwnedReadHalf,
    /// Whether the next message is a client's first.
    is_first: bool,
}

impl Messages {
    pub fn of_client(from: OwnedReadHalf) -> Self {
        Self {
            from,
            is_first: true,
        }
    }

    pub fn of_database(from: OwnedReadHalf) -> Self {
        Self {
            from,
            is_first: false,
        }
    }

    /// None when this side has ended.
    pub async fn next(&mut self) -> Option<Message> {
        let letter_len = if std::mem::take(&mut self.is_first) {
            0
        } else {
            1
        };
        let mut bytes = vec![0; letter_len + 4];
        self.from.read_exact(&mut bytes).await.ok()?;
        let len: [u8; 4] = bytes[letter_len..].try_into().ok()?;
        let len = usize::try_from(u32::from_be_bytes(len)).ok()?;
        if !(4..=MESSAGE_LEN_MAX).contains(&len) {
            return None;
        }
        bytes.resize(letter_len + len, 0);
        self.from
            .read_exact(&mut bytes[letter_len + 4..])
            .await
            .ok()?;
        Some(Message(bytes))
    }
}

impl Message {
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A client's simple query COMMIT, as the driver sends it.
    pub fn is_commit(&self) -> bool {
        self.0.first() == Some(&b'Q') && self.0[5..].eq_ignore_ascii_case(b"COMMIT\0")
    }

    /// The database's word that it has committed.
    pub fn is_committed(&self) -> bool {
        self.0.first() == Some(&b'C') && &self.0[5..] == b"COMMIT\0"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_and_its_answer_are_told_from_other_messages() {
        let message = |letter: u8, text: &[u8]| {
            let len = u32::try_from(text.len() + 4).unwrap();
            Message([&[letter], &len.to_be_bytes()[..], text].concat())
        };
        assert!(message(b'Q', b"COMMIT\0").is_commit());
        assert!(message(b'Q', b"commit\0").is_commit());
        assert!(!message(b'Q', b"ROLLBACK\0").is_commit());
        assert!(!message(b'C', b"COMMIT\0").is_commit());
        assert!(message(b'C', b"COMMIT\0").is_committed());
        assert!(!message(b'C', b"BEGIN\0").is_committed());
        assert!(!message(b'D', b"").is_committed());
    }
}
