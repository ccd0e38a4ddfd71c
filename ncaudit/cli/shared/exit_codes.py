"""What each way of ending means to the shell: one rule for every command.

0: every row is accounted for; rows that failed have their status and are counted. 3: something was made, but some
shard failed and is not in it, or more than `--max-failed` of the rows failed. 1: nothing could be made, or not all of
one result that needs every shard: no half of it is left. 2: the command itself is wrong, whatever the files hold; only
its words were looked at. 130: interrupted. 141: the reader of the pipe went away. A bug keeps its traceback.
"""

from typing import TYPE_CHECKING

from ncaudit.errors import NcauditError, UsageError

if TYPE_CHECKING:  # --help must not pay for arrow
    from ncaudit.engines.local import Accounting

REFUSED = 1
USAGE = 2
TOO_MANY_FAILED = 3
INTERRUPTED = 130
CLOSED_PIPE = 141


def exit_code(accounts: "Accounting", max_failed: float) -> int:
    """0, or 3 when some shard failed or more rows failed than the user allows."""
    return TOO_MANY_FAILED if accounts.too_many_failed(max_failed) else 0


def code_of(error: NcauditError) -> int:
    """2 for what a user can see to be wrong in the command itself, else 1."""
    return USAGE if isinstance(error, UsageError) else REFUSED
