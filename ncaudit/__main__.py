"""The process of a command: `python -m ncaudit`, and the console script.

Ctrl-C while the commands are being loaded waits for that: a library that was loaded by half cannot say a word.
"""

from ncaudit import budget, interruption


def main() -> None:
    """Run the command that the words of this process name, and end it."""
    interruption.listen()
    budget.settle_waiting()  # read when torch is loaded, once
    from ncaudit.cli.app import main as command

    try:
        command()
    except SystemExit as ending:
        interruption.over(ending.code if isinstance(ending.code, int) else int(ending.code is not None))
        raise


if __name__ == "__main__":
    main()
