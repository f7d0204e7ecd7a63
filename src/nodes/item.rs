//! What an item of a node is.

use std::borrow::Cow;
use std::str::FromStr;

use convoke_xmpp::Element;
use thiserror::Error;

/// A value that is an item of a publish-subscribe node (XEP-0060, section 4.1).
pub trait NodeItem: Sized + 'static {
    /// The name of the node. Where there are many of the kind, as one for each batch, each is called `NODE/part`.
    const NODE: &'static str;

    /// The configuration of the node where it differs from the service's default, as pairs of field and value of the
    /// form `http://jabber.org/protocol/pubsub#node_config` (section 16.4.4).
    const OPTIONS: &'static [(&'static str, &'static str)] = &[];

    /// The id of the item: publishing another item of the same id replaces it.
    fn id(&self) -> Cow<'_, str>;

    /// The payload of the item.
    fn payload(&self) -> Element;

    /// Reads an item. Whoever publishes may be a stranger: everything is checked, and unknown attributes and children
    /// are left for later versions.
    fn read(id: &str, payload: &Element) -> Result<Self, ItemError>;
}

/// Why an item is not what its node is for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ItemError {
    /// The service told of the item without its payload.
    #[error("the item has no payload")]
    NoPayload,
    /// The payload is another element.
    #[error("the payload is `{name}` of `{namespace}`")]
    OtherPayload {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// The payload lacks an attribute.
    #[error("the payload lacks `{attribute}`")]
    Missing {
        /// Its name.
        attribute: &'static str,
    },
    /// An attribute has a value that it cannot have.
    #[error("`{attribute}` cannot be `{value}`")]
    Invalid {
        /// Its name.
        attribute: &'static str,
        /// Its value.
        value: String,
    },
    /// The payload is about something else than the item's id says.
    #[error("the item is called `{id}`, and its payload says `{named}`")]
    OtherId {
        /// The id of the item.
        id: String,
        /// What the payload names.
        named: String,
    },
}

/// The attributes of a payload that is the expected element.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'e>(&'e Element);

impl<'e> Fields<'e> {
    /// The attributes of this element, if it has that name and namespace.
    pub fn of(payload: &'e Element, name: &str, namespace: &str) -> Result<Self, ItemError> {
        if payload.is(name, namespace) {
            return Ok(Self(payload));
        }
        Err(ItemError::OtherPayload { name: payload.name().to_owned(), namespace: payload.namespace().to_owned() })
    }

    /// An attribute that must be there and not be empty.
    pub fn text(self, attribute: &'static str) -> Result<&'e str, ItemError> {
        let value = self.0.attribute(attribute).filter(|value| !value.is_empty());
        value.ok_or(ItemError::Missing { attribute })
    }

    /// An attribute that must be there, read by its type: a number, an address, a name of a state.
    pub fn value<V: FromStr>(self, attribute: &'static str) -> Result<V, ItemError> {
        self.read(attribute, |text| text.parse().ok())
    }

    /// An attribute that must be there, read by a function that gives `None` for what is invalid.
    pub fn read<V>(self, attribute: &'static str, read: impl FnOnce(&str) -> Option<V>) -> Result<V, ItemError> {
        let text = self.text(attribute)?;
        read(text).ok_or_else(|| ItemError::Invalid { attribute, value: text.to_owned() })
    }

    /// An attribute that may be missing.
    pub fn optional<V: FromStr>(self, attribute: &'static str) -> Result<Option<V>, ItemError> {
        self.0.attribute(attribute).map(|_| self.value(attribute)).transpose()
    }

    /// An attribute that repeats the id of the item: else one could publish about somebody under another's name.
    pub fn same_as_id(self, attribute: &'static str, id: &str) -> Result<&'e str, ItemError> {
        let named = self.text(attribute)?;
        if named == id {
            return Ok(named);
        }
        Err(ItemError::OtherId { id: id.to_owned(), named: named.to_owned() })
    }
}
