"""What the shell is told."""

import pytest

from ncaudit.cli.shared.exit_codes import exit_code
from ncaudit.engines.local import Accounting, ShardError


@pytest.mark.parametrize(("allowed", "code"), [(1.0, 0), (0.0, 3)])
def test_the_exit_code_follows_the_failed_share(allowed, code):
    assert exit_code(Accounting(1, 0, (), {"ok": 9, "image_missing": 1}), allowed) == code


def test_a_failed_shard_is_never_allowed():
    assert exit_code(Accounting(2, 1, (ShardError("b", "b is damaged", "fetch it"),), {"ok": 9}), 1.0) == 3
