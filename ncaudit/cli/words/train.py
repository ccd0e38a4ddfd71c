"""What `train` tells at its end: how many pairs, how well it validates, where the matcher is. Knows its result only."""

import math

from ncaudit import objectives
from ncaudit.cli.layout.vocabulary import Table, Words, command
from ncaudit.cli.shared.accounts import accounting
from ncaudit.counts import counted
from ncaudit.options import TrainingRecipe
from ncaudit.verbs.train.auto.choice import Choice, Compared, Reason
from ncaudit.verbs.train.train import TrainResult

NO_BETTER = "no epoch is better than the start model"
NO_RECIPE = "not compared: --recipe rematch: a sample of noisy pairs has few of their true captions"


def lines(result: TrainResult) -> Words:
    """The summary for people."""
    return [*(_earlier(result) if result.finished_earlier else _run(result)), *accounting(result.accounting)]


def _earlier(result: TrainResult) -> list[str]:
    return [f"{result.out} already holds this run, finished: nothing to do (--restart does it again)"]


def _run(result: TrainResult) -> Words:
    kept = f"matcher of epoch {result.kept_epoch} in {result.out}"
    dropped = [f"{counted(result.dropped_pairs, 'pair')} dropped by the objective"] if result.dropped_pairs else []
    return [
        *_better(result),
        kept,
        *_next(result),
        *_choice(result),
        _head(result),
        *dropped,
        *_split(result),
        *_rematched(result),
        *_agreement(result),
        *_parts(result),
    ]


def _next(result: TrainResult) -> Words:
    """Heads go before scores of the same embeddings; a model embeds anew."""
    if result.tune == "heads":
        return [command("ncaudit", "score", "EMBEDDINGS", "--model", result.out, "--out", "scores-2/")]
    return [command("ncaudit", "embed", "DATA", "--model", result.out, "--out", "embeddings-2/")]


def _head(result: TrainResult) -> str:
    epochs = counted(result.epochs, "epoch")
    epochs += " (stopped: no better one came)" * result.stopped_early
    recipe = "" if result.recipe == TrainingRecipe.simple else f", recipe {result.recipe}"
    pairs = f"{counted(result.train_pairs, 'pair')} ({_labels(result)}), {result.pairs_per_s:,.0f} pairs/s"
    return f"{result.tune} by {result.objective}{recipe}: {epochs}, {counted(result.steps, 'step')} on {pairs}"


def _labels(result: TrainResult) -> str:
    """What the pairs were weighted by; by class, whether all of them have one."""
    if result.objective in objectives.by_class.names():
        return f"{result.unlabelled_pairs:,} without a class" if result.unlabelled_pairs else "all with a class"
    return f"mean label {result.mean_label:.2f}" if result.labelled else "no --scores: every label is 1"


def _choice(result: TrainResult) -> Words:
    """What --objective auto took and why, and a line for each that it compared."""
    choice = result.choice
    if choice is None:
        return []
    told: Words = [f"--objective auto took {choice.objective}: {_why(choice)}"]
    if choice.compared:
        title = (
            f"compared by what each taught on {counted(choice.learnt_pairs, 'pair')}, told on "
            f"{choice.judged_pairs:,} others"
        )
        rows = [_compared(one) for one in choice.compared if one.rank is not None]
        told.append(Table(title, ["", "rank", "AUROC", "rank beside infonce"], rows))
    told += [f"not compared: {one.objective}: {one.why_not}" for one in choice.compared if one.why_not]
    if choice.labelled and choice.reason is Reason.better:
        told.append(NO_RECIPE)
    return told if choice.labelled else [*told, "no labels: only objectives that ask for none were compared"]


def _why(choice: Choice) -> str:
    reasons = {
        Reason.better: "with it, pairs held out stand highest among wrong ones",
        Reason.plain: "none does clearly better on pairs held out, so noise does little harm here",
        Reason.too_few: f"{counted(choice.judged_pairs, 'pair')} are too few to compare on",
        Reason.no_signal: "pairs held out look like random ones, whatever is learnt, so nothing tells which is best",
    }
    return reasons[choice.reason]


def _compared(one: Compared) -> list[str]:
    """Of those that were tried: a pair's rank among wrong ones, the lower the better, and how much that changes."""
    gain = "" if one.gain is None else f"{math.expm1(-one.gain):+.1%} ± {one.standard_error:.1%}"
    return [one.objective, f"{one.rank:.1f}", f"{one.auroc:.3f}", gain]


def _split(result: TrainResult) -> list[str]:
    if result.clean_pairs is None:
        return []
    first, second = result.clean_pairs
    return [f"the two networks trust {first:,} and {second:,} of {counted(result.train_pairs, 'pair')}"]


def _rematched(result: TrainResult) -> list[str]:
    if result.recipe != TrainingRecipe.rematch or result.noisy_pairs is None:
        return []
    if not result.noisy_pairs:
        return ["no pair is noisy (label below 0.5), so none was rematched"]
    noisy = counted(result.noisy_pairs, "noisy pair")
    if result.rematched is None:
        return [f"{noisy}, and none was rematched: too few clean pairs to tell chances, or no epoch left to use them"]
    return [
        f"{result.rematched:,} of {noisy} learnt captions of others, right by a chance of {result.rematch_chance:.2f} "
        f"in the mean; about {result.half_there:.0%} of the true captions seem to be there"
    ]


def _agreement(result: TrainResult) -> list[str]:
    if result.agreement is None:
        return []
    clean, doubted, noisy = (result.agreement[name] for name in ("agreed_clean", "disagreed", "agreed_noisy"))
    return [f"before and in training, {clean:,} pairs look clean, {noisy:,} noisy, and {doubted:,} differ"]


def _parts(result: TrainResult) -> list[str]:
    if result.parts is None:
        return []
    told = ", ".join(f"{share:.1%} {part}" for part, share in result.parts.items())
    return [f"classes by {result.neighbours} neighbours in each modality: {told} of the labelled pairs"]


def _better(result: TrainResult) -> Words:
    """Whether it got better, held against the model that it began with."""
    before, after = result.start, result.kept
    if before is None or after is None:
        return ["no validation: the last epoch is kept"]
    rows = [
        ["R@1 in %, image to caption", f"{before.i2t_r1:.1f}", f"{after.i2t_r1:.1f}"],
        ["R@1 in %, caption to image", f"{before.t2i_r1:.1f}", f"{after.t2i_r1:.1f}"],
        ["rSum of 600", f"{before.rsum:.1f}", f"{after.rsum:.1f}"],
    ]
    better = after.rsum > before.rsum
    if result.start_map is not None and result.kept_map is not None:  # by class that decides
        rows.append(["MAP by class, both directions", f"{result.start_map:.3f}", f"{result.kept_map:.3f}"])
        better = result.kept_map > result.start_map
    title = f"on {counted(result.val_pairs, 'validation pair')}"
    return [Table(title, ["", "start", "kept"], rows), *([] if better else [NO_BETTER])]
