"""What people write for a verdict, in their own words and those of their programs."""

import pytest

from ncaudit.shards.people.words import CANNOT_TELL, MATCH, MISMATCH, MISSING, told

SAID = {
    MATCH: ["y", "Y ", "yes", "t", "TRUE", "1", "1.0", "1,00", "match", "WAHR", "vrai", "sí", "✓", "是"],
    MISMATCH: ["n", "No", "f", "false", "0", "0,0", "0.00", "mismatch", "FALSCH", "Faux", "não", "✗", "否"],
    MISSING: ["", "  ", "nan", "NULL", "n/a", "#N/A", "None"],
    CANNOT_TELL: [
        "cannot tell",
        "Can not  tell",
        "can't tell",
        "can’t tell",
        "cannot_tell",
        "?",
        "??",
        "Unsure",
        "idk",
    ],
    None: ["x", "X", "maybe", "0.7", "2", "-1", "10", "yes and no", "-"],
}


@pytest.mark.parametrize(("code", "word"), [(code, word) for code, words in SAID.items() for word in words])
def test_a_word_says_one_thing_or_is_no_word(code, word):
    assert told(word) == code
