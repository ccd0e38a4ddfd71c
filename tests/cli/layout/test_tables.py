"""Tables are data: cells, and how wide they are."""

from ncaudit.cli.shared.tables import Table


def test_the_width_is_that_of_the_longest_cells_and_two_spaces_each():
    assert Table("a title that is longer", ["ab", "c"], [["a", "cdef"], ["a", ""]]).width == (2 + 2) + (4 + 2)
