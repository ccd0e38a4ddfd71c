"""Several networks that learn side by side: step i teaches network i % m, and one matcher speaks for those that count.

Knows learners and heads; nothing of which pairs each network is given, or why.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ncaudit.matchers.heads.projection import AnyHeads
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Learner, Step


class InTurn:
    """m learners of heads, as one Learner: it takes m steps for each of theirs."""

    def __init__(self, learners: Sequence[Learner], speaker: AnyHeads, device: torch.device) -> None:
        """speaker: what validates and is kept; it shares its weights with the learners it speaks for, the first ones.

        device: of the weights.
        """
        self._learners, self._speaker, self._device = learners, speaker, device

    def step(self, batch: Batch, number: int) -> Step:
        """Teach the network whose turn it is. A step that is not finite changes nothing."""
        return self._learners[number % len(self._learners)].step(batch, number // len(self._learners))

    def learning_rate(self, number: int) -> float:
        """The learning rate of step `number`."""
        return self._learners[0].learning_rate(number // len(self._learners))

    @property
    def scale(self) -> float:
        """1 / temperature, of the first network."""
        return self._learners[0].scale

    @torch.no_grad()
    def encode_images(self, image: Tensor) -> Tensor:
        """(n, image_width) to the speaker's (n, dims) float32 unit rows."""
        return self._speaker.image(image.to(self._device))

    @torch.no_grad()
    def encode_captions(self, text: Tensor) -> Tensor:
        """(n, text_width) to the speaker's (n, dims) float32 unit rows."""
        return self._speaker.text(text.to(self._device))

    def state_dict(self) -> dict[str, Any]:
        """`model`: the speaker's weights; and what every network goes on from, bit for bit."""
        networks = [learner.state_dict() for learner in self._learners]
        return {"model": self._speaker.state_dict(), "networks": networks}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        for learner, own in zip(self._learners, state["networks"], strict=True):
            learner.load_state_dict(own)
