"""What options mean for one of several ranks: its device, its share of the batch and of the cores.

Knows options and ranks; nothing of training.
"""

from dataclasses import replace

from ncaudit.core.device import pick_device
from ncaudit.encoders.decode_pool import default_workers
from ncaudit.engines.ranks import Ranks
from ncaudit.errors import UsageError
from ncaudit.options import HEADS, TrainingRecipe, TrainOptions


def for_rank(options: TrainOptions, ranks: Ranks) -> TrainOptions:
    """The same options on this rank's own device, decoding with its share of the cores.

    Raises UsageError when the batch cannot be divided, BatchNorm would see other batches than one process shows it, or
    several networks make labels for each other.
    """
    if ranks.count == 1:
        return options
    if options.recipe is TrainingRecipe.bicro or (options.relabel_every is not None and not options.judges):
        raise UsageError(
            f"{ranks.count} processes, but --recipe bicro and --relabel-every make their labels in one",
            fix="train in one process",
        )
    batch_pairs = options.pace.batch_pairs
    if batch_pairs % ranks.count:
        raise UsageError(
            f"--batch-pairs is {batch_pairs}, which {ranks.count} processes cannot share",
            fix=f"give a multiple of {ranks.count}: it is the batch of all processes together",
        )
    if options.train_batchnorm:
        raise UsageError(
            "--train-batchnorm needs whole batches, but each process sees its share only",
            fix="leave it out, or train in one process",
        )
    return replace(options, device=_device(options.device, ranks), workers=_workers(options, ranks))


def _workers(options: TrainOptions, ranks: Ranks) -> int | None:
    """Heads decode nothing."""
    if options.workers is not None or options.tune == HEADS:
        return options.workers
    return default_workers(ranks.local_count, options.threads)


def _device(name: str, ranks: Ranks) -> str:
    """auto and cuda: the GPU that has this rank's number; cuda:N is taken at its word."""
    device = pick_device(name)
    return f"cuda:{ranks.local}" if device.type == "cuda" and name in ("auto", "cuda") else name
