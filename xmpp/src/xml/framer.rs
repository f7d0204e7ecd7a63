//! Where first-level elements begin and end: a state machine over bytes that never looks at one twice.

use memchr::{memchr, memchr3, memmem};

use super::ReadError;

/// What the framer found at the front of the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// White space between elements, or the XML declaration: this many bytes to drop.
    Skip(usize),
    /// The XML declaration of this length.
    Declaration(usize),
    /// The start tag of the root element of this length; `empty` if it closes itself.
    Root { length: usize, empty: bool },
    /// A complete first-level element of this length.
    Element(usize),
    /// The end tag of the root element of this length.
    Close(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between first-level elements, or before the root.
    Between,
    /// Behind a `<` that is not classified yet.
    Markup,
    /// Within a start tag, perhaps within quotes; the byte before tells `/>`.
    StartTag {
        quote: Option<u8>,
        last: u8,
    },
    EndTag,
    /// Within the XML declaration.
    Declaration,
    /// In the text of an element.
    Text,
    CharacterData,
}

const DECLARATION: &[u8] = b"<?xml";
const CDATA: &[u8] = b"<![CDATA[";

/// Remembers its place between pushes.
#[derive(Debug)]
pub(super) struct Framer {
    state: State,
    /// Where the present piece of markup began.
    markup: usize,
    /// How far the buffer has been looked at.
    position: usize,
    /// Open elements below the root, within the first-level element that is being read.
    depth: usize,
    root_open: bool,
    at_stream_start: bool,
    max_depth: usize,
}

impl Framer {
    pub(super) fn new(max_depth: usize) -> Self {
        Self {
            state: State::Between,
            markup: 0,
            position: 0,
            depth: 0,
            root_open: false,
            at_stream_start: true,
            max_depth,
        }
    }

    /// How far the present piece has been looked at; 0 if it is at the beginning of one.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The piece at the front was taken without the framer, which may have seen its `<` already.
    pub(super) fn piece_taken(&mut self) {
        (self.state, self.markup, self.position) = (State::Between, 0, 0);
    }

    pub(super) fn set_max_depth(&mut self, max_depth: usize) {
        self.max_depth = max_depth;
    }

    /// Looks on from where it stopped; `None` when the buffer holds no complete piece yet.
    ///
    /// The caller removes what a frame covers from the front of the buffer before it calls again.
    pub(super) fn next(&mut self, buffer: &[u8]) -> Result<Option<Frame>, ReadError> {
        while self.position < buffer.len() || self.state == State::Markup {
            let step = match self.state {
                State::Between => self.between(buffer)?,
                State::Markup => match self.classify(buffer)? {
                    true => None,
                    false => return Ok(None),
                },
                State::StartTag { quote, last } => self.start_tag(buffer, quote, last)?,
                State::EndTag => self.end_tag(buffer),
                State::Declaration => self.declaration(buffer),
                State::Text => self.text(buffer),
                State::CharacterData => self.character_data(buffer),
            };
            if let Some(frame) = step {
                self.position = 0;
                self.markup = 0;
                self.state = State::Between;
                self.at_stream_start = false;
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn between(&mut self, buffer: &[u8]) -> Result<Option<Frame>, ReadError> {
        match buffer[self.position] {
            b'<' if self.position > 0 => Ok(Some(Frame::Skip(self.position))),
            b'<' => {
                self.state = State::Markup;
                Ok(None)
            }
            b' ' | b'\t' | b'\r' | b'\n' => {
                self.position += 1;
                Ok((self.position == buffer.len()).then_some(Frame::Skip(self.position)))
            }
            // No UTF-8 holds them, and UTF-16 begins with two of them.
            0xc0 | 0xc1 | 0xf5..=0xff => Err(ReadError::UnsupportedEncoding),
            _ if self.root_open => Err(ReadError::BadFormat("text between stanzas")),
            _ => Err(ReadError::NotWellFormed("text before the root element")),
        }
    }

    /// Decides what the `<` at `markup` begins; `false` when more bytes are needed.
    fn classify(&mut self, buffer: &[u8]) -> Result<bool, ReadError> {
        let seen = &buffer[self.markup..];
        let Some(&second) = seen.get(1) else { return Ok(false) };
        self.state = match second {
            b'/' => State::EndTag,
            b'?' => return self.classify_declaration(seen),
            b'!' => return self.classify_character_data(seen),
            _ => State::StartTag { quote: None, last: b'<' },
        };
        self.position = self.markup + 1;
        Ok(true)
    }

    fn classify_declaration(&mut self, seen: &[u8]) -> Result<bool, ReadError> {
        let common = seen.len().min(DECLARATION.len());
        if !self.at_stream_start || seen[..common] != DECLARATION[..common] {
            return Err(ReadError::RestrictedXml("a processing instruction"));
        }
        match seen.get(DECLARATION.len()) {
            None => Ok(false),
            Some(b' ' | b'\t' | b'\r' | b'\n') => {
                self.state = State::Declaration;
                self.position = self.markup + DECLARATION.len();
                Ok(true)
            }
            Some(_) => Err(ReadError::RestrictedXml("a processing instruction")),
        }
    }

    fn classify_character_data(&mut self, seen: &[u8]) -> Result<bool, ReadError> {
        let common = seen.len().min(CDATA.len());
        if seen[..common] != CDATA[..common] || (common == CDATA.len() && self.depth == 0) {
            return Err(ReadError::RestrictedXml("a comment or a document type declaration"));
        }
        if common < CDATA.len() {
            return Ok(false);
        }
        self.state = State::CharacterData;
        self.position = self.markup + CDATA.len();
        Ok(true)
    }

    fn start_tag(&mut self, buffer: &[u8], quote: Option<u8>, last: u8) -> Result<Option<Frame>, ReadError> {
        let rest = &buffer[self.position..];
        let found = match quote {
            Some(quote) => memchr(quote, rest),
            None => memchr3(b'>', b'\'', b'"', rest),
        };
        let Some(at) = found else {
            self.state = State::StartTag { quote, last: buffer[buffer.len() - 1] };
            self.position = buffer.len();
            return Ok(None);
        };
        let before = if at > 0 { rest[at - 1] } else { last };
        self.position += at + 1;
        match (quote, rest[at]) {
            (Some(_), byte) => self.state = State::StartTag { quote: None, last: byte },
            (None, b'>') => return self.tag_complete(before == b'/'),
            (None, byte) => self.state = State::StartTag { quote: Some(byte), last: byte },
        }
        Ok(None)
    }

    fn tag_complete(&mut self, empty: bool) -> Result<Option<Frame>, ReadError> {
        if !self.root_open {
            self.root_open = true;
            return Ok(Some(Frame::Root { length: self.position, empty }));
        }
        if !empty {
            self.depth += 1;
            if self.depth > self.max_depth {
                return Err(ReadError::TooLarge { what: "nested elements", limit: self.max_depth });
            }
        }
        self.state = State::Text;
        Ok((self.depth == 0).then_some(Frame::Element(self.position)))
    }

    fn end_tag(&mut self, buffer: &[u8]) -> Option<Frame> {
        match memchr(b'>', &buffer[self.position..]) {
            None => {
                self.position = buffer.len();
                None
            }
            Some(at) => {
                self.position += at + 1;
                self.state = State::Text;
                match self.depth {
                    0 => Some(Frame::Close(self.position)),
                    1 => {
                        self.depth = 0;
                        Some(Frame::Element(self.position))
                    }
                    _ => {
                        self.depth -= 1;
                        None
                    }
                }
            }
        }
    }

    fn declaration(&mut self, buffer: &[u8]) -> Option<Frame> {
        self.find(buffer, b"?>", DECLARATION.len()).then_some(Frame::Declaration(self.position))
    }

    fn text(&mut self, buffer: &[u8]) -> Option<Frame> {
        match memchr(b'<', &buffer[self.position..]) {
            None => self.position = buffer.len(),
            Some(at) => {
                self.markup = self.position + at;
                self.position = self.markup;
                self.state = State::Markup;
            }
        }
        None
    }

    fn character_data(&mut self, buffer: &[u8]) -> Option<Frame> {
        if self.find(buffer, b"]]>", CDATA.len()) {
            self.state = State::Text;
        }
        None
    }

    /// Moves behind the terminator of the present markup, or to the end; `opening` bytes began the markup.
    fn find(&mut self, buffer: &[u8], terminator: &[u8], opening: usize) -> bool {
        // The terminator may have begun in an earlier push, but not within the opening.
        let start = self.position.saturating_sub(terminator.len() - 1).max(self.markup + opening);
        let found = memmem::find(&buffer[start..], terminator);
        self.position = found.map_or(buffer.len(), |at| start + at + terminator.len());
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames of a text that is pushed in chunks of this size.
    fn frames(text: &str, chunk: usize) -> Result<Vec<String>, ReadError> {
        let (mut framer, mut buffer, mut found) = (Framer::new(4), Vec::new(), Vec::new());
        for bytes in text.as_bytes().chunks(chunk) {
            buffer.extend_from_slice(bytes);
            while let Some(frame) = framer.next(&buffer)? {
                let (Frame::Skip(length)
                | Frame::Declaration(length)
                | Frame::Root { length, .. }
                | Frame::Element(length)
                | Frame::Close(length)) = frame;
                let piece: Vec<u8> = buffer.drain(..length).collect();
                if !matches!(frame, Frame::Skip(_)) {
                    found.push(String::from_utf8(piece).unwrap());
                }
            }
        }
        Ok(found)
    }

    #[test]
    fn finds_the_same_pieces_however_the_bytes_arrive() {
        let pieces = [
            "<?xml version='1.0'?>",
            "<s:stream xmlns:s='>' a=\"'/>\">",
            "<a/>",
            "<a b='/>'><![CDATA[</a>]]]]>x]]></a >",
            "<a><b><c/>t</b></a>",
            "</s:stream>",
        ];
        let text = format!("{}\n{} {}{}\n{}{}", pieces[0], pieces[1], pieces[2], pieces[3], pieces[4], pieces[5]);
        for chunk in 1..=text.len() {
            assert_eq!(frames(&text, chunk).unwrap(), pieces, "chunks of {chunk}");
        }
    }

    #[test]
    fn refuses_restricted_markup_and_deep_nesting() {
        for text in [
            " <?xml version='1.0'?><a>",
            "<?pi?><a>",
            "<a><!-- -->",
            "<!DOCTYPE a>",
            "<a><![CDATA[x]]>",
            "<a><?xml ?>",
            "<a>text",
            "text<a>",
            "<a><1><2><3><4><5>",
            "<a><b><!x></b>",
        ] {
            for chunk in [1, 64] {
                assert!(frames(text, chunk).is_err(), "{text}");
            }
        }
    }
}
