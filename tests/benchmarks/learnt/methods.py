"""The rows of the tables: every way to train, by the options of `ncaudit train` that it is.

Knows options; nothing of data. A row whose objective, recipe or flag this checkout does not have is left out with the
reason, so that one script measures any of them.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from ncaudit import objectives
from ncaudit.errors import NcauditError
from ncaudit.options import TrainingRecipe, TrainOptions

START, PLAIN, SOFT, ORACLE, FULL, AUTO = "start", "plain", "soft labels", "oracle", "full", "auto"
BEST = "best"  # stands for the row that has won
TRUTH = "is_match"
BY_TRUTH = ("rince", "sce", "crcl")  # objectives that are given the truth, too: what is the loss's, what the labels'


@dataclass(frozen=True)
class Method:
    """One way to train. labels: whether it is given the score tables. clean: it learns from the pairs without noise."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    labels: bool = True
    clean: bool = False
    control: bool = False  # knows what users do not, or is there to be beaten: never the best
    times: int = 1  # as many epochs as the others have

    def why_not(self, given: dict[str, Any]) -> str | None:
        """Why this checkout cannot do it with these files; None where it can."""
        known = {each.name for each in fields(TrainOptions)}
        if lacks := sorted(set(self.options) - known):
            return f"no --{lacks[0].replace('_', '-')} in this checkout"
        objective, recipe = self.options.get("objective"), self.options.get("recipe")
        if objective not in (None, AUTO, *objectives.names()):
            return f"no objective {objective} in this checkout"
        if recipe not in (None, *TrainingRecipe):
            return f"no recipe {recipe} in this checkout"
        try:
            TrainOptions(**{**given, **self.options})
        except NcauditError as error:
            return str(error).splitlines()[0]
        return None


def _of(name: str, **options: Any) -> Method:
    return Method(name, {"objective": name, **options})


def _recipe(name: str, *, labels: bool = True, **options: Any) -> Method:
    objective = f", {options['objective']}" if "objective" in options else ""
    return Method(f"recipe {name}{objective}", {"recipe": name, **options}, labels=labels)


# In the order in which they are measured: what tells most comes first
METHODS = {
    each.name: each
    for each in (
        Method(START, labels=False, control=True),
        Method(PLAIN, {"objective": "infonce"}, labels=False, control=True),
        Method(ORACLE, {"objective": "drop", "label_column": TRUTH}, control=True),
        Method(FULL, {"objective": "infonce"}, labels=False, clean=True, control=True),
        Method(SOFT, {"objective": "weighted-infonce"}),
        _of("drop"),
        _recipe("rematch"),
        Method(AUTO, {"objective": AUTO}, control=True),  # one of the others, which it is to find
        _of("soft-infonce"),
        _of("tal"),
        _of("rince"),
        _of("crcl"),
        _of("sce"),
        _of("gce"),
        _of("rcl"),
        Method("rcl --doubted push", {"objective": "rcl", "doubted": "push"}),
        _of("bicro"),
        Method("--self-paced 1", {"objective": "weighted-infonce", "self_paced": 1.0}),
        Method("--structure-weight 1", {"objective": "weighted-infonce", "structure_weight": 1.0}),
        Method("--negatives allowed", {"objective": "weighted-infonce", "negatives": "allowed"}),
        _recipe("gentle", learning_rate=None),  # its own: it finds how far it may go
        Method("recipe rematch --noisy-from 0.5", {"recipe": "rematch", "noisy_from": 0.5}),
        _recipe("rematch", objective="rince"),
        _recipe("rematch", objective="sce"),
        _recipe("rematch", objective="crcl"),
        *(Method(f"oracle, {name}", {"objective": name, "label_column": TRUTH}, control=True) for name in BY_TRUTH),
        _recipe("consensus"),
        _recipe("crcl"),
        _recipe("bicro", labels=False),
        _recipe("bicro", labels=False, objective="weighted-infonce"),
        Method("--relabel-every 2", {"objective": "weighted-infonce", "relabel_every": 2}),
        Method("oracle, twice the epochs", {"objective": "drop", "label_column": TRUTH}, control=True, times=2),
        Method("labels permuted", {"objective": "weighted-infonce", "label_column": "permuted"}, control=True),
    )
}
GRID = (START, PLAIN, ORACLE, SOFT, BEST, AUTO)  # of every kind and rate
CONFIRMED = (START, PLAIN, ORACLE, FULL, SOFT, "sce", "oracle, sce", BEST, AUTO)
