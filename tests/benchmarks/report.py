"""What a report takes: time and memory for a million scored rows, and the size of a page of real photos.

    python tests/benchmarks/report.py --rows 1000000
    NCAUDIT_BENCH=… python tests/benchmarks/report.py --photos

--rows: score tables of synthetic rows, ten shards, with captions, reasons, suggestions and anchors; no pictures. Prints
the seconds of the command after its imports, and by how much its memory grew beyond that start. --photos: the photos of
`$NCAUDIT_BENCH/sport`, enlarged to 640 pixels where they are smaller, in a dataset of one shard with made-up scores,
and the default report of it with pictures. Prints the bytes of the page and how many pictures it has.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ncaudit.schema import REASONS, SCORE, SUGGESTION, VERDICTS
from ncaudit.shards.files.provenance import attach, fingerprint_of_file

SIDE = 640  # pixels of the shorter side, at least
SHARDS = 10
CHILD = """
import json, sys, threading, time
import ncaudit
import ncaudit.verbs.report.report, matplotlib.figure

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

start = peak = resident()
def watch():
    global peak
    while True:
        peak = max(peak, resident())
        time.sleep(0.02)

threading.Thread(target=watch, daemon=True).start()
begun = time.monotonic()
result = ncaudit.report(ncaudit.ReportOptions(**json.loads(sys.argv[1])))
print(json.dumps({"seconds": round(time.monotonic() - begun, 1), "start_mib": round(start),
                  "beyond_start_mib": round(peak - start), "page_mib": round(result.page_bytes / 2**20, 2),
                  "pictures": result.pictures, "rows": result.accounting.rows}))
"""


def write_scores(path: Path, shard: str, rows: int, seed: int, data: Path | None = None) -> None:
    """Rows as `score --suggest` writes them: two in ten mismatched, one in a hundred generic, some failed."""
    draw = np.random.default_rng(seed)
    label = draw.beta(0.6, 0.3, rows).astype(np.float32)
    score = (np.log(label + 1e-6) - np.log(1 - label + 1e-6)).astype(np.float32)
    verdict = np.where(label < 0.5, 2, np.where(label < 0.9, 1, 0))
    reason = np.array([None, *REASONS], dtype=object)[np.where(verdict == 2, draw.integers(1, 5, rows), 0)]
    ids = np.array([f"{Path(shard).stem}/{i}" for i in range(rows)], dtype=object)
    anchors = ids[draw.integers(0, rows, (2, rows))]
    captions = [f"a caption of some forty characters, number {i}" for i in range(rows)]
    generic = draw.integers(0, 3_000, rows)
    captions = [
        f"photo {g}" if r == "generic_caption" else c for c, g, r in zip(captions, generic, reason, strict=True)
    ]
    suggested = np.where((verdict == 2) & (draw.random(rows) < 0.3), ids[::-1], None)
    known = {
        **{"pair_id": ids, "shard": [shard] * rows, "row": np.arange(rows), "soft_label": label, "score": score},
        **{"status": np.where(draw.random(rows) < 0.01, "image_undecodable", "ok"), "reason": reason},
        **{"similarity": (label / 3 + draw.normal(0, 0.05, rows)).astype(np.float32)},
        **{"image_anchor": anchors[0], "text_anchor": anchors[1], "verdict": np.array(VERDICTS, dtype=object)[verdict]},
        **{"caption_count": draw.integers(1, 200, rows), "image_count": draw.integers(1, 200, rows)},
        **{"suggested_caption": suggested, "suggested_pair": suggested},
        "suggested_probability": np.where(suggested == None, None, 0.8),  # noqa: E711  of each entry
        "caption": captions,
    }
    made = {"verb": "score", "ncaudit": "0.1.0", "fit": "f", "noise_rate": {"rate": 0.3, "low": 0.2, "high": 0.4}}
    if data is not None:
        made["data"] = {"name": data.name, "fingerprint": fingerprint_of_file(str(data))}
    schema = pa.schema([*SCORE, *SUGGESTION, pa.field("caption", pa.string())])
    arrays = [pa.array(known[f.name], f.type) if f.name in known else pa.nulls(rows, f.type) for f in schema]
    pq.write_table(pa.Table.from_arrays(arrays, schema=attach(schema, made)), path, row_group_size=8_192)


def write_photos(path: Path) -> int:
    """The photos of the bench, none smaller than SIDE."""
    table = pq.read_table(Path(os.environ["NCAUDIT_BENCH"]) / "sport" / "img2dataset_00000.parquet")
    image = next(field.name for field in table.schema if pa.types.is_binary(field.type))
    photos = [_enlarged(photo) for photo in table[image].to_pylist() if photo]
    columns = {"caption": [f"a photo, number {i}" for i in range(len(photos))], "jpg": pa.array(photos, pa.binary())}
    pq.write_table(pa.table(columns), path, row_group_size=100)
    return len(photos)


def _enlarged(photo: bytes) -> bytes:
    with Image.open(io.BytesIO(photo)) as image:
        ratio = max(1.0, SIDE / min(image.size))
        file = io.BytesIO()
        size = (round(image.width * ratio), round(image.height * ratio))
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=90)
        return file.getvalue()


def measured(options: dict) -> dict:
    """What a process of its own took."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(options)], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--photos", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scores = folder / "scores"
        scores.mkdir()
        if given.rows:
            for i in range(SHARDS):
                write_scores(scores / f"{i:05}.parquet", f"{i:05}.parquet", given.rows // SHARDS, i)
            print(measured({"scores": [str(scores)], "out": str(folder / "report.html")}))
        if given.photos:
            data = folder / "photos.parquet"
            write_scores(scores / "photos.parquet", data.name, write_photos(data), 0, data)
            options = {"scores": [str(scores / "photos.parquet")], "data": [str(data)]}
            print(measured({**options, "out": str(folder / "report.html")}))


if __name__ == "__main__":
    main()
