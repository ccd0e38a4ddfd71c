"""README and the pages of docs/ as tests read them: blocks, sections, tables. Knows markdown, not what it says."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"


def pages() -> list[Path]:
    """All of them, the README first."""
    return [README, *sorted(DOCS.glob("*.md"))]


def name_of(page: Path) -> str:
    """As people call it: README.md, docs/formats.md."""
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the output that is shown right below it, if there is any."""

    language: str
    text: str
    shown: str | None = None

    def lines(self) -> list[str]:
        """What a shell would take for one command each."""
        joined = self.text.replace("\\\n", " ")
        return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def blocks(page: Path) -> list[Block]:
    """In order; a `text` block right below a `sh` block is what that one shows, and no block of its own."""
    found: list[Block] = []
    end = 0
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        language, text = match.groups()
        apart = match.string[end : match.start()].strip()
        end = match.end()
        if language == "text" and found and found[-1].language == "sh" and not apart:
            found[-1] = Block("sh", found[-1].text, shown=text)
        else:
            found.append(Block(language, text))
    return found


def lines_of(page: Path) -> list[str]:
    """The commands of all its shell blocks."""
    return [line for block in blocks(page) if block.language == "sh" for line in block.lines()]


def sections(page: Path) -> dict[str, str]:
    """The text below each heading, up to the next one of any level."""
    parts = re.split(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every row of every table in it, without the heads."""
    for table in re.findall(r"(?:^\|.*\|$\n?)+", text, flags=re.MULTILINE):
        for line in table.splitlines()[2:]:
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def in_code(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`\n]+)`", text)
