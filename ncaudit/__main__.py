"""`python -m ncaudit`: the same command as the console script."""

from ncaudit.cli.app import main

main()
