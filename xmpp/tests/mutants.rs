//! Seeded mutants of good streams.

/// A generator whose numbers follow from its seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn choose<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Pieces of markup, right and wrong, that mutants get.
const FRAGMENTS: &[&[u8]] = &[
    b"<",
    b">",
    b"/",
    b"/>",
    b"</",
    b"&",
    b";",
    b"'",
    b"\"",
    b"=",
    b" ",
    b":",
    b"]",
    b"]]>",
    b"!",
    b"?",
    b"-",
    b"\0",
    b"\x01",
    b"\t",
    b"\r",
    b"\n",
    b"\r\n",
    b"<a/>",
    b"<a>",
    b"</a>",
    b"<p:a xmlns:p='urn:p'>",
    b"</p:a>",
    b"<p:a/>",
    b" a='1'",
    b" a=\"1\"",
    b"a='1'",
    b" a='<'",
    b" a='&lt;'",
    b" p:a='1'",
    b" xmlns='urn:x'",
    b" xmlns=''",
    b" xmlns:p='urn:p'",
    b" xmlns:q='urn:p' q:a='2'",
    b" xmlns:p=''",
    b" xmlns:xml='urn:x'",
    b" xmlns:xmlns='urn:x'",
    b" xml:lang='en'",
    b" xmlns='jabber:server'",
    b" xmlns='jabber:client'",
    b" to='a@b/c'",
    b" from='@'",
    b" id='1'",
    b" type='error'",
    b"<![CDATA[",
    b"<![CDATA[x]]>",
    b"<![CDATA[<a>]]>",
    b"<!--",
    b"-->",
    b"<!-- c -->",
    b"<?",
    b"?>",
    b"<?p?>",
    b"<?xml version='1.0'?>",
    b"<!DOCTYPE a>",
    b"<!ENTITY",
    b"&amp;",
    b"&amp",
    b"&lt;",
    b"&gt;",
    b"&quot;",
    b"&apos;",
    b"&nbsp;",
    b"&#1;",
    b"&#9;",
    b"&#13;",
    b"&#60;",
    b"&#x3c;",
    b"&#xFFFE;",
    b"&#xD800;",
    b"&#x10FFFF;",
    b"&#x110000;",
    b"&#",
    b"&#x",
    b"1",
    b"a",
    b"A",
    b"x",
    b".",
    b"_",
    b"\x7f",
    b"\x80",
    b"\xc0\x80",
    b"\xc2\x85",
    b"\xc3\xa4",
    b"\xc3",
    b"\xcc\x80",
    b"\xc2\xb7",
    b"\xe2\x80\xa8",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xef\xbf\xbe",
    b"\xef\xbf\xbf",
    b"\xf0\x9f\x98\x80",
    b"\xf0\x9f\x98",
    b"\xf4\x90\x80\x80",
    b"\xff",
    b"<message>",
    b"</message>",
    b"<message/>",
    b"<iq id='1' type='get'>",
    b"</iq>",
    b"</stream:stream>",
    b"<stream:stream>",
    b"<stream:a/>",
    b"text",
];

/// What content may hold.
const CONTENT: &[&[u8]] = &[
    b"text",
    b" \t\r\n",
    b"&amp;&lt;",
    b"&#x41;",
    b"&#13;",
    b"]]",
    b"]>",
    b">",
    b"'\"",
    b"<a/>",
    b"<a b='1'>c</a>",
    b"<![CDATA[]]>",
    b"<![CDATA[ <a>&b; ]]]]>",
    b"<p:a xmlns:p='urn:p' p:b='1'><p:c/></p:a>",
    b"<a xmlns=''/>",
    b"<stream:a/>",
    b"<message xmlns='jabber:server' to='A@B.example'/>",
    b"\xc3\xa4",
    b"\xf0\x9f\x98\x80",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"\x7f",
];

/// What a tag may hold behind its name or another attribute.
const ATTRIBUTES: &[&[u8]] = &[
    b" a='1'",
    b" a = \"'\" ",
    b" xml:lang='de'",
    b" xmlns:q='urn:q'",
    b" xmlns:q='urn:q' q:a='1'",
    b"\n\tb='>'\r\n",
    b" c='&lt;&#9;\t\n'",
    b" to='A@B.example/C'",
    b" id='&apos;'",
    b" type='get'",
    b" d=''",
    b" \xc3\xa4='1'",
    b" ",
    b" a='1' ",
];

/// What names, values and text may hold in their midst.
const CHARACTERS: &[&[u8]] = &[b"a", b"b1", b"-", b".", b"_", b"\xc3\xa4", b"\xcc\x80", b"\xe4\xb8\xad"];

/// A mutant of one of these texts: one change mostly, so that many stay well-formed, and up to four.
pub(crate) fn mutant(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut text = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(12).saturating_sub(8) {
        change(random, &mut text, seeds);
    }
    text
}

fn change(random: &mut Random, text: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = random.below(text.len() + 1);
    let end = (at + 1 + random.below(12)).min(text.len());
    match random.below(10) {
        0 if at < text.len() => text[at] ^= 1 << random.below(8),
        1 if at < text.len() => text[at] = random.below(256) as u8,
        2 => drop(text.drain(at..end)),
        3 => text.extend_from_within(at..end),
        4 => {
            let other = &seeds[random.below(seeds.len())];
            let (from, to) = (random.below(other.len() + 1), random.below(other.len() + 1));
            insert(text, at, &other[from.min(to)..from.max(to)]);
        }
        5 => {
            let place = markup_near(text, at);
            insert(text, place, random.choose(FRAGMENTS));
        }
        6 | 7 => insert_well_formed(random, text, at),
        8 => drop(text.splice(at..end, random.choose(FRAGMENTS).iter().copied())),
        _ => insert(text, at, random.choose(FRAGMENTS)),
    }
}

/// Puts a whole piece where such a piece may stand: behind a tag, behind a name or a value in a tag, or within text.
fn insert_well_formed(random: &mut Random, text: &mut Vec<u8>, at: usize) {
    let (before, pieces) =
        random.choose(&[&(b'>', CONTENT), &(b' ', ATTRIBUTES), &(b'\'', ATTRIBUTES), &(b'a', CHARACTERS)]);
    let found = text[at..].iter().position(|byte| byte == before).map_or(text.len(), |found| at + found + 1);
    insert(text, found, random.choose(pieces));
}

/// The next place where markup changes, at which fragments do most.
fn markup_near(text: &[u8], at: usize) -> usize {
    let is_markup = |byte: &u8| matches!(byte, b'<' | b'>' | b'/' | b' ' | b'=' | b'\'' | b'"' | b'&' | b';' | b':');
    text[at..].iter().position(is_markup).map_or(at, |found| at + found)
}

fn insert(text: &mut Vec<u8>, at: usize, piece: &[u8]) {
    text.splice(at..at, piece.iter().copied());
}

/// The shortest text found, by leaving parts out, for which this still holds.
pub(crate) fn shrink(text: &[u8], mut holds: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut text = text.to_vec();
    let mut size = text.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < text.len() {
            let end = (at + size).min(text.len());
            let shorter = [&text[..at], &text[end..]].concat();
            if holds(&shorter) {
                text = shorter;
            } else {
                at = end;
            }
        }
        size /= 2;
    }
    text
}

#[test]
fn the_same_seed_makes_the_same_mutants() {
    let seeds = [b"<message><body>x</body></message>".to_vec()];
    let make = |seed| {
        let mut random = Random::new(seed);
        (0..100).map(|_| mutant(&mut random, &seeds)).collect::<Vec<_>>()
    };
    assert_eq!(make(7), make(7));
    assert_ne!(make(7), make(8));
}
