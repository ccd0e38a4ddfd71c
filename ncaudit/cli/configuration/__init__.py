"""Options in a file instead of on the command line: read for `ncaudit --config`, written by `ncaudit config`."""
