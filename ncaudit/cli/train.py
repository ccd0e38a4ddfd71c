"""`ncaudit train`: fine-tune a matcher on pairs weighted by their soft labels."""

from typing import Annotated

import typer

from ncaudit.cli import flags, output
from ncaudit.options import TrainOptions


def train(
    scores: Annotated[list[str], typer.Option(help="Score tables: what `ncaudit score` wrote (repeatable).")],
    data: Annotated[list[str], typer.Option(help="The dataset that was scored: files, folders, globs (repeatable).")],
    out: Annotated[str, typer.Option(help="Folder for the matcher; rerunning the same command resumes in it.")],
    model: flags.Model = TrainOptions.model,
    pretrained: flags.Pretrained = TrainOptions.pretrained,
    objective: Annotated[
        str, typer.Option(help="weighted-infonce, or infonce: the baseline that trusts every pair alike.")
    ] = TrainOptions.objective,
    label_column: Annotated[
        str, typer.Option(help="Column of the score tables that weights a pair: in [0, 1], or boolean.")
    ] = TrainOptions.label_column,
    epochs: Annotated[int, typer.Option(help="Passes over the training pairs, 1 or more.")] = TrainOptions.epochs,
    batch_pairs: Annotated[
        int, typer.Option(help="Pairs per step, 2 or more; each pair's negatives are the others of its batch.")
    ] = TrainOptions.batch_pairs,
    learning_rate: Annotated[
        float, typer.Option(help="AdamW's peak, above 0; a cosine takes it to 0.")
    ] = TrainOptions.learning_rate,
    weight_decay: Annotated[
        float, typer.Option(help="AdamW's, 0 or more; never on biases, norms and the temperature.")
    ] = TrainOptions.weight_decay,
    warmup_share: Annotated[
        float, typer.Option(help="Share of all steps in which the learning rate rises, 0 to 1.")
    ] = TrainOptions.warmup_share,
    clip_norm: Annotated[
        float, typer.Option(help="Longer gradients are shortened to this length, above 0.")
    ] = TrainOptions.clip_norm,
    train_batchnorm: Annotated[
        bool, typer.Option("--train-batchnorm", help="Let BatchNorm statistics move; frozen by default.")
    ] = TrainOptions.train_batchnorm,
    val_share: Annotated[
        float,
        typer.Option(
            help="Share of the photos held out to validate on, 0 to below 1; 0: none, the last epoch is kept."
        ),
    ] = TrainOptions.val_share,
    val_data: Annotated[
        list[str] | None,
        typer.Option(help="A dataset of its own to validate on; then nothing is held out (repeatable)."),
    ] = None,
    image_column: flags.ImageColumn = None,
    caption_column: flags.CaptionColumn = None,
    key: flags.Key = None,
    image_root: flags.ImageRoot = None,
    max_image_pixels: flags.MaxImagePixels = TrainOptions.max_image_pixels,
    seed: flags.Seed = TrainOptions.seed,
    device: flags.Device = TrainOptions.device,
    precision: flags.PrecisionFlag = TrainOptions.precision,
    workers: flags.Workers = None,
    restart: Annotated[bool, typer.Option("--restart", help="Discard what an earlier run left in --out.")] = False,
    as_json: flags.Json = False,
) -> None:
    """Fine-tune a model on pairs weighted by soft label.

    The folder OUT is then a model for every command, and for open_clip. Rerun the same command to resume.
    """
    options = TrainOptions(
        scores=scores, data=data, out=out, model=model, pretrained=pretrained, objective=objective,
        label_column=label_column, epochs=epochs, batch_pairs=batch_pairs, learning_rate=learning_rate,
        weight_decay=weight_decay, warmup_share=warmup_share, clip_norm=clip_norm, train_batchnorm=train_batchnorm,
        val_share=val_share, val_data=val_data, image_column=image_column, caption_column=caption_column, key=key,
        image_root=image_root, max_image_pixels=max_image_pixels, seed=seed, device=device, precision=precision,
        workers=workers, restart=restart,
    )  # fmt: skip
    from ncaudit.verbs.train import train as run  # torch takes seconds to import; --help must not pay for it

    with output.progress() as progress:
        trained = run(options, progress)
    output.result(trained, trained.lines() + output.accounting(trained.accounting), as_json=as_json)
