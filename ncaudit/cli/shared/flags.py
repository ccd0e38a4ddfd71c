"""Flags that several subcommands share, so that one word means one thing everywhere."""

from typing import Annotated

import typer

from ncaudit.options import USUAL_WEIGHTS, Precision

Json = Annotated[bool, typer.Option("--json", help="Print one summary object on standard output instead of words.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …; auto takes a GPU where there is one.")]
Devices = Annotated[
    str | None,
    typer.Option(
        help="Several devices with commas between, one process each: cuda:0,cuda:1; all for every GPU. They take "
        "shards in turn and share --workers. Instead of --device."
    ),
]
Seed = Annotated[int, typer.Option(help="Seeds every random choice; the same seed gives the same result.")]
Workers = Annotated[
    int | None, typer.Option(help="Decoding processes; by default one per core, at most 16; 0 decodes in this process.")
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace files that are in the way although this command did not write them. Inputs are never replaced.",
    ),
]
Prune = Annotated[
    bool,
    typer.Option("--prune", help="Remove those tables in --out that this command wrote and whose input is gone."),
]
MaxFailed = Annotated[
    float, typer.Option(help="Exit with 3 when more than this share of rows failed, 0 to 1.", show_default=True)
]

Model = Annotated[
    str,
    typer.Option(help="An open_clip name, hf-hub:NAME, local-dir:PATH, or a folder that `ncaudit train` wrote."),
]
Heads = Annotated[
    str | None,
    typer.Option(
        "--model", help="Folder of heads (`ncaudit train --tune heads`) that the embeddings go through before all else."
    ),
]
Features = Annotated[
    str | None,
    typer.Option(
        help="Which embeddings of the .npz beside a table (DataComp): NAME for its arrays NAME_img and NAME_txt; by "
        "default l14, or the only ones."
    ),
]
Pretrained = Annotated[
    str | None,
    typer.Option(
        help=f"open_clip's tag of the weights, or a weights file; by default {USUAL_WEIGHTS}. hf-hub: and model "
        "folders have their own. With heads: where the encoder behind them is now, if it was moved."
    ),
]
PrecisionFlag = Annotated[
    Precision, typer.Option("--precision", help="auto takes bfloat16 where the hardware is faster with it.")
]

ImageColumn = Annotated[
    str | None, typer.Option(help="Column with the image: bytes, struct<bytes,path> or path; by default it is found.")
]
CaptionColumn = Annotated[
    str | None,
    typer.Option(help="Column with the caption; by default it is found. A field of a struct: COLUMN.FIELD."),
]
CaptionLines = Annotated[
    bool, typer.Option("--caption-lines", help="Each line of a caption is a caption of its own: several per image.")
]
PairIds = Annotated[
    str | None,
    typer.Option(
        "--key", help="Column of --data that holds the pair_ids; by default pairs are found by shard and row."
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        help="Column that names a pair; by default a key column without repeats, else shard/row; '' for shard/row."
    ),
]
ImageRoot = Annotated[
    str | None,
    typer.Option(
        help="Folder that relative image paths start from; by default the shard's own, for standard input the working "
        "folder."
    ),
]
MaxImagePixels = Annotated[int, typer.Option(help="Images with more pixels than this are refused before decoding.")]
MaxRowBytes = Annotated[
    int,
    typer.Option(
        help="What one line, one cell or one file of an archive may take in bytes, unpacked: rows beyond it fail, and "
        "where rows cannot be told their shard."
    ),
]
CsvSafe = Annotated[
    bool,
    typer.Option(
        "--csv-safe",
        help="With --format csv: an apostrophe before every text cell and column name that begins with = + - @, a tab "
        "or a line break, so that no spreadsheet program runs it. Off by default: it alters captions, URLs and ids.",
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--columns", help="Light columns of the input to carry along (repeatable); all of them by default."),
]
BatchPairs = Annotated[
    int | None,
    typer.Option(help="Pairs that the model takes at once; by default found once and kept in _run.json."),
]
Scorer = Annotated[
    str, typer.Option(help="How to score a pair; `ncaudit scorers` lists them. auto: the best on these data.")
]
Stratify = Annotated[
    str,
    typer.Option(help="Calibrate per source: auto (shards, else image clusters), none, or a column of the tables."),
]
NoisyPrecision = Annotated[
    float | None,
    typer.Option(help="Share of mismatches among the pairs called noisy, 0 to 1; by default labels below .5 are."),
]
Verdicts = Annotated[
    list[str] | None,
    typer.Option(
        "--verdicts",
        help="People's judgements (pair_id, is_match; see `ncaudit sample`): correct labels and rate. "
        "Repeatable, a file for each judge: how far they agree is told; what they dispute counts as cannot tell.",
    ),
]
Check = Annotated[
    bool, typer.Option("--check/--no-check", help="Measure the audit's own power on these data, without labels.")
]
Suggest = Annotated[
    bool, typer.Option("--suggest", help="Look for a caption among the clean pairs for every noisy one.")
]
