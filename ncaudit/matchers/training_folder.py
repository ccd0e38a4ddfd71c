"""What a training run keeps in its output folder, so that a killed run goes on and a finished one is not done again.

Knows files and JSON; nothing of what is trained. Every file is written whole or not at all, the weights before the
state that counts their epoch: a kill between the two repeats one epoch and writes the same bytes.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from open_clip.constants import HF_CONFIG_NAME
from torch import Tensor

from ncaudit import own_json
from ncaudit.errors import BadTable, Displaced, NcauditError
from ncaudit.interruption import recognised
from ncaudit.matchers.checkpoints import EPOCH, RESTART, load_checkpoint, whole
from ncaudit.matchers.heads.projection import HEAD_DESCRIPTION, HEAD_WEIGHTS
from ncaudit.matchers.towers.folder import WEIGHTS, save_weights
from ncaudit.shards.claims.commands import command_now
from ncaudit.shards.claims.room import missing_folders
from ncaudit.shards.files import locations
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.places import listings
from ncaudit.shards.places.partials import created, is_alive, partial_name, partials_among

RUN, METRICS, STATE = "run.json", "metrics.jsonl", "checkpoint.pt"
MODELS = (WEIGHTS, HF_CONFIG_NAME, HEAD_WEIGHTS, HEAD_DESCRIPTION)
OURS = (RUN, METRICS, STATE, *MODELS)
SaveWeights = Callable[[Mapping[str, Tensor], str], None]
Json = dict[str, Any]


class TrainingFolder:
    """One run's folder: `summary_of`, then `claim`, then `save_epoch` after every epoch, then `finish`."""

    def __init__(self, path: str, save: SaveWeights = save_weights, require: Callable[[str], None] | None = None):
        """save: writes weights into the folder, whole or not at all. require: raises unless a folder has them whole."""
        self.path, self._save, self._require = path, save, require
        self._run: Json | None = None
        self._command: str | None = None

    def summary_of(self, run: Json) -> Json | None:
        """What `finish` was given, if this very run is finished here; None when there is something left to do.

        Raises NcauditError when the folder holds what another run has trained.
        """
        found = self._read_run()
        if found is None:
            return None
        if found["run"] == _as_json(run):
            summary: Json | None = found["summary"]
            return summary
        if any(self._has(name) for name in (WEIGHTS, HEAD_WEIGHTS, STATE)):
            raise _other_run(self.path, found["run"], _as_json(run))
        return None  # that run ended before its first epoch: nothing would be lost

    def recorded_run(self) -> Json | None:
        """The `run` that the folder was claimed for, or None."""
        found = self._read_run()
        return None if found is None else dict(found["run"])

    def claim(self, run: Json, *, restart: bool) -> None:
        """Take the folder for `run`; with `restart`, what an earlier run left is discarded.

        The record tells the command line that asks for it; of a run that is gone on with that of the first one.
        So is what lies there without a run: whoever calls this has asked whether it may go.
        """
        if not locations.is_remote(self.path):
            os.makedirs(self.path, exist_ok=True)
        found = None if restart else self._read_run()
        self._command = found.get("command") if found and found["run"] == _as_json(run) else command_now()
        for name in OURS if restart or self._read_run() is None else ():
            if self._has(name):
                locations.remove(self._at(name))
        self._run = _as_json(run)
        self._record(run, None)

    @contextmanager
    def at_work(self, run: Json) -> Iterator[None]:
        """Other runs see inside that this one is at work here, even before it claims the folder.

        Raises NcauditError where another one, with other options or data, is. What is made to tell it goes again.
        """
        self._refuse_live_run(_as_json(run))
        if locations.is_remote(self.path):  # nobody could tell there whether a sign is of somebody who lives
            yield
            return
        missing = missing_folders(self.path)
        sign = self._at(partial_name(RUN))
        try:
            with created(sign) as file:
                file.write(json.dumps({"run": run}).encode())
            yield
        finally:
            with suppress(OSError):
                os.remove(sign)
                for made in missing:
                    os.rmdir(made)

    def is_ours(self) -> bool:
        """Whether a run of ours has been here: then all of `OURS` that is here is its."""
        return self._read_run() is not None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Ctrl-C inside knows whether there is an epoch to go on from."""
        try:
            with recognised(kept=lambda: self._has(STATE)):
                yield
        finally:
            listings.forget(self.path)

    def epochs_done(self, run: Json) -> int | None:
        """Those that this very run has finished, and would go on after; None where there is nothing to go on from."""
        if self.recorded_run() != _as_json(run) or not self._has(STATE):
            return None
        try:
            return len(self.metrics()) - 1
        except BadTable:  # the state has them, too
            return 0

    def refuse_live_run(self, run: Json) -> None:
        """Raises NcauditError where another run, with other options or data, is at work in the folder."""
        self._refuse_live_run(_as_json(run))

    def load_state(self) -> Json | None:
        """What the last `save_epoch` was given as `state`, or None before the first. Read as data, never as code."""
        if not self._has(STATE):
            return None
        with locations.on_this_machine(self._at(STATE)) as here:
            return load_checkpoint(here)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """What goes wrong inside is that the state is not this run's, or is damaged: then NcauditError."""
        with whole(self._at(STATE)):
            yield

    def restore(self, state: Json) -> None:
        """What was saved beside a state, as it was: the metrics, and the weights where the state's are the ones kept.

        Raises BadTable where those of an earlier epoch are to be kept, and are damaged.
        """
        self._write_metrics(state["metrics"])
        if self._require is None or not state["kept_epoch"]:
            return
        try:
            self._require(self.path)
        except (NcauditError, OSError) as error:
            if state["kept_epoch"] != state["epoch"]:
                raise BadTable(f"the weights of the best epoch are damaged: {error}", fix=RESTART) from error
            self._save(state["model"], self.path)

    def save_epoch(self, state: Json, metrics: Sequence[Json], weights: Mapping[str, Tensor] | None) -> None:
        """The state that a rerun goes on from, and `weights` where this epoch's are the ones to keep.

        Raises NcauditError when they cannot be written, with the epoch before untouched.
        """
        self._require_still_ours()
        try:
            if weights is not None:
                self._save(weights, self.path)
            self._write_metrics(metrics)
            with atomic_file(self._at(STATE)) as file:
                torch.save(state, file)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            raise NcauditError(
                f"{self.path} cannot take the checkpoint: {_first_line(error)}",
                fix="make room there, then run the same command again: it goes on from the epoch before",
            ) from error

    def finish(self, run: Json, summary: Json) -> None:
        """Mark the run as finished; nothing is left of the state it could have gone on from."""
        self._require_still_ours()
        self._record(run, summary)
        self.drop_state()

    def drop_state(self) -> None:
        """Remove the state: it is three times the model."""
        if self._has(STATE):
            locations.remove(self._at(STATE))

    def metrics(self) -> list[Json]:
        """The lines of metrics.jsonl, one for each epoch and the start. Raises BadTable when they are damaged."""
        fix = f"{RESTART}; the matcher beside it can be used"
        found = own_json.lines(self._at(METRICS), EPOCH, fix=fix)
        learnt = found[1:] and all("loss" in line and "step" in line for line in found[1:])
        if not learnt or [line["epoch"] for line in found] != list(range(len(found))):
            raise BadTable(f"{self._at(METRICS)} is damaged: an epoch is missing", fix=fix)
        return found

    def require_known_run(self) -> None:
        """Raises BadTable where a run's record is, but does not say any more whose everything else is."""
        if own_json.is_damaged(self._at(RUN)):
            raise BadTable(
                f"{self._at(RUN)} is there already, and is damaged or no record of a run: nobody can tell whose it is",
                fix="give another folder with --out, or --overwrite to discard all of it and train anew",
            )

    def _read_run(self) -> Json | None:
        """What a run of ours has recorded; None where none has, or what is there is damaged or another tool's."""
        shape: own_json.Shape = {"run": {"options?": {}}, "summary": (None, {}), "command?": str}
        found: Json | None = own_json.known(self._at(RUN), shape)
        return found

    def _refuse_live_run(self, run: Json) -> None:
        if locations.is_remote(self.path):
            return
        for partial in partials_among(self.path, locations.names_in(self.path)):
            told = own_json.known(partial.path, {"run": {}}) or {"run": run}
            if is_alive(partial) and partial.pid != os.getpid() and told["run"] != run:
                raise NcauditError(
                    f"another run of ncaudit train is at work in {self.path} (process {partial.pid}), and differs in: "
                    f"{', '.join(_differences(told['run'], run))}",
                    fix="wait until it has ended, or give another folder with --out",
                )

    def _require_still_ours(self) -> None:
        """Raises Displaced when another run has taken the folder since it was claimed."""
        found = self._read_run()
        if self._run is not None and found is not None and found["run"] != self._run:
            differs = ", ".join(_differences(found["run"], self._run))
            raise Displaced(
                f"another run of ncaudit train has begun in {self.path}, and differs in: {differs}",
                fix="give each run a folder of its own with --out, or train one after the other",
            )

    def _has(self, name: str) -> bool:
        return locations.exists(self._at(name))

    def _write_metrics(self, metrics: Sequence[Json]) -> None:
        self._write(METRICS, "".join(json.dumps(line) + "\n" for line in metrics).encode())

    def _record(self, run: Json, summary: Json | None) -> None:
        told = {"command": self._command} if self._command else {}
        self._write_json(RUN, {**told, "run": run, "summary": summary})

    def _write_json(self, name: str, value: Json) -> None:
        self._write(name, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())

    def _write(self, name: str, data: bytes) -> None:
        with atomic_file(self._at(name)) as file:
            file.write(data)

    def _at(self, name: str) -> str:
        return locations.join(self.path, name)


def _other_run(path: str, found: Json, wanted: Json) -> NcauditError:
    return NcauditError(
        f"{path} holds another run, which differs in: {', '.join(_differences(found, wanted))}",
        fix="give another folder with --out, or --restart to discard that run",
    )


def _differences(found: Json, wanted: Json) -> list[str]:
    """Names of what differs, options by their own name."""
    names = []
    for key in sorted({*found, *wanted}):
        ours, theirs = wanted.get(key), found.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict) and key == "options":
            names += [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]
        elif ours != theirs:
            names.append(key)
    return names


def _as_json(value: Json) -> Json:
    plain: Json = json.loads(json.dumps(value))
    return plain


def _first_line(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
