"""What each way of ending means to the shell. A usage error is 2, a refusal 1, and a bug keeps its traceback."""

from ncaudit.engines.local import Accounting

REFUSED = 1  # could not do it
USAGE = 2
TOO_MANY_FAILED = 3  # some shard failed, or more rows than the user allows
INTERRUPTED = 130
CLOSED_PIPE = 141


def exit_code(accounts: Accounting, max_failed: float) -> int:
    """0, or 3 when some shard failed or more rows failed than the user allows."""
    return TOO_MANY_FAILED if accounts.too_many_failed(max_failed) else 0
