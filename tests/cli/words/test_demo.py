"""The words of `demo`: what each training was worth, how well mismatches were found, where everything is."""

import pytest

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words.demo import MATCHERS, lines
from ncaudit.verbs.demo import DemoResult, Finding, Recalls


def test_recalls_are_a_table_and_the_rest_is_lines():
    recalls = Recalls(i2t_r1=1.25, t2i_r1=2.0, i2t_r10=30.0, t2i_r10=44.4)
    found = {"similarity": Finding(auroc=0.9), "soft_label": Finding(auroc=0.95)}
    told = {"out": "demo", "report": "demo/report.html", "detection": found, "seconds": 12.6}
    result = DemoResult(**told, retrieval={"start": recalls, "soft": recalls})
    table, *others = lines(result)
    assert [row[0] for row in table.rows] == [
        "the weak model that scored the pairs",
        "fine-tuned on pairs weighted by soft label",
    ]
    assert table.rows[0][1:] == ["1.2", "2.0", "30.0", "44.4"]
    assert plain(others) == [
        "",
        "AUROC of finding the mismatched pairs: similarity 0.900, soft_label 0.950",
        "13 s; everything is in demo",
        "next: open demo/report.html in a browser",
    ]
    assert lines(DemoResult(**told, retrieval={})) == others[1:]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_recalls_stand_beside_each_other_as_far_as_there_is_room(columns):
    recalls = Recalls(i2t_r1=26.7, t2i_r1=22.2, i2t_r10=69.7, t2i_r10=69.6)
    told = {"out": "demo", "report": "demo/report.html", "detection": {}, "seconds": 12.6}
    shown = plain(lines(DemoResult(**told, retrieval=dict.fromkeys(MATCHERS, recalls))), columns)
    assert max(map(len, shown)) <= columns
    assert sum(line.count("26.7") for line in shown) == len(MATCHERS)
    assert [line for line in shown if line.endswith("69.6")]
