"""Whether there is anything to calibrate: do observed pairs score otherwise than random ones, and does that count?

Knows scorers, their scores of observed and random pairs, and the tests; nothing of files. A noise rate of nearly 1 is
only told where right pairs would have been seen: else nobody can tell "the model does not know these data" from "all
captions are wrong", and no pair is called noisy.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ncaudit.core.statistics.signal import Signal
from ncaudit.counts import counted
from ncaudit.options import ScorerOptions
from ncaudit.scorers.robust import refit
from ncaudit.scoring.pairs import Pairs

NOTHING = "no signal"  # facts of a fit, and of a table, that has no labels for one of these reasons
UNKNOWN, TOO_FEW, BLIND = "nothing tells", "too few pairs", "the scorer does not tell"
# A scorer that learns from the pairs and has no independent witness: parts that judge each other agree by chance twice
ALONE = 1e-5
# Observed against random pairs, by a space learned where the cosine tells nothing. Below, a poor space of right pairs
# and a good space of few right pairs look alike: with random weights and no wrong caption "73 % noise" came out
WEAK = 0.65


@dataclass(frozen=True)
class Evidence:
    """What each way of looking found. cosine, refit: None where the widths differ, where pairs are too few to learn.

    score: of the scorer's own numbers. cosine: of the embeddings as they are. refit: of a space learned from the pairs;
    None too where the cosine has told already.
    """

    scorer: str
    score: Signal
    cosine: Signal | None
    refit: Signal | None

    @classmethod
    def of(cls, scorer: str, score: Signal, cosine: Signal | None, pairs: Pairs, options: ScorerOptions) -> "Evidence":
        """pairs: in random order. The space is learned only where the cosine does not answer."""
        answered = cosine is not None and cosine.found
        learned = None if answered else refit.tells(pairs, options.csls_k, options.seed)
        return cls(scorer, score, cosine, learned)

    @property
    def found(self) -> bool:
        """Whether the score tells right pairs, and not only what is alike in all captions of one photo."""
        witnesses = [one for one in (self.cosine, self.refit) if one is not None]
        if not witnesses:
            return self.score.p < ALONE
        return self.score.found and any(one.found for one in witnesses) and not self._weak

    @property
    def _weak(self) -> bool:
        """Whether the model that made both sides tells nothing, and what can be learned from its features not much."""
        return self.cosine is not None and not self.cosine.found and self.score.auroc < WEAK

    @property
    def kind(self) -> str | None:
        """Why there is nothing to calibrate; None where there is."""
        if self.found:
            return None
        if any(one is not None and one.found for one in (self.cosine, self.refit)) and not self.score.found:
            return TOO_FEW if self.score.too_few else BLIND
        best = min((one for one in (self.cosine, self.refit, self.score) if one), key=lambda one: one.least_share)
        return TOO_FEW if best.too_few else UNKNOWN

    def facts(self) -> Mapping[str, Any]:
        """For the fit, where nothing was found: the kind, and every test."""
        tests = {"score": self.score, "cosine": self.cosine, "refit": self.refit}
        return {"kind": self.kind, **{name: None if one is None else asdict(one) for name, one in tests.items()}}

    def words(self) -> str:
        """What people are told instead of what a label means."""
        looked = f"AUROC {self.score.auroc:.3f} over {counted(self.score.pairs, 'pair')}, chance is .5"
        if self.kind == TOO_FEW:
            return (
                f"no soft label: {counted(self.score.pairs, 'pair is', 'pairs are')} too few to tell whether they score"
                f" otherwise than random ones ({looked}; up to {self.score.least_share:.0%} right captions could go"
                " unseen): give more pairs, or rank by score"
            )
        if self.kind == BLIND:
            by = "the cosine" if self.cosine is not None and self.cosine.found else "a space learned from these pairs"
            return (
                f"no soft label: {self.scorer} does not tell these pairs from random ones ({looked}), though {by} does:"
                " use --scorer auto"
            )
        like = "hardly better than random ones" if self.score.found else "like random ones"
        return (
            f"no soft label: the pairs score {like} ({looked}). Either the model does not know these"
            " data (another language, another kind of image), or nearly all captions are wrong (rows shifted against"
            " each other, say): the embeddings cannot tell which. Look at a few pairs; if they match, embed with"
            " another model; if not, join captions and images anew"
        )
