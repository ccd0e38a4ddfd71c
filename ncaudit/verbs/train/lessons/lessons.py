"""What each step of an epoch teaches: pairs as they were given, or pairs and labels that follow from what was learnt.

Knows batches and networks that are taught in turn; nothing of validation, of folders or of how a step learns.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from ncaudit.matchers.steps.batch import Batch
from ncaudit.verbs.train.data.training_set import EVERY_ROW, TrainingPairs

Json = dict[str, Any]


class Lessons(Protocol):
    """The batches of an epoch, for one network or for several that learn in turn."""

    @property
    def networks(self) -> int:
        """How many learn: step i of an epoch is for network i % networks."""

    @property
    def restarts(self) -> frozenset[int]:
        """The epochs before which all that the networks have learnt is thrown away."""

    def finish_round(self, batch_pairs: int) -> None:
        """Asked before each of these, with the networks as they still are."""

    def batches(self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW) -> Iterator[Batch]:
        """The `rows` of networks * (training pairs // batch_pairs) batches.

        They are a pure function of the arguments, of `state_dict`, and of the networks' weights at that moment.
        """

    def told(self, losses: Sequence[float]) -> Json:
        """What metrics.jsonl is to say of the epoch just ended. losses: of its steps."""

    def state_dict(self) -> Json:
        """What the lessons need to go on from here: tensors, numbers, words."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""


class Straight:
    """What lessons of networks that never begin anew have in common."""

    restarts: frozenset[int] = frozenset()

    def finish_round(self, batch_pairs: int) -> None: ...


class AsGiven(Straight):
    """One network, every pair with the label it came with."""

    networks = 1

    def __init__(self, pairs: TrainingPairs) -> None:
        self.batches = pairs.batches

    def told(self, losses: Sequence[float]) -> Json:
        """Nothing beside the mean loss."""
        return {}

    def state_dict(self) -> Json:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


def by_network(losses: Sequence[float], networks: int) -> list[float]:
    """The mean loss of each network's own steps.

    >>> by_network([1.0, 5.0, 2.0, 7.0], 2)
    [1.5, 6.0]
    """
    return [sum(own) / len(own) for own in (losses[first::networks] for first in range(networks))]
