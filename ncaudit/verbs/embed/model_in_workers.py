"""Embeds shards in several processes, one per device: what each is told, and what it does with that.

Knows options and `embed_here`; nothing of how processes are started, fed or lost.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from typing import Any

import torch

from ncaudit.budget import share
from ncaudit.core.device import pick_device
from ncaudit.counts import counted
from ncaudit.encoders.decode_pool import default_workers
from ncaudit.encoders.open_clip import ModelIdentity
from ncaudit.engines.local import Outcome
from ncaudit.engines.pace import computing
from ncaudit.engines.worker_process import Facts, Work, serve
from ncaudit.engines.workers import Workers
from ncaudit.errors import ModelUnavailable, NcauditError
from ncaudit.options import EmbedOptions, Layout, Precision
from ncaudit.progress import Progress
from ncaudit.shards.claims.claims import followed
from ncaudit.shards.claims.records import EMBED_RECORD
from ncaudit.shards.dataset.null_types import Types, as_text, from_text
from ncaudit.shards.files.locations import join
from ncaudit.shards.files.shard import Shard
from ncaudit.verbs.embed.model_here import ModelHere


class ModelInWorkers:
    """The same model on several devices. The first settles precision and batch size; the others follow.

    Close it: the processes are running.
    """

    def __init__(
        self,
        options: EmbedOptions,
        key: str | None,
        types: Types,
        record: Mapping[str, Any],
        shards: Sequence[str],
        progress: Progress,
    ) -> None:
        """record, shards: as `ModelHere.load` takes them; no more processes than shards can be of use."""
        most = len(shards)
        devices = options.devices or ()
        if most < len(devices):
            progress.note(f"{len(devices)} devices, but {counted(most, 'shard')} to share: some stay idle")
        self._options, self._key, self._types, self._devices = options, key, as_text(types), devices[:most]
        self._shards = [] if options.layout is Layout.parquet else list(shards)
        self._workers = Workers(__name__, self._devices)
        try:
            found = self._workers.set_up_first(self._orders(0, options, {"record": dict(record)}), progress)
        except BaseException:
            self.close()
            raise
        self.identity = ModelIdentity.from_dict(found["model"])
        self.batch_pairs: int = found["batch_pairs"]

    def close(self) -> None:
        """End the processes."""
        self._workers.close()

    def at_batch(self, batch_pairs: int) -> "ModelInWorkers":
        """The same, which must have found this batch size. Raises NcauditError where it has found another one."""
        require_batch(batch_pairs, self.batch_pairs)
        return self

    def run(self, shards: Sequence[Shard], progress: Progress) -> list[tuple[Shard, Outcome]]:
        """Embed all of them. Raises NcauditError when a device cannot, or all processes are lost."""
        settled = replace(self._options, precision=Precision(self.identity.precision), batch_pairs=self.batch_pairs)
        model = self.identity.as_dict()
        record = {"model": model, "batch_pairs": self.batch_pairs}
        told = {"model": model, "record": record}
        return self._workers.run(shards, lambda number: self._orders(number, settled, told), progress)

    def _orders(self, number: int, options: EmbedOptions, more: Facts) -> Facts:
        own = replace(
            options,
            sources=(),  # it is told each shard; the list can be long
            device=self._devices[number],
            devices=None,
            workers=decoders(options.workers, len(self._devices), number, options.threads),
            threads=share(options.threads, len(self._devices)),
        )
        settled = {"options": asdict(own), "key": self._key, "types": self._types, "shards": self._shards}
        return {**settled, "record": {}, "model": None, **more}


def require_batch(of_all: int, found: int) -> None:
    """Raises NcauditError where a part of a run has found another batch size than the part that began it."""
    if of_all != found:
        what = f"another part of this run takes batches of {of_all}, and this one of {found}"
        raise NcauditError(what, fix="give --batch-pairs to all parts")


def decoders(workers: int | None, count: int, number: int, threads: int | None = None) -> int:
    """Decoding processes of worker `number` of `count`, from 0: its share of all, but at least one if there are any.

    >>> [decoders(5, 3, number) for number in range(3)]
    [2, 2, 1]
    """
    if workers is None:
        return default_workers(count, threads)
    return max(workers // count + (number < workers % count), min(1, workers))


def main() -> None:
    """A worker process."""
    serve(set_up)


@contextmanager
def set_up(orders: Facts, progress: Progress) -> Iterator[tuple[Facts, Work]]:
    options = EmbedOptions(**orders["options"])
    device = pick_device(options.device)
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)  # else some calls would open a context on the first GPU, too
    types = from_text(orders["types"])
    with closing(ModelHere.load(options, orders["key"], types, orders["record"], orders["shards"])) as here:
        model = here.identity.as_dict()
        if orders["model"] not in (None, model):
            raise ModelUnavailable(
                f"{here.identity.name} on {options.device} is not what the first device has loaded",
                fix="leave the model's files alone while it runs; rerun to resume",
            )
        with followed(join(options.out, EMBED_RECORD)), computing(options.threads, exact=True):
            yield {"model": model, "batch_pairs": here.batch_pairs}, lambda shard: here.embed(shard, progress)
