"""`ncaudit train`: a matcher from pairs weighted by their soft labels, as towers on images or heads on embeddings."""

from typing import Annotated

import typer

from ncaudit import objectives
from ncaudit.cli.shared import flags, live, output
from ncaudit.cli.shared.given import checked
from ncaudit.engines.ranks import launched
from ncaudit.options import HeadKind, HeadStart, Loss, TrainingRecipe, TrainOptions


def train(
    out: Annotated[str, typer.Option(help="Folder for the matcher; rerunning the same command resumes in it.")],
    tune: Annotated[
        str,
        typer.Option(
            help="towers: a whole model, on --data. last:N: of each tower the last N blocks (of a ResNet or ConvNeXt: "
            "stages) and what follows them. heads: projections, on --embeddings as they are."
        ),
    ] = TrainOptions.tune,
    data: Annotated[
        list[str] | None, typer.Option(help="For towers: the dataset, files, folders, globs (repeatable).")
    ] = None,
    embeddings: Annotated[
        list[str] | None, typer.Option(help="For heads: what `ncaudit embed` wrote, or any such tables (repeatable).")
    ] = None,
    scores: Annotated[
        list[str] | None,
        typer.Option(help="Score tables of the same pairs, from `ncaudit score` (repeatable); without, labels are 1."),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Column of the score tables that weights a pair: in [0, 1], or boolean; by default soft_label. "
            "Without --scores a column of the dataset, for heads of the embedding tables. For "
            f"{' and '.join(objectives.by_class.names())}: the class column, of text, whole numbers or lists, of the "
            "embedding tables; for towers of the dataset, else of the score tables; no default."
        ),
    ] = TrainOptions.label_column,
    recipe: Annotated[
        TrainingRecipe,
        typer.Option(
            help="simple: learn with the labels given. bicro, for heads: two networks find the noise for each other, "
            "without scores; OUT is both."
        ),
    ] = TrainOptions.recipe,
    objective: Annotated[
        str | None,
        typer.Option(
            help=f"How labels enter the loss: {', '.join(objectives.names())}; infonce and cmp ignore them, "
            f"{' and '.join(objectives.by_class.names())} learn noisy classes, and look at all pairs where an epoch "
            "begins: for towers one more forward pass; by default weighted-infonce, for the recipe bicro bicro."
        ),
    ] = TrainOptions.objective,
    margin: Annotated[
        float | None,
        typer.Option(
            help="How far pairs are to lead others, above 0, at most 2. Objective bicro, of a pair with label 1: by "
            "default 0.2; cmp, nirnl, and cross-entropy with a --cmp-weight: 0.9."
        ),
    ] = TrainOptions.margin,
    margin_base: Annotated[
        float | None,
        typer.Option(help="Objective bicro: how late the margin rises with the label, above 1; by default 10."),
    ] = TrainOptions.margin_base,
    spread: Annotated[
        str | None,
        typer.Option(help="Objective soft-infonce: where 1 - label goes, uniform (default) or similarity."),
    ] = TrainOptions.spread,
    drop_below: Annotated[
        float | None,
        typer.Option(help="Objective drop: pairs with smaller labels are left out, 0 to 1; by default 0.5."),
    ] = TrainOptions.drop_below,
    cmp_weight: Annotated[
        float | None,
        typer.Option(
            help="Class objectives: weight of cmp's margin beside the classes' loss, 0 or more; nirnl 0.9, "
            "cross-entropy 0."
        ),
    ] = TrainOptions.cmp_weight,
    class_temperature: Annotated[
        float | None,
        typer.Option(
            help="Class objectives: classes are the softmax of cosine / this, 0.001 to 10; by default 0.5; the "
            "paper's is 1."
        ),
    ] = TrainOptions.class_temperature,
    pseudo_label: Annotated[
        str | None,
        typer.Option(
            help="Objective nirnl: the class that a noisy pair learns instead of its own: what its neighbours and the "
            "audit of classes believe (neighbours, the default), or what prediction says."
        ),
    ] = TrainOptions.pseudo_label,
    neighbours: Annotated[
        int | None,
        typer.Option(
            help="Objective nirnl: how many vote for a pair's class in each modality, 1 or more; by default chosen "
            "from the data; 10 is the paper's."
        ),
    ] = TrainOptions.neighbours,
    relabel_every: Annotated[
        int | None,
        typer.Option(
            help="For heads: new labels after so many epochs, 1 or more, by two networks that each learn from half of "
            "the photos and judge the other half; three times the work; by default never."
        ),
    ] = TrainOptions.relabel_every,
    split_loss: Annotated[
        Loss,
        typer.Option(help="Recipe bicro: the loss that tells trusted pairs from noisy ones; ranking is the paper's."),
    ] = TrainOptions.split_loss,
    warmup_epochs: Annotated[
        int | None,
        typer.Option(help="Recipe bicro: epochs that learn from small-loss pairs only, 0 or more; by default a fifth."),
    ] = TrainOptions.warmup_epochs,
    warmup_keep: Annotated[
        float, typer.Option(help="Recipe bicro: share of each batch that the warm-up keeps, above 0, at most 1.")
    ] = TrainOptions.warmup_keep,
    split_threshold: Annotated[
        float, typer.Option(help="Recipe bicro: P(clean) above which a pair is trusted, 0 to below 1.")
    ] = TrainOptions.split_threshold,
    noisy_from: Annotated[
        float,
        typer.Option(help="Recipe bicro: share of the epochs after which noisy pairs join; 0 to 1; at 1 never."),
    ] = TrainOptions.noisy_from,
    anchor_k: Annotated[
        int, typer.Option(help="Recipe bicro: anchors per direction behind a noisy pair's label, 1 (paper) or more.")
    ] = TrainOptions.anchor_k,
    head: Annotated[
        HeadKind | None,
        typer.Option(
            help="For heads: a linear map, or an mlp: that map plus a small network; by default linear, for "
            "nirnl and cross-entropy mlp."
        ),
    ] = TrainOptions.head,
    head_start: Annotated[
        HeadStart,
        typer.Option(
            help="For heads: identity begins at the cosine of the embeddings; cca finds a common space for unaligned "
            "ones; auto takes identity where they share one."
        ),
    ] = TrainOptions.head_start,
    dims: Annotated[
        int | None,
        typer.Option(
            help="For heads: of the common space of cca; by default 128; identity keeps the embeddings' width."
        ),
    ] = TrainOptions.dims,
    hidden: Annotated[
        int | None,
        typer.Option(help="For heads: width of the mlp's hidden layer; by default 1024."),
    ] = TrainOptions.hidden,
    features: flags.Features = TrainOptions.features,
    model: flags.Model = TrainOptions.model,
    pretrained: flags.Pretrained = TrainOptions.pretrained,
    train_batchnorm: Annotated[
        bool,
        typer.Option("--train-batchnorm", help="For towers: let BatchNorm statistics move; frozen by default."),
    ] = TrainOptions.train_batchnorm,
    image_column: flags.ImageColumn = None,
    caption_column: flags.CaptionColumn = None,
    caption_lines: flags.CaptionLines = TrainOptions.caption_lines,
    key: flags.Key = None,
    image_root: flags.ImageRoot = None,
    max_image_pixels: flags.MaxImagePixels = TrainOptions.max_image_pixels,
    max_row_bytes: flags.MaxRowBytes = TrainOptions.max_row_bytes,
    workers: flags.Workers = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training pairs, 1 or more; towers 8, heads 20 (both recipes), by class 40."),
    ] = TrainOptions.epochs,
    batch_pairs: Annotated[
        int | None,
        typer.Option(
            help="Pairs per step, 2 or more; a pair's negatives are the others of its batch; towers 128, heads 1024, "
            "512 for the recipe bicro, by class 128. "
            "Under torchrun the batch of all processes together, a multiple of their number."
        ),
    ] = TrainOptions.batch_pairs,
    chunk_pairs: Annotated[
        int | None,
        typer.Option(
            help="Pairs of a batch in memory at a time, 1 or more: the same gradients as without, for one more forward "
            "pass; by default the whole batch."
        ),
    ] = TrainOptions.chunk_pairs,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="AdamW's peak, above 0; a cosine takes it to 0; towers 1e-5, heads 1e-3, 2e-4 for the recipe bicro, "
            "by class 0.03."
        ),
    ] = TrainOptions.learning_rate,
    weight_decay: Annotated[
        float,
        typer.Option(help="AdamW's, 0 or more; never on biases, norms and the temperature."),
    ] = TrainOptions.weight_decay,
    warmup_share: Annotated[
        float,
        typer.Option(help="Share of all steps in which the learning rate rises, 0 to 1."),
    ] = TrainOptions.warmup_share,
    clip_norm: Annotated[
        float, typer.Option(help="Longer gradients are shortened to this length, above 0.")
    ] = TrainOptions.clip_norm,
    seed: flags.Seed = TrainOptions.seed,
    val_share: Annotated[
        float,
        typer.Option(
            help="Share of the photos held out to validate on, 0 to below 1; 0: none, the last epoch is kept."
        ),
    ] = TrainOptions.val_share,
    val_data: Annotated[
        list[str] | None,
        typer.Option(
            help="Pairs of their own to validate on, images for towers, embedding tables for heads; then nothing is "
            "held out (repeatable)."
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after so many epochs in a row without a better rSum, 1 or more; by default never."),
    ] = TrainOptions.patience,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write event files in OUT/tensorboard.")
    ] = TrainOptions.tensorboard,
    device: flags.Device = TrainOptions.device,
    precision: flags.PrecisionFlag = TrainOptions.precision,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard what an earlier run of train left in --out; see --overwrite.")
    ] = False,
    overwrite: flags.Overwrite = TrainOptions.overwrite,
    as_json: flags.Json = False,
) -> None:
    """Train a matcher on pairs weighted by soft label.

    The folder OUT is then a model for every command, and for open_clip where towers were tuned. Rerun the same command
    to resume. Several GPUs: torchrun --nproc-per-node N -m ncaudit train …
    """
    options = TrainOptions(
        out=out, tune=tune, data=data, embeddings=embeddings, features=features, scores=scores,
        label_column=label_column,
        objective=objective, epochs=epochs, batch_pairs=batch_pairs, learning_rate=learning_rate,
        weight_decay=weight_decay, warmup_share=warmup_share, clip_norm=clip_norm, seed=seed, val_share=val_share,
        val_data=val_data, head=head, head_start=head_start, dims=dims, hidden=hidden, model=model,
        pretrained=pretrained, train_batchnorm=train_batchnorm, image_column=image_column,
        caption_column=caption_column, caption_lines=caption_lines, key=key, image_root=image_root,
        max_image_pixels=max_image_pixels, max_row_bytes=max_row_bytes, workers=workers, device=device,
        precision=precision, restart=restart, overwrite=overwrite, chunk_pairs=chunk_pairs,
        margin=margin, margin_base=margin_base, spread=spread, drop_below=drop_below,
        patience=patience, tensorboard=tensorboard, recipe=recipe, relabel_every=relabel_every,
        warmup_epochs=warmup_epochs, warmup_keep=warmup_keep, split_threshold=split_threshold, noisy_from=noisy_from,
        anchor_k=anchor_k, split_loss=split_loss, cmp_weight=cmp_weight, class_temperature=class_temperature,
        pseudo_label=pseudo_label, neighbours=neighbours,
    )  # fmt: skip
    checked(options)
    from ncaudit.cli.words.train import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.train.train import train as run

    with live.progress() as progress:
        trained = run(options, progress)
    if launched().is_first:
        output.result(trained, lines(trained), as_json=as_json)
