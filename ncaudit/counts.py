"""Counts with what is counted, for people. Knows numbers and words; nothing of what they are about."""


def counted(count: int, one: str, many: str | None = None) -> str:
    """The count with its noun, and the verb behind it where the words have one. many: unless it is `one` with an s.

    >>> counted(1, "row"), counted(1_200, "row"), counted(0, "class", "classes"), counted(1, "row has", "rows have")
    ('1 row', '1,200 rows', '0 classes', '1 row has')
    """
    return f"{count:,} {one if count == 1 else many if many is not None else f'{one}s'}"
