"""What a user wrote can be shown and steers nothing."""

from ncaudit.cli.shared.user_text import one_line, shown


def test_a_caption_cannot_steer_the_terminal():
    assert shown("\x1b[2Ja\rb\u202egpj\x9b") == "\\x1b[2Ja\\rb\\u202egpj\\x9b"
    assert shown("日本\u3000語 é 👍") == "日本\u3000語 é 👍"
    assert shown(1000 * "ab", limit=10) == "ababababa…"


def test_several_lines_become_one():
    assert one_line("a\nb\r\nc") == "a b c"
