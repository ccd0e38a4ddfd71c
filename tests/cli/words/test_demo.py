"""The words of `demo`: what each training was worth, how well mismatches were found, where everything is."""

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words.demo import lines
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
