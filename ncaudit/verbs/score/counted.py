"""What repeats among the rows of all tables, by whoever does the shards: blocks are written, then parts are counted.

Knows sites, and where blocks and parts lie meanwhile; nothing of what repeats mean. Nobody holds more than one block or
one part: this process holds how long each part's counts are, and one of its arrays at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from ncaudit.engines.jobs import Site, Task, finding, found_by
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.files.locations import join
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.shards.tables.repeats import of_tables
from ncaudit.shards.tables.repeats.counts import Repeats, count_pairs
from ncaudit.shards.tables.repeats.kept import keep_repeats, kept_repeats, mapped
from ncaudit.shards.tables.repeats.of_tables import Block, SharedNames, blocks_of, contents, put_together
from ncaudit.shards.tables.repeats.spread import Spread, bits_for
from ncaudit.verbs.score import stages

IN_MEMORY_ROWS = 1_000_000  # counted at once where this process does it: 16 MB of numbers
COUNTING, NAMES = "counting", "names"  # folders beside the fit, while parts of the work lie there
Write = Callable[[Spread, Block, Progress], None]


def count_repeats(
    site: Site, tables: Sequence[EmbeddingTable], of: str, folder: str | None, keep: str | None, progress: Progress
) -> Repeats:
    """Count photos, captions and pairs over the ok rows of all tables (see `EmbeddingTable.identities`).

    of: the tables as they are. folder: of the fit; None where there is none, and then a folder below TMPDIR is taken.
    keep: the file where the counts are kept. What a killed run had written below `folder` is not written again.
    """
    rows = sum(table.rows for table in tables)
    progress.stage(stages.REPEATS, rows)
    if rows < IN_MEMORY_ROWS and not site.elsewhere:
        repeats = count_pairs(contents(tables, progress))
        if keep is not None:
            keep_repeats(keep, repeats, of)
        return repeats
    with _spread(folder if site.elsewhere else None, COUNTING, of, rows) as spread:
        lengths = list(_by_parts(site, spread, tables, _write_contents, of_tables.count_contents, progress))
        return _kept(spread, lengths, of, keep)


def shared_names(
    site: Site, tables: Sequence[EmbeddingTable], of: str, folder: str | None, progress: Progress
) -> SharedNames | None:
    """The rows of these tables that share their name with others; None where there are none."""
    rows = sum(table.rows for table in tables)
    if rows < IN_MEMORY_ROWS and not site.elsewhere:
        return of_tables.shared_names(of_tables.places_of_names(Block(0, list(enumerate(tables)))))
    with _spread(folder if site.elsewhere else None, NAMES, of, rows) as spread:
        return of_tables.first_shared(_by_parts(site, spread, tables, _write_names, _count_names, progress))


def _kept(spread: Spread, lengths: Sequence[Sequence[int]], of: str, keep: str | None) -> Repeats:
    if keep is None:
        with TemporaryFile(prefix="ncaudit-") as file:  # it has no name, and stays while it is mapped
            whole = put_together(file, spread, lengths)
            file.flush()
            return mapped(file, whole)
    with atomic_file(keep) as file:
        put_together(file, spread, lengths)
    found = kept_repeats(keep, of)
    assert found is not None
    return found


@contextmanager
def _spread(folder: str | None, name: str, of: str, rows: int) -> Iterator[Spread]:
    """Where blocks and parts lie; they go when the block ends well."""
    if folder is None:
        with TemporaryDirectory(prefix="ncaudit-") as own:
            yield Spread(own, bits_for(rows), of)
        return
    spread = Spread(join(folder, name), bits_for(rows), of)
    yield spread
    spread.clear()


def _by_parts(
    site: Site, spread: Spread, tables: Sequence[EmbeddingTable], write: Write, count: Any, progress: Progress
) -> Iterator[Any]:
    """Write all blocks, then give what `count` finds of each part, in their order."""
    blocks = blocks_of(tables)
    writing = [Task(block.tables[0][1].shard, block, block.rows) for block in blocks]
    for _ in found_by(site.engine(finding(partial(_write, write, spread))), writing, progress):
        pass
    counting = [Task(tables[0].shard, part) for part in range(spread.parts)]
    job = finding(partial(_count, count, spread, len(blocks)))
    told = dict(found_by(site.engine(job), counting, progress))
    yield from (told[part] for part in range(spread.parts))


def _write(write: Write, spread: Spread, block: Block, progress: Progress) -> None:
    write(spread, block, progress)


def _count(count: Any, spread: Spread, blocks: int, part: int, progress: Progress) -> tuple[int, Any]:
    return part, count(spread, part, blocks)


def _write_contents(spread: Spread, block: Block, progress: Progress) -> None:
    of_tables.write_contents(spread, block, progress)


def _write_names(spread: Spread, block: Block, progress: Progress = SILENT) -> None:
    of_tables.write_names(spread, block)


def _count_names(spread: Spread, part: int, blocks: int) -> SharedNames | None:
    return of_tables.shared_names(*spread.read(part, blocks, of_tables.NAMES))
