"""What is damaged: a folder of everything that ncaudit reads, made by its own commands, and the commands that meet it.

Knows the command line and the formats by name; nothing of damage. Each step is done in a child of its own: whoever
forks children must not have computed anything, and has imported everything once, which takes longer than all steps.
"""

import csv
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from tests.fuzz.arena import Command

SAMPLE = Path(__file__).parents[2] / "sample_data"
SMALL = Path(__file__).parents[1] / "fixtures/0.1.0/small-clip"
FEW, ROWS = 5, 60  # pairs that meet a model; pairs per shard of embeddings
CPU = "--device cpu"
TINY_MODEL = f"--model tiny-clip {CPU} --precision float32 --workers 0"
MODEL = f"--model small-clip {CPU} --precision float32 --workers 0 --batch-pairs 4"
# what is done to make the world, and again once something of it is damaged
TOWERS = (
    f"train --data few.parquet --model small-clip {CPU} --precision float32 --workers 0 --epochs 2 --batch-pairs 2"
    " --val-share 0.4"
)
PARTS = f"embed few.parquet --out cr --layout clip-retrieval {MODEL}"
NOISE = "corrupt few.parquet --out noise --rate 0.4"
KEPT = "filter scores --out kept --dropped dropped --keep-share 0.5"
AUDIT = f"audit few.parquet --out audited --scorer clip-score --no-check {MODEL}"
PAGE = "report scores --out page.html"
TARS = "filter tarscores --data few.tar --out tars --keep-share 0.5"
IDS = "filter scores --out ids.txt --as ids --keep-share 0.5"


@dataclass(frozen=True)
class Attack:
    """A command, with the files below the world that it reads and that may be damaged one at a time."""

    name: str
    words: str
    targets: tuple[str, ...]
    beside: tuple[str, ...] = ()  # what it needs besides, whole: files or folders

    @property
    def needs(self) -> set[str]:
        """The top-level entries to copy."""
        return {path.split("/")[0] for path in (*self.targets, *self.beside)}


def _of_formats() -> list[Attack]:
    names = ("few.parquet", "few.arrow", "few.tar", "few.csv", "few.jsonl", "few.tsv")
    photos = ("photos",)
    attacks = [Attack("corrupt", "corrupt few.parquet --out new --rate 0.4 --json", ("few.parquet",), photos)]
    for name in names:
        beside = ("small-clip", "photos")
        attacks.append(Attack(f"inspect {name}", f"inspect {name} --json", (name,), ("photos",)))
        attacks.append(Attack(f"embed {name}", f"embed {name} --out new {MODEL} --json", (name,), beside))
    return attacks


def _of_tables() -> list[Attack]:
    emb, scores = ("emb/0.parquet", "emb/_run.json"), ("scores/0.parquet",)
    fit = ("scores/_fit/fit.json", "scores/_fit/fit.safetensors")
    applied = f"--fit scores/_fit {CPU} --json"
    plain = f"--scorer clip-score --no-check {CPU} --json"
    partitions = ("cr/img_emb/img_emb_0.npy", "cr/metadata/metadata_0.parquet", "cr/_run.json")
    heads = ("heads/heads.json", "heads/heads.safetensors")
    learn = f"train --tune heads --embeddings emb --epochs 1 --batch-pairs 16 {CPU} --json"
    return [
        Attack("inspect emb", "inspect emb --json", emb),
        Attack("inspect scores", "inspect scores --json", (*scores, *fit)),
        Attack("score a table", f"score emb --out new {applied}", emb, ("scores",)),
        Attack("score by a fit", f"score emb --out new {applied}", fit, ("emb",)),
        Attack("score to resume", f"score emb --out scores --no-check {CPU} --json", (*scores, *fit), ("emb",)),
        Attack("score the data", f"score emb --data data --out new {applied}", ("data/0.parquet",), ("emb", "scores")),
        Attack(
            "score with verdicts",
            f"score emb --verdicts review.csv --out new {applied}",
            ("review.csv",),
            ("emb", "scores"),
        ),
        Attack("score arrays", f"score img.npy text.npy --out new {plain}", ("img.npy", "text.npy")),
        Attack("score partitions", f"score cr --out new {plain}", partitions),
        Attack("score features", f"score dc --out new --features b32 {plain}", ("dc/0.npz", "dc/0.parquet")),
        Attack("score through heads", f"score emb --model heads --out new {plain}", heads, ("emb",)),
        Attack("filter scores", "filter scores --out new --keep-share 0.5 --json", scores),
        Attack("filter to uids", "filter scores --out new.txt --as ids --keep-share 0.5 --json", scores),
        Attack(
            "filter the data",
            "filter scores --data data --out new --keep-share 0.5 --json",
            ("data/0.parquet", *scores),
            ("data",),
        ),
        Attack(
            "filter tars",
            "filter tarscores --data few.tar --out new --keep-share 0.5 --json",
            ("few.tar", "tarscores/few.parquet"),
        ),
        Attack("labels", f"labels emb --label-column noise_type --k 3 --out new {CPU} --json", emb),
        Attack(
            "labels to resume",
            f"labels emb --label-column noise_type --k 3 --out labels {CPU} --json",
            ("labels/0.parquet", "labels/audit.json"),
            ("emb", "labels"),
        ),
        Attack("show", "show scores --json", scores),
        Attack("show pictures", "show scores --data data --images new --json", ("data/0.parquet", *scores), ("data",)),
        Attack("show classes", "show labels --json", ("labels/0.parquet",)),
        Attack("show tars", "show tarscores --data few.tar --images new --json", ("few.tar", "tarscores/few.parquet")),
        *_of_pages(),
        Attack("sample", "sample scores --out new.csv --n 10 --json", scores),
        Attack("eval scores", "eval scores scores --against similarity --json", scores),
        Attack(
            "eval by a truth",
            "eval scores scores --truth is_match --truth-table truth.csv --json",
            ("truth.csv",),
            ("scores",),
        ),
        Attack("eval retrieval", f"eval retrieval emb --json {CPU}", emb),
        Attack("embed to resume", f"embed data --out emb {TINY_MODEL} --json", emb, ("data", "tiny-clip")),
        Attack(
            "train heads again", f"{learn} --out heads", (*heads, "heads/run.json", "heads/metrics.jsonl"), ("emb",)
        ),
        *_of_own_state(learn),
        Attack("train by scores", f"{learn} --scores scores --out new", scores, ("emb",)),
    ]


def _of_pages() -> list[Attack]:
    tables = ("scores/0.parquet", "scores/_fit/fit.json", "scores/_fit/fit.safetensors")
    pictures, truth = "--workers 0 --json", "--truth is_match --truth-table truth.csv --json"
    state = ("embeddings/few.parquet", "embeddings/_run.json", "scores/few.parquet", "scores/_fit/fit.json")
    pages = ("report.html", ".report.html.ncaudit.json")
    model = ("few.parquet", "small-clip")
    attacks = (
        ("report", "report scores --out new.html --json", tables),
        ("report pictures", f"report scores --data data --out new.html {pictures}", ("data/0.parquet", tables[0]),
         ("data",)),
        ("report tars", f"report tarscores --data few.tar --out new.html {pictures}",
         ("few.tar", "tarscores/few.parquet")),
        ("report classes", f"report labels --data data --out new.html {pictures}",
         ("labels/0.parquet", "labels/audit.json"), ("data",)),
        ("report a truth", f"report scores --out new.html {truth}", ("truth.csv",), ("scores",)),
        ("report again", f"{PAGE} --json", ("page.html", ".page.html.ncaudit.json"), ("scores",)),
        ("audit", f"{AUDIT.replace('audited', 'new')} --json", ("few.parquet",), ("small-clip",)),
        ("audit to resume", f"{AUDIT} --json", tuple(f"audited/{name}" for name in (*state, *pages)), model),
    )  # fmt: skip
    return [Attack(*one) for one in attacks]


def _of_own_state(learn: str) -> list[Attack]:
    """The same command again, over what it left, finished or not, with records, sidecars and checkpoints."""
    run = ("run.json", "metrics.jsonl")
    heads = tuple(f"heads-begun/{name}" for name in (*run, "checkpoint.pt", "heads.json", "heads.safetensors"))
    towers = tuple(f"towers/{name}" for name in (*run, "open_clip_config.json", "open_clip_model.safetensors"))
    begun = tuple(f"towers-begun/{name}" for name in (*run, "checkpoint.pt", "open_clip_model.safetensors"))
    later = tuple(f"later/{name}" for name in ("_fit/rates.json", "_fit/fit.json", "1.parquet", ".ncaudit.json"))
    tars = tuple(f"tars/{name}" for name in ("few.tar", "few.parquet", "few_stats.json", "sizes.json", ".ncaudit.json"))
    parts = ("_run.json", "img_emb/img_emb_0.npy", "metadata/metadata_0.parquet", "failed/failed_0.parquet")
    partitions, model = tuple(f"cr/{name}" for name in parts), ("few.parquet", "small-clip")
    ids = ("ids.txt", ".ids.txt.ncaudit.json")
    noise = tuple(f"noise/{name}" for name in ("few.parquet", "_corruption.parquet", ".ncaudit.json"))
    kept, dropped = ("kept/0.parquet", "kept/.ncaudit.json"), ("dropped/0.parquet",)
    attacks = (
        ("train heads on", f"{learn} --out heads-begun", heads, ("emb",)),
        ("train towers again", f"{TOWERS} --out towers --json", towers, model),
        ("train towers on", f"{TOWERS} --out towers-begun --json", begun, model),
        ("inspect training", "inspect heads-begun --json", heads[:1], ("heads-begun",)),
        ("score what came later", f"score emb --out later --no-check {CPU} --json", later, ("emb",)),
        ("embed to resume parts", f"{PARTS} --json", partitions, model),
        ("corrupt to resume", f"{NOISE} --json", noise, ("few.parquet",)),
        ("filter to resume", f"{KEPT} --json", (*kept, *dropped), ("scores",)),
        ("filter tars to resume", f"{TARS} --json", tars, ("tarscores", "few.tar")),
        ("filter to ids again", f"{IDS} --json", ids, ("scores",)),
        ("eval through heads", f"eval retrieval emb --model heads --json {CPU}", ("heads/heads.json",), ("emb",)),
    )
    return [Attack(*one) for one in attacks]


def _of_models() -> list[Attack]:
    files = ("open_clip_config.json", "open_clip_model.safetensors", "bpe_merges.txt.gz")
    targets = tuple(f"small-clip/{name}" for name in files)
    photo = "photos/0.jpg", "photos/1.png", "photos/2.gif"
    return [
        Attack("embed by a model", f"embed few.parquet --out new {MODEL} --json", targets, ("few.parquet",)),
        Attack("embed images", f"embed few.csv --out new {MODEL} --json", photo, ("few.csv", "small-clip")),
    ]


ATTACKS = {attack.name: attack for attack in (*_of_formats(), *_of_tables(), *_of_models())}
# How often each is drawn: what costs seconds is drawn less often than what costs milliseconds.
COSTS = ("audit", "embed to resume", "score to resume", "train heads again", "train by scores", "labels")


def weight(name: str) -> float:
    """Relative frequency."""
    return 0.2 if name in COSTS else 1.0


def copy(world: Path, attack: Attack, folder: Path) -> None:
    """What the attack needs, in an empty folder: hard links, since nothing is ever written in place."""
    for name in sorted(attack.needs):
        source = world / name
        if source.is_dir():
            shutil.copytree(source, folder / name, copy_function=os.link)
        else:
            os.link(source, folder / name)


def make(folder: Path, command: Command, needed: Iterable[str] = (".",)) -> None:
    """All of it, or what these top-level entries take. command: as the arena's."""
    folder.mkdir(parents=True, exist_ok=True)
    apart(folder, lambda: _write_data(folder))
    for line in _lines(needed):
        apart(folder, partial(command, ("-q", *line.split())))
    if "." in needed:
        for line in BEGUN:
            apart(folder, partial(_begin, command, ("-q", *line.split())))
        apart(folder, lambda: _fill_in(folder))


def apart(folder: Path, work: Callable[[], int | None]) -> None:
    """Do it in a child, in the folder. Raises RuntimeError with what it told when it does not end with 0."""
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as told:
        child = os.fork()
        if child == 0:
            os._exit(_inside(folder, work, told.fileno()))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told.seek(0)
        if code:
            raise RuntimeError(f"the world cannot be made: {code}: {told.read().decode('utf-8', 'replace')}")


def _inside(folder: Path, work: Callable[[], int | None], told: int) -> int:
    for stream in (1, 2):
        os.dup2(told, stream)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
    try:
        os.chdir(folder)
        return work() or 0
    except BaseException:  # whatever it is, it must not go on as a second parent
        traceback.print_exc()
        return 120
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _begin(command: Command, words: tuple[str, ...]) -> int:
    from ncaudit.matchers.training_folder import TrainingFolder

    TrainingFolder.finish = lambda *told: sys.exit(0)
    return command(words)


def _lines(needed: Iterable[str]) -> list[str]:
    """The commands that make these entries, and what they are made from, in their order."""
    wanted, kept = set(needed), []
    for line in reversed(COMMANDS):
        words = line.split()
        made = {words[place + 1] for place, word in enumerate(words) if word in ("--out", "--dropped")}
        if "." in wanted or made & wanted:
            kept.append(line)
            wanted |= {word.split("/")[0] for word in words}
    return kept[::-1]


def _write_data(folder: Path) -> None:
    """What people bring."""
    shutil.copytree(SMALL, folder / "small-clip")
    shutil.copytree(SAMPLE / "tiny-clip", folder / "tiny-clip")
    rows = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption", "noise_type"])
    (folder / "data").mkdir()
    for shard in range(2):
        pq.write_table(rows.take(np.arange(ROWS) * 32 + shard), folder / f"data/{shard}.parquet")
    _write_few(folder, rows.slice(0, FEW).drop_columns(["noise_type"]))  # `corrupt` writes a column of that name
    _write_arrays(folder)


COMMANDS = (
    f"embed data --out emb {TINY_MODEL}",
    f"score emb --out scores --no-check {CPU}",
    f"labels emb --label-column noise_type --k 3 --out labels {CPU}",
    f"embed few.tar --out taremb {MODEL}",
    f"score taremb --out tarscores --scorer clip-score --no-check {CPU}",
    PARTS,
    f"train --tune heads --embeddings emb --out heads --epochs 1 --batch-pairs 16 {CPU}",
    "sample scores --out review.csv --n 40",
    f"{TOWERS} --out towers",
    f"score emb/0.parquet --out later --no-check {CPU}",
    f"score emb --out later --no-check {CPU}",
    NOISE,
    KEPT,
    TARS,
    IDS,
    PAGE,
    AUDIT,
)
# runs that were ended before they could say so
BEGUN = (
    f"train --tune heads --embeddings emb --out heads-begun --epochs 1 --batch-pairs 16 {CPU}",
    f"{TOWERS} --out towers-begun",
)


def _write_few(folder: Path, rows: pa.Table) -> None:
    """The same few pairs in every format."""
    pq.write_table(rows, folder / "few.parquet")
    with pa.OSFile(str(folder / "few.arrow"), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=2)
    pairs = rows.to_pylist()
    _write_photos(folder / "photos", [pair["jpg"] for pair in pairs])
    named = ["0.jpg", "1.png", "2.gif", "3.jpg", "4.jpg"]
    text = pa.table({"key": rows["key"], "image": [f"photos/{name}" for name in named], "caption": rows["caption"]})
    pyarrow.csv.write_csv(text, folder / "few.csv")
    pyarrow.csv.write_csv(text, folder / "few.tsv", pyarrow.csv.WriteOptions(delimiter="\t"))
    lines = [json.dumps({**row, "more": {"n": 1, "tags": ["a"]}}) for row in text.to_pylist()]
    (folder / "few.jsonl").write_text("\n".join(lines) + "\n")
    with tarfile.open(folder / "few.tar", "w") as tar:
        for pair in pairs:
            for suffix, content in (("jpg", pair["jpg"]), ("txt", pair["caption"].encode()), ("json", b'{"a": 1}')):
                member = tarfile.TarInfo(f"{pair['key']}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def _write_photos(folder: Path, photos: list[bytes]) -> None:
    from PIL import Image

    folder.mkdir()
    for place, photo in enumerate(photos):
        (folder / f"{place}.jpg").write_bytes(photo)
    Image.open(io.BytesIO(photos[1])).save(folder / "1.png")
    Image.open(io.BytesIO(photos[2])).save(folder / "2.gif")


def _write_arrays(folder: Path) -> None:
    chance = np.random.default_rng(0)
    image, text = (chance.standard_normal((20, 8)).astype(np.float16) for _ in range(2))
    np.save(folder / "img.npy", image)
    np.save(folder / "text.npy", text)
    (folder / "dc").mkdir()
    np.savez(folder / "dc/0.npz", b32_img=image, b32_txt=text)
    uids = [f"{number:032x}" for number in range(20)]
    pq.write_table(pa.table({"uid": uids, "text": [f"caption {uid}" for uid in uids]}), folder / "dc/0.parquet")


def _fill_in(folder: Path) -> None:
    """A review as people return it, and a truth table."""
    with open(folder / "review.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["is_match"] = "yes" if number % 3 else "no"
    with open(folder / "review.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    ids = pq.read_table(folder / "scores", columns=["pair_id"])["pair_id"].to_pylist()
    (folder / "truth.csv").write_text("pair_id,is_match\n" + "".join(f"{one},{len(one) % 2}\n" for one in ids))
