"""ncaudit audits and cleans noisy correspondence in image-text datasets.

The verbs are plain functions, options in and one result out, and are loaded when first used, so that
`import ncaudit` costs no torch:

    import ncaudit
    ncaudit.embed("data/", out="embeddings")
    ncaudit.score("embeddings", out="scores", check=False)

For arrays already in memory: `ncaudit.soft_labels(image, text)`. A verb tells nothing while it works, unless asked:

    with ncaudit.live_progress() as progress:
        ncaudit.score(ncaudit.ScoreOptions(embeddings=["embeddings"], out="scores"), progress)

What a verb would do, without doing it: `ncaudit.plan(options)`.
"""

# Made by docs/make_stub.py: change that, or the options, and run it.
from collections.abc import Sequence
from os import PathLike
from typing import Literal, overload

from ncaudit import errors as errors
from ncaudit import options as options
from ncaudit.cli.shared.live import live_progress as live_progress
from ncaudit.errors import NcauditError as NcauditError
from ncaudit.judging.in_memory.soft_labels import soft_labels as soft_labels
from ncaudit.options import AuditOptions as AuditOptions
from ncaudit.options import BenchOptions as BenchOptions
from ncaudit.options import CorruptOptions as CorruptOptions
from ncaudit.options import DemoOptions as DemoOptions
from ncaudit.options import EmbedOptions as EmbedOptions
from ncaudit.options import EvalRetrievalOptions as EvalRetrievalOptions
from ncaudit.options import EvalScoresOptions as EvalScoresOptions
from ncaudit.options import FilterOptions as FilterOptions
from ncaudit.options import InspectOptions as InspectOptions
from ncaudit.options import LabelsOptions as LabelsOptions
from ncaudit.options import ReportOptions as ReportOptions
from ncaudit.options import SampleOptions as SampleOptions
from ncaudit.options import ScoreOptions as ScoreOptions
from ncaudit.options import ScorerOptions as ScorerOptions
from ncaudit.options import ShowOptions as ShowOptions
from ncaudit.options import StatusOptions as StatusOptions
from ncaudit.options import TrainOptions as TrainOptions
from ncaudit.options.corrupt import CorruptKind
from ncaudit.options.embed import Layout
from ncaudit.options.filter import FilterForm
from ncaudit.options.scoring import Align
from ncaudit.options.scoring import Correlation
from ncaudit.options.scoring import Loss
from ncaudit.options.scoring import Mixture
from ncaudit.options.scoring import Siblings
from ncaudit.options.scoring import Variant
from ncaudit.options.shared.common import Precision
from ncaudit.options.shared.engines import EngineKind
from ncaudit.options.shared.streams import StreamFormat
from ncaudit.options.show import Against
from ncaudit.options.show import Reason
from ncaudit.options.train import HeadKind
from ncaudit.options.train import HeadStart
from ncaudit.options.train import Negatives
from ncaudit.options.train import TrainingRecipe
from ncaudit.planned import Plan as Plan
from ncaudit.progress import Progress
from ncaudit.verbs.audit.audit import AuditResult
from ncaudit.verbs.bench import BenchResult
from ncaudit.verbs.corrupt.captions import CorruptResult
from ncaudit.verbs.corrupt.classes import CorruptLabelsResult
from ncaudit.verbs.demo import DemoResult
from ncaudit.verbs.embed.embed import EmbedResult
from ncaudit.verbs.evaluate.retrieval import RetrievalResult
from ncaudit.verbs.evaluate.scores import ScoresResult
from ncaudit.verbs.filter.filter import FilterResult
from ncaudit.verbs.inspect.findings import Inspection
from ncaudit.verbs.labels.labels import LabelsResult
from ncaudit.verbs.plan import plan as plan
from ncaudit.verbs.report.report import ReportResult
from ncaudit.verbs.sample import SampleResult
from ncaudit.verbs.score.score import ScoreResult
from ncaudit.verbs.show.show import ShowResult
from ncaudit.verbs.status import StatusResult
from ncaudit.verbs.train.train import TrainResult

__version__: str
_Path = str | PathLike[str]


@overload
def audit(options: AuditOptions, progress: Progress | bool | None = None) -> AuditResult: ...
@overload
def audit(
    sources: _Path | Sequence[_Path],
    *,
    out: _Path,
    image_column: str | None = None,
    caption_column: str | None = None,
    caption_lines: bool = False,
    key: str | None = None,
    image_root: _Path | None = None,
    max_image_pixels: int = 100000000,
    max_row_bytes: int = 67108864,
    refit: bool = False,
    overwrite: bool = False,
    columns: str | Sequence[str] | None = None,
    prune: bool = False,
    model: _Path = 'ViT-B-32',
    pretrained: _Path | None = None,
    scorer: str = 'bicro',
    verdicts: _Path | Sequence[_Path] | None = None,
    check: bool = True,
    suggest: bool = False,
    stratify: str = 'auto',
    noisy_precision: float | None = None,
    label_column: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    devices: str | Sequence[str] | None = None,
    device: str = 'auto',
    batch_pairs: int | None = None,
    precision: Literal['auto', 'float32', 'bfloat16'] | Precision = 'auto',
    engine: Literal['local', 'ray'] | EngineKind = 'local',
    ray_address: str = 'auto',
    actors: int | None = None,
    gpus_per_actor: float | None = None,
    seed: int = 0,
    max_failed: float = 1.0,
    progress: Progress | bool | None = None,
) -> AuditResult:
    """Embed, score, judge classes (with `label_column`) and report; a rerun resumes, and ends in the same files.

    Raises NcauditError before any work where some step could not write its files, and as the steps do.

    Parameters, or one AuditOptions:
        sources: one str or a sequence of them; required
            Files with images and captions (parquet, tar, Arrow, JSON lines, CSV, TSV), folders of them,
            globs, or addresses (s3://, gs://, hf://). Give - for a stream on standard input.
        image_column: str or None; default None
            Column with the image: its bytes, a path to a file, or a struct of both. By default it is
            found.
        caption_column: str or None; default None
            Column with the caption; COLUMN.FIELD for a field of a struct. By default it is found.
        caption_lines: bool; default False
            Take each line of a caption as a caption of its own, so that an image has several.
        key: str or None; default None
            Column that names a pair. By default a key column without repeats, else the shard and the
            row; '' always takes the shard and the row.
        image_root: str or None; default None
            Folder from which relative paths of images start. By default the shard's own; for standard
            input the working folder.
        max_image_pixels: int; default 100000000
            Refuse images of more pixels than this, before they are decoded; 1 or more.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        out: str; required
            Folder for all that is made: embeddings/, scores/, labels/ and report.html.
        refit: bool; default False
            Fit anew: score all pairs and judge all classes again. Embeddings are kept.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        columns: one str or a sequence of them or None; default None
            Column of the input to carry along; images and nested data are none. By default all of them.
        prune: bool; default False
            Remove those tables in `out` that this command wrote and whose input is gone.
        model: str; default 'ViT-B-32'
            A model of open_clip by its name, hf-hub:NAME, local-dir:PATH, or a folder that `ncaudit
            train` wrote.
        pretrained: str or None; default None
            open_clip's tag of the weights, or a file of weights. By default laion2b_s34b_b79k; hf-hub:
            and model folders have their own. With heads: where the encoder behind them is now, if it
            was moved.
        scorer: str; default 'bicro'
            How to score a pair; `ncaudit scorers` lists the scorers. Give auto for the best one on
            these data.
        verdicts: one str or a sequence of them or None; default None
            File of people's judgements (pair_id and is_match; see `ncaudit sample`), which correct the
            labels and the rate. Repeat it with a file for each judge: how far they agree is told, and
            what they dispute counts as "cannot tell".
        check: bool; default True
            Measure the audit's own power on these data, for which no labels are needed.
        suggest: bool; default False
            Look for a better caption, among those of the clean pairs, for every noisy pair.
        stratify: str; default 'auto'
            Calibrate each source for itself: auto (by shards, else by clusters of images), none, or a
            column of the tables.
        noisy_precision: float or None; default None
            Call so few pairs noisy that this share of them are mismatches, above 0 to 1. By default
            pairs with a soft label below 0.5 are noisy.
        label_column: str or None; default None
            Column with classes, of text, whole numbers or lists of them: they are judged, too.
        workers: int or None; default None
            Processes that decode images, 0 or more; 0 decodes in the main process. By default one per
            core, or as many as `threads`, at most 16.
        threads: int or None; default None
            Threads that compute, 1 or more. By default one per core that this process may use;
            OMP_NUM_THREADS is an upper bound of that. What is written does not depend on it; `ncaudit
            train` records it.
        devices: one str or a sequence of them or None; default None
            Several devices instead of `device`, with commas between and a process for each:
            cuda:0,cuda:1, or all for every GPU. They take shards in turn and share `workers`.
        device: str; default 'auto'
            Where to compute: auto, cpu, cuda, cuda:1, and so on; auto takes a GPU where there is one.
        batch_pairs: int or None; default None
            Pairs that the model takes at once, 1 or more. By default found once, and kept in _run.json.
        precision: Precision; default 'auto'
            What the model computes in: float32, bfloat16, or auto, which takes bfloat16 where that is
            faster.
        engine: EngineKind; default 'local'
            Of a Ray cluster: Who does the shards: local, which is this machine, or ray, a Ray cluster
            (pip install 'ncaudit[ray]').
        ray_address: str; default 'auto'
            Of a Ray cluster: The Ray cluster: auto, the one that this machine is part of; HOST:PORT of
            its head; or local, which starts one on this machine alone.
        actors: int or None; default None
            Of a Ray cluster: Processes on the cluster at one time, 1 or more. By default one per GPU
            that is used, else one per CPU.
        gpus_per_actor: float or None; default None
            Of a Ray cluster: GPUs of each process on the cluster, 0 or more; below 1 several share one.
            By default 1 for embed where the cluster has GPUs, else 0.
        seed: int; default 0
            Seed of every random choice, a whole number: the same seed gives the same result.
        max_failed: float; default 1.0
            Exit with 3 when more than this share of the rows failed, 0 to 1.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def bench(options: BenchOptions, progress: Progress | bool | None = None) -> BenchResult: ...
@overload
def bench(
    embeddings: _Path | Sequence[_Path],
    *,
    features: str | None = None,
    max_row_bytes: int = 67108864,
    out: _Path | None = None,
    overwrite: bool = False,
    scorers: str | Sequence[str] = ('bicro', 'csls', 'clip-score'),
    kinds: str | Sequence[str] = ('random', 'topic', 'near'),
    rates: float | Sequence[float] = (0.2, 0.4),
    seeds: int = 3,
    pairs: int = 4096,
    scorer: str = 'bicro',
    fit_pairs: int = 50000,
    stratify: str = 'auto',
    noisy_precision: float | None = None,
    variant: Literal['robust', 'paper', 'released'] | Variant = 'robust',
    k: int | None = None,
    align: Literal['auto', 'none', 'cca'] | Align = 'auto',
    siblings: Literal['auto', 'use', 'ignore'] | Siblings = 'auto',
    loss: Literal['ranking', 'infonce'] | Loss = 'infonce',
    mixture: Literal['beta', 'gaussian'] | Mixture = 'beta',
    anchor_threshold: float = 0.5,
    center: bool = True,
    max_anchors: int = 20000,
    bank_pairs: int = 1024,
    csls_k: int = 10,
    temperature: float | None = None,
    correlation: Literal['pearson', 'spearman'] | Correlation = 'pearson',
    threads: int | None = None,
    device: str = 'auto',
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> BenchResult:
    """Swap captions of a bounded sample, fit every scorer anew on it, and measure how well it finds the swapped ones.

    All scorers meet the same swaps; the pairs swapped at a lower rate are also swapped at a higher one. A scorer that
    cannot be had on these data is left out with a note. Raises NcauditError for an unknown scorer, when OUT exists,
    with fewer than 50 usable pairs, or when no run could be made.

    Parameters, or one BenchOptions:
        embeddings: one str or a sequence of them; required
            Embedding tables: what `ncaudit embed` wrote, or any tables that hold both embeddings.
        features: str or None; default None
            Which arrays of the .npz file beside a table are the embeddings, as in DataComp: NAME stands
            for NAME_img and NAME_txt. By default l14, or the only ones there are.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        out: str or None; default None
            Write every run as a row of NAME.csv, NAME.parquet or NAME.jsonl.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        scorers: one str or a sequence of them; default ('bicro', 'csls', 'clip-score')
            Scorer to compare; `ncaudit scorers` lists them.
        kinds: one str or a sequence of them; default ('random', 'topic', 'near')
            Which captions are swapped: any ones (random), those of the same cluster of images (topic),
            or those of the nearest images (near).
        rates: one float or a sequence of them; default (0.2, 0.4)
            Share of the pairs whose caption is swapped, above 0 and below 1.
        seeds: int; default 3
            Runs of each setting, from `seed` on; 1 or more.
        pairs: int; default 4096
            Pairs of the sample on which everything is measured, 50 or more.
        scorer: str; default 'bicro'
            How to score a pair; `ncaudit scorers` lists the scorers. Give auto for the best one on
            these data.
        fit_pairs: int; default 50000
            Pairs of the seeded sample on which everything global is fitted, 2 or more.
        stratify: str; default 'auto'
            Calibrate each source for itself: auto (by shards, else by clusters of images), none, or a
            column of the tables.
        noisy_precision: float or None; default None
            Call so few pairs noisy that this share of them are mismatches, above 0 to 1. By default
            pairs with a soft label below 0.5 are noisy.
        variant: Variant; default 'robust'
            Of scorer bicro: Whose BiCro: robust has many anchors and standardises, paper has the
            paper's distances, released the cosines of that paper's code.
        k: int or None; default None
            Of scorer bicro: Nearest anchors per direction, 1 or more. By default 5 or 10, chosen from
            the data; for the variants paper and released 1.
        align: Align; default 'auto'
            Of scorer bicro: Where image and caption are compared: cca learns a common space from the
            pairs, none takes the embeddings as they are, auto learns one where they share none.
        siblings: Siblings; default 'auto'
            Of scorer bicro: Whether several captions of one photo vouch for each other: use, ignore, or
            auto, where there are enough.
        loss: Loss; default 'infonce'
            Of scorer bicro: The loss of each pair that finds the anchors: infonce, or ranking, which is
            the paper's.
        mixture: Mixture; default 'beta'
            Of scorer bicro: The two components that are fitted to the losses: beta or gaussian.
        anchor_threshold: float; default 0.5
            Of scorer bicro: Pairs above this probability of being clean are anchors; 0 to below 1.
        center: bool; default True
            Of scorer bicro: Subtract each modality's mean before anchors are compared.
        max_anchors: int; default 20000
            Of scorer bicro: Anchors that are kept in the fit, 2 or more.
        bank_pairs: int; default 1024
            Of scorer bicro: Fixed negatives against which every pair's loss is measured, 2 or more.
        csls_k: int; default 10
            Of other scorers: Neighbours that measure how crowded a place is, for the scorer csls; 1 or
            more.
        temperature: float or None; default None
            Of other scorers: The model's temperature, for the scorers neg-clip-loss and ncr: 0.001 to
            10 (CLIP's is 0.01). By default the likeliest on these data.
        correlation: Correlation; default 'pearson'
            Of other scorers: How two rows of similarities are compared, for the scorer structure: by
            value (pearson) or by rank (spearman).
        threads: int or None; default None
            Threads that compute, 1 or more. By default one per core that this process may use;
            OMP_NUM_THREADS is an upper bound of that. What is written does not depend on it; `ncaudit
            train` records it.
        device: str; default 'auto'
            Where to compute: auto, cpu, cuda, cuda:1, and so on; auto takes a GPU where there is one.
        seed: int; default 0
            Seed of every random choice, a whole number: the same seed gives the same result.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def corrupt(options: CorruptOptions, progress: Progress | bool | None = None) -> CorruptResult: ...
@overload
def corrupt(
    sources: _Path | Sequence[_Path],
    *,
    out: _Path,
    rate: float,
    embeddings: _Path | Sequence[_Path] | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    caption_lines: bool = False,
    key: str | None = None,
    image_root: _Path | None = None,
    max_image_pixels: int = 100000000,
    max_row_bytes: int = 67108864,
    overwrite: bool = False,
    kind: Literal['shuffle', 'topic', 'near', 'paraphrase', 'word', 'half-truth', 'label-symmetric', 'label-asymmetric'] | CorruptKind = 'shuffle',
    clusters: int = 20,
    nearest: int = 10,
    label_column: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> CorruptResult:
    """Write the dataset again with `rate` of its captions changed and the columns is_match, caption_of, noise_type.

    is_match says that the caption is the row's own, or one of the same photo, or reads the same; what was wrong in the
    source it cannot know. The kinds word and half-truth change what a caption says: it stays the row's own, is_match is
    false, and the columns put_in, replaced, lent_by and share_right tell the change. Which rows and captions: a pure
    function of data, options and seed, not of the order in which shards are named. Raises NcauditError when nothing can
    be changed, the truth columns are already there, or the output would overwrite the input.

    Parameters, or one CorruptOptions:
        sources: one str or a sequence of them; required
            The dataset: parquet files, folders of them or globs. To change labels also embedding
            tables.
        embeddings: one str or a sequence of them or None; default None
            Embedding tables of this dataset, with which the kinds topic, near, half-truth and
            label-asymmetric measure what is near. By default the words of the captions, and for labels
            the order of the classes.
        image_column: str or None; default None
            Column with the image: its bytes, a path to a file, or a struct of both. By default it is
            found.
        caption_column: str or None; default None
            Column with the caption; COLUMN.FIELD for a field of a struct. By default it is found.
        caption_lines: bool; default False
            Take each line of a caption as a caption of its own, so that an image has several.
        key: str or None; default None
            Column that names a pair. By default a key column without repeats, else the shard and the
            row; '' always takes the shard and the row.
        image_root: str or None; default None
            Folder from which relative paths of images start. By default the shard's own; for standard
            input the working folder.
        max_image_pixels: int; default 100000000
            Refuse images of more pixels than this, before they are decoded; 1 or more.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        out: str; required
            Folder for the corrupted dataset and its truth.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        rate: float; required
            Share of the pairs with a caption whose caption changes, 0 to 1; of the label kinds, of the
            pairs with a label whose label changes.
        kind: CorruptKind; default 'shuffle'
            Which captions are swapped: any (shuffle), those of the same cluster of images (topic), one
            of the nearest (near), or, as a control that makes nothing wrong, those of the same photo
            (paraphrase). Or what captions say: one word is exchanged for another as frequent (word), or
            a phrase of a near caption is put behind (half-truth). Or which labels change: to any class
            (label-symmetric), or each class to one other (label-asymmetric).
        clusters: int; default 20
            Clusters of similar images for the kind topic, 1 or more.
        nearest: int; default 10
            How many of the nearest captions the kinds near and half-truth take one from, 1 or more.
        label_column: str or None; default None
            Column with the class, or a list of classes, of each pair: what the label kinds change.
        threads: int or None; default None
            Threads that compute, 1 or more. By default one per core that this process may use;
            OMP_NUM_THREADS is an upper bound of that. What is written does not depend on it; `ncaudit
            train` records it.
        seed: int; default 0
            Seed of every random choice, a whole number: the same seed gives the same result.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def corrupt_labels(options: CorruptOptions, progress: Progress | bool | None = None) -> CorruptLabelsResult: ...
@overload
def corrupt_labels(
    sources: _Path | Sequence[_Path],
    *,
    out: _Path,
    rate: float,
    embeddings: _Path | Sequence[_Path] | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    caption_lines: bool = False,
    key: str | None = None,
    image_root: _Path | None = None,
    max_image_pixels: int = 100000000,
    max_row_bytes: int = 67108864,
    overwrite: bool = False,
    kind: Literal['shuffle', 'topic', 'near', 'paraphrase', 'word', 'half-truth', 'label-symmetric', 'label-asymmetric'] | CorruptKind = 'shuffle',
    clusters: int = 20,
    nearest: int = 10,
    label_column: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> CorruptLabelsResult:
    """Write the dataset again with labels changed in `rate` of the labelled rows, and three columns with the truth.

    The dataset may be raw or embedding tables; captions and images stay as they are. A row that is chosen has one of
    its labels replaced. label-symmetric: by a class drawn from all classes, the old one included, as the literature
    has it: about rate * (1 - 1/classes) of the labels end up wrong. label-asymmetric: by the one class that the old
    one is always confused with: the class with the nearest mean embedding (image and caption side by side) where the
    dataset is embedding tables or `embeddings` are given, else the next class in order, the first after the last.
    A label that the row has already is not given to it twice. The real rate is in the result.
    true_label: the value as it was. label_is_right: whether it is the same now, null where there is none. Nulls and
    empty lists stay. Which rows and classes: a pure function of data, options and seed. Raises NcauditError with fewer
    than two classes, or when a truth column is there already or the output would overwrite the input.

    Parameters, or one CorruptOptions:
        sources: one str or a sequence of them; required
            The dataset: parquet files, folders of them or globs. To change labels also embedding
            tables.
        embeddings: one str or a sequence of them or None; default None
            Embedding tables of this dataset, with which the kinds topic, near, half-truth and
            label-asymmetric measure what is near. By default the words of the captions, and for labels
            the order of the classes.
        image_column: str or None; default None
            Column with the image: its bytes, a path to a file, or a struct of both. By default it is
            found.
        caption_column: str or None; default None
            Column with the caption; COLUMN.FIELD for a field of a struct. By default it is found.
        caption_lines: bool; default False
            Take each line of a caption as a caption of its own, so that an image has several.
        key: str or None; default None
            Column that names a pair. By default a key column without repeats, else the shard and the
            row; '' always takes the shard and the row.
        image_root: str or None; default None
            Folder from which relative paths of images start. By default the shard's own; for standard
            input the working folder.
        max_image_pixels: int; default 100000000
            Refuse images of more pixels than this, before they are decoded; 1 or more.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        out: str; required
            Folder for the corrupted dataset and its truth.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        rate: float; required
            Share of the pairs with a caption whose caption changes, 0 to 1; of the label kinds, of the
            pairs with a label whose label changes.
        kind: CorruptKind; default 'shuffle'
            Which captions are swapped: any (shuffle), those of the same cluster of images (topic), one
            of the nearest (near), or, as a control that makes nothing wrong, those of the same photo
            (paraphrase). Or what captions say: one word is exchanged for another as frequent (word), or
            a phrase of a near caption is put behind (half-truth). Or which labels change: to any class
            (label-symmetric), or each class to one other (label-asymmetric).
        clusters: int; default 20
            Clusters of similar images for the kind topic, 1 or more.
        nearest: int; default 10
            How many of the nearest captions the kinds near and half-truth take one from, 1 or more.
        label_column: str or None; default None
            Column with the class, or a list of classes, of each pair: what the label kinds change.
        threads: int or None; default None
            Threads that compute, 1 or more. By default one per core that this process may use;
            OMP_NUM_THREADS is an upper bound of that. What is written does not depend on it; `ncaudit
            train` records it.
        seed: int; default 0
            Seed of every random choice, a whole number: the same seed gives the same result.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def demo(options: DemoOptions, progress: Progress | bool | None = None) -> DemoResult: ...
@overload
def demo(
    *,
    out: _Path = 'ncaudit-demo',
    overwrite: bool = False,
    fast: bool = False,
    device: str = 'auto',
    workers: int | None = None,
    threads: int | None = None,
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> DemoResult:
    """Audit, train three times (unless `fast`) and evaluate; all is kept below `options.out`, and a rerun resumes.

    Parameters, or one DemoOptions:
        out: str; default 'ncaudit-demo'
            Folder for everything the demo makes.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        fast: bool; default False
            Audit the sample and leave out the trainings: done in half a minute.
        device: str; default 'auto'
            Where to compute: auto, cpu, cuda, cuda:1, and so on; auto takes a GPU where there is one.
        workers: int or None; default None
            Processes that decode images, 0 or more; 0 decodes in the main process. By default one per
            core, or as many as `threads`, at most 16.
        threads: int or None; default None
            Threads that compute, 1 or more. By default one per core that this process may use;
            OMP_NUM_THREADS is an upper bound of that. What is written does not depend on it; `ncaudit
            train` records it.
        seed: int; default 0
            Seed of every random choice, a whole number: the same seed gives the same result.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def embed(options: EmbedOptions, progress: Progress | bool | None = None) -> EmbedResult: ...
@overload
def embed(
    sources: _Path | Sequence[_Path],
    *,
    out: _Path,
    image_column: str | None = None,
    caption_column: str | None = None,
    caption_lines: bool = False,
    key: str | None = None,
    image_root: _Path | None = None,
    max_image_pixels: int = 100000000,
    max_row_bytes: int = 67108864,
    overwrite: bool = False,
    layout: Literal['parquet', 'clip-retrieval'] | Layout = 'parquet',
    format: Literal['arrow', 'jsonl', 'csv'] | StreamFormat = 'arrow',
    csv_safe: bool = False,
    columns: str | Sequence[str] | None = None,
    prune: bool = False,
    model: _Path = 'ViT-B-32',
    pretrained: _Path | None = None,
    devices: str | Sequence[str] | None = None,
    workers: int | None = None,
    threads: int | None = None,
    device: str = 'auto',
    batch_pairs: int | None = None,
    precision: Literal['auto', 'float32', 'bfloat16'] | Precision = 'auto',
    slice: str | None = None,
    engine: Literal['local', 'ray'] | EngineKind = 'local',
    ray_address: str = 'auto',
    actors: int | None = None,
    gpus_per_actor: float | None = None,
    max_failed: float = 1.0,
    progress: Progress | bool | None = None,
) -> EmbedResult:
    """Write one embedding table per shard below `options.out`; finished ones stay as they are. Or one stream of rows.

    Raises NcauditError when no shard can be done at all: no such input, no columns, no model.

    Parameters, or one EmbedOptions:
        sources: one str or a sequence of them; required
            Files with images and captions (parquet, tar, Arrow, JSON lines, CSV, TSV), folders of them,
            globs, or addresses (s3://, gs://, hf://). Give - for a stream on standard input.
        image_column: str or None; default None
            Column with the image: its bytes, a path to a file, or a struct of both. By default it is
            found.
        caption_column: str or None; default None
            Column with the caption; COLUMN.FIELD for a field of a struct. By default it is found.
        caption_lines: bool; default False
            Take each line of a caption as a caption of its own, so that an image has several.
        key: str or None; default None
            Column that names a pair. By default a key column without repeats, else the shard and the
            row; '' always takes the shard and the row.
        image_root: str or None; default None
            Folder from which relative paths of images start. By default the shard's own; for standard
            input the working folder.
        max_image_pixels: int; default 100000000
            Refuse images of more pixels than this, before they are decoded; 1 or more.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        out: str; required
            A folder, here or in a store (s3://…): one table per shard, under the shard's own path (see
            `layout`). Or - for standard output.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        layout: Layout; default 'parquet'
            parquet: a table per shard with every row in it. clip-retrieval: img_emb/, text_emb/ and
            metadata/ with a partition per shard, for autofaiss, embedding-reader and clip-back; rows
            without embedding go to failed/.
        format: StreamFormat; default 'arrow'
            How `out` - writes rows: as arrow, jsonl or csv.
        csv_safe: bool; default False
            With `format` csv: put an apostrophe before every text cell and column name that begins with
            = + - @, a tab or a line break, so that no spreadsheet program runs it. Off by default, as
            it alters captions, URLs and ids.
        columns: one str or a sequence of them or None; default None
            Column of the input to carry along; images and nested data are none. By default all of them.
        prune: bool; default False
            Remove those tables in `out` that this command wrote and whose input is gone.
        model: str; default 'ViT-B-32'
            A model of open_clip by its name, hf-hub:NAME, local-dir:PATH, or a folder that `ncaudit
            train` wrote.
        pretrained: str or None; default None
            open_clip's tag of the weights, or a file of weights. By default laion2b_s34b_b79k; hf-hub:
            and model folders have their own. With heads: where the encoder behind them is now, if it
            was moved.
        devices: one str or a sequence of them or None; default None
            Several devices instead of `device`, with commas between and a process for each:
            cuda:0,cuda:1, or all for every GPU. They take shards in turn and share `workers`.
        workers: int or None; default None
            Processes that decode images, 0 or more; 0 decodes in the main process. By default one per
            core, or as many as `threads`, at most 16.
        threads: int or None; default None
            Threads that compute, 1 or more. By default one per core that this process may use;
            OMP_NUM_THREADS is an upper bound of that. What is written does not depend on it; `ncaudit
            train` records it.
        device: str; default 'auto'
            Where to compute: auto, cpu, cuda, cuda:1, and so on; auto takes a GPU where there is one.
        batch_pairs: int or None; default None
            Pairs that the model takes at once, 1 or more. By default found once, and kept in _run.json.
        precision: Precision; default 'auto'
            What the model computes in: float32, bfloat16, or auto, which takes bfloat16 where that is
            faster.
        slice: str or None; default None
            Do one part of the shards alone: I/N takes every N-th of the same list, I from 0; slurm
            takes the task of an array job. All parts write to one folder; `ncaudit status` tells when
            it is whole.
        engine: EngineKind; default 'local'
            Of a Ray cluster: Who does the shards: local, which is this machine, or ray, a Ray cluster
            (pip install 'ncaudit[ray]').
        ray_address: str; default 'auto'
            Of a Ray cluster: The Ray cluster: auto, the one that this machine is part of; HOST:PORT of
            its head; or local, which starts one on this machine alone.
        actors: int or None; default None
            Of a Ray cluster: Processes on the cluster at one time, 1 or more. By default one per GPU
            that is used, else one per CPU.
        gpus_per_actor: float or None; default None
            Of a Ray cluster: GPUs of each process on the cluster, 0 or more; below 1 several share one.
            By default 1 for embed where the cluster has GPUs, else 0.
        max_failed: float; default 1.0
            Exit with 3 when more than this share of the rows failed, 0 to 1.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def eval_retrieval(options: EvalRetrievalOptions, progress: Progress | bool | None = None) -> RetrievalResult: ...
@overload
def eval_retrieval(
    embeddings: _Path | Sequence[_Path],
    *,
    features: str | None = None,
    max_row_bytes: int = 67108864,
    model: _Path | None = None,
    label_column: str | None = None,
    map_at: int = 50,
    device: str = 'auto',
    threads: int | None = None,
    progress: Progress | bool | None = None,
) -> RetrievalResult:
    """Recall of captions by images and of images by captions, over all ok rows of the embedding tables.

    Rows with the same image_hash are one image with several captions, each of which is right. With a label column the
    result is a `LabelledRetrievalResult`: mean average precision too, over the rows that have a class, whatever pair
    they are of; the query's own pair stays in the gallery, as it is of the other modality (`class_retrievals`).
    Raises BadTable when the tables do not belong together, do not fit the heads, share no space or hold no ok row, or
    when the label column is missing, holds no class, or is of a type that holds none.

    Parameters, or one EvalRetrievalOptions:
        embeddings: one str or a sequence of them; required
            Embedding tables: what `ncaudit embed` wrote, or any tables that hold both embeddings.
        features: str or None; default None
            Which arrays of the .npz file beside a table are the embeddings, as in DataComp: NAME stands
            for NAME_img and NAME_txt. By default l14, or the only ones there are.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        model: str or None; default None
            Folder of heads (from `ncaudit train --tune heads`) through which the embeddings go before
            all else.
        label_column: str or None; default None
            Column with classes, of text, whole numbers or lists of them: adds the mean average
            precision.
        map_at: int; default 50
            Also tell the mean average precision of so many of the first items, 1 or more.
        device: str; default 'auto'
            Where to compute: auto, cpu, cuda, cuda:1, and so on; auto takes a GPU where there is one.
        threads: int or None; default None
            Threads that compute, 1 or more. By default one per core that this process may use;
            OMP_NUM_THREADS is an upper bound of that. What is written does not depend on it; `ncaudit
            train` records it.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def eval_scores(options: EvalScoresOptions, progress: Progress | bool | None = None) -> ScoresResult: ...
@overload
def eval_scores(
    scores: _Path | Sequence[_Path],
    *,
    truth_table: _Path | None = None,
    max_row_bytes: int = 67108864,
    truth: str | None = None,
    against: str | Sequence[str] = (),
    bins: int = 10,
    progress: Progress | bool | None = None,
) -> ScoresResult:
    """How well the score tables' columns find the pairs that the truth calls mismatched, and how they stand to others.

    With a truth the result is a `DetectionResult`. Memory: 8 bytes per ok row for each of score, soft_label and the
    columns compared, with a truth 9 more, and while one column is ranked some 60 bytes per row.
    Raises BadTable when there is no truth to be had, it is of another kind, a column is not there or is no number.

    Parameters, or one EvalScoresOptions:
        scores: one str or a sequence of them; required
            Score tables: what `ncaudit score` wrote.
        truth_table: str or None; default None
            Parquet or CSV file with pair_id and the `truth` column. By default the score tables have
            it.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        truth: str or None; default None
            Column that says whether image and caption belong together: boolean, 0 or 1, or true or
            false.
        against: one str or a sequence of them; default ()
            Column of numbers that the pairs came with, such as another score: tells how far it ranks
            the pairs as ours does, and on which they disagree. NAME means input_NAME too, the input's
            own column.
        bins: int; default 10
            Bins of the calibration error, of about equal numbers of pairs; 2 or more.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def filter_pairs(options: FilterOptions, progress: Progress | bool | None = None) -> FilterResult: ...
@overload
def filter_pairs(
    scores: _Path | Sequence[_Path],
    *,
    out: _Path,
    data: _Path | Sequence[_Path] | None = None,
    key: str | None = None,
    max_row_bytes: int = 67108864,
    write_as: Literal['rows', 'datacomp-uids', 'ids', 'weights'] | FilterForm = 'rows',
    dropped: _Path | None = None,
    overwrite: bool = False,
    repeat_by_weight: str | None = None,
    format: Literal['arrow', 'jsonl', 'csv'] | StreamFormat = 'arrow',
    csv_safe: bool = False,
    min_soft_label: float | None = None,
    verdict: Literal['clean', 'unsure', 'noisy'] | Sequence[Literal['clean', 'unsure', 'noisy']] | None = None,
    where: str | None = None,
    keep_share: float | None = None,
    keep_share_by: str | None = None,
    kept_precision: float | None = None,
    threads: int | None = None,
    slice: str | None = None,
    engine: Literal['local', 'ray'] | EngineKind = 'local',
    ray_address: str = 'auto',
    actors: int | None = None,
    gpus_per_actor: float | None = None,
    progress: Progress | bool | None = None,
) -> FilterResult:
    """Keep the pairs that every rule agrees on; a row whose status is not ok is dropped, with its status as the reason.

    Raises NcauditError when a rule needs a column that is not there, the dataset is not the one that was scored, or an
    output would be written over an input.

    Parameters, or one FilterOptions:
        scores: one str or a sequence of them; required
            Score tables, from `ncaudit score`; or - for a stream on standard input.
        data: one str or a sequence of them or None; default None
            The dataset that was scored: its rows are written, as they are, instead of the score
            tables'.
        key: str or None; default None
            With `data`: its column that holds the pair_ids, where it is not the file that was scored.
            With `write_as`: the column that is written; by default pair_id, for datacomp-uids uid.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        out: str; required
            Where the kept rows go: a folder (one file per shard), NAME.parquet (one table), or - for
            standard output.
        write_as: FilterForm; default 'rows'
            What is written: rows; datacomp-uids, a sorted NAME.npy of uids; ids, a text file with one
            per line; or weights, a NAME.parquet with key and soft label.
        dropped: str or None; default None
            Write what is dropped here, with the reason: a folder, or NAME.parquet if `out` is one file.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        repeat_by_weight: str or None; default None
            Column of whole numbers, for `write_as` datacomp-uids: each uid is written that many times.
        format: StreamFormat; default 'arrow'
            How `out` - writes rows: as arrow, jsonl or csv.
        csv_safe: bool; default False
            With `format` csv: put an apostrophe before every text cell and column name that begins with
            = + - @, a tab or a line break, so that no spreadsheet program runs it. Off by default, as
            it alters captions, URLs and ids.
        min_soft_label: float or None; default None
            Keep pairs with at least this soft label, 0 to 1.
        verdict: one str or a sequence of them or None; default None
            Keep pairs with this verdict: clean, unsure or noisy. Several: any of them.
        where: str or None; default None
            Keep pairs for which this holds, e.g. "width >= 200 and lang in ('en', 'de') and url is not
            null".
        keep_share: float or None; default None
            Keep this share of the ok pairs that pass the rules above, the best scores first; above 0 to
            1.
        keep_share_by: str or None; default None
            Keep that share of each value of this column, rounded down, so that rare values do not lose
            to common ones.
        kept_precision: float or None; default None
            Keep the most pairs whose mean soft label is at least this, above 0 to 1: their expected
            precision, as good as the labels are. Instead of `keep_share`.
        threads: int or None; default None
            Threads that compute, 1 or more. By default one per core that this process may use;
            OMP_NUM_THREADS is an upper bound of that. What is written does not depend on it; `ncaudit
            train` records it.
        slice: str or None; default None
            Do one part of the shards alone: I/N takes every N-th of the same list, I from 0; slurm
            takes the task of an array job. All parts write to one folder; `ncaudit status` tells when
            it is whole.
        engine: EngineKind; default 'local'
            Of a Ray cluster: Who does the shards: local, which is this machine, or ray, a Ray cluster
            (pip install 'ncaudit[ray]').
        ray_address: str; default 'auto'
            Of a Ray cluster: The Ray cluster: auto, the one that this machine is part of; HOST:PORT of
            its head; or local, which starts one on this machine alone.
        actors: int or None; default None
            Of a Ray cluster: Processes on the cluster at one time, 1 or more. By default one per GPU
            that is used, else one per CPU.
        gpus_per_actor: float or None; default None
            Of a Ray cluster: GPUs of each process on the cluster, 0 or more; below 1 several share one.
            By default 1 for embed where the cluster has GPUs, else 0.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def inspect(options: InspectOptions, progress: Progress | bool | None = None) -> Inspection: ...
@overload
def inspect(
    sources: _Path | Sequence[_Path],
    *,
    image_column: str | None = None,
    caption_column: str | None = None,
    features: str | None = None,
    caption_lines: bool = False,
    key: str | None = None,
    image_root: _Path | None = None,
    max_image_pixels: int = 100000000,
    max_row_bytes: int = 67108864,
    progress: Progress | bool | None = None,
) -> Inspection:
    """Look at files, folders, globs or addresses: a `FolderInspection`, or a `ShardsInspection` of what most are.

    Memory: 8 bytes per row and key column, at most four of them. Raises NcauditError when nothing can be read at all.

    Parameters, or one InspectOptions:
        sources: one str or a sequence of them; required
            A dataset, tables of ncaudit, embeddings, a model, heads or a fit: files, folders or globs.
        image_column: str or None; default None
            Column with the image: its bytes, a path to a file, or a struct of both. By default it is
            found.
        caption_column: str or None; default None
            Column with the caption; COLUMN.FIELD for a field of a struct. By default it is found.
        features: str or None; default None
            Which arrays of the .npz file beside a table are the embeddings, as in DataComp: NAME stands
            for NAME_img and NAME_txt. By default l14, or the only ones there are.
        caption_lines: bool; default False
            Take each line of a caption as a caption of its own, so that an image has several.
        key: str or None; default None
            Column that names a pair. By default a key column without repeats, else the shard and the
            row; '' always takes the shard and the row.
        image_root: str or None; default None
            Folder from which relative paths of images start. By default the shard's own; for standard
            input the working folder.
        max_image_pixels: int; default 100000000
            Refuse images of more pixels than this, before they are decoded; 1 or more.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def labels(options: LabelsOptions, progress: Progress | bool | None = None) -> LabelsResult: ...
@overload
def labels(
    embeddings: _Path | Sequence[_Path],
    *,
    out: _Path,
    label_column: str,
    features: str | None = None,
    max_row_bytes: int = 67108864,
    redo: bool = False,
    overwrite: bool = False,
    format: Literal['arrow', 'jsonl', 'csv'] | StreamFormat = 'arrow',
    csv_safe: bool = False,
    prune: bool = False,
    model: _Path | None = None,
    k: int | None = None,
    device: str = 'auto',
    threads: int | None = None,
    engine: Literal['local', 'ray'] | EngineKind = 'local',
    ray_address: str = 'auto',
    actors: int | None = None,
    gpus_per_actor: float | None = None,
    seed: int = 0,
    max_failed: float = 1.0,
    progress: Progress | bool | None = None,
) -> LabelsResult:
    """Judge the given class of every pair; failed rows keep their status, unlabelled ones get a suggestion.

    Raises NcauditError when the tables do not belong together, lack the class column, or hold nothing to compare.

    Parameters, or one LabelsOptions:
        embeddings: one str or a sequence of them; required
            Embedding tables, from `ncaudit embed` or any with both embeddings; or - for a stream on
            standard input.
        features: str or None; default None
            Which arrays of the .npz file beside a table are the embeddings, as in DataComp: NAME stands
            for NAME_img and NAME_txt. By default l14, or the only ones there are.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        out: str; required
            Where the tables go: a folder (one table per shard) or NAME.parquet (one table for all),
            here or in a store (s3://…), or - for standard output.
        redo: bool; default False
            Judge and write every shard again that labels itself has written.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        format: StreamFormat; default 'arrow'
            How `out` - writes rows: as arrow, jsonl or csv.
        csv_safe: bool; default False
            With `format` csv: put an apostrophe before every text cell and column name that begins with
            = + - @, a tab or a line break, so that no spreadsheet program runs it. Off by default, as
            it alters captions, URLs and ids.
        prune: bool; default False
            Remove those tables in `out` that this command wrote and whose input is gone.
        model: str or None; default None
            Folder of heads (from `ncaudit train --tune heads`) through which the embeddings go before
            all else.
        label_column: str; required
            Column with the classes: text, whole numbers, or lists of them. A null is no label.
        k: int or None; default None
            Neighbours that vote in each modality, 1 or more. By default 10, 20, 30 or 50, chosen from
            the data.
        device: str; default 'auto'
            Where to compute: auto, cpu, cuda, cuda:1, and so on; auto takes a GPU where there is one.
        threads: int or None; default None
            Threads that compute, 1 or more. By default one per core that this process may use;
            OMP_NUM_THREADS is an upper bound of that. What is written does not depend on it; `ncaudit
            train` records it.
        engine: EngineKind; default 'local'
            Of a Ray cluster: Who does the shards: local, which is this machine, or ray, a Ray cluster
            (pip install 'ncaudit[ray]').
        ray_address: str; default 'auto'
            Of a Ray cluster: The Ray cluster: auto, the one that this machine is part of; HOST:PORT of
            its head; or local, which starts one on this machine alone.
        actors: int or None; default None
            Of a Ray cluster: Processes on the cluster at one time, 1 or more. By default one per GPU
            that is used, else one per CPU.
        gpus_per_actor: float or None; default None
            Of a Ray cluster: GPUs of each process on the cluster, 0 or more; below 1 several share one.
            By default 1 for embed where the cluster has GPUs, else 0.
        seed: int; default 0
            Seed of every random choice, a whole number: the same seed gives the same result.
        max_failed: float; default 1.0
            Exit with 3 when more than this share of the rows failed, 0 to 1.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def report(options: ReportOptions, progress: Progress | bool | None = None) -> ReportResult: ...
@overload
def report(
    scores: _Path | Sequence[_Path],
    *,
    data: _Path | Sequence[_Path] | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    truth_table: _Path | None = None,
    key: str | None = None,
    caption_lines: bool = False,
    image_root: _Path | None = None,
    max_image_pixels: int = 100000000,
    max_row_bytes: int = 67108864,
    out: _Path = 'report.html',
    max_mib: float = 8.0,
    overwrite: bool = False,
    cards: int = 16,
    by: str = 'shard',
    truth: str | None = None,
    judge: int = 200,
    judge_only: bool = False,
    workers: int | None = None,
    engine: Literal['local', 'ray'] | EngineKind = 'local',
    ray_address: str = 'auto',
    actors: int | None = None,
    gpus_per_actor: float | None = None,
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> ReportResult:
    """Write one page of the tables: answer, charts, galleries, pairs to judge, provenance.

    Raises NcauditError when OUT is a file of somebody else's, the tables are none of ours or of two kinds, or the
    dataset is not what was scored.

    Parameters, or one ReportOptions:
        scores: one str or a sequence of them; required
            Score tables (what `ncaudit score` wrote), or label tables (of `ncaudit labels`), of one
            kind.
        data: one str or a sequence of them or None; default None
            The dataset that was scored, in any format that embed reads: where the pictures are.
        image_column: str or None; default None
            Column with the image: its bytes, a path to a file, or a struct of both. By default it is
            found.
        caption_column: str or None; default None
            Column with the caption; COLUMN.FIELD for a field of a struct. By default it is found.
        truth_table: str or None; default None
            File with pair_id and the `truth` column, such as a review that people filled in.
        key: str or None; default None
            Column of `data` that holds the pair_ids. By default pairs are found by shard and row.
        caption_lines: bool; default False
            Take each line of a caption as a caption of its own, so that an image has several.
        image_root: str or None; default None
            Folder from which relative paths of images start. By default the shard's own; for standard
            input the working folder.
        max_image_pixels: int; default 100000000
            Refuse images of more pixels than this, before they are decoded; 1 or more.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        out: str; default 'report.html'
            NAME.html: one file that holds everything. A report of ours there is replaced.
        max_mib: float; default 8.0
            Size of the page in MiB, above 0: pictures shrink until it is no larger.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        cards: int; default 16
            Pairs shown of each gallery, 1 or more.
        by: str; default 'shard'
            Column of the tables whose values are compared with each other.
        truth: str or None; default None
            Column that tells which pairs match. By default is_match, where the tables have it.
        judge: int; default 200
            Pairs to be judged on the page, drawn as `ncaudit sample` draws them; 2 or more, or 0 for
            none.
        judge_only: bool; default False
            Show nothing but these pairs, for people who should see no score.
        workers: int or None; default None
            Processes that decode images, 0 or more; 0 decodes in the main process. By default one per
            core, or as many as `threads`, at most 16.
        engine: EngineKind; default 'local'
            Of a Ray cluster: Who does the shards: local, which is this machine, or ray, a Ray cluster
            (pip install 'ncaudit[ray]').
        ray_address: str; default 'auto'
            Of a Ray cluster: The Ray cluster: auto, the one that this machine is part of; HOST:PORT of
            its head; or local, which starts one on this machine alone.
        actors: int or None; default None
            Of a Ray cluster: Processes on the cluster at one time, 1 or more. By default one per GPU
            that is used, else one per CPU.
        gpus_per_actor: float or None; default None
            Of a Ray cluster: GPUs of each process on the cluster, 0 or more; below 1 several share one.
            By default 1 for embed where the cluster has GPUs, else 0.
        seed: int; default 0
            Seed of every random choice, a whole number: the same seed gives the same result.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def sample(options: SampleOptions, progress: Progress | bool | None = None) -> SampleResult: ...
@overload
def sample(
    scores: _Path | Sequence[_Path],
    *,
    out: _Path,
    max_row_bytes: int = 67108864,
    overwrite: bool = False,
    n: int = 200,
    strata: int = 10,
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> SampleResult:
    """Draw `options.n` ok rows of the score tables, from every stratum of the score, and write them for review.

    The draw depends on pair ids, scores and seed only, not on how the rows lie in files. Memory: some 60 bytes per
    row, whatever else the tables hold. Raises NcauditError when OUT exists, a table has no score, or a pair_id is drawn
    twice.

    Parameters, or one SampleOptions:
        scores: one str or a sequence of them; required
            Score tables: what `ncaudit score` wrote.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        out: str; required
            Where the pairs go: NAME.csv, NAME.parquet or NAME.jsonl, or - for CSV on standard output.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        n: int; default 200
            Pairs to draw, 2 or more.
        strata: int; default 10
            Ranges of the score, of equal numbers of pairs, that are drawn from separately; 1 or more.
        seed: int; default 0
            Seed of every random choice, a whole number: the same seed gives the same result.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def score(options: ScoreOptions, progress: Progress | bool | None = None) -> ScoreResult: ...
@overload
def score(
    embeddings: _Path | Sequence[_Path],
    *,
    out: _Path,
    data: _Path | Sequence[_Path] | None = None,
    join: _Path | Sequence[_Path] | None = None,
    join_key: str | None = None,
    fit: _Path | None = None,
    features: str | None = None,
    max_row_bytes: int = 67108864,
    save_fit: _Path | None = None,
    refit: bool = False,
    overwrite: bool = False,
    fit_only: bool = False,
    format: Literal['arrow', 'jsonl', 'csv'] | StreamFormat = 'arrow',
    csv_safe: bool = False,
    columns: str | Sequence[str] | None = None,
    prune: bool = False,
    model: _Path | None = None,
    verdicts: _Path | Sequence[_Path] | None = None,
    check: bool = True,
    suggest: bool = False,
    scorer: str = 'bicro',
    fit_pairs: int = 50000,
    stratify: str = 'auto',
    noisy_precision: float | None = None,
    variant: Literal['robust', 'paper', 'released'] | Variant = 'robust',
    k: int | None = None,
    align: Literal['auto', 'none', 'cca'] | Align = 'auto',
    siblings: Literal['auto', 'use', 'ignore'] | Siblings = 'auto',
    loss: Literal['ranking', 'infonce'] | Loss = 'infonce',
    mixture: Literal['beta', 'gaussian'] | Mixture = 'beta',
    anchor_threshold: float = 0.5,
    center: bool = True,
    max_anchors: int = 20000,
    bank_pairs: int = 1024,
    csls_k: int = 10,
    temperature: float | None = None,
    correlation: Literal['pearson', 'spearman'] | Correlation = 'pearson',
    threads: int | None = None,
    device: str = 'auto',
    slice: str | None = None,
    engine: Literal['local', 'ray'] | EngineKind = 'local',
    ray_address: str = 'auto',
    actors: int | None = None,
    gpus_per_actor: float | None = None,
    max_failed: float = 1.0,
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> ScoreResult:
    """Score every pair of the embedding tables; failed rows keep their status and get no score.

    Raises NcauditError when the tables do not belong together, share no space, or hold too few pairs for the scorer.

    Parameters, or one ScoreOptions:
        embeddings: one str or a sequence of them; required
            Embedding tables, from `ncaudit embed` or any with both embeddings; a clip-retrieval folder;
            DataComp's metadata beside its .npz; two .npy files, images first; or - for a stream on
            standard input.
        data: one str or a sequence of them or None; default None
            The dataset that was embedded: it is written back with ncaudit_ columns, instead of score
            tables.
        join: one str or a sequence of them or None; default None
            A table whose light columns come beside the scores, such as earlier scores; of those the
            ones that `columns` names. Repeatable, for a table of many files.
        join_key: str or None; default None
            With `join`: the column of the embedding tables that has its keys (pair_id, or one of your
            own), or KEY=COLUMN where that table calls it otherwise.
        fit: str or None; default None
            Score with this saved fit instead of fitting anew.
        features: str or None; default None
            Which arrays of the .npz file beside a table are the embeddings, as in DataComp: NAME stands
            for NAME_img and NAME_txt. By default l14, or the only ones there are.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        out: str; required
            Where the tables go: a folder (one table per shard) or NAME.parquet (one table for all),
            here or in a store (s3://…), or - for standard output.
        save_fit: str or None; default None
            Folder to save the fit in, for later shards.
        refit: bool; default False
            Fit anew and score every shard again that score itself has written.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        fit_only: bool; default False
            Only fit, and count repeats, and keep both in `out`: what all parts of `slice` go by. No row
            is scored.
        format: StreamFormat; default 'arrow'
            How `out` - writes rows: as arrow, jsonl or csv.
        csv_safe: bool; default False
            With `format` csv: put an apostrophe before every text cell and column name that begins with
            = + - @, a tab or a line break, so that no spreadsheet program runs it. Off by default, as
            it alters captions, URLs and ids.
        columns: one str or a sequence of them or None; default None
            Column of the input to carry along; images and nested data are none. By default all of them.
        prune: bool; default False
            Remove those tables in `out` that this command wrote and whose input is gone.
        model: str or None; default None
            Folder of heads (from `ncaudit train --tune heads`) through which the embeddings go before
            all else.
        verdicts: one str or a sequence of them or None; default None
            File of people's judgements (pair_id and is_match; see `ncaudit sample`), which correct the
            labels and the rate. Repeat it with a file for each judge: how far they agree is told, and
            what they dispute counts as "cannot tell".
        check: bool; default True
            Measure the audit's own power on these data, for which no labels are needed.
        suggest: bool; default False
            Look for a better caption, among those of the clean pairs, for every noisy pair.
        scorer: str; default 'bicro'
            How to score a pair; `ncaudit scorers` lists the scorers. Give auto for the best one on
            these data.
        fit_pairs: int; default 50000
            Pairs of the seeded sample on which everything global is fitted, 2 or more.
        stratify: str; default 'auto'
            Calibrate each source for itself: auto (by shards, else by clusters of images), none, or a
            column of the tables.
        noisy_precision: float or None; default None
            Call so few pairs noisy that this share of them are mismatches, above 0 to 1. By default
            pairs with a soft label below 0.5 are noisy.
        variant: Variant; default 'robust'
            Of scorer bicro: Whose BiCro: robust has many anchors and standardises, paper has the
            paper's distances, released the cosines of that paper's code.
        k: int or None; default None
            Of scorer bicro: Nearest anchors per direction, 1 or more. By default 5 or 10, chosen from
            the data; for the variants paper and released 1.
        align: Align; default 'auto'
            Of scorer bicro: Where image and caption are compared: cca learns a common space from the
            pairs, none takes the embeddings as they are, auto learns one where they share none.
        siblings: Siblings; default 'auto'
            Of scorer bicro: Whether several captions of one photo vouch for each other: use, ignore, or
            auto, where there are enough.
        loss: Loss; default 'infonce'
            Of scorer bicro: The loss of each pair that finds the anchors: infonce, or ranking, which is
            the paper's.
        mixture: Mixture; default 'beta'
            Of scorer bicro: The two components that are fitted to the losses: beta or gaussian.
        anchor_threshold: float; default 0.5
            Of scorer bicro: Pairs above this probability of being clean are anchors; 0 to below 1.
        center: bool; default True
            Of scorer bicro: Subtract each modality's mean before anchors are compared.
        max_anchors: int; default 20000
            Of scorer bicro: Anchors that are kept in the fit, 2 or more.
        bank_pairs: int; default 1024
            Of scorer bicro: Fixed negatives against which every pair's loss is measured, 2 or more.
        csls_k: int; default 10
            Of other scorers: Neighbours that measure how crowded a place is, for the scorer csls; 1 or
            more.
        temperature: float or None; default None
            Of other scorers: The model's temperature, for the scorers neg-clip-loss and ncr: 0.001 to
            10 (CLIP's is 0.01). By default the likeliest on these data.
        correlation: Correlation; default 'pearson'
            Of other scorers: How two rows of similarities are compared, for the scorer structure: by
            value (pearson) or by rank (spearman).
        threads: int or None; default None
            Threads that compute, 1 or more. By default one per core that this process may use;
            OMP_NUM_THREADS is an upper bound of that. What is written does not depend on it; `ncaudit
            train` records it.
        device: str; default 'auto'
            Where to compute: auto, cpu, cuda, cuda:1, and so on; auto takes a GPU where there is one.
        slice: str or None; default None
            Do one part of the shards alone: I/N takes every N-th of the same list, I from 0; slurm
            takes the task of an array job. All parts write to one folder; `ncaudit status` tells when
            it is whole.
        engine: EngineKind; default 'local'
            Of a Ray cluster: Who does the shards: local, which is this machine, or ray, a Ray cluster
            (pip install 'ncaudit[ray]').
        ray_address: str; default 'auto'
            Of a Ray cluster: The Ray cluster: auto, the one that this machine is part of; HOST:PORT of
            its head; or local, which starts one on this machine alone.
        actors: int or None; default None
            Of a Ray cluster: Processes on the cluster at one time, 1 or more. By default one per GPU
            that is used, else one per CPU.
        gpus_per_actor: float or None; default None
            Of a Ray cluster: GPUs of each process on the cluster, 0 or more; below 1 several share one.
            By default 1 for embed where the cluster has GPUs, else 0.
        max_failed: float; default 1.0
            Exit with 3 when more than this share of the rows failed, 0 to 1.
        seed: int; default 0
            Seed of every random choice, a whole number: the same seed gives the same result.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def show(options: ShowOptions, progress: Progress | bool | None = None) -> ShowResult: ...
@overload
def show(
    scores: _Path | Sequence[_Path],
    *,
    data: _Path | Sequence[_Path] | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    key: str | None = None,
    caption_lines: bool = False,
    image_root: _Path | None = None,
    max_row_bytes: int = 67108864,
    images: _Path | None = None,
    overwrite: bool = False,
    worst: int = 20,
    unsure: bool = False,
    reason: Literal['mismatch', 'generic_caption', 'placeholder_image', 'duplicate'] | Reason | None = None,
    against: Literal['similarity'] | Against | None = None,
    progress: Progress | bool | None = None,
) -> ShowResult:
    """The first rows of the lists that are asked for. One pass over the tables, one over their names for the anchors,
    and, where `data` is named, one over the shards that hold what is shown; memory does not grow with the rows.

    Raises NcauditError when these are no score or label tables, or `data` is another dataset than the one behind them.

    Parameters, or one ShowOptions:
        scores: one str or a sequence of them; required
            Score tables (what `ncaudit score` wrote), or label tables; or - for standard input.
        data: one str or a sequence of them or None; default None
            The dataset that was scored: for captions that the tables lack, and for `images`.
        image_column: str or None; default None
            Column with the image: its bytes, a path to a file, or a struct of both. By default it is
            found.
        caption_column: str or None; default None
            Column with the caption; COLUMN.FIELD for a field of a struct. By default it is found.
        key: str or None; default None
            Column of `data` that holds the pair_ids. By default pairs are found by shard and row.
        caption_lines: bool; default False
            Take each line of a caption as a caption of its own, so that an image has several.
        image_root: str or None; default None
            Folder from which relative paths of images start. By default the shard's own; for standard
            input the working folder.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        images: str or None; default None
            Folder to write the pictures to, as they are in `data`, named by pair.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        worst: int; default 20
            How many pairs are shown of each list, the worst first; 1 or more.
        unsure: bool; default False
            Show pairs called neither clean nor noisy, those with a soft label nearest to 0.5 first.
        reason: Reason or None; default None
            Show pairs with this reason, the lowest soft labels first: mismatch, generic_caption,
            placeholder_image or duplicate.
        against: Against or None; default None
            Give similarity for the pairs on which soft label and cosine disagree: noisy but close, and
            clean but far; `worst` of each.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def status(options: StatusOptions, progress: Progress | bool | None = None) -> StatusResult: ...
@overload
def status(
    folder: _Path,
    *,
    verify: bool = False,
    progress: Progress | bool | None = None,
) -> StatusResult:
    """Tell shards and rows that are finished, and what is not, below one folder; nothing is written.

    Raises NcauditError where the folder is none that a verb writes a table per shard to.

    Parameters, or one StatusOptions:
        folder: str; required
            The folder that embed, score, labels or filter writes to.
        verify: bool; default False
            Read every finished table too, and hold its pages against their checksums.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """

@overload
def train(options: TrainOptions, progress: Progress | bool | None = None) -> TrainResult: ...
@overload
def train(
    *,
    out: _Path,
    data: _Path | Sequence[_Path] | None = None,
    embeddings: _Path | Sequence[_Path] | None = None,
    scores: _Path | Sequence[_Path] | None = None,
    val_data: _Path | Sequence[_Path] | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    features: str | None = None,
    caption_lines: bool = False,
    key: str | None = None,
    image_root: _Path | None = None,
    max_image_pixels: int = 100000000,
    max_row_bytes: int = 67108864,
    restart: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    model: _Path = 'ViT-B-32',
    pretrained: _Path | None = None,
    head: Literal['linear', 'mlp'] | HeadKind | None = None,
    head_start: Literal['auto', 'cca', 'identity'] | HeadStart = 'auto',
    dims: int | None = None,
    hidden: int | None = None,
    tune: str = 'towers',
    recipe: Literal['simple', 'rematch', 'consensus', 'crcl', 'gentle', 'bicro'] | TrainingRecipe = 'simple',
    objective: str | None = None,
    epochs: int | None = None,
    batch_pairs: int | None = None,
    learning_rate: float | None = None,
    val_share: float = 0.05,
    self_paced: float | None = None,
    structure_weight: float | None = None,
    negatives: Literal['all', 'allowed'] | Negatives = 'all',
    match_share: float = 0.001,
    weight_decay: float = 0.05,
    warmup_share: float = 0.1,
    clip_norm: float = 1.0,
    train_batchnorm: bool = False,
    patience: int | None = None,
    margin: float | None = None,
    margin_base: float | None = None,
    spread: str | None = None,
    drop_below: float | None = None,
    doubted: str | None = None,
    temperature: float | None = None,
    exponent: float | None = None,
    negatives_weight: float | None = None,
    reverse_weight: float | None = None,
    complement_weight: float | None = None,
    relabel_every: int | None = None,
    noisy_from: float | None = None,
    split_loss: Literal['ranking', 'infonce'] | Loss = 'infonce',
    warmup_epochs: int | None = None,
    warmup_keep: float = 0.3,
    split_threshold: float = 0.5,
    anchor_k: int = 10,
    label_column: str | None = None,
    cmp_weight: float | None = None,
    class_temperature: float | None = None,
    pseudo_label: str | None = None,
    neighbours: int | None = None,
    workers: int | None = None,
    threads: int | None = None,
    device: str = 'auto',
    chunk_pairs: int | None = None,
    precision: Literal['auto', 'float32', 'bfloat16'] | Precision = 'auto',
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> TrainResult:
    """Train; `options.out` becomes a folder that every command loads as a model (stock open_clip, too, for towers).

    Rerunning goes on after the last finished epoch; a finished run is not done again. Processes that torchrun started
    make one run together: the first writes, each returns what the run has come to.
    Raises NcauditError when scores and data do not belong together, labels are missing or outside [0, 1], there are
    too few pairs, the folder holds another run, or the loss stops being a number.

    Parameters, or one TrainOptions:
        data: one str or a sequence of them or None; default None
            The dataset from which towers learn: files, folders or globs.
        embeddings: one str or a sequence of them or None; default None
            Embedding tables from which heads learn, as `ncaudit embed` writes them.
        scores: one str or a sequence of them or None; default None
            Score tables of the same pairs, from `ncaudit score`. Without them every label is 1, or as
            `label_column` says.
        val_data: one str or a sequence of them or None; default None
            Pairs to validate on, of the same kind as those to learn from. Nothing is held out then.
        image_column: str or None; default None
            Column with the image: its bytes, a path to a file, or a struct of both. By default it is
            found.
        caption_column: str or None; default None
            Column with the caption; COLUMN.FIELD for a field of a struct. By default it is found.
        features: str or None; default None
            Which arrays of the .npz file beside a table are the embeddings, as in DataComp: NAME stands
            for NAME_img and NAME_txt. By default l14, or the only ones there are.
        caption_lines: bool; default False
            Take each line of a caption as a caption of its own, so that an image has several.
        key: str or None; default None
            Column that names a pair. By default a key column without repeats, else the shard and the
            row; '' always takes the shard and the row.
        image_root: str or None; default None
            Folder from which relative paths of images start. By default the shard's own; for standard
            input the working folder.
        max_image_pixels: int; default 100000000
            Refuse images of more pixels than this, before they are decoded; 1 or more.
        max_row_bytes: int; default 67108864
            What one line, one cell or one file of an archive may take, unpacked, in bytes; 1024 or
            more. Rows beyond it fail; where rows cannot be told apart, their shard fails.
        out: str; required
            Folder for the matcher. Rerunning the same command resumes in it.
        restart: bool; default False
            Discard what an earlier run of train left in `out`; see also `overwrite`.
        overwrite: bool; default False
            Replace files in the way that this command did not write; never an input.
        tensorboard: bool; default False
            Also write event files to tensorboard/ in `out`.
        model: str; default 'ViT-B-32'
            A model of open_clip by its name, hf-hub:NAME, local-dir:PATH, or a folder that `ncaudit
            train` wrote.
        pretrained: str or None; default None
            open_clip's tag of the weights, or a file of weights. By default laion2b_s34b_b79k; hf-hub:
            and model folders have their own. With heads: where the encoder behind them is now, if it
            was moved.
        head: HeadKind or None; default None
            Of heads: linear is one map, mlp that map plus a small network. By default linear, for
            cross-entropy and nirnl mlp.
        head_start: HeadStart; default 'auto'
            Of heads: identity begins at the cosine of the embeddings, cca finds a common space for
            unaligned ones, auto takes identity where they share one.
        dims: int or None; default None
            Of heads: Width of the common space of cca, 1 or more. By default 128; identity keeps the
            embeddings' width.
        hidden: int or None; default None
            Of heads: Width of the mlp's hidden layer, 1 or more. By default 1024.
        tune: str; default 'towers'
            towers: a whole model, on `data`. last:N: the last N blocks of each tower (of a ResNet or
            ConvNeXt: stages) and what follows them. heads: projections, on `embeddings` as they are.
        recipe: TrainingRecipe; default 'simple'
            What is done about noise: simple takes labels as given; rematch also teaches noisy pairs'
            pictures; consensus, crcl, gentle judge pairs anew; bicro (heads) trains two networks.
        objective: str or None; default None
            The loss: bicro, cmp, crcl, cross-entropy, drop, gce, infonce, nirnl, rcl, rince, sce,
            soft-infonce, tal, weighted-infonce; or auto, which compares some on pairs held out.
            cross-entropy and nirnl learn noisy classes. By default weighted-infonce, for the recipes
            bicro and crcl their own.
        epochs: int or None; default None
            Passes over the training pairs, 1 or more. By default 8 for towers, 20 for heads, 40 for
            heads by class.
        batch_pairs: int or None; default None
            Pairs per step, 2 or more; a pair's negatives are the others of its batch. By default 128
            for towers, 1024 for heads, 512 for the recipe bicro, 128 by class. Under torchrun: of all
            processes together.
        learning_rate: float or None; default None
            AdamW's highest, above 0; a cosine takes it down to 0. By default 1e-5 for towers, 1e-3 for
            heads; recipes and classes have their own.
        val_share: float; default 0.05
            Share of the photos held out to validate on, 0 to below 1. At 0 none is, and the last epoch
            is kept.
        self_paced: float or None; default None
            Learn first from pairs that fit: a pair's weight falls by a cosine to 0 where its loss is
            NUMBER times that of one at chance, log of the batch. Above 0. By default off.
        structure_weight: float or None; default None
            Beside any objective: weight of the loss that wants captions to lie to each other as their
            images do. Above 0. By default off.
        negatives: Negatives; default 'all'
            What a pair is told from: all others of its batch, or only those allowed, which do not
            compare like matches. The same photo or caption never counts.
        match_share: float; default 0.001
            With `negatives` allowed: this share of a batch's random pairs compares best, and is taken
            for matches; above 0, below 1.
        weight_decay: float; default 0.05
            AdamW's weight decay, 0 or more; biases, norms and the temperature have none.
        warmup_share: float; default 0.1
            Share of all steps in which the learning rate rises, 0 to 1.
        clip_norm: float; default 1.0
            Longer gradients are shortened to this length, above 0.
        train_batchnorm: bool; default False
            For towers: let the statistics of BatchNorm move; else they are frozen.
        patience: int or None; default None
            Stop after so many epochs in a row without a better rSum, 1 or more. By default never.
        margin: float or None; default None
            Of settings of objectives: How far pairs are to lead others, above 0, at most 2. For bicro
            that of a pair with label 1, by default 0.2; for tal by default 0.1; for cmp, nirnl, and
            cross-entropy with a `cmp_weight` by default 0.9.
        margin_base: float or None; default None
            Of settings of objectives: For bicro: how late the margin rises with the label, above 1. By
            default 10.
        spread: str or None; default None
            Of settings of objectives: For soft-infonce: where 1 - label goes, uniform or similarity. By
            default uniform.
        drop_below: float or None; default None
            Of settings of objectives: For drop: pairs with smaller labels are left out, 0 to 1. By
            default 0.5.
        doubted: str or None; default None
            Of settings of objectives: For rcl: ignore labels, or push pairs apart as far as their
            labels doubt them. By default ignore.
        temperature: float or None; default None
            Of settings of objectives: For tal and rince, whose temperature is fixed: above 0, at most
            1. The lower, the more the nearest wrong pairs count. By default 0.015 for tal, 0.05 for
            rince.
        exponent: float or None; default None
            Of settings of objectives: For gce and rince: above 0, where they are like infonce, to 1,
            where a wrong pair does the least. By default 0.5 for gce, 0.1 for rince.
        negatives_weight: float or None; default None
            Of settings of objectives: For rince: how much the batch counts against a pair, above 0, at
            most 1. By default 0.01.
        reverse_weight: float or None; default None
            Of settings of objectives: For sce: weight of the bounded term beside infonce, 0 or more. By
            default 16.118.
        complement_weight: float or None; default None
            Of settings of objectives: For crcl: weight of what it says of the wrong pairs, 0 or more.
            By default 5.
        relabel_every: int or None; default None
            Of recipes: Make new labels after so many epochs, 1 or more, by two heads that each learn
            from half of the photos and judge the other half: three times the work. rematch searches
            again, by default never; gentle audits again, by default about four times in all.
        noisy_from: float or None; default None
            Of recipes: Share of the epochs after which noisy pairs join, 0 to 1; at 1 they never do. By
            default 0.5 for bicro, 0 for rematch.
        split_loss: Loss; default 'infonce'
            Of recipe bicro: The loss that tells trusted pairs from noisy ones: infonce, or ranking,
            which is the paper's.
        warmup_epochs: int or None; default None
            Of recipe bicro: Epochs that learn from pairs of small loss only, 0 or more. By default a
            fifth of all.
        warmup_keep: float; default 0.3
            Of recipe bicro: Share of each batch that the warm-up keeps, above 0, at most 1.
        split_threshold: float; default 0.5
            Of recipe bicro: Probability of being clean above which a pair is trusted, 0 to below 1.
        anchor_k: int; default 10
            Of recipe bicro: Anchors per direction behind a noisy pair's label, 1 or more; the paper's
            is 1.
        label_column: str or None; default None
            Column of the score tables (without `scores` of the data themselves) that weights pairs: in
            [0, 1], or boolean; by default soft_label. For cross-entropy and nirnl the column of
            classes, which must be given.
        cmp_weight: float or None; default None
            Weight of cmp's margin beside the loss of the classes, 0 or more. By default 0.9 for nirnl,
            0 for cross-entropy.
        class_temperature: float or None; default None
            Classes are the softmax of cosine / this number, 0.001 to 10. By default 0.5; the paper's is
            1.
        pseudo_label: str or None; default None
            For nirnl: the class that a noisy pair learns instead of its own, as neighbours and the
            audit of classes believe, or as prediction says. By default neighbours.
        neighbours: int or None; default None
            For nirnl: how many vote for a pair's class in each modality, 1 or more. By default chosen
            from the data; the paper's is 10.
        workers: int or None; default None
            Processes that decode images, 0 or more; 0 decodes in the main process. By default one per
            core, or as many as `threads`, at most 16.
        threads: int or None; default None
            Threads that compute, 1 or more. By default one per core that this process may use;
            OMP_NUM_THREADS is an upper bound of that. What is written does not depend on it; `ncaudit
            train` records it.
        device: str; default 'auto'
            Where to compute: auto, cpu, cuda, cuda:1, and so on; auto takes a GPU where there is one.
        chunk_pairs: int or None; default None
            Pairs of a batch in memory at a time, 1 or more: the same gradients for one more forward
            pass. By default the whole batch.
        precision: Precision; default 'auto'
            What the model computes in: float32, bfloat16, or auto, which takes bfloat16 where that is
            faster.
        seed: int; default 0
            Seed of every random choice, a whole number: the same seed gives the same result.
        progress: True, Progress or None; default None
            True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead.
    """
