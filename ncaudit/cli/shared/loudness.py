"""How much a command tells besides its answer: nothing (`-q`), what matters, or all (`-v`). Knows two switches."""

_quiet = _verbose = False


def set_loudness(*, quiet: bool = False, verbose: bool = False) -> None:
    """For the rest of this process. quiet: no progress, no notes; verbose: finished stages and every detail, too."""
    global _quiet, _verbose
    _quiet, _verbose = quiet, verbose


def is_quiet() -> bool:
    """No progress and no notes; errors and results are still told."""
    return _quiet


def is_verbose() -> bool:
    """Whatever is known is told."""
    return _verbose
