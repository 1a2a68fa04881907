//! The name of one stored call.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// The name of one stored call: a random version 4 UUID. It prints, parses and serializes as that.
///
/// Ask [`Queue`](crate::Queue) what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) Uuid);

impl Ticket {
    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Ticket {
    type Err = InvalidTicket;

    fn from_str(text: &str) -> Result<Self, InvalidTicket> {
        Uuid::try_parse(text).map(Self).map_err(InvalidTicket)
    }
}

/// A text that is no [`Ticket`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no ticket: {0}; a ticket is a UUID as `Ticket` prints it")]
pub struct InvalidTicket(#[source] uuid::Error);

impl Serialize for Ticket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ticket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Ticket;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a ticket, which is a UUID")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ticket, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_survives_its_text_and_its_json() {
        let ticket = Ticket::random();
        assert_eq!(ticket.to_string().parse::<Ticket>().unwrap(), ticket);
        let json = serde_json::to_string(&ticket).unwrap();
        assert_eq!(json, format!("\"{ticket}\""));
        assert_eq!(serde_json::from_str::<Ticket>(&json).unwrap(), ticket);
        assert!("7".parse::<Ticket>().is_err());
    }
}
