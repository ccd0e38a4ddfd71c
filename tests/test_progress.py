"""Several verbs as one job: their stages are told with the part they are of, and the plan holds what is known."""

from ncaudit.progress import SILENT, Parts, Silent


class Heard(Silent):
    def __init__(self):
        self.told, self.plans = [], []

    def job(self, name, stages):
        self.plans.append((name, dict(stages)))

    def stage(self, name, total, unit="rows"):
        self.told.append((name, total, unit))

    def advance(self, done, failed=0):
        self.told.append((done, failed))

    def kept(self, done, failed=0):
        self.told.append(done)

    def status(self, text):
        self.told.append(text)

    def note(self, text):
        self.told.append(text)


def test_every_stage_is_told_with_its_part():
    heard = Heard()
    parts = Parts(heard, "audit", {"embed": 8.0, "score": 2.0})
    first, second = parts.part("embed"), parts.part("score")
    first.stage("embed", 10)
    first.advance(3, 1)
    first.kept(7)
    second.stage("fit", None, "pairs")
    second.status("half")
    second.note("odd")
    assert heard.told == [("embed", 10, "rows"), (3, 1), 7, ("score: fit", None, "pairs"), "half", "odd"]


def test_a_part_that_tells_its_stages_shares_its_time_among_them():
    heard = Heard()
    parts = Parts(heard, "audit", {"embed": 8.0, "score": 2.0})
    parts.part("embed").job("embed", {"load": 0.0, "rows": 5.0})
    parts.part("score").job("score", {"fit": 3.0, "rows": 1.0})
    assert heard.plans == [
        ("audit", {"embed": 8.0, "score": 2.0}),
        ("audit", {"embed: load": 0.0, "embed: rows": 8.0, "score": 2.0}),
        ("audit", {"embed: load": 0.0, "embed: rows": 8.0, "score: fit": 1.5, "score: rows": 0.5}),
    ]


def test_a_job_of_jobs_tells_the_outermost_part_first():
    heard = Heard()
    demo = Parts(heard, "demo", {"audit": 1.0, "train": 1.0})
    audit = Parts(demo.part("audit"), "audit", {"embed": 1.0, "score": 1.0})
    audit.part("score").stage("fit", 4, "steps")
    assert heard.plans[-1] == ("demo", {"audit: embed": 0.5, "audit: score": 0.5, "train": 1.0})
    assert heard.told == [("audit: score: fit", 4, "steps")]


def test_who_hears_nothing_is_told_everything_all_the_same():
    SILENT.job("score", {"fit": 1.0})
    SILENT.stage("fit", 4)
    SILENT.advance(1)
    SILENT.kept(1)
    SILENT.status("half")
    SILENT.note("odd")
