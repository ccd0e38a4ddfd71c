"""Linear scores of every class for rows whose own fold was not learnt from: ridge regression in closed form.

Knows rows, folds and class weights; nothing of what the rows embed. All that is kept of the rows is one matrix per
fold, so leaving out one fold more costs one solve and no pass over the rows.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ncaudit.core.classes.sparse import SparseClasses
from ncaudit.core.parallel import in_order, in_parallel

PENALTIES = (1e-4, 1e-3, 0.01, 0.1, 1.0)  # times the mean variance of a feature
DIMS = 256  # of the rows' own principal directions that are kept
BLOCK = 16_384


def principal(rows: Tensor, dims: int = DIMS) -> Tensor:
    """Rows in their own principal directions, centred: (n, d) to (n, at most dims) float16."""
    mean = torch.zeros(rows.shape[1], device=rows.device)
    gram = torch.zeros(rows.shape[1], rows.shape[1], device=rows.device)
    for sums, products in in_order(_moments, torch.split(rows, BLOCK)):
        mean, gram = mean + sums, gram + products
    mean = mean / max(len(rows), 1)
    gram = gram - len(rows) * torch.outer(mean, mean)
    directions = torch.linalg.eigh(gram.double()).eigenvectors.flip(1)[:, :dims].float()
    found = torch.empty(len(rows), directions.shape[1], dtype=torch.float16, device=rows.device)

    def fill(both: tuple[Tensor, Tensor]) -> None:
        both[1].copy_((both[0].float() - mean) @ directions)

    in_parallel(fill, zip(torch.split(rows, BLOCK), torch.split(found, BLOCK), strict=True))
    return found


def _moments(part: Tensor) -> tuple[Tensor, Tensor]:
    """Of some rows: their sum, and the sum of their products with themselves."""
    rows = part.float()
    return rows.sum(dim=0), rows.T @ rows


class FoldedRidge:
    """Rows in folds; `weights` are learnt from all folds but some."""

    def __init__(self, rows: Tensor, fold: Tensor, folds: int, used: Tensor) -> None:
        """rows: (n, d). fold: (n,) int64 in [0, folds). used: (n,) bool, rows that are learnt from."""
        self.rows, self.fold, self.folds, self.used = rows, fold, folds, used
        dims = rows.shape[1] + 1  # the last feature is 1: the mean is learnt without penalty
        self.gram = torch.zeros(folds, dims, dims)
        in_parallel(self._learn, range(folds))

    def _learn(self, one: int) -> None:
        for part in self._parts():
            x = self.features(part[self.fold[part] == one])
            self.gram[one] += x.T @ x

    def features(self, rows: Tensor) -> Tensor:
        """(m,) row numbers to (m, d + 1) float32."""
        x = self.rows[rows].float()
        return torch.cat([x, x.new_ones(len(x), 1)], dim=1)

    def targets(self, classes: SparseClasses, count: int) -> Tensor:
        """What `weights` needs of the classes to learn: (folds, d + 1, count)."""
        found = torch.zeros(self.folds, self.gram.shape[1], count)

        def add(one: int) -> None:
            for part in self._parts():
                rows = part[self.fold[part] == one]
                found[one] += self.features(rows).T @ classes.rows(rows).dense(count)

        in_parallel(add, range(self.folds))
        return found

    def weights(self, targets: Tensor, without: set[int], penalty: float) -> Tensor:
        """(d + 1, C) of a regression of the classes on the rows of all folds but those in `without`."""
        kept = [one for one in range(self.folds) if one not in without]
        gram, target = self.gram[kept].sum(dim=0), targets[kept].sum(dim=0)
        count = gram[-1, -1].clamp(min=1)
        variance = (gram.diag()[:-1] - gram[-1, :-1] ** 2 / count).clamp(min=0).mean()
        ridge = torch.full((len(gram),), float(penalty * variance) + 1e-8 * float(count))
        ridge[-1] = 1e-6
        solved: Tensor = torch.linalg.solve(gram + torch.diag(ridge), target)
        return solved

    def out_of_fold(self, targets: Tensor, penalty: float, *, without: int | None = None) -> Tensor:
        """(folds, d + 1, C): what predicts the rows of each fold; one fold more may be left out of all of them."""
        more = set() if without is None else {without}
        return torch.stack(in_parallel(lambda one: self.weights(targets, {one} | more, penalty), range(self.folds)))

    def scores(self, weights: Tensor, rows: Tensor) -> Tensor:
        """(m, C) scores of some rows by the weights of their folds."""
        x, fold = self.features(rows), self.fold[rows]
        found = x.new_empty(len(rows), weights.shape[2])
        for one in range(self.folds):
            here = fold == one
            found[here] = x[here] @ weights[one]
        return found

    def penalty(self, targets: Tensor, given: SparseClasses, rows: Tensor, *, without: int | None = None) -> float:
        """The one whose out-of-fold scores of these rows correlate best with their given classes."""
        count = targets.shape[2]
        table = given.rows(rows).dense(count).flatten()

        def correlation(penalty: float) -> float:
            scores = self.scores(self.out_of_fold(targets, penalty, without=without), rows).flatten()
            return float(torch.corrcoef(torch.stack([scores, table]))[0, 1].nan_to_num(-1.0))

        told = dict(zip(PENALTIES, in_parallel(correlation, PENALTIES), strict=True))
        return max(reversed(PENALTIES), key=told.__getitem__)

    def _parts(self) -> Iterator[Tensor]:
        return iter(torch.split(self.used.nonzero()[:, 0], BLOCK))
