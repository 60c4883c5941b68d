"""Prints the events about overdue jobs and missing runs that rules.py gives for recorded observations.

Reads one JSON document per line, what a poller saw at one tick:
    {"now": epoch seconds, "jobs": [{"workflow", "jobId", "jobType", "status", "startTime", "endTime"}]}
with the jobs that have changed since the tick before; at the first tick all that there are. Prints, in no order:
    NOW OVERDUE WORKFLOW JOB SINCE
    NOW MISSING WORKFLOW EXPECTED BY LAST KEPT OF
    NOW RESUMED WORKFLOW EXPECTED BY START
"""

import json
import sys

import rules

KEPT = 1200  # newest runs of a workflow; more than any rule reads


class Runs(list):
    """A workflow's runs by start. version counts them, also those that are dropped."""
    version = 0


def cached(rhythm):
    """A rhythm depends on starts alone, which never change: compute it once for each new run."""
    answers = {}

    def answer(runs):
        if answers.get(id(runs), (None,))[0] != runs.version:
            answers[id(runs)] = (runs.version, rhythm(runs))
        return answers[id(runs)][1]
    return answer


rules.rhythm = cached(rules.rhythm)


class Observer:
    def __init__(self):
        self.workflows = {}   # name -> Runs
        self.jobs = {}        # (workflow, job ID) -> run
        self.overdue_at = {}  # of an open job, as computed when its status was observed
        self.overdue = set()  # reported
        self.missing = {}     # reported, by workflow
        self.silent = set()   # workflows whose missing run was missing at the first tick
        self.ticks = 0

    def tick(self, now, changes):
        first, self.ticks = self.ticks == 0, self.ticks + 1
        known = lambda job: (job["workflow"], job["jobId"]) in self.jobs
        for job in sorted(changes, key=lambda j: (not known(j), j["startTime"], j["jobId"])):
            self.observe(now, job)
        yield from self.overdue_jobs(now)
        for workflow, runs in sorted(self.workflows.items()):
            yield from self.timetable(now, workflow, runs, first)

    def observe(self, now, job):
        key = (job["workflow"], job["jobId"])
        run = self.jobs.get(key)
        if run is None:
            run = self.jobs[key] = {}
            runs = self.workflows.setdefault(job["workflow"], Runs())
            runs.append(run)
            runs.version += 1
            run.update(job)
            runs.sort(key=rules.order)
            del runs[:-KEPT]
        elif run["status"] == "QUEUED" and job["status"] == "RUNNING":
            run["runningSince"] = now
        run.update(job)
        if run["status"] in rules.OPEN:
            self.overdue_at[key] = rules.overdue_at(run, self.workflows[job["workflow"]])
        else:
            self.overdue_at.pop(key, None)

    def overdue_jobs(self, now):
        running = {key for key in self.overdue_at if self.jobs[key]["status"] == "RUNNING"}
        for key, at in sorted(self.overdue_at.items()):
            waits = self.jobs[key]["status"] == "QUEUED" and running - {key}
            if now >= at and key not in self.overdue and not waits:
                self.overdue.add(key)
                yield ("OVERDUE", *key, at)

    def timetable(self, now, workflow, runs, first):
        reported = self.missing.get(workflow)
        if reported:
            start = rules.resumed(reported, runs)
            if start is not None:
                if workflow not in self.silent:
                    yield ("RESUMED", workflow, reported["expected"], reported["by"], start)
                del self.missing[workflow]
                self.silent.discard(workflow)
        missing = None if workflow in self.missing else rules.missing(runs, now)
        if missing:
            self.missing[workflow] = missing
            if first:
                self.silent.add(workflow)
            else:
                yield ("MISSING", workflow, *(missing[k] for k in ("expected", "by", "last", "kept", "of")))


def main():
    observer = Observer()
    for line in sys.stdin:
        tick = json.loads(line)
        for event in observer.tick(tick["now"], tick["jobs"]):
            print(tick["now"], *event)


if __name__ == "__main__":
    main()
