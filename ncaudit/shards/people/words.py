"""The words that people and their programs write for: match, mismatch, cannot tell, not judged.

Knows words; nothing of files or of what was judged.
"""

import re
from collections.abc import Iterable
from typing import Final

MATCH, MISMATCH, MISSING, CANNOT_TELL = 1, 0, -1, -2
HOW_TO_SAY: Final = (
    "write yes or no (or y, n, true, false, 1, 0, match, mismatch), or cannot tell; leave empty what was not judged"
)

# A spreadsheet program saves its true and false in the language it speaks.
_YES = """
    true t 1 yes y match matches matching correct ✓ ✔ ☑
    wahr ja j vrai oui verdadero verdadeiro sí sim vero sì waar sant sand tosi prawda tak истина да 真 是
"""
_NO = """
    false f 0 no n mismatch mismatched incorrect ✗ ✘ ☒
    falsch nein faux non falso não onwaar nee falskt falsk nej nei epätosi fałsz nie ложь нет 假 否
"""
_NOTHING = ("", "nan", "none", "null", "na", "n/a", "#n/a", "<na>")
_CANNOT = (
    *("cannot tell", "can not tell", "can't tell", "cant tell", "could not tell", "couldn't tell", "unable to tell"),
    *("unsure", "not sure", "uncertain", "unclear", "undecided", "unknown", "don't know", "dont know", "idk"),
)
WORDS: Final = {
    **dict.fromkeys(_YES.split(), MATCH),
    **dict.fromkeys(_NO.split(), MISMATCH),
    **dict.fromkeys(_NOTHING, MISSING),
    **dict.fromkeys(_CANNOT, CANNOT_TELL),
}
_NUMBER = re.compile(r"[01]([.,]0*)?")


def told(word: str) -> int | None:
    """MATCH, MISMATCH, MISSING (nobody judged) or CANNOT_TELL; None for a word that says none of them.

    Case, spaces around it, underscores and the kind of apostrophe say nothing. A lone x is no word: some tick with it,
    others cross out.

    >>> [told(word) for word in (" Yes", "0,0", "", "Can’t tell", "?", "x", "0.7")]
    [1, 0, -1, -2, -2, None, None]
    """
    plain = " ".join(word.casefold().replace("’", "'").replace("_", " ").split())
    if _NUMBER.fullmatch(plain):
        return int(plain[0])
    return CANNOT_TELL if plain and not plain.strip("?") else WORDS.get(plain)


def told_of(words: Iterable[str]) -> dict[str, int | None]:
    """What each different word says."""
    return {word: told(word) for word in set(words)}
