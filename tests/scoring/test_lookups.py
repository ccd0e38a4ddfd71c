import gc

import torch
from torch.nn.functional import normalize

from ncaudit.core.neighbours import known
from ncaudit.core.neighbours.search import nearest, prepare_keys
from ncaudit.scoring.lookups import Lookups, Way
from ncaudit.scoring.pairs import Pairs, joined, random_partners, rooted


def world(n=40, seed=0):
    draw = torch.Generator().manual_seed(seed)
    sides = [normalize(torch.randn(n, 64, generator=draw), dim=1) for _ in range(2)]
    return Pairs(*sides, torch.arange(n) // 2, torch.arange(n), [str(row) for row in range(n)])


def looked_up(lookups, pairs, bank, **more):
    way = Way("plain", "text", **more)
    return lookups.nearest(way, pairs, pairs.text, bank, 3, (pairs.groups, world().groups))


def test_random_pairs_find_what_a_search_of_their_own_finds():
    pairs, bank, lookups = rooted(world()), prepare_keys(world().image), Lookups()
    random = joined(pairs, *random_partners(pairs, torch.zeros(40, dtype=torch.int64), draws=2, seed=0))
    for asked in (pairs, random, pairs.rows(slice(5, 20)), random.take(torch.tensor([7, 3])), pairs.head(9)):
        found = looked_up(lookups, asked, bank)
        expected = nearest(asked.text, bank, 3, query_groups=asked.groups, key_groups=world().groups)
        assert torch.equal(found.index, expected.index)
        assert torch.equal(found.similarity, expected.similarity)


def test_each_caption_is_looked_up_once_for_all_pairs_made_of_it(monkeypatch):
    asked = []

    def counting(queries, bank, k, **groups):
        asked.append(len(queries))
        return nearest(queries, bank, k, **groups)

    monkeypatch.setattr(known, "nearest", counting)
    pairs, bank, lookups = rooted(world()), prepare_keys(world().image), Lookups()
    random = joined(pairs, *random_partners(pairs, torch.zeros(40, dtype=torch.int64), draws=4, seed=0))
    for some in (random, pairs, random.head(20)):
        looked_up(lookups, some, bank)
    assert asked == [40]


def test_what_is_asked_in_another_cell_is_looked_up_anew():
    pairs, lookups = rooted(world()), Lookups()
    one, other = (prepare_keys(world(seed=seed).image) for seed in (0, 1))
    found = [looked_up(lookups, pairs, bank, cell=cell, cells=2) for cell, bank in enumerate((one, other))]
    expected = nearest(pairs.text, other, 3, query_groups=pairs.groups, key_groups=world().groups)
    assert torch.equal(found[1].index, expected.index)
    assert not torch.equal(found[0].index, found[1].index)


def test_what_was_looked_up_goes_with_the_sample():
    lookups = Lookups()
    looked_up(lookups, rooted(world()), prepare_keys(world().image))
    gc.collect()
    assert not len(lookups._tables)


def test_pairs_without_an_origin_are_not_remembered():
    lookups = Lookups()
    looked_up(lookups, world(), prepare_keys(world().image))
    assert not len(lookups._tables)
