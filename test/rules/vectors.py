"""Prints random histories, one JSON document per line, and what rules.py says of each.

Usage: vectors.py COUNT SEED. History i has the seed SEED + i and is the same with every version of Python.

A line of runs has "runs", ordered by start then job ID, each a list without its trailing nulls:
    [seconds after the previous start (the first: epoch seconds), job ID, status, job type,
     duration in seconds from the start to the end, seconds from the start to the first observed RUNNING, six counters]
"judged" has the answers about single succeeded runs, "open" those about jobs that have not finished.
A line of starts has "starts", each in seconds after the previous one, and the answers about a rhythm.
Ranges are [low, median, high, runs]; times are epoch seconds.
"""

import json
import random
import sys

import rules

COUNTERS = ("inputRecords", "totalRecordsProcessed", "recordsNotProcessed", "totalMappedRecords", "mappedRecordsRemoved",
            "deleteRecordsProcessed")
INT32 = 2**31 - 1
HOSTILE = (0, 0, 1, -1, -105, 49, 50, 99, 100, 101, 200, INT32 - 1, INT32, INT32, -INT32 - 1)
YEAR_9999 = 253402300799  # the last second that RFC 3339 can express
TYPES = (("BATCH",), ("BATCH",), ("BATCH",), ("INCREMENTAL",), ("BATCH", "INCREMENTAL"), ("BATCH", "INCREMENTAL", "DELETE_ONLY"),
         ("BATCH", None), (None,), ("DELETE_ONLY",))


def main():
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    for i in range(count):
        r = random.Random(seed + i)
        line = starts_line(r) if i % 4 == 3 else runs_line(r)
        print(json.dumps({"seed": seed + i, **line}, separators=(",", ":")))


# --- runs -----------------------------------------------------------------------------------------

def runs_line(r):
    history = History(r)
    runs = history.runs()
    judged = judge(r, runs)
    opened = [ask(r, runs, history.job_types) for _ in range(3)]
    return {"runs": packed(runs), "judged": judged, "open": opened}


class History:
    """A workflow with its habits: how often and how long it runs, on how much, and what goes wrong."""

    def __init__(self, r):
        self.r = r
        self.count = r.choice((r.randint(0, 8), r.randint(0, 8), r.randint(9, 47), r.randint(20, 47), r.randint(48, 54), r.randint(55, 115)))
        self.job_types = r.choice(TYPES)
        self.gap = r.choice((3600, 86400, 86400, 7 * 86400))
        self.ties = r.choice((0, 0, 0.2))
        self.size = int(10 ** r.uniform(1.5, 9.2)) if r.random() < 0.95 else 100
        self.spread = r.choice((0, 0.02, 0.02, 0.2, 0.2, 1))
        self.low_days = r.random() < 0.1
        self.peaks = r.random() < 0.1    # two of three inputs are half as large again, to the record
        if self.peaks:
            self.size, self.spread = self.size // 4 * 2, 0
        self.growth = 1 if self.peaks else r.choice((1, 1, 1, 1.01, 1.03))
        self.mapped = r.choice((0, 0.0005, 0.02, 0.06, 0.3, 0.6, 0.78, 0.97, 1))
        self.rejected = r.choice((0, 0, 0.001, 0.02, 0.2))
        self.removed = r.choice((0, 0, 0.01, 0.1))
        self.noise = r.choice((0, 0.002, 0.01, 0.05))
        self.took = int(10 ** r.uniform(0.5, 4.3))
        self.took_spread = r.choice((0, 0.05, 0.05, 0.3, 1))
        self.failing = r.choice((0, 0, 0.1, 0.5))
        self.queued = r.choice((0, 0, 0, 0.6))
        self.lacking = r.choice((0, 0, 0, 0.02, 0.3))
        self.hostile = r.choice((0, 0, 0, 0, 0.05, 0.5))
        # A longer history keeps its end times: how long the longest run took, where fewer than five of the newest 50
        # have a duration, is known of the kept runs only.
        self.endless = r.choice((0, 0, 0.1, 0.9)) if self.count <= 50 else 0
        self.strange = r.random() < 0.4  # something goes wrong from time to time
        self.edge = r.random() < 0.6     # the last run lies at the edge of a rule
        if r.random() < 0.15:            # nothing but that
            self.count, self.job_types, self.ties, self.edge = r.randint(6, 40), ("BATCH",), 0, True
            self.size, self.spread, self.low_days, self.growth = r.choice((100, 200, 100000)), 0, False, 1
            self.mapped, self.rejected, self.removed, self.noise = r.choice((0.02, 0.06, 0.3, 0.78)), 0, 0, 0
            self.failing = self.queued = self.lacking = self.hostile = self.endless = 0
            self.strange = False

    def runs(self):
        r, runs, start, ids, trouble = self.r, [], 1767232800 + self.r.randint(0, 604800), set(), None
        for i in range(self.count):
            start += 0 if r.random() < self.ties else max(0, int(self.gap * r.uniform(0.9, 1.1)))
            job_id = ""
            while not job_id or job_id in ids:
                job_id = "%03x" % r.getrandbits(12)
            ids.add(job_id)
            if trouble and r.random() < 0.5:
                trouble = None
            if self.strange and not trouble and r.random() < 0.08:
                trouble = r.choice(TROUBLES)
            run = self.run(start, job_id, i, trouble)
            if self.edge and i == self.count - 1:
                to_the_edge(r, run, runs)
            runs.append(run)
        return sorted(runs, key=rules.order)

    def run(self, start, job_id, i, trouble):
        r = self.r
        status = r.choice(("FAILED", "FAILED", "STOPPED")) if r.random() < self.failing else "SUCCEEDED"
        run = {"jobId": job_id, "status": status, "startTime": start, "metrics": self.metrics(i, trouble)}
        job_type = r.choice(self.job_types)
        if job_type is not None:
            run["jobType"] = job_type
        took = int(self.took * r.lognormvariate(0, self.took_spread))
        if r.random() < self.queued:
            run["runningSince"] = start + r.choice((1, 60, took, r.randint(0, 3600)))
            took += r.choice((0, r.randint(0, 3600)))
        if r.random() >= self.endless:
            run["endTime"] = start + took
        if r.random() < self.hostile and "endTime" in run:
            run["endTime"] = r.choice((start, start - 1, start + 1, start + INT32, YEAR_9999, 0, run["endTime"]))
        return run

    def metrics(self, i, trouble):
        r = self.r
        n = self.size * self.growth**i * r.lognormvariate(0, self.spread)
        if self.low_days and i % 7 < 2:
            n /= 5
        if self.peaks and i % 3:
            n = n * 3 // 2
        n = min(INT32, int(n))
        rate = lambda base: min(1, max(0, base + r.gauss(0, self.noise))) if base else 0
        mapped, rejected, removed = rate(self.mapped), rate(self.rejected), rate(self.removed)
        if trouble:
            n, mapped, rejected, removed = trouble(n, mapped, rejected, removed)
        n = min(INT32, int(n))
        done = 0 if trouble is nothing_processed else n - int(n * min(1, rejected))
        m = {"inputRecords": n, "totalRecordsProcessed": done, "recordsNotProcessed": int(n * min(1, rejected)),
             "totalMappedRecords": int(done * min(1, mapped)), "mappedRecordsRemoved": int(done * removed),
             "deleteRecordsProcessed": r.choice((0, int(done * removed)))}
        for c in COUNTERS:
            if r.random() < self.lacking:
                del m[c]
            elif r.random() < self.hostile:
                m[c] = r.choice(HOSTILE)
        return m if r.random() >= self.lacking else None


def nothing_processed(n, mapped, rejected, removed):
    return n, 0, 0, 0


TROUBLES = (
    nothing_processed,
    lambda n, mapped, rejected, removed: (n, mapped * 0.4, rejected, removed),
    lambda n, mapped, rejected, removed: (n, max(0, mapped - 0.1), rejected, removed),
    lambda n, mapped, rejected, removed: (n, 0, rejected, removed),
    lambda n, mapped, rejected, removed: (n, 0.99, rejected, removed),
    lambda n, mapped, rejected, removed: (0, mapped, rejected, removed),
    lambda n, mapped, rejected, removed: (n * 0.4, mapped, rejected, removed),
    lambda n, mapped, rejected, removed: (n * 0.1, mapped, rejected, removed),
    lambda n, mapped, rejected, removed: (n * 3, mapped, rejected, removed),
    lambda n, mapped, rejected, removed: (n, mapped, rejected + 0.05, removed),
    lambda n, mapped, rejected, removed: (n, mapped, rejected + 0.3, removed),
    lambda n, mapped, rejected, removed: (n, mapped, rejected, removed + 0.3),
    lambda n, mapped, rejected, removed: (n * 0.3, mapped * 0.3, rejected + 0.3, removed + 0.5),
)


def to_the_edge(r, run, earlier):
    """Moves one measure of the run to where a rule begins to hold, or next to it."""
    run["status"], ranges, near = "SUCCEEDED", rules.usual(earlier, run.get("jobType"), run), r.choice((-1, 0, 0, 1))
    what = r.choice(rules.MEASURES + ("input", "mapped", "mapped"))
    if what not in ranges:
        run["metrics"] = dict(run["metrics"] or {}, **{r.choice(COUNTERS): r.choice((0, 99, 100, 101))})
        return
    m = run["metrics"] = run["metrics"] or {}
    x, width = ranges[what], ranges[what]["high"] - ranges[what]["low"]
    if what == "duration":
        took = r.choice((x["low"] - x["low"] // 10 - 60, x["high"] + x["high"] // 10 + 60)) + near
        run["endTime"] = rules.clock(run) + max(0, min(took, YEAR_9999 - rules.clock(run)))
    elif what == "input":
        m["inputRecords"] = r.choice((x["low"] - x["low"] // 10, x["high"] + x["high"] // 10, x["low"] // 2, (x["low"] + 1) // 2)) + near
    elif what == "mapped":
        drop = x["low"] - max(500, width)
        at = r.choice((x["low"] - 100, x["high"] + 100, drop, drop, x["low"] // 2, x["low"] // 2, 0)) + near
        m["totalRecordsProcessed"] = r.choice((20000, 1000000, -(-300000 // max(1, x["low"])) + r.choice((-1, 0, 0, 1))))
        m["totalMappedRecords"] = max(0, min(at, 10000)) * m["totalRecordsProcessed"] // 10000
    elif what == "notProcessed":
        at = max(3 * x["high"], x["high"] + max(200, width)) + near
        m["inputRecords"] = r.choice((2000, 1000000, 10000 * 100 // max(1, at)))
        m["recordsNotProcessed"] = max(0, min(at, 10000)) * m["inputRecords"] // 10000
    else:
        at = max(3 * x["high"], x["high"] + max(1000, width)) + near
        whole = r.choice((1000, 1000000))
        m["mappedRecordsRemoved"] = max(0, min(at, 10000)) * whole // 10000
        m["totalMappedRecords"] = whole - m["mappedRecordsRemoved"]
        m["deleteRecordsProcessed"] = r.choice((0, m["mappedRecordsRemoved"] - 100 + r.choice((-1, 0, 0, 1))))


def judge(r, runs):
    """The answers about up to three runs: the newest, and rather those that have findings."""
    well = [i for i, run in enumerate(runs) if run["status"] == rules.ENDED_WELL]
    found = [i for i in well if rules.codes(runs[i], runs)]
    again = [i for i in found if any(f["again"] for f in rules.findings(runs[i], runs))]
    chosen = {*well[-1:], *r.sample(found, min(1, len(found))), *r.sample(again, min(1, len(again)))}
    if len(chosen) < 2 and well:
        chosen.add(r.choice(well))
    answers = []
    for i in sorted(chosen):
        run = runs[i]
        a = {"run": i, "usual": packed_usual(rules.usual(runs, run.get("jobType"), run)),
             "comparison": [[c["measure"], c["value"], c["low"], c["high"], c["runs"], c["word"]] for c in rules.comparison(run, runs)],
             "findings": [[f["code"], f["measure"], f["value"], f["again"], *(f[k] for k in ("low", "high", "runs") if k in f)]
                          for f in rules.findings(run, runs)]}
        answers.append({k: v for k, v in a.items() if v or k == "run"})
    return answers


def ask(r, runs, job_types):
    """The answers about a job that has not finished; it may have started before the newest run."""
    start = r.choice(runs)["startTime"] + r.choice((0, 1, 86400)) if runs else 1767232800
    if r.random() < 0.5 and runs:
        start = runs[-1]["startTime"] + 3600
    job = {"jobId": r.choice(("000", "80", "fff0")), "status": r.choice(("RUNNING", "RUNNING", "QUEUED")), "startTime": start}
    job_type = r.choice(job_types)
    if job_type is not None:
        job["jobType"] = job_type
    if r.random() < 0.3:
        job["runningSince"] = start + r.randint(0, 3600)
    end = rules.expected_end(job, runs)
    return {"job": job, "overdueAt": rules.overdue_at(job, runs),
            "expectedEnd": [end[k] for k in ("at", "earliest", "latest", "runs")] if end else None}


def packed_usual(ranges):
    return {what: [x["low"], x["median"], x["high"], x["runs"]] for what, x in ranges.items()}


def packed(runs):
    lines, previous = [], 0
    for run in runs:
        start, m = run["startTime"], run["metrics"] or {}
        line = [start - previous, run["jobId"], run["status"][:2], (run.get("jobType") or "")[:1],
                run["endTime"] - start if "endTime" in run else None,
                run["runningSince"] - start if "runningSince" in run else None, *(m.get(c) for c in COUNTERS)]
        while line[-1] is None:
            line.pop()
        lines.append(line)
        previous = start
    return lines


# --- starts ---------------------------------------------------------------------------------------

def starts_line(r):
    starts = sorted(timetable(r))
    runs = [{"jobId": str(i), "status": "FAILED", "startTime": s} for i, s in enumerate(starts)]
    rhythm, last = rules.rhythm(runs), starts[-1] if starts else 1767232800
    line = {"starts": [b - a for a, b in zip([0] + starts, starts)],
            "rhythm": [rhythm["last"], rhythm["kept"], rhythm["of"]] if rhythm else None}
    moments = [last + r.randint(-3600, 8 * 86400) for _ in range(2)] + [last + 20 * 86400]
    if rhythm:
        for t in {*rhythm["ahead"][:1], *rhythm["ahead"][-1:]}:
            moments += [t + rhythm["grace"] + x for x in (-1, 0, rules.STALE, rules.STALE + 1)]
    line["asked"] = [[now, times(rules.next_expected_start(runs, now), "at", "by", "kept", "of"),
                      times(rules.missing(runs, now), "expected", "by", "last", "kept", "of")] for now in moments]
    # More starts than are kept are never between the newest start at a report and the question.
    line["resumed"] = [[x, rules.resumed({"last": x}, runs)] for x in (last, last - 1, *(r.sample(starts[-rules.STARTS:], 1) if starts else ()))]
    every = r.choice((60, 3600, 54000, 54009, 86400, 604800 + r.randint(0, 9)))
    by = last + every + max(rules.TOLERANCE, every // 10)
    line["every"] = [[last, every, now, times(rules.missing_every(last, every, now), "expected", "by", "last")] for now in (by - 1, by)]
    return line


def times(answer, *keys):
    return [answer[k] for k in keys] if answer else None


def timetable(r):
    """Start times of a workflow: of a timetable with jitter and misses, or of none."""
    first, kind = 1767232800 + r.randint(0, 604800), r.choice(("daily", "daily", "weekdays", "weekly", "hourly", "twice", "none", "edge", "drift"))
    jitter, misses = r.choice((0, 30, 300, 600, 1500, 5400)), r.choice((0, 0, 0.01, 0.05, 0.1))
    drift = r.choice((599, 600, 601))  # a week: at the edge of what is punctual
    if kind == "drift":
        jitter = 0
    late, shift = r.choice((0, 0, 0, 0.05)), r.choice((0, 0, 0, 3600, 5400, 5401, 7200))
    slots = {"daily": lambda: range(0, r.randint(20, 90) * 86400, 86400),
             "weekdays": lambda: (d * 86400 for d in range(r.randint(20, 90)) if d % 7 < 5),
             "weekly": lambda: range(0, r.randint(4, 20) * 604800, 604800),
             "hourly": lambda: range(0, r.choice((480, 700, 830)) * 3600, 3600),
             "twice": lambda: (d * 86400 + h * 3600 for d in range(r.randint(20, 45)) for h in (0, 9)),
             "none": lambda: (r.randint(0, 60 * 86400) for _ in range(r.choice((0, 1, 2, 10, 80)))),
             "edge": lambda: range(0, 35 * 86400, 86400),
             "drift": lambda: (d * 86400 + d // 7 * drift for d in range(r.randint(26, 60)))}[kind]
    starts, changed = set(), r.randint(20, 60) * 86400
    for slot in slots():
        if r.random() < misses:
            continue
        start = first + slot + (r.randint(0, jitter) if jitter else 0) + (shift if slot > changed else 0)
        if r.random() < late:
            start += r.randint(1, 5) * 3600 + r.choice((0, 0, 3600))
        if kind == "edge" and slot >= 21 * 86400:  # at the edge of what belongs to a slot, is late, or is punctual
            start += r.choice((0, 0, 600, 601, 5399, 5400, 5401, -5400, -5401, 21600, 21601))
        starts.add(start)
    if starts and r.random() < 0.2:  # the newest at the edge of its slot
        newest = max(starts)
        starts.remove(newest)
        starts.add(newest + r.choice((-5401, -5400, -5400, 5400, 5401)))
    return starts


if __name__ == "__main__":
    main()
