"""How well `score` finds captions that are nearly right: a word exchanged, a phrase put behind.

    python tests/benchmarks/text_noise.py                                          # the sample and its small model
    python tests/benchmarks/text_noise.py --data photos/ --model ViT-B-32 --pretrained NAME

Each kind is put into a copy of the dataset by `ncaudit corrupt`, and found by `embed`, `score` and `eval scores`, as a
user would do it: what a caption says now must go through the text tower. Printed for each kind: AUROC and average
precision of the soft label for the truth, the share of changed pairs that `score` calls noisy, and the same share of
the pairs that were left alone. `shuffle` stands beside as the easy kind, and `paraphrase`, where the data has several
captions of a photo, as the control: nothing is wrong there, so changed pairs should be called noisy no more often than
the others. Of the sample the pairs that truly belong together are taken, with a second caption for every third photo.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("shuffle", "near", "word", "half-truth", "paraphrase")
COLUMNS = ("--columns", "is_match", "--columns", "noise_type")
SAMPLE_MODEL = f"local-dir:{ROOT / 'sample_data' / 'tiny-clip'}"


def main() -> None:
    """Puts each kind into the data and looks for it."""
    options = _arguments()
    with tempfile.TemporaryDirectory() as work:
        data = options.data or _sample(Path(work) / "data")
        found = {kind: _measured(kind, data, Path(work) / kind, options) for kind in options.kinds}
    print(json.dumps(found, indent=1) if options.json else _table(found))


def _sample(folder: Path) -> str:
    """Pairs that belong together, without the truth about them; a second caption of the same meaning for some."""
    rows = pq.read_table(ROOT / "sample_data" / "train.parquet")
    rows = rows.filter(rows["is_match"]).select(["key", "jpg", "caption"])
    again = rows.slice(0, len(rows) // 3)
    # the sample's captions are made of words in any case: nothing but a frame can be put around them
    said = pc.binary_join_element_wise("a picture of", again["caption"], " ")
    keys = pc.binary_join_element_wise(again["key"], "b", "-")
    folder.mkdir()
    more = pa.table({"key": keys, "jpg": again["jpg"], "caption": said}, schema=rows.schema)
    both = pa.concat_tables([rows, more])
    pq.write_table(both, folder / "pairs.parquet")
    return str(folder)


def _measured(kind: str, data: str, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    noisy, embeddings, scores = (str(work / name) for name in ("noisy", "embeddings", "scores"))
    made = _ncaudit("corrupt", data, "--out", noisy, "--kind", kind, "--rate", str(options.rate))
    pretrained = ["--pretrained", options.pretrained] if options.pretrained else []
    _ncaudit("embed", noisy, "--model", options.model, *pretrained, "--out", embeddings, *COLUMNS)
    _ncaudit("score", embeddings, "--out", scores)
    told = {"rate": round(made["changed"] / made["accounting"]["rows"], 3), **_called_noisy(scores, kind)}
    if kind != "paraphrase":
        judged = _ncaudit("eval", "scores", scores, "--truth", "is_match")
        told |= {name: round(judged["soft_label"][name], 3) for name in ("auroc", "average_precision")}
    return told


def _called_noisy(scores: str, kind: str) -> dict[str, float]:
    rows = pq.read_table(scores, columns=["noise_type", "verdict", "soft_label"])
    changed = pc.equal(rows["noise_type"], kind)
    parts = {"changed": rows.filter(changed), "left alone": rows.filter(pc.invert(changed))}
    return {f"noisy of {name}": _share(part["verdict"], "noisy") for name, part in parts.items()}


def _share(values: pa.ChunkedArray, value: str) -> float:
    return round(pc.mean(pc.equal(values, value).cast(pa.float64())).as_py(), 3)


def _ncaudit(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "ncaudit", "-q", *words, "--json"]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(told))


def _table(found: dict[str, dict[str, Any]]) -> str:
    names = ("rate", "auroc", "average_precision", "noisy of changed", "noisy of left alone")
    lines = ["| kind | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    cells = {kind: [str(told.get(name, "")) for name in names] for kind, told in found.items()}
    return "\n".join([*lines, *(f"| {kind} | {' | '.join(row)} |" for kind, row in cells.items())])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a dataset without known noise; by default the sample's matching pairs")
    parser.add_argument("--model", default=SAMPLE_MODEL, help="as `ncaudit embed --model`")
    parser.add_argument("--pretrained", help="as `ncaudit embed --pretrained`")
    parser.add_argument("--rate", type=float, default=0.2, help="share of the captions that change")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
