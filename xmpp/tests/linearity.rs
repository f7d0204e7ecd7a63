//! The cost of reading grows with the bytes, whatever they are: work is counted, not timed.

use convoke_xmpp::{StreamReader, xml::Work};

use crate::reading::{OPEN_SERVER, in_stream, wide_limits};

/// What is tried against twice that length, which is 128 KiB.
const LENGTH: usize = 64 * 1024;

/// How much more work twice the bytes may be, in percent.
const GROWTH: u64 = 220;

/// One kind of input of about this many bytes.
type Make = fn(usize) -> String;

const INPUTS: &[(&str, Make)] = &[
    ("text", |n| stanza(&"x".repeat(n))),
    ("text of references", |n| stanza(&"&amp;".repeat(n / 5))),
    ("text of line ends", |n| stanza(&"\r".repeat(n))),
    ("text of brackets", |n| stanza(&"]".repeat(n))),
    ("text beyond ASCII", |n| stanza(&"\u{ffa0}".repeat(n / 3))),
    ("a CDATA section", |n| stanza(&format!("<![CDATA[{}]]>", "]".repeat(n)))),
    ("many CDATA sections", |n| stanza(&"<![CDATA[]]>".repeat(n / 12))),
    ("a name", |n| stanza(&format!("<{}/>", "n".repeat(n)))),
    ("a name in two tags", |n| stanza(&format!("<{0}></{0}>", "n".repeat(n / 2)))),
    ("the name of an attribute", |n| stanza(&format!("<a {}=''/>", "n".repeat(n)))),
    ("the value of an attribute", |n| stanza(&format!("<a b='{}'/>", "v".repeat(n)))),
    ("a value of references", |n| stanza(&format!("<a b='{}'/>", "&lt;".repeat(n / 4)))),
    ("a value of quotes", |n| stanza(&format!("<a b='{}'/>", "\"".repeat(n)))),
    ("the name of a namespace", |n| stanza(&format!("<p:a xmlns:p='{}' p:b='1'/>", "u".repeat(n)))),
    ("white space in a tag", |n| stanza(&format!("<a{}/>", " ".repeat(n)))),
    ("attributes", |n| stanza(&format!("<a{}/>", numbered(n, |at| format!(" a{at}=''"))))),
    ("attributes with prefixes", |n| stanza(&format!("<a xmlns:p='u'{}/>", numbered(n, |at| format!(" p:a{at}=''"))))),
    ("declarations", |n| stanza(&numbered(n, |at| format!("<p{at}:a xmlns:p{at}='u'/>")))),
    ("the attributes of a stanza", |n| format!("<message{}/>", numbered(n, |at| format!(" a{at}=''")))),
    ("nested elements", |n| stanza(&format!("{}{}", "<a>".repeat(n / 7), "</a>".repeat(n / 7)))),
    ("children", |n| stanza(&"<a/>".repeat(n / 4))),
    ("stanzas", |n| "<message/>".repeat(n / 10)),
    ("white space between stanzas", |n| " ".repeat(n)),
];

#[test]
fn twice_the_bytes_are_twice_the_work() {
    for (what, make) in INPUTS {
        compare(what, *make, LENGTH / 2, &[4096, usize::MAX]);
        compare(what, *make, LENGTH, &[1]);
    }
}

fn compare(what: &str, make: Make, length: usize, chunks: &[usize]) {
    let (short, long) = (make(length), make(2 * length));
    for &chunk in chunks {
        let (once, twice) = (work(&short, chunk), work(&long, chunk));
        let case = format!("{what}, {length} bytes in chunks of {chunk}");
        assert!(once.examined + once.copied >= length as u64, "{case}: not counted, {once:?}");
        assert!(twice.examined * 100 < once.examined.max(1) * GROWTH, "{case}: {once:?}, then {twice:?}");
        assert!(twice.copied * 100 < once.copied.max(1) * GROWTH, "{case}: {once:?}, then {twice:?}");
    }
}

fn work(text: &str, chunk: usize) -> Work {
    let document = in_stream(text.as_bytes(), OPEN_SERVER);
    let mut reader = StreamReader::new(wide_limits());
    for bytes in document.chunks(chunk) {
        reader.push(bytes);
        while reader.poll().unwrap().is_some() {}
    }
    reader.work()
}

fn stanza(content: &str) -> String {
    format!("<message><x xmlns='urn:x'>{content}</x></message>")
}

/// So many pieces with a number of five digits each that they come to about this many bytes.
fn numbered(bytes: usize, piece: impl Fn(usize) -> String) -> String {
    let length = piece(10_000).len();
    (0..bytes / length).map(|at| piece(10_000 + at)).collect()
}
