"""Which architectures of open_clip embed: each one built with random weights, saved, loaded, four pairs embedded.

    python tests/benchmarks/families.py --state families.jsonl            # goes on where it stopped
    python tests/benchmarks/families.py --state families.jsonl --table    # the table of docs/models.md

Smallest first, each in a process of its own, and one line of the state file each. An architecture is loaded only while
3.5 times its weights and `--keep-free-gib` more are available; else it is written down as not reached, and tried again
by the next run. Tokenizers and text towers that would come from the hub are small ones made on the spot: nothing is
fetched. What is checked stands in `tests/worlds/families.py`.
"""

import argparse
import json
import logging
import multiprocessing
import platform
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

COPIES = 3.5  # of its weights: built, saved, read again, loaded
OK, FAILED, NOT_REACHED, TOO_LARGE = "ok", "failed", "not reached", "too large"
FAMILIES = (  # the first that is found in the name
    ("CoCa", "coca"),
    ("text towers of transformers (RoBERTa, XLM-RoBERTa, mT5, NLLB)", "roberta|mt5|nllb"),
    ("SigLIP 2", "SigLIP2"),
    ("SigLIP", "SigLIP"),
    ("CLIPA", "CLIPA"),
    ("MetaCLIP 2 (worldwide)", "worldwide"),
    ("ResNet", "^RN"),
    ("ConvNeXt", "convnext"),
    ("EVA, EVA-02", "EVA"),
    ("MobileCLIP, MobileCLIP 2", "MobileCLIP"),
    ("Perception Encoder (PE-Core)", "^PE-"),
    ("ViTamin", "ViTamin"),
    ("other towers of timm (Swin, ViT with other positions or pooling)", "^swin|^vit_"),
    ("ViT (OpenAI, LAION, DataComp, DFN, MetaCLIP)", "^ViT"),
)


def main() -> None:
    """Walks them, or tells what was found."""
    options = _options()
    if options.table:
        print(table(_known(options.state)))
        return
    logging.disable(logging.CRITICAL)
    for name, weights in sorted(_sizes(options).items(), key=lambda size: size[1]):
        if _known(options.state)[name]["status"] not in (OK, FAILED, TOO_LARGE):
            line = _line(name, weights, options)
            _append(options.state, line)
            print(f"{name}: {line['status']} {line.get('why', '')}", flush=True)


def _sizes(options: argparse.Namespace) -> dict[str, float]:
    """GiB of weights of every architecture; one that the state file does not know is written there first."""
    import open_clip

    from tests.worlds.families import weights_gib

    known = _known(options.state)
    for name in open_clip.list_models():
        if name not in known:
            weights = round(weights_gib(name), 3)
            status, why = (TOO_LARGE, "") if weights > options.max_gib else (NOT_REACHED, "not tried")
            _append(options.state, {"model": name, "weights_gib": weights, "status": status, "why": why})
    return {name: line["weights_gib"] for name, line in _known(options.state).items()}


def table(known: dict[str, dict[str, Any]]) -> str:
    """Markdown: how far it came, then a row per family with what was left out and why."""
    count = Counter(line["status"] for line in known.values())
    rows = [
        f"Of {len(known)} architectures {count[OK]} embed as they must, {count[FAILED]} do not, {count[TOO_LARGE]} are "
        f"too large, and {count[NOT_REACHED]} were not reached.",
        "",
    ]
    rows += ["| family | architectures | embed | captions | not run |", "|---|---|---|---|---|"]
    for family, lines in _by_family(known):
        ran = [line for line in lines if line["status"] == OK]
        rows.append(f"| {family} | {len(lines)} | {len(ran)} | {_lengths(ran)} | {_left_out(lines) or '–'} |")
    return "\n".join(rows)


def _by_family(known: dict[str, dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    def family(name: str) -> str:
        return next(family for family, pattern in FAMILIES if re.search(pattern, name))

    for one, _ in FAMILIES:
        if lines := [line for name, line in sorted(known.items()) if family(name) == one]:
            yield one, lines


def _left_out(lines: list[dict[str, Any]]) -> str:
    """Names by reason; what failed, each with its own."""
    reasons = [f"**{line['model']}: {line['why']}**" for line in lines if line["status"] == FAILED]
    for status, words in ((TOO_LARGE, "too large"), (NOT_REACHED, "not reached")):
        if names := [line["model"] for line in lines if line["status"] == status]:
            reasons.append(f"{words}: {', '.join(names)}")
    return "; ".join(reasons)


def _lengths(ran: list[dict[str, Any]]) -> str:
    trimmed = sum(line["trims"] for line in ran)
    if trimmed in (0, len(ran)):
        return "–" if not ran else "at their own length" if trimmed else "padded"
    return f"at their own length: {trimmed}, padded: {len(ran) - trimmed}"


def _line(name: str, weights: float, options: argparse.Namespace) -> dict[str, Any]:
    about = {"model": name, "weights_gib": weights, **_here()}
    if (needed := COPIES * weights + options.keep_free_gib) > (free := _available_gib()):
        why = f"{weights:.1f} GiB of weights ask for {needed:.1f} GiB, available were {free:.1f}"
        return {**about, "status": NOT_REACHED, "why": why}
    return {**about, **_apart(name, options)}


def _apart(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """In a process of its own: its memory is given back, and it may be killed."""
    begun = time.monotonic()
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=_tried, args=(name, options.work, its))
    process.start()
    its.close()
    found: dict[str, Any] = {"status": NOT_REACHED, "why": f"not done after {options.timeout_s} s"}
    if mine.poll(options.timeout_s):
        try:
            found = mine.recv()
        except EOFError:
            found = {"status": NOT_REACHED, "why": "its process was killed"}
    process.kill()
    process.join()
    return {**found, "seconds": round(time.monotonic() - begun, 1)}


def _tried(name: str, work: str | None, pipe: Any) -> None:
    from tests.worlds.families import build, check

    with tempfile.TemporaryDirectory(dir=work) as folder:
        try:
            checked = check(build(name, Path(folder) / "model"), Path(folder) / "out")
        except Exception as error:  # whatever open_clip, timm and transformers raise is the finding
            pipe.send({"status": FAILED, "why": f"{type(error).__name__}: {error}"[:300]})
            return
    found = {key: value for key, value in asdict(checked).items() if key != "faults"}
    pipe.send({"status": FAILED if checked.faults else OK, **found, "why": "; ".join(checked.faults)})


def _available_gib() -> float:
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    assert found
    return int(found[1]) / 2**20


def _here() -> dict[str, str]:
    installed = {"open_clip_torch", "torch", "timm", "transformers"} & {
        str(found.metadata["Name"]) for found in metadata.distributions()
    }
    return {"machine": platform.machine(), **{name: metadata.version(name) for name in sorted(installed)}}


def _known(state: Path) -> dict[str, dict[str, Any]]:
    """The last line of each; one that a kill cut short is forgotten."""
    known: dict[str, dict[str, Any]] = {}
    for line in state.read_text().splitlines() if state.exists() else []:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        known[found["model"]] = found
    return known


def _append(state: Path, line: dict[str, Any]) -> None:
    with open(state, "a+") as file:
        file.seek(0)
        whole = not (before := file.read()) or before.endswith("\n")
        file.write(("" if whole else "\n") + json.dumps(line) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, default=Path("families.jsonl"), help="one JSON line per architecture")
    parser.add_argument("--table", action="store_true", help="print what the state file knows, and run nothing")
    parser.add_argument("--max-gib", type=float, default=4.0, help="largest weights in float32")
    parser.add_argument("--keep-free-gib", type=float, default=2.0, help="memory that is left to others")
    parser.add_argument("--timeout-s", type=float, default=900.0, help="for one architecture")
    parser.add_argument("--work", default=None, help="where folders are made and deleted; else the system's own")
    return parser.parse_args()


if __name__ == "__main__":
    main()
