//! The fields of a configuration: one table serves forms, preconditions and what is stored.

use std::collections::BTreeSet;
use std::time::SystemTime;

use convoke_xmpp::Jid;
use thiserror::Error;

use super::word::Word;
use crate::timestamp;

/// Something that is configured by named fields (XEP-0068).
pub(crate) trait Configured: Sized + 'static {
    /// The `FORM_TYPE` of its form.
    const FORM_TYPE: &'static str;
    /// Its fields, in the order of the form.
    const FIELDS: &'static [Field<Self>];

    /// The field of that name.
    fn field(name: &str) -> Option<&'static Field<Self>> {
        Self::FIELDS.iter().find(|field| field.name == name)
    }

    /// Sets one field by its name; refuses a name or a value that is not known, and changes nothing then.
    fn set(&mut self, name: &str, values: &[String]) -> Result<(), FieldError> {
        let field = Self::field(name).ok_or(FieldError::Unknown)?;
        (field.write)(self, values)
    }

    /// All fields with their values.
    fn values(&self) -> impl Iterator<Item = (&'static str, Vec<String>)> {
        Self::FIELDS.iter().map(|field| (field.name, (field.read)(self)))
    }
}

/// One field of a configuration.
pub(crate) struct Field<T> {
    /// The value of `var`.
    pub(crate) name: &'static str,
    /// What people are told of it.
    pub(crate) label: &'static str,
    /// The type of the field in a form.
    pub(crate) kind: Kind,
    /// The values it has.
    pub(crate) read: fn(&T) -> Vec<String>,
    /// Gives it values.
    pub(crate) write: fn(&mut T, &[String]) -> Result<(), FieldError>,
}

/// The type of a field in a form (XEP-0004, section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    TextSingle,
    /// Text that reads as `integer-or-max` (XEP-0060, section 13.23).
    IntegerOrMax,
    TextMulti,
    JidMulti,
    ListSingle(&'static [&'static str]),
    ListMulti(&'static [&'static str]),
}

/// Why a field was not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum FieldError {
    #[error("there is no such field")]
    Unknown,
    #[error("the field has no such value")]
    Invalid,
}

/// What a field can hold.
pub(super) trait Value: Sized {
    const KIND: Kind;

    fn read(values: &[String]) -> Option<Self>;
    fn write(&self) -> Vec<String>;
}

/// A table of fields: the name on the wire, the field in Rust, and what people are told.
macro_rules! fields {
    ($configured:ty: $($name:literal $field:ident: $kind:ty, $label:literal;)*) => {
        &[$(Field {
            name: $name,
            label: $label,
            kind: <$kind as Value>::KIND,
            read: |configured: &$configured| Value::write(&configured.$field),
            write: |configured: &mut $configured, values: &[String]| {
                configured.$field = <$kind as Value>::read(values).ok_or(FieldError::Invalid)?;
                Ok(())
            },
        },)*]
    };
}
pub(super) use fields;

/// The bytes of a text in a configuration.
const MAX_TEXT_BYTES: usize = 1_024;
/// The values of a field that takes many.
const MAX_VALUES: usize = 64;

/// The only value; none and an empty one are the same.
fn single(values: &[String]) -> Option<&str> {
    match values {
        [] => Some(""),
        [value] => Some(value),
        _ => None,
    }
}

impl Value for bool {
    const KIND: Kind = Kind::Boolean;

    fn read(values: &[String]) -> Option<Self> {
        match single(values)? {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        }
    }

    fn write(&self) -> Vec<String> {
        vec![if *self { "1" } else { "0" }.to_owned()]
    }
}

impl Value for String {
    const KIND: Kind = Kind::TextSingle;

    fn read(values: &[String]) -> Option<Self> {
        single(values).filter(|text| text.len() <= MAX_TEXT_BYTES).map(str::to_owned)
    }

    fn write(&self) -> Vec<String> {
        if self.is_empty() { Vec::new() } else { vec![self.clone()] }
    }
}

impl Value for usize {
    const KIND: Kind = Kind::TextSingle;

    fn read(values: &[String]) -> Option<Self> {
        single(values)?.parse().ok()
    }

    fn write(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// `max` is none: no limit but the one of the service.
impl Value for Option<usize> {
    const KIND: Kind = Kind::IntegerOrMax;

    fn read(values: &[String]) -> Option<Self> {
        match single(values)? {
            "max" => Some(None),
            number => number.parse().ok().filter(|number| *number > 0).map(Some),
        }
    }

    fn write(&self) -> Vec<String> {
        vec![self.map_or_else(|| "max".to_owned(), |number| number.to_string())]
    }
}

impl Value for BTreeSet<String> {
    const KIND: Kind = Kind::TextMulti;

    fn read(values: &[String]) -> Option<Self> {
        let fits = values.len() <= MAX_VALUES && values.iter().all(|text| text.len() <= MAX_TEXT_BYTES);
        fits.then(|| values.iter().filter(|text| !text.is_empty()).cloned().collect())
    }

    fn write(&self) -> Vec<String> {
        self.iter().cloned().collect()
    }
}

impl Value for BTreeSet<Jid> {
    const KIND: Kind = Kind::JidMulti;

    fn read(values: &[String]) -> Option<Self> {
        let values = Some(values).filter(|values| values.len() <= MAX_VALUES)?;
        values.iter().map(|text| Jid::new(text).ok()).collect()
    }

    fn write(&self) -> Vec<String> {
        self.iter().map(|jid| jid.as_str().to_owned()).collect()
    }
}

impl<W: Word> Value for W {
    const KIND: Kind = Kind::ListSingle(W::WORDS);

    fn read(values: &[String]) -> Option<Self> {
        W::parse(single(values)?)
    }

    fn write(&self) -> Vec<String> {
        vec![self.word().to_owned()]
    }
}

impl<W: Word + Ord> Value for BTreeSet<W> {
    const KIND: Kind = Kind::ListMulti(W::WORDS);

    fn read(values: &[String]) -> Option<Self> {
        values.iter().map(|text| W::parse(text)).collect()
    }

    fn write(&self) -> Vec<String> {
        self.iter().map(|word| word.word().to_owned()).collect()
    }
}

/// When a subscription ends by itself (XEP-0060, sections 13.5 and 13.19; `pubsub#expire`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Expiry {
    /// Never.
    #[default]
    Never,
    /// When the subscriber becomes unavailable.
    Presence,
    /// At a moment.
    At(SystemTime),
}

impl Value for Expiry {
    const KIND: Kind = Kind::TextSingle;

    fn read(values: &[String]) -> Option<Self> {
        match single(values)? {
            "" => Some(Self::Never),
            "presence" => Some(Self::Presence),
            moment => timestamp::parse(moment).map(Self::At),
        }
    }

    fn write(&self) -> Vec<String> {
        match self {
            Self::Never => Vec::new(),
            Self::Presence => vec!["presence".to_owned()],
            Self::At(moment) => vec![timestamp::format(*moment)],
        }
    }
}
