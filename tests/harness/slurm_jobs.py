"""Batch jobs of `descent slurm` in a real Slurm of four nodes, which this test starts: time limits, signals, lost nodes, other numbers
of nodes. However a job was interrupted, it ends by itself, in the bits of a run that nothing disturbed. Jobs run at a walk
(tests/cluster/pace.c) until what should happen to them has happened; they share the cluster and run side by side.
usage: slurm_jobs.py DESCENT PACE.so [--all] [--only WORD]..."""
import argparse
import copy
import pathlib
import sys
import threading
import time

from runs import OPEN_MPI, Folder, Program, Tap, events, final_hash, skip_all, status

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cluster"))
import slurm as cluster  # noqa: E402

CONFIG = """
name: job
seed: 4
data: {train: {format: synthetic, kind: spirals, samples: 600, classes: 5}, normalize: standard}
model:
  input: [2]
  layers:
    - dense: {units: 64, activation: relu}
    - dense: {units: 5}
loss: cross_entropy
batch: {size: 64, shards: 8}
optimizer: {name: adam, lr: 0.001}
train: {max_steps: 600, log_every: 1, eval_every: 200}
checkpoint: {every_steps: 10, keep: 3}
"""


class Stopped(Exception):
    """A job did not get where it should; the text says what it looks like."""


class Job:
    """A job of the printed script, with the program behind a wrapper that makes it walk."""

    def __init__(self, bench, name, launcher, nodes, *args, minutes=10, edit=lambda text: text):
        self.bench, self.name, self.slurm = bench, name, bench.slurm
        self.dir = bench.folder / name
        self.run, self.gate, self.out = self.dir / "run", self.dir / "gate", self.dir / "job.out"
        self.dir.mkdir(exist_ok=True)
        self.gate.touch()
        wrapper = self.dir / "descent-walking"
        wrapper.write_text(f'#!/bin/sh\nLD_PRELOAD={bench.pace} PACE_GATE={self.gate} exec {bench.program.binary} "$@"\n')
        wrapper.chmod(0o755)
        printed = bench.program.run("slurm", bench.config, "--nodes", nodes, "--ntasks-per-node", 1, "--time", minutes, "--launcher", launcher,
                                    "--out", self.run, *args)
        # These hosts share their cores: bound ranks of all would sit on one.
        text = printed.out.replace(bench.program.binary, str(wrapper)).replace("--bind-to core:overload-allowed", "--bind-to none")
        self.script = self.dir / "job.sbatch"
        self.script.write_text(edit(text))

    def submit(self, *options):
        self.id = self.slurm.submit(self.script, f"--output={self.out}", *options, env=OPEN_MPI)
        self.restarts = 0
        return self

    def task(self, i, run):
        """One task of an array, as a job."""
        task = copy.copy(self)
        task.id, task.run = f"{self.id}_{i}", run
        return task

    def facts(self):
        return self.slurm.facts(self.id)

    def nodes(self):
        """Names of its nodes, the batch script's first."""
        facts = self.facts()
        names = self.slurm.call("scontrol", "show", "hostnames", facts["NodeList"]).split()
        return [facts["BatchHost"]] + [n for n in names if n != facts["BatchHost"]]

    def over(self):
        return self.facts()["JobState"] in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "BOOT_FAIL")

    def wait(self, what, true, seconds=60):
        end = time.monotonic() + seconds
        while True:
            over = self.over()
            if true():
                return
            if time.monotonic() > end or over:
                raise Stopped(f"{what}: not within {seconds} s, or over\n{self}")
            time.sleep(0.2)

    def steps(self):
        return len(events(self.run, "step"))

    def walk(self, more=12):
        """Wait for so many steps more than now; the default is beyond a checkpoint."""
        before = self.steps()
        self.wait(f"{more} more steps than {before}", lambda: self.steps() >= before + more)
        return self

    def again(self, seconds=60, *change):
        """Wait until it was queued again, and let it go at once."""
        self.restarts += 1
        self.wait(f"restart {self.restarts}", lambda: int(self.facts()["Restarts"]) >= self.restarts, seconds)
        self.wait("leave to start", lambda: self.slurm.release(self.id, *change) or self.facts()["JobState"] == "RUNNING", seconds)

    def finish(self, seconds=90):
        self.gate.unlink(missing_ok=True)
        self.wait("its end", self.over, seconds)

    def judge(self, name, ranks, resumes, wanted=None):
        """COMPLETED, the undisturbed bits, each step once, and as many resumes, with so many ranks at last."""
        facts, found = self.facts(), final_hash(self.run)
        steps = [e["step"] for e in events(self.run, "step")]
        went_on = [(e["step"], e["ranks"]) for e in events(self.run, "resume")]
        good = (facts["JobState"] == "COMPLETED" and found == (wanted or self.bench.hash) and steps == list(range(1, 601)) and
                len(went_on) == resumes and all(r == ranks for _, r in went_on[-1:]) and status(self.run)["state"] == "done")
        self.bench.point(good, name, f"{found} after {facts['Restarts']} restarts, went on at (step, ranks) {went_on}\n{self}")

    def __str__(self):
        out = self.out.read_text(errors="replace")[-4000:] if self.out.exists() else "no output"
        return f"{self.name}: job {self.id}, {self.steps()} steps, status {status(self.run)}\n{self.facts()}\n{out}"


FIRST_TWO = "--exclude=node3,node4"


def time_limit(bench, launcher):
    """Slurm warns before the limit, twice. Its looks at the clock are 30 s apart."""
    job = Job(bench, f"limit-{launcher}", launcher, 2, minutes=1).submit(FIRST_TWO)
    job.again(100)
    job.again(100, "TimeLimit=10")
    job.walk(1).finish()
    job.judge(f"{launcher}: the time limit, twice", 2, 2)


def own_clock(bench, launcher):
    """No warning comes: the run knows its end. At a margin of 52 s a job of a minute lasts 8."""
    job = Job(bench, f"clock-{launcher}", launcher, 2, "--set", "checkpoint.margin=52", minutes=1,
              edit=lambda text: text.replace("#SBATCH --signal", "# --signal")).submit(FIRST_TWO)
    job.again(100)
    job.again(100, "TimeLimit=10")
    said = job.out.read_text().count("before the job's time is over")
    job.finish()
    job.judge(f"{launcher}: no warning, the run's own clock, twice", 2, 2)
    bench.point(said == 2, f"{launcher}: it says that it was the clock", f"{said} times")


def node_lost(bench, launcher, which=1, verb="lost"):
    """which 0: the batch script's node. Another node takes over; the lost one comes back later."""
    job = Job(bench, f"{verb}-{which}-{launcher}", launcher, 2).submit("--exclude=node1")
    job.walk()
    bench.four_are_free.wait(60)
    number = job.nodes()[which].removeprefix("node")
    bench.slurm.tell(verb, number)
    job.again(100)
    job.walk(1).finish()
    job.judge(f"{launcher}: {'node' if verb == 'lost' else 'slurmd'} of {'a rank' if which else 'the batch script'} is lost", 2, 1)
    bench.slurm.tell("back", number)
    bench.slurm.wait_idle()


def fewer_nodes(bench, launcher, *signal):
    """Stopped on four nodes by a signal; the same script goes on on two."""
    bench.four_are_free.clear()
    job = Job(bench, f"fewer-{launcher}", launcher, 4).submit()
    try:
        job.walk()
        bench.slurm.call("scancel", *signal, job.id)
        job.wait("queued again", lambda: int(job.facts()["Restarts"]) == 1 and job.facts()["JobState"] == "PENDING")
        bench.slurm.call("scancel", job.id)
    finally:
        bench.four_are_free.set()
    job.submit("--nodes=2", FIRST_TWO)
    job.walk(1).finish()
    job.judge(f"{launcher}: four nodes, then two", 2, 1)


def strangers(bench, how):
    """srun that does not tell MPI of the other tasks: one line, code 2 (143 where srun ended the others), not queued again."""
    job = Job(bench, f"strangers-{how}", "srun", 2, edit=lambda text: text.replace("--mpi=pmix", f"--mpi={how}")).submit(FIRST_TWO)
    job.finish()
    said = [line for line in job.out.read_text().splitlines() if "descent: error:" in line]
    code = job.facts()["ExitCode"]
    bench.point(code in ("2:0", "143:0") and len(said) == 1 and "--mpi=pmix" in said[0] and not job.run.exists(), f"srun --mpi={how} is explained",
                f"code {code}, {len(said)} lines\n{said}\n{job}")


def sweep(bench, launcher):
    """An array of three runs. The last task has the array's own number: stopped, it must be queued again alone."""
    plain, seeds = {4: bench.hash}, (4, 5, 6)
    for seed in seeds[1:]:
        out = bench.folder / f"plain-{seed}-{launcher}"
        bench.program.train(bench.config, out, "--set", f"seed={seed}")
        plain[seed] = final_hash(out)
    job = Job(bench, f"sweep-{launcher}", launcher, 2, "--sweep", "seed=4,5,6").submit()
    tasks = [job.task(i, job.run / f"{i}-seed={seed}") for i, seed in enumerate(seeds)]
    for task in tasks:
        task.walk()
    bench.slurm.call("scancel", "--batch", "--signal=USR1", tasks[2].id)
    tasks[2].again()
    tasks[2].walk(1)
    for i, task in enumerate(tasks):
        task.finish()
        task.judge(f"{launcher}: a sweep, task {i}{', stopped once' if i == 2 else ''}", 2, int(i == 2), plain[seeds[i]])


def hard_limit(bench, launcher):
    """The warning goes astray, and the run does not know its end: TERM at the limit is all there is, and the last checkpoint."""
    job = Job(bench, f"hard-{launcher}", launcher, 2, minutes=1, edit=lambda text: text.replace("kill -USR1 \"$pid\" 2>/dev/null' USR1", ":' USR1")
              .replace("set -u\n", "set -u\nexport SLURM_JOB_END_TIME=1\n")).submit(FIRST_TWO)
    job.again(150, "TimeLimit=10")
    job.walk(1).finish()
    job.judge(f"{launcher}: the limit without a warning", 2, 1)


def signalled(bench, launcher, *how):
    job = Job(bench, f"signal-{launcher}{''.join(how)}", launcher, 2).submit()
    job.walk()
    bench.slurm.call("scancel", *how, job.id)
    job.again()
    job.walk(1).finish()
    job.judge(f"{launcher}: scancel {' '.join(how)}", 2, 1)


def cancelled(bench, launcher):
    """Plain scancel means it: the job stays away, the run can go on."""
    job = Job(bench, f"cancel-{launcher}", launcher, 2).submit()
    job.walk()
    bench.slurm.call("scancel", job.id)
    job.wait("its end", job.over)
    state, facts = status(job.run).get("state"), job.facts()
    bench.point(facts["JobState"] == "CANCELLED" and state in ("running", "resumable"), f"{launcher}: scancel ends the job",
                f"{facts['JobState']}, the run is {state}\n{job}")
    job.submit()
    job.walk(1).finish()
    job.judge(f"{launcher}: submitted again after scancel", 2, 1)


class Bench:
    def __init__(self, args, folder, slurm, tap):
        self.program, self.pace = Program(args.descent), pathlib.Path(args.pace).resolve()
        self.folder, self.slurm, self.tap, self.lock = folder.path, slurm, tap, threading.Lock()
        self.four_are_free = threading.Event()
        self.four_are_free.set()
        self.config = self.folder / "job.yaml"
        self.config.write_text(CONFIG)
        plain = self.program.train(self.config, self.folder / "plain")
        self.hash = final_hash(self.folder / "plain")
        self.point(plain.code == 0 and self.hash, "the undisturbed run", f"{self.hash}\n{plain}")

    def point(self, *args):
        with self.lock:
            self.tap.point(*args)

    def play(self, scene, *args):
        start = time.monotonic()
        try:
            scene(self, *args)
        except (Stopped, RuntimeError, OSError, KeyError) as why:
            self.point(False, f"{scene.__name__} {args}", f"{type(why).__name__}\n{why}")
        with self.lock:
            self.tap.say(f"{scene.__name__} {args}: {time.monotonic() - start:.1f} s")


SIGNALS = (("-b", "--signal=USR1"), ("-b", "--signal=TERM"), ("--signal=TERM",), ("--signal=USR1",), ("--full", "--signal=USR1"))
QUICK = [[(time_limit, "mpirun"), (own_clock, "srun"), (fewer_nodes, "srun", "-b", "--signal=USR1"), (node_lost, "mpirun"), (strangers, "none")]]


def everything():
    """Batches of scenes; those of a batch run side by side."""
    both = ("mpirun", "srun")
    yield [(time_limit, m) for m in both] + [(own_clock, m) for m in both]
    for how in SIGNALS:
        yield [(signalled, m, *how) for m in both]
    yield [(cancelled, m) for m in both] + [(strangers, how) for how in ("none", "pmi2")]
    yield [(sweep, m) for m in both]
    yield [(hard_limit, m) for m in both]
    yield [(fewer_nodes, "mpirun", "-b", "--signal=TERM"), (fewer_nodes, "srun", "--signal=TERM")]
    for verb in ("lost", "crash"):
        for which in (0, 1):
            for m in both:
                yield [(node_lost, m, which, verb)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("descent")
    parser.add_argument("pace")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    args = parser.parse_args()
    why = cluster.why_not()
    if why:
        skip_all(why)
    tap = Tap()
    with Folder("slurm-jobs") as folder, cluster.Slurm(4) as slurm:
        bench = Bench(args, folder, slurm, tap)
        for batch in everything() if args.all or args.only else QUICK:
            scenes = [s for s in batch if not args.only or any(word in (s[0].__name__, *map(str, s[1:])) for word in args.only)]
            threads = [threading.Thread(target=bench.play, args=scene) for scene in scenes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        tap.say(f"{time.monotonic() - slurm.start:.1f} s since Slurm is up")
    tap.done()


main()
