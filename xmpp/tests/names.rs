//! Names are made of the characters that expat has in names, tried one by one.

use convoke_xmpp::{Element, Limits, StreamReader};

use crate::expat::Expat;
use crate::reading::OPEN_SERVER;

#[test]
fn names_are_those_of_expat() {
    let (start, rest) = std::thread::scope(|scope| {
        let start = scope.spawn(|| Expat::start().code_points("<", "/>"));
        let rest = scope.spawn(|| Expat::start().code_points("<a", "/>"));
        (start.join().unwrap(), rest.join().unwrap())
    });
    assert_eq!((start.len(), rest.len()), (0x11_0000, 0x11_0000));
    std::thread::scope(|scope| {
        let start = scope.spawn(|| compare("<", &start));
        compare("<a", &rest);
        start.join().unwrap();
    });
}

fn compare(before: &str, theirs: &[bool]) {
    let differs = |code: &char| is_taken(before, *code) != theirs[*code as usize];
    let wrong: Vec<_> = ('\0'..=char::MAX).filter(differs).map(|c| format!("{:04X}", u32::from(c))).collect();
    assert!(wrong.is_empty(), "{} code points behind {before:?}: {:?}", wrong.len(), &wrong[..wrong.len().min(40)]);
}

/// Whether an element of this name is taken, by a stream for the basic plane, alone for the many beyond it.
fn is_taken(before: &str, code: char) -> bool {
    let text = format!("{before}{code}/>");
    if code > '\u{ffff}' {
        return Element::parse(&text).is_ok();
    }
    let mut reader = StreamReader::new(Limits::default());
    reader.push(format!("{OPEN_SERVER}{text}").as_bytes());
    reader.poll().unwrap().is_some() && reader.poll().is_ok_and(|event| event.is_some())
}
