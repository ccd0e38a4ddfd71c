"""`ncaudit inspect` as a command, on the same three pairs in every format that is read."""

import gzip
import io
import json
import shlex
import subprocess
import sys
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit.cli import app
from tests.worlds.embeddings import random_unit
from tests.worlds.images import of_one_colour

CAPTIONS = ["a cat", "\x1b[31ma dog [bold]", "a pond\nby night"]
SHOWN = ["  a cat", "  \\x1b[31ma dog [bold]", "  a pond\\nby night"]


PHOTOS = [of_one_colour((9 * i, 0, 0), (30 + i, 20), "JPEG") for i in range(3)]
BYTES = pa.table({"uid": list("abc"), "caption": CAPTIONS, "image": pa.array(PHOTOS, pa.binary())})
PATHS = [{"uid": uid, "caption": CAPTIONS[i], "image_path": f"{i}.jpg"} for i, uid in enumerate("abc")]


def in_parquet(place):
    pq.write_table(BYTES, place / "x.parquet")
    return "table (parquet)"


def in_tar(place):
    with tarfile.open(place / "00000.tar", "w") as tar:
        for i in range(3):
            members = {"jpg": PHOTOS[i], "txt": CAPTIONS[i].encode(), "json": json.dumps({"uid": "abc"[i]}).encode()}
            for suffix, content in members.items():
                info = tarfile.TarInfo(f"{i}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return "webdataset tar"


def in_tar_with_sidecar(place):
    in_tar(place)
    told = {"key": list("0123"), "status": ["success"] * 3 + ["failed_to_download"]}
    pq.write_table(
        pa.table({**told, "error_message": pa.array([None] * 3 + ["404"], pa.string())}), place / "00000.parquet"
    )
    return "webdataset tar with a sidecar table"


def in_arrow(place):
    with pa.ipc.new_file(place / "x.arrow", BYTES.schema) as writer:
        writer.write_table(BYTES)
    return "table (Arrow IPC file)"


def in_json_lines(place):
    _photos(place)
    (place / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PATHS))
    return "table (JSON lines)"


def in_csv(place):
    _photos(place)
    lines = ["uid,caption,image_path", *(f'{r["uid"]},"{r["caption"]}",{r["image_path"]}' for r in PATHS)]
    (place / "x.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return "table (CSV)"


def _photos(place):
    for i, content in enumerate(PHOTOS):
        (place / f"{i}.jpg").write_bytes(content)


def said(*words):
    ran = CliRunner().invoke(app.app, ["-q", "inspect", *map(str, words)])
    assert ran.exit_code == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("write", [in_parquet, in_tar, in_tar_with_sidecar, in_arrow, in_json_lines, in_csv])
def test_a_dataset_of_any_format(tmp_path, write):
    words = write(tmp_path)
    lines = said(tmp_path).splitlines()
    assert lines[0].startswith(f"{words}: 3 rows in 1 shard, ")
    assert [line for line in lines if line in SHOWN] == SHOWN
    assert "  3 of 3 sampled: 3 JPEG; smallest/median/largest width 30/31/32, height 20/20/20" in lines
    assert "key: column uid, without repeats" in lines
    assert lines[-1] == f"also: ncaudit embed {tmp_path} --model ViT-B-32 --out embeddings/"
    of_sidecar = "status (sidecars): 3 success, 1 failed_to_download"
    assert (of_sidecar in lines) is (write is in_tar_with_sidecar)
    told = json.loads(said(tmp_path, "--json"))
    assert (told["rows"], told["pairs"], told["captions"]["examples"]) == (3, 3, CAPTIONS)
    assert (told["images"]["sample"]["read"], told["damaged"]) == (3, [])
    downloads = {"status (sidecars)": {"success": 3, "failed_to_download": 1}}
    assert told["words"] == (downloads if write is in_tar_with_sidecar else {})


def test_it_loads_no_torch(tmp_path):
    in_parquet(tmp_path)
    code = (
        "import sys\nfrom ncaudit.cli.app import app\n"
        "try:\n    app(sys.argv[1:], prog_name='ncaudit')\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", code, "-q", "inspect", str(tmp_path)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_a_sidecar_alone_points_to_its_tar(tmp_path):
    in_tar_with_sidecar(tmp_path)
    assert f"give {tmp_path}/00000.tar" in said(tmp_path / "00000.parquet").splitlines()[-1]


def halves(n):
    return random_unit(n, 4).half().numpy()


def test_a_clip_retrieval_folder(tmp_path):
    for part in range(2):
        for kind in ("img_emb", "text_emb", "metadata"):
            (tmp_path / kind).mkdir(exist_ok=True)
            if kind != "metadata":
                np.save(tmp_path / kind / f"{kind}_{part}.npy", halves(3))
        keys = [f"{part}{i}" for i in range(3)]
        metadata = pa.table({"image_path": keys, "caption": CAPTIONS, "key": keys, "similarity": [0.1, 0.2, 0.3]})
        pq.write_table(metadata, tmp_path / f"metadata/metadata_{part}.parquet")
    (tmp_path / "failed").mkdir()
    pq.write_table(pa.table({"status": ["image_missing"] * 2}), tmp_path / "failed/failed_1.parquet")  # embed's own
    lines = said(tmp_path).splitlines()
    assert lines[0].startswith("embeddings (clip-retrieval): 6 rows in 2 shards, ")
    assert {"embeddings: 4 dimensions", "key: column pair_id, without repeats", "prior scores: similarity"} < set(lines)
    assert "status (left out): 2 image_missing" in lines
    assert lines[-1] == f"next: ncaudit score {tmp_path} --out scores/"


def test_two_arrays(tmp_path):
    paths = [tmp_path / "img.npy", tmp_path / "my text.npy"]
    for path in paths:
        np.save(path, halves(5))
    lines = said(*paths).splitlines()
    assert lines[0].startswith("embeddings (two NumPy arrays): 5 rows in 1 shard, ")
    assert shlex.split(lines[-1])[1:] == ["ncaudit", "score", *map(str, paths), "--out", "scores/"]


def test_datacomp_with_its_features_and_without(tmp_path):
    uids = [f"{i:032x}" for i in range(3)]
    scores = pa.array([0.1, 0.2, 0.3], pa.float32())
    metadata = {"uid": uids, "url": ["u"] * 3, "text": CAPTIONS, "clip_l14_similarity_score": scores}
    pq.write_table(pa.table(metadata), tmp_path / "0.parquet")
    lines = said(tmp_path).splitlines()
    assert lines[0].startswith("DataComp metadata: 3 rows")
    assert "first: the images are still at the addresses in column url" in lines[-1]
    np.savez(tmp_path / "0.npz", l14_img=halves(3), l14_txt=halves(3), b32_img=halves(3), b32_txt=halves(3))
    lines = said(tmp_path, "--features", "b32").splitlines()
    assert lines[0].startswith("DataComp metadata (parquet with features in .npz): 3 rows")
    assert "features: b32, l14 (choose with --features)" in lines
    assert lines[-1] == f"next: ncaudit score {tmp_path} --features b32 --out scores/"


def test_a_review_file_in_csv(tmp_path):
    (tmp_path / "review.csv").write_text("pair_id,caption,stratum,stratum_rows,is_match\na,x,0,9,yes\nb,y,0,9,\n")
    lines = said(tmp_path / "review.csv").splitlines()
    assert lines[0].startswith("pairs for review (CSV), as ncaudit sample draws them: 2 rows")
    assert lines[-1] == f"next: ncaudit score EMBEDDINGS --out scores/ --verdicts {tmp_path}/review.csv"
