//! Single operations, for whoever works on one: `cargo bench -p convoke-benches --bench operations`.

use convoke_benches::{readers, traffic};
use convoke_xmpp::{Element, Jid, Stanza};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// Message, presence, iq and publish-subscribe event.
const KINDS: [usize; 4] = [0, 1, 2, 3];

#[divan::bench]
fn read_a_stream(bencher: Bencher<'_, '_>) {
    let stream = traffic::stream(1024 * 1024);
    bencher.counter(BytesCount::of_str(&stream.text)).bench(|| readers::ours(black_box(&stream.text)).ok());
}

#[divan::bench(args = KINDS)]
fn parse_a_stanza(bencher: Bencher<'_, '_>, kind: usize) {
    let text = traffic::stanza(kind);
    bencher.counter(BytesCount::of_str(&text)).bench(|| Stanza::parse(black_box(&text)));
}

#[divan::bench(args = KINDS)]
fn parse_a_tree(bencher: Bencher<'_, '_>, kind: usize) {
    let text = traffic::stanza(kind);
    bencher.counter(BytesCount::of_str(&text)).bench(|| Element::parse(black_box(&text)));
}

#[divan::bench(args = KINDS)]
fn rewrite_the_recipient(bencher: Bencher<'_, '_>, kind: usize) {
    let stanza = Stanza::parse(&traffic::stanza(kind)).expect("a stanza");
    let to = Jid::new("friend@b.example/phone").expect("an address");
    bencher.bench(|| black_box(&stanza).with_to(&to));
}

#[divan::bench(args = ["user@b.example/desk", "User@Bücher.example/Tür"])]
fn parse_an_address(text: &str) -> Option<Jid> {
    Jid::new(black_box(text)).ok()
}
