"""What is encoded once in a shard: the contents met last are remembered, the least recently met one goes first."""

import pytest

from ncaudit.verbs.embed import shard
from ncaudit.verbs.embed.shard import Memory


def met(memory: Memory, keys: str) -> list[bool]:
    """Whether each content is new when it is met."""
    return [memory.meet(key.encode())[1] for key in keys]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Of two contents."""
    monkeypatch.setattr(shard, "REMEMBERED", 2)
    return Memory()


def test_what_was_met_last_is_known_and_the_oldest_is_forgotten(memory: Memory) -> None:
    assert met(memory, "abc") == [True] * 3
    assert met(memory, "cba") == [False, False, True]


def test_what_returns_counts_as_met_just_now(memory: Memory) -> None:
    assert met(memory, "aba") == [True, True, False]
    assert met(memory, "cab") == [True, False, True]


def test_a_known_content_is_the_one_that_was_filled_in(memory: Memory) -> None:
    content, _ = memory.meet(b"a")
    content.status = "image_undecodable"
    assert memory.meet(b"a")[0] is content
