"""What an audit tells of its progress: which step of how many it is in, before the step's own words."""

from ncaudit.verbs.audit.steps import Steps


class Heard:
    def __init__(self):
        self.told = []

    def stage(self, name, total, unit="rows"):
        self.told.append((name, total, unit))

    def advance(self, done, failed=0):
        self.told.append((done, failed))

    def status(self, text):
        self.told.append(text)

    def note(self, text):
        self.told.append(text)


def test_every_stage_is_told_with_its_step():
    heard = Heard()
    steps = Steps(heard, ["embed", "score"])
    steps.next().stage("embed", 10)
    steps.advance(3, 1)
    steps.next().stage("fit", None, "pairs")
    steps.status("half")
    steps.note("odd")
    assert heard.told == [
        ("step 1 of 2, embed", 10, "rows"),
        (3, 1),
        ("step 2 of 2, score: fit", None, "pairs"),
        "half",
        "odd",
    ]
