//! JSON that says one thing to every reader (RFC 8259, section 4): no name twice in an object, and not too deep.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Parses JSON that nests at most `depth` arrays and objects.
///
/// Fails on what is no JSON, and, with an error of the category `Data`, on repeated names and deeper nesting.
pub fn parse(bytes: &[u8], depth: usize) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the name {name:?} is repeated")));
            }
            object.insert(name, members.next_value_seed(inner)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::error::Category;

    use super::*;

    #[test]
    fn reads_every_kind_of_value() {
        let text = r#"{"a":[null,true,-1,2,1.5,"x\u0041"],"b":{}}"#;
        assert_eq!(parse(text.as_bytes(), 8).unwrap().to_string(), r#"{"a":[null,true,-1,2,1.5,"xA"],"b":{}}"#);
    }

    #[test]
    fn refuses_what_two_readers_could_take_differently() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"a":1,"b":2,"a":3}]"#, "[[[[1]]]]"] {
            assert_eq!(parse(text.as_bytes(), 3).unwrap_err().classify(), Category::Data, "{text}");
        }
        assert!(parse(b"[[[1]]]", 3).is_ok());
    }

    #[test]
    fn refuses_what_is_no_json() {
        for text in [&b""[..], b"{", b"{} {}", b"[1,]", b"nan", b"\"\xff\"", b"\xef\xbb\xbf{}", b"'a'", b"[1 2]"] {
            let category = parse(text, 8).unwrap_err().classify();
            assert!(matches!(category, Category::Syntax | Category::Eof), "{text:?} {category:?}");
        }
    }

    #[test]
    fn a_bomb_of_brackets_is_refused_and_not_recursed_into() {
        assert!(parse("[".repeat(1_000_000).as_bytes(), 64).is_err());
    }
}
