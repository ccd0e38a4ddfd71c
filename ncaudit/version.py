"""The version of ncaudit: what the package, its tables and its command call themselves."""

__version__ = "0.1.0"
