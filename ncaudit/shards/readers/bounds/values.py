"""How much memory JSON would take once it is read: many small values take far more than they are written in.

Knows JSON's signs; nothing of files or fields.
"""

from ncaudit.errors import BadTable

LOOKED_AT = 1 << 20  # bytes: less is never too much
MOST_BYTES = 512 << 20
EACH = {b"[": 64, b"{": 72, b":": 120, b",": 40}  # of a list, an object, a field and its name, a value


def refuse_many_values(where: str, text: bytes) -> None:
    """Raises BadTable where the values of one piece of JSON would fill the memory."""
    if len(text) <= LOOKED_AT:
        return
    weight = sum(text.count(sign) * size for sign, size in EACH.items())
    if weight > MOST_BYTES and weight > 4 * len(text):
        values = sum(map(text.count, EACH))
        raise BadTable(f"{where} holds some {values:,} values, which would fill the memory", fix=SMALLER)


SMALLER = "write what is long as text, or leave it out"
