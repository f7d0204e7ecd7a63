//! The commonest kind of case: something is said at some point of the negotiation, and one answer is judged.

use crate::bench::Bench;
use crate::expectation::Wanted;
use crate::probe::Stage;
use crate::verdict::Judgement;

/// What is said when, and what is wanted as answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    /// How far the negotiation goes before.
    pub(crate) at: Stage,
    /// What is said, in one segment; see [`Probe::say`](crate::probe::Probe::say) for what stands for what.
    pub(crate) say: &'static str,
    /// What is said behind it, so that who ignores it answers too.
    pub(crate) behind: &'static str,
    /// The answers that keep the rule.
    pub(crate) want: &'static [Wanted],
    /// Those of them that the standard recommends; all, if there are none.
    pub(crate) prefer: &'static [Wanted],
}

impl Script {
    pub(crate) const fn new(at: Stage, say: &'static str, want: &'static [Wanted]) -> Self {
        Self { at, say, behind: "", want, prefer: &[] }
    }

    /// These answers are recommended.
    pub(crate) const fn prefer(self, prefer: &'static [Wanted]) -> Self {
        Self { prefer, ..self }
    }

    /// The end of the stream follows, so that who takes what was said answers with the end of the stream.
    pub(crate) const fn and_close(self) -> Self {
        Self { behind: "</stream:stream>", ..self }
    }

    pub(crate) async fn run(&self, bench: &Bench) -> Judgement {
        let mut probe = bench.reach(self.at).await?;
        probe.say(self.say).await;
        if !self.behind.is_empty() {
            probe.say(self.behind).await;
        }
        probe.answer().await.judge(self.want, self.prefer)
    }
}
