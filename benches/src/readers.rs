//! Bytes of a stream to events: our reader, libexpat, rxml.

use convoke_xmpp::{Limits, StreamEvent, StreamReader};
use rxml::{Parse, Parser};

use crate::clock::thread_time;
use crate::comparison::{Contender, compare};
use crate::expat::Expat;
use crate::report::Report;
use crate::traffic::{self, Stream};
use crate::{Effort, Error};

/// What a socket gives at a time when it is busy.
const CHUNK: usize = 64 * 1024;

/// Measures the readers in turn and reports bytes per CPU second and the ratios.
pub fn measure(effort: Effort, report: &mut Report) -> Result<(), Error> {
    let stream = traffic::stream(effort.choose(64 * 1024, 16 * 1024 * 1024));
    let megabytes = stream.text.len() as f64 / 1e6;
    let mut contenders = contenders(&stream);
    let seconds = compare(&mut contenders, effort.choose(0, 7))?;
    for (contender, seconds) in contenders.iter().zip(&seconds) {
        report.figure(&format!("reader: {}", contender.name), megabytes / seconds, "MB/s");
    }
    report.figure("reader: ours", stream.stanzas as f64 / seconds[0] / 1e3, "thousand stanzas/s");
    report.ratio("reader_vs_rxml", seconds[1] / seconds[0], "goal >= 5");
    match seconds.get(2) {
        Some(expat) => report.ratio("reader_vs_expat", expat / seconds[0], "goal >= 2.5"),
        None => println!("libexpat is not installed (Debian: libexpat1): reader_vs_expat is not measured"),
    }
    Ok(())
}

fn contenders(stream: &Stream) -> Vec<Contender<'_>> {
    let mut contenders = vec![
        Contender { name: "ours", run: Box::new(|| timed(stream.stanzas, || ours(&stream.text))) },
        Contender { name: "rxml", run: Box::new(|| timed(stream.elements, || rxml(&stream.text))) },
    ];
    if let Some(expat) = Expat::load() {
        let chunks = || stream.text.as_bytes().chunks(CHUNK);
        let run = move || timed(stream.elements, || expat.parse(chunks()).ok_or_else(|| "expat refuses".into()));
        contenders.push(Contender { name: "libexpat", run: Box::new(run) });
    }
    contenders
}

/// The CPU seconds of a reader that has to find so much.
fn timed(expected: usize, read: impl Fn() -> Result<usize, Error>) -> Result<f64, Error> {
    let start = thread_time();
    let found = read()?;
    let seconds = (thread_time() - start).as_secs_f64();
    if found == expected { Ok(seconds) } else { Err(format!("found {found} of {expected}").into()) }
}

/// Reads a stream with our reader, full validation included; the number of stanzas.
pub fn ours(text: &str) -> Result<usize, Error> {
    let mut reader = StreamReader::new(Limits::default());
    let mut stanzas = 0;
    for chunk in text.as_bytes().chunks(CHUNK) {
        reader.push(chunk);
        while let Some(event) = reader.poll()? {
            stanzas += usize::from(matches!(std::hint::black_box(event), StreamEvent::Stanza(_)));
        }
    }
    Ok(stanzas)
}

fn rxml(text: &str) -> Result<usize, Error> {
    let mut parser = Parser::new();
    let mut elements = 0;
    for chunk in text.as_bytes().chunks(CHUNK) {
        let mut rest = chunk;
        loop {
            match parser.parse(&mut rest, false) {
                Ok(Some(event)) => {
                    elements += usize::from(matches!(std::hint::black_box(event), rxml::Event::StartElement(..)));
                }
                Ok(None) => return Ok(elements),
                Err(rxml::error::EndOrError::NeedMoreData) => break,
                Err(rxml::error::EndOrError::Error(error)) => return Err(error.into()),
            }
        }
    }
    Ok(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_readers_find_the_same() {
        let stream = traffic::stream(200_000);
        assert_eq!(ours(&stream.text).unwrap(), stream.stanzas);
        assert_eq!(rxml(&stream.text).unwrap(), stream.elements);
        if let Some(expat) = Expat::load() {
            assert_eq!(expat.parse(stream.text.as_bytes().chunks(CHUNK)), Some(stream.elements));
        }
    }
}
