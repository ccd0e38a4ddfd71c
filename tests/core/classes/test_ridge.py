"""Out-of-fold linear scores: against the regression written out, and blind to what they must not see."""

import torch
from torch.testing import assert_close

from ncaudit.core.classes.ridge import FoldedRidge, principal
from ncaudit.core.classes.sparse import SparseClasses

DRAW = torch.Generator().manual_seed(0)
ROWS = torch.randn(60, 4, generator=DRAW)
FOLD = torch.arange(60) % 3
CODES = torch.randint(0, 3, (60, 1), generator=DRAW).to(torch.int16)
EVERY = torch.arange(60)


def given(codes):
    return SparseClasses(codes, torch.ones(60, 1).half())


def scores(codes, penalty=0.1, without=None, used=None):
    ridge = FoldedRidge(ROWS, FOLD, 3, torch.ones(60, dtype=torch.bool) if used is None else used)
    return ridge.scores(ridge.out_of_fold(ridge.targets(given(codes), 3), penalty, without=without), EVERY)


def written_out(seen, penalty):
    x, y = ROWS[seen], given(CODES).dense(3)[seen]
    centred = x - x.mean(dim=0)
    ridge = penalty * (centred**2).sum(dim=0).mean() * torch.eye(4)
    weight = torch.linalg.solve(centred.T @ centred + ridge, centred.T @ (y - y.mean(dim=0)))
    return (ROWS - x.mean(dim=0)) @ weight + y.mean(dim=0)


def test_scores_are_those_of_a_regression_on_the_other_folds():
    found = scores(CODES)
    for fold in range(3):
        assert_close(found[FOLD == fold], written_out(FOLD != fold, 0.1)[FOLD == fold], atol=1e-4, rtol=0)


def test_a_fold_left_out_is_in_no_regression():
    found = scores(CODES, without=1)
    assert_close(found[FOLD == 0], written_out(FOLD == 2, 0.1)[FOLD == 0], atol=1e-4, rtol=0)
    assert_close(found[FOLD == 1], written_out(FOLD != 1, 0.1)[FOLD == 1], atol=1e-4, rtol=0)


def test_classes_of_ones_own_fold_change_nothing():
    other = CODES.clone()
    other[FOLD == 2] = 2 - other[FOLD == 2]
    assert torch.equal(scores(CODES)[FOLD == 2], scores(other)[FOLD == 2])
    assert not torch.equal(scores(CODES)[FOLD == 0], scores(other)[FOLD == 0])


def test_unused_rows_teach_nothing():
    used = EVERY >= 12
    other = CODES.clone()
    other[:12] = 0
    assert torch.equal(scores(CODES, used=used), scores(other, used=used))


def test_the_penalty_that_foretells_is_found():
    draw = torch.Generator().manual_seed(1)
    truth = torch.randint(0, 3, (600,), generator=draw)
    rows = torch.cat([0.01 * torch.eye(3)[truth], torch.randn(600, 20, generator=draw)], dim=1)
    classes = SparseClasses(truth[:, None].to(torch.int16), torch.ones(600, 1).half())
    ridge = FoldedRidge(rows, torch.arange(600) % 3, 3, torch.ones(600, dtype=torch.bool))
    assert ridge.penalty(ridge.targets(classes, 3), classes, torch.arange(600)) <= 0.001  # classes vary least


def test_principal_directions_keep_all_that_varies():
    rows = torch.randn(50, 3, generator=DRAW) @ torch.randn(3, 8, generator=DRAW)
    kept = principal(rows, dims=3).float()
    assert_close(torch.cdist(kept, kept), torch.cdist(rows, rows), atol=0.05, rtol=0.01)
