"""Words say what they are, and whatever text is in them can be changed at once."""

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.layout.vocabulary import Command, Detail, Table, failure, mapped, note


def test_every_text_of_a_word_is_changed():
    table = Table("t", ["a", "b"], [["c", "d"]], more=[["e", "f"]], hint="g")
    words = ["h", note("i"), failure("j", "k: "), Command("l", "m ", "n"), Detail([table, table])]
    told = plain([mapped(word, str.upper) for word in words], verbose=True)
    assert "".join(told) == "".join(told).upper()
    assert plain([mapped(table, str.upper)]) == ["T", "A  B", "C  D", "  G"]
