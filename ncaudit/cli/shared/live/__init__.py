"""How far a verb has come, while it works: two lines on a terminal or in a notebook, a line now and then elsewhere.

Knows where this process tells its words; nothing of what is counted. Prints nothing by itself: lines go through
`output`, and what is drawn is drawn where `output` says.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ncaudit.cli.shared import output
from ncaudit.cli.shared.live.listeners import Log, Mute
from ncaudit.cli.shared.live.work import Work
from ncaudit.cli.shared.loudness import is_quiet
from ncaudit.progress import Progress

_begun: list[Mute] = []  # the display of a command that has begun, until its verb takes it


@contextmanager
def starting(command: str) -> Iterator[None]:
    """The command begins: on a terminal that is seen at once, though the verb itself takes seconds to be loaded."""
    listener = _listener(command)
    _begun.append(listener)
    try:
        yield
    finally:
        if listener in _begun:  # it has ended without a verb
            _begun.remove(listener)
            listener.close(whole=False)


@contextmanager
def progress() -> Iterator[Progress]:
    """Draws the progress of verbs on standard error or in the notebook; when the block ends, it is taken away.

    On a terminal nothing of it is left, in a notebook a line with the time that it took; a log keeps a line per stage.
    """
    listener, whole = _begun.pop() if _begun else _listener("ncaudit"), False
    try:
        yield listener
        whole = True
    finally:
        listener.close(whole=whole)


live_progress = progress  # as the package calls it, for scripts and notebooks


def _listener(command: str) -> Mute:
    if is_quiet():
        return Mute()
    work = Work(command)
    if (console := output.terminal()) is not None:
        from ncaudit.cli.shared.live.terminal import Drawn  # rich's live display: a log needs none of it

        drawn = Drawn(work, console)
        drawn.start()
        return drawn
    if (display := output.notebook()) is not None:
        from ncaudit.cli.shared.live.notebook import Shown

        return Shown(work, display)
    return Log(work)
