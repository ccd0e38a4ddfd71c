"""The errors a user can repair. Knows nothing of the rest of ncaudit; anything else that is raised is a bug."""


class NcauditError(Exception):
    """Something the user can repair: `message` says what is wrong and where, `fix` what to do about it."""

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __reduce__(self) -> tuple[object, ...]:
        # raised in a worker process, it must arrive with its fix: Exception pickles positional arguments only
        return _rebuild, (type(self), self.message, self.fix)


class UsageError(NcauditError):
    """A command that is wrong by itself, whatever the files hold: a number out of range, flags that contradict."""


class ModelUnavailable(NcauditError):
    """A model whose weights cannot be had: no network, wrong name, empty folder."""


class BadTable(NcauditError):
    """A file that is not what the command needs: no such column, truncated, of another width or dataset."""


class Displaced(NcauditError):
    """The place that a run writes to is another run's now: nothing more of this one can be done."""


class Unwritable(Displaced):
    """The place that a run writes to takes nothing any more: no shard after this one would get there either."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, and whether anything that was finished is kept."""

    def __init__(self, *, kept: bool) -> None:
        super().__init__()
        self.kept = kept


def lacks_memory(error: BaseException) -> bool:
    """Whether this says that memory ran out, in one of the many ways that libraries have: no file is bad then."""
    if isinstance(error, MemoryError):
        return True
    known = isinstance(error, (RuntimeError, ImportError, OSError))
    return known and any(word in str(error).lower() for word in _LACKS_MEMORY)


_LACKS_MEMORY = (
    *("cannot allocate memory", "can't allocate memory", "not enough memory", "out of memory", "std::bad_alloc"),
    *("failed to map segment", "can't start new thread", "unable to allocate", "unable to mmap"),
)


def _rebuild(kind: type[NcauditError], message: str, fix: str) -> NcauditError:
    return kind(message, fix=fix)
