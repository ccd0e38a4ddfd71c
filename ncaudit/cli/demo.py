"""`ncaudit demo`: the main job on the sample that ships with ncaudit."""

from typing import TYPE_CHECKING, Annotated

import typer

from ncaudit.cli.shared import flags, output
from ncaudit.options import DemoOptions

if TYPE_CHECKING:
    from ncaudit.verbs.demo import DemoResult

WHAT = {
    "start": "the weak model that scored the pairs",
    "plain": "fine-tuned on all pairs alike",
    "soft": "fine-tuned on pairs weighted by soft label",
    "oracle": "fine-tuned on the pairs known to match",
}


def demo(
    out: Annotated[str, typer.Option(help="Folder for everything the demo makes.")] = DemoOptions.out,
    seed: flags.Seed = DemoOptions.seed,
    device: flags.Device = DemoOptions.device,
    workers: flags.Workers = None,
    as_json: flags.Json = False,
) -> None:
    """Run the whole job on the sample that comes with ncaudit.

    Embeds, scores, trains and evaluates on 2,000 made-up pairs, 30 % of them noisy; about two minutes on two cores.
    """
    options = DemoOptions(out=out, seed=seed, device=device, workers=workers)
    from ncaudit.verbs.demo import demo as run  # torch takes seconds to import; --help must not pay for it

    with output.progress() as progress:
        result = run(options, progress)
    if not as_json:
        _draw(result)
    output.result(result, [f"{result.seconds:.0f} s; everything is in {result.out}"], as_json=as_json)


def _draw(result: "DemoResult") -> None:
    rows = [
        [WHAT[name], *(f"{value:.1f}" for value in (r.i2t_r1, r.t2i_r1, r.i2t_r10, r.t2i_r10))]
        for name, r in result.retrieval.items()
    ]
    title = "Recall on 1,000 clean held-out pairs, in %"
    output.table(title, ["matcher", "image>text R@1", "text>image R@1", "image>text R@10", "text>image R@10"], rows)
    found = ", ".join(f"{name} {part.auroc:.3f}" for name, part in result.detection.items())
    output.result(None, ["", f"AUROC of finding the mismatched pairs: {found}"], as_json=False)
