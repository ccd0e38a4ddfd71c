"""docs/open-clip.md to its end, in real processes: open_clip's own training on tars in which weights are copies."""

import json
import os
import runpy
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import open_clip
import pyarrow.parquet as pq
import pytest
from safetensors.torch import save_file

from tests.docs.world import OTHERS, QUICK, in_a_copy, outputs
from tests.pages import DOCS, ROOT, lines_of
from tests.worlds.tars import contents

pytestmark = pytest.mark.slow
PAGE = DOCS / "open-clip.md"
LACKS = "open_clip's own training reads tars by webdataset: pip install 'open_clip_torch[training]'"


@pytest.fixture(scope="module")
def weighted(world, tmp_path_factory) -> Iterator[Path]:
    """The folder after all of the page but open_clip's line."""
    folder = tmp_path_factory.mktemp("weighted")
    with pytest.MonkeyPatch.context() as patch:
        in_a_copy(world, folder, patch)
        outputs(PAGE, QUICK)
        (script,) = [shlex.split(line) for line in lines_of(PAGE) if line.startswith("python docs/")]
        told = run([sys.executable, str(ROOT / script[1]), *script[2:]])
        rows = len(np.load("uids.npy"))
        assert told.splitlines()[-1] == f"{rows} of {rows} copies are written to weighted-tars/"
        yield folder


def run(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def test_keys_end_at_the_first_dot_of_the_files_own_name():
    parted = runpy.run_path(str(DOCS / "repeat_in_tars.py"))["parted"]
    assert [parted(name) for name in ("00.seg.jpg", "./00.jpg", "v1.2/00.json")] == [
        ("00", "seg.jpg"), ("./00", "jpg"), ("v1.2/00", "json"),
    ]  # fmt: skip


def test_every_pair_stands_as_often_as_its_label_says_and_never_beside_its_copy(weighted):
    table = pq.read_table("copies", columns=["uid", "copies", "soft_label"]).to_pylist()
    wanted = {row["uid"]: row["copies"] for row in table if row["copies"] and row["soft_label"] >= 0.17}
    assert {0, 3} < {row["copies"] for row in table} <= {0, 1, 2, 3}
    found, files = Counter(), Counter()
    for tar in sorted(Path("weighted-tars").glob("*.tar")):
        names = contents(tar)
        uids = [json.loads(data)["uid"] for name, data in names if name.endswith(".json")]
        assert all(a != b for a, b in pairwise(uids))
        assert len({name for name, _ in names}) == len(names)
        found.update(uids)
        files.update(name.rpartition(".")[2] for name, _ in names)
    assert found == wanted
    assert set(files.values()) == {sum(wanted.values())}  # image, caption and .json of each


@pytest.mark.skipif(find_spec("webdataset") is None, reason=LACKS)
def test_open_clip_takes_two_steps_on_them(weighted):
    small_model(weighted / "small")
    (line,) = [line for line in lines_of(PAGE) if "open_clip_train" in line]
    words = ["local-dir:small" if word == "ViT-B-32" else word for word in shlex.split(line)]
    told = run([sys.executable, *words[1:]])
    assert "[128/128 (100%)]" in told
    assert Path("logs/weighted/checkpoints/epoch_1.pt").exists()


def small_model(folder: Path) -> None:
    """One of the sample's shape that nobody trained, for open_clip's own vocabulary: the sample's has its own."""
    config = json.loads((ROOT / "sample_data/tiny-clip/open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["vocab_size"] = 49_408
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    model = open_clip.model.CLIP(**config["model_cfg"])
    weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")


def test_the_page_is_known_to_be_run_here():
    assert "test_open_clip_training.py" in OTHERS["python"]
