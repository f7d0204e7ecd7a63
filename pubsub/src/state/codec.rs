//! How values are written into records: integers in base 128, text with its length before it.

use bytes::{Buf, Bytes};

use convoke_xmpp::Jid;

/// A record is not as any version of this program writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damage;

/// A value that is kept in a record.
pub(crate) trait Stored: Sized {
    /// Writes the value.
    fn write(&self, out: &mut Writer);

    /// Reads what [`Stored::write`] has written, and no more.
    fn read(from: &mut Reader) -> Result<Self, Damage>;
}

/// The bytes of a record, as they grow.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// One byte.
    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// An integer: seven bits in each byte, the lowest first, the eighth bit set in all bytes but the last.
    pub(crate) fn integer(&mut self, mut integer: u64) {
        while integer > 0x7f {
            self.byte(integer as u8 | 0x80);
            integer >>= 7;
        }
        self.byte(integer as u8);
    }

    /// Text or bytes with their length before them.
    pub(crate) fn bytes(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.integer(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Fields with their names and values.
    pub(crate) fn fields<N: AsRef<str>>(&mut self, fields: impl IntoIterator<Item = (N, Vec<String>)>) {
        let fields: Vec<_> = fields.into_iter().collect();
        self.integer(fields.len() as u64);
        for (name, values) in fields {
            self.bytes(name.as_ref());
            self.integer(values.len() as u64);
            values.iter().for_each(|value| self.bytes(value));
        }
    }

    /// A value that knows how.
    pub(crate) fn value(&mut self, value: &impl Stored) {
        value.write(self);
    }

    /// All that was written.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// The bytes of a record, as they are read.
#[derive(Debug)]
pub(crate) struct Reader(Bytes);

impl Reader {
    /// Reads these bytes; what is read of them shares their memory.
    pub(crate) fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// What [`Writer::byte`] wrote.
    pub(crate) fn byte(&mut self) -> Result<u8, Damage> {
        self.0.try_get_u8().map_err(|_| Damage)
    }

    /// What [`Writer::integer`] wrote.
    pub(crate) fn integer(&mut self) -> Result<u64, Damage> {
        let mut integer = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Damage);
            }
            integer |= bits << shift;
            if byte <= 0x7f {
                return Ok(integer);
            }
        }
        Err(Damage)
    }

    /// Eight bytes, the highest first.
    pub(crate) fn big_endian(&mut self) -> Result<u64, Damage> {
        self.0.try_get_u64().map_err(|_| Damage)
    }

    /// What [`Writer::bytes`] wrote.
    pub(crate) fn bytes(&mut self) -> Result<Bytes, Damage> {
        let length = usize::try_from(self.integer()?).map_err(|_| Damage)?;
        if length > self.0.len() {
            return Err(Damage);
        }
        Ok(self.0.split_to(length))
    }

    /// What [`Writer::bytes`] wrote of a text.
    pub(crate) fn text(&mut self) -> Result<String, Damage> {
        text(self.bytes()?)
    }

    /// What [`Writer::bytes`] wrote of an address.
    pub(crate) fn jid(&mut self) -> Result<Jid, Damage> {
        Jid::new(&self.text()?).map_err(|_| Damage)
    }

    /// What [`Writer::fields`] wrote.
    pub(crate) fn fields(&mut self) -> Result<Vec<(String, Vec<String>)>, Damage> {
        let count = self.integer()?;
        (0..count).map(|_| Ok((self.text()?, self.texts()?))).collect()
    }

    fn texts(&mut self) -> Result<Vec<String>, Damage> {
        let count = self.integer()?;
        (0..count).map(|_| self.text()).collect()
    }

    /// What [`Writer::value`] wrote.
    pub(crate) fn value<T: Stored>(&mut self) -> Result<T, Damage> {
        T::read(self)
    }

    /// All that is left, as text.
    pub(crate) fn rest(&mut self) -> Result<String, Damage> {
        text(self.0.split_off(0))
    }

    /// Makes sure that nothing is left.
    pub(crate) fn finish(self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage) }
    }
}

fn text(bytes: Bytes) -> Result<String, Damage> {
    String::from_utf8(bytes.into()).map_err(|_| Damage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_bytes_read_back_as_they_were_written() {
        let integers = [0, 1, 127, 128, 300, 16_383, 16_384, u64::MAX - 1, u64::MAX];
        let mut out = Writer::default();
        for integer in integers {
            out.integer(integer);
            out.bytes("é".repeat(integer.min(200) as usize));
        }
        let mut reader = Reader::new(out.finish());
        for integer in integers {
            assert_eq!(reader.integer(), Ok(integer));
            assert_eq!(reader.text().unwrap().chars().count() as u64, integer.min(200));
        }
        reader.finish().unwrap();
    }

    #[test]
    fn what_nobody_wrote_is_damage() {
        let integers: [&[u8]; 4] =
            [b"", b"\x80", &[0xff; 10], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]];
        for bytes in integers {
            assert_eq!(Reader::new(bytes.to_vec()).integer(), Err(Damage), "{bytes:?}");
        }
        assert_eq!(Reader::new(&b"\x02a"[..]).bytes(), Err(Damage));
        assert_eq!(Reader::new(&b"\x01\xff"[..]).text(), Err(Damage));
        assert_eq!(Reader::new(&b"\x01@"[..]).jid(), Err(Damage));
        assert_eq!(Reader::new(&b"x"[..]).finish(), Err(Damage));
    }
}
