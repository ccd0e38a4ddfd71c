"""Options that commands share, so that one word means one thing everywhere. Knows their types and words; no defaults.

A field of an options class takes its type and its help from here, and says its default itself.
"""

from collections.abc import Sequence
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from ncaudit.options.shared.about import About, Panel
from ncaudit.options.shared.streams import StreamFormat

USUAL_WEIGHTS = "laion2b_s34b_b79k"
AUTO_SCORER = "auto"


class Precision(StrEnum):
    """What the encoders compute in: `auto` takes bfloat16 where the hardware is faster with it."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


def devices() -> list[str]:
    """Names that `--device` takes; there may be further GPUs."""
    return ["auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps"]


def scorers() -> list[str]:
    """The scorers there are: a file each. The folder is only looked at, as loading it would load torch."""
    found = find_spec("ncaudit.scorers")
    places = (found.submodule_search_locations if found else None) or []
    files = (path.stem for place in places for path in Path(place).glob("*.py"))
    return sorted(name.replace("_", "-") for name in files if not name.startswith("_"))


def scorers_and_auto() -> list[str]:
    """What `--scorer` takes."""
    return [AUTO_SCORER, *scorers()]


# Input
Dataset = Annotated[
    Sequence[str],
    About(
        "Files with images and captions (parquet, tar, Arrow, JSON lines, CSV, TSV), folders of them, globs, or "
        "addresses (s3://, gs://, hf://). Give - for a stream on standard input.",
        Panel.input, metavar="DATA", is_path=True, positional=True,
    ),
]  # fmt: skip
EmbeddingTables = Annotated[
    Sequence[str],
    About(
        "Embedding tables: what `ncaudit embed` wrote, or any tables that hold both embeddings.",
        Panel.input, metavar="EMBEDDINGS", is_path=True, positional=True,
    ),
]  # fmt: skip
ScoreTables = Annotated[
    Sequence[str],
    About("Score tables: what `ncaudit score` wrote.", Panel.input, metavar="SCORES", is_path=True, positional=True),
]
Features = Annotated[
    str | None,
    About(
        "Which arrays of the .npz file beside a table are the embeddings, as in DataComp: NAME stands for NAME_img and "
        "NAME_txt. By default l14, or the only ones there are.",
        Panel.input, rare=True, metavar="NAME",
    ),
]  # fmt: skip
ImageColumn = Annotated[
    str | None,
    About(
        "Column with the image: its bytes, a path to a file, or a struct of both. By default it is found.",
        Panel.input, metavar="COLUMN",
    ),
]  # fmt: skip
CaptionColumn = Annotated[
    str | None,
    About(
        "Column with the caption; COLUMN.FIELD for a field of a struct. By default it is found.",
        Panel.input, metavar="COLUMN",
    ),
]  # fmt: skip
CaptionLines = Annotated[
    bool,
    About("Take each line of a caption as a caption of its own, so that an image has several.", Panel.input, rare=True),
]
Key = Annotated[
    str | None,
    About(
        "Column that names a pair. By default a key column without repeats, else the shard and the row; '' always "
        "takes the shard and the row.",
        Panel.input, rare=True, metavar="COLUMN",
    ),
]  # fmt: skip
PairIds = Annotated[
    str | None,
    About(
        "Column of --data that holds the pair_ids. By default pairs are found by shard and row.",
        Panel.input, rare=True, metavar="COLUMN",
    ),
]  # fmt: skip
ImageRoot = Annotated[
    str | None,
    About(
        "Folder from which relative paths of images start. By default the shard's own; for standard input the working "
        "folder.",
        Panel.input, rare=True, metavar="PATH", is_path=True,
    ),
]  # fmt: skip
MaxImagePixels = Annotated[
    int,
    About(
        "Refuse images of more pixels than this, before they are decoded; 1 or more.",
        Panel.input, rare=True, metavar="COUNT",
    ),
]  # fmt: skip
MaxRowBytes = Annotated[
    int,
    About(
        "What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or more. Rows beyond it "
        "fail; where rows cannot be told apart, their shard fails.",
        Panel.input, rare=True, metavar="BYTES",
    ),
]  # fmt: skip
ScoredDataset = Annotated[
    Sequence[str] | None,
    About(
        "The dataset that was scored, in any format that embed reads.",
        Panel.input, metavar="PATH", is_path=True,
    ),
]  # fmt: skip

# Output
OutFolderFileStream = Annotated[
    str,
    About(
        "Where the tables go: a folder (one table per shard) or NAME.parquet (one table for all), here or in a store "
        "(s3://…), or - for standard output.",
        Panel.output, metavar="PATH", is_path=True,
    ),
]  # fmt: skip
Format = Annotated[
    StreamFormat, About("How --out - writes rows: as arrow, jsonl or csv.", Panel.output, rare=True, metavar="NAME")
]
CsvSafe = Annotated[
    bool,
    About(
        "With --format csv: put an apostrophe before every text cell and column name that begins with = + - @, a tab "
        "or a line break, so that no spreadsheet program runs it. Off by default, as it alters captions, URLs and ids.",
        Panel.output, rare=True,
    ),
]  # fmt: skip
Columns = Annotated[
    Sequence[str] | None,
    About(
        "Column of the input to carry along; images and nested data are none. By default all of them.",
        Panel.output, rare=True, metavar="COLUMN",
    ),
]  # fmt: skip
Overwrite = Annotated[
    bool,
    About(
        "Replace files in the way that this command did not write; never an input.",
        Panel.output,
    ),
]
Prune = Annotated[
    bool,
    About("Remove those tables in --out that this command wrote and whose input is gone.", Panel.output, rare=True),
]

# Model
Model = Annotated[
    str,
    About(
        "A model of open_clip by its name, hf-hub:NAME, local-dir:PATH, or a folder that `ncaudit train` wrote.",
        Panel.model, metavar="NAME", is_path=True,
    ),
]  # fmt: skip
Heads = Annotated[
    str | None,
    About(
        "Folder of heads (from `ncaudit train --tune heads`) through which the embeddings go before all else.",
        Panel.model, metavar="PATH", is_path=True,
    ),
]  # fmt: skip
Pretrained = Annotated[
    str | None,
    About(
        f"open_clip's tag of the weights, or a file of weights. By default {USUAL_WEIGHTS}; hf-hub: and model folders "
        "have their own. With heads: where the encoder behind them is now, if it was moved.",
        Panel.model, metavar="NAME", is_path=True,
    ),
]  # fmt: skip

# What is judged
Scorer = Annotated[
    str,
    About(
        "How to score a pair; `ncaudit scorers` lists the scorers. Give auto for the best one on these data.",
        Panel.judged, metavar="NAME", among=scorers_and_auto,
    ),
]  # fmt: skip
Stratify = Annotated[
    str,
    About(
        "Calibrate each source for itself: auto (by shards, else by clusters of images), none, or a column of the "
        "tables.",
        Panel.judged, rare=True, metavar="COLUMN",
    ),
]  # fmt: skip
NoisyPrecision = Annotated[
    float | None,
    About(
        "Call so few pairs noisy that this share of them are mismatches, above 0 to 1. By default pairs with a soft "
        "label below 0.5 are noisy.",
        Panel.judged, rare=True, metavar="SHARE",
    ),
]  # fmt: skip
Verdicts = Annotated[
    Sequence[str] | None,
    About(
        "File of people's judgements (pair_id and is_match; see `ncaudit sample`), which correct the labels and the "
        "rate. Repeat it with a file for each judge: how far they agree is told, and what they dispute counts as "
        "\"cannot tell\".",
        Panel.judged, metavar="PATH", is_path=True,
    ),
]  # fmt: skip
Check = Annotated[
    bool,
    About(
        "Measure the audit's own power on these data, for which no labels are needed.",
        Panel.judged, off="--no-check",
    ),
]  # fmt: skip
Suggest = Annotated[
    bool, About("Look for a better caption, among those of the clean pairs, for every noisy pair.", Panel.judged)
]

# Speed
Device = Annotated[
    str,
    About(
        "Where to compute: auto, cpu, cuda, cuda:1, and so on; auto takes a GPU where there is one.",
        Panel.speed, metavar="NAME", among=devices,
    ),
]  # fmt: skip
Devices = Annotated[
    Sequence[str] | None,
    About(
        "Several devices instead of --device, with commas between and a process for each: cuda:0,cuda:1, or all for "
        "every GPU. They take shards in turn and share --workers.",
        Panel.speed, metavar="NAMES", commas=True,
    ),
]  # fmt: skip
PrecisionOfModel = Annotated[
    Precision,
    About(
        "What the model computes in: float32, bfloat16, or auto, which takes bfloat16 where that is faster.",
        Panel.speed, rare=True, metavar="NAME",
    ),
]  # fmt: skip
BatchPairs = Annotated[
    int | None,
    About(
        "Pairs that the model takes at once, 1 or more. By default found once, and kept in _run.json.",
        Panel.speed, rare=True, metavar="COUNT",
    ),
]  # fmt: skip
Workers = Annotated[
    int | None,
    About(
        "Processes that decode images, 0 or more; 0 decodes in the main process. By default one per core, or as many "
        "as --threads, at most 16.",
        Panel.speed, metavar="COUNT",
    ),
]  # fmt: skip

Threads = Annotated[
    int | None,
    About(
        "Threads that compute, 1 or more. By default one per core that this process may use; OMP_NUM_THREADS is an "
        "upper bound of that. What is written does not depend on it; `ncaudit train` records it.",
        Panel.speed, metavar="COUNT",
    ),
]  # fmt: skip

# Debugging
Seed = Annotated[
    int,
    About(
        "Seed of every random choice, a whole number: the same seed gives the same result.",
        Panel.debugging, rare=True, metavar="NUMBER",
    ),
]  # fmt: skip
MaxFailed = Annotated[
    float,
    About("Exit with 3 when more than this share of the rows failed, 0 to 1.", Panel.debugging, rare=True,
          metavar="SHARE"),
]  # fmt: skip
