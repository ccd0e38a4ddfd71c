"""The options of a report as the command line that makes it. Knows options only."""

import shlex
from dataclasses import fields

from ncaudit.options import ReportOptions


def command_of(options: ReportOptions) -> str:
    """The command line that makes this page: what differs from the defaults."""
    words = ["ncaudit", "report", *options.scores]
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name == "scores" or (value == field.default and field.name != "out"):
            continue
        flag = f"--{field.name.replace('_', '-')}"
        for one in value if isinstance(value, (list, tuple)) else [value]:
            words += [flag] if one is True else [flag, str(one)]
    return shlex.join(words)
