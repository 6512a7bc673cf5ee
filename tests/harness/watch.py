"""Ranks that hang, are stopped, are slow, sleep, or are behind a dead link; wishes to stop that come at bad moments, or to one rank
alone; what a run says while it hangs. Whole runs; the cases wait more than they compute, so several go at once.
usage: watch.py DESCENT SHIM SOURCE_ROOT [PART OF A NAME]..."""
import concurrent.futures
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import time

from runs import Folder, Program, Tap, checkpoints, environment, events, final_hash, status

CONFIG = """
name: watched
seed: 1
data:
  train: {format: synthetic, kind: digits, samples: 1280}
  test:  {format: synthetic, kind: digits, samples: 200, seed: 2}
  normalize: standard
model: {input: [784], layers: [dense: {units: 64, activation: relu}, dense: {units: 10}]}
loss: cross_entropy
batch: {size: 128, shards: 8}
optimizer: {name: adamw, lr: 0.0001}
train: {epochs: 100000, log_every: 5, eval_every: 0}
checkpoint: {every_steps: 20}
watch: {timeout: 2}
"""
TIMEOUT, SLACK = 2, 10
CASES = []


def case(function):
    CASES.append(function)
    return function


class Run:
    """One run under mpirun (ranks 0: alone) with its standard error in a file, and what is wrong with it."""

    def __init__(self, case, out, edits=(), ranks=2, env=None, head=None, resume=False):
        self.case, self.out = case, case.folder / out
        self.said = case.folder / f"{out}.err"
        words = ["train", case.folder / "config.yaml", "--out", self.out, "--quiet", *(["--resume"] if resume else [])]
        words += [word for edit in edits for word in ("--set", edit)]
        head = head if head is not None else ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks else []
        command = [*head, "/usr/bin/env", *[f"{k}={v}" for k, v in (env or {}).items()], case.program.binary, *words]
        with open(self.said, "w") as said:
            self.child = subprocess.Popen([str(word) for word in command], env=environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def text(self):
        return self.said.read_text(errors="replace")

    def until(self, what, seconds=30):
        end = time.monotonic() + seconds
        while not what() and time.monotonic() < end:
            time.sleep(0.02)
        return what()

    def wait_step(self, step, seconds=60):
        good = self.until(lambda: any(e["step"] >= step for e in events(self.out, "step")), seconds)
        self.case.check(good, f"no step {step} in {seconds} s\n{self.text()}")

    def pids(self):
        """{rank: process} below mpirun."""
        below = {}
        for pid in (int(p) for p in os.listdir("/proc") if p.isdigit()):
            try:
                environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            rank = [e.split(b"=")[1] for e in environ if e.startswith(b"OMPI_COMM_WORLD_RANK=")]
            if rank and words[0].endswith(b"descent") and os.fsencode(self.out) in words:
                below[int(rank[0])] = pid
        return below

    def end(self, seconds=40):
        try:
            return self.child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            for pid in self.pids().values():
                os.kill(pid, signal.SIGKILL)
            self.child.kill()
            self.child.wait()
            return "timeout"

    def errors(self):
        return [line[line.index("descent: error:"):] for line in self.text().splitlines() if "descent: error:" in line]

    def judge_late(self, names, since, codes=(75,)):
        """Ended in time, says once who is late, and is resumable from its newest checkpoint."""
        code, took, errors, found = self.end(), time.monotonic() - since, self.errors(), status(self.out)
        stand = [int(path.stem[5:]) for path in checkpoints(self.out)]
        check = self.case.check
        check(code in codes, f"mpirun's code {code}, expected {codes}\n{self.text()}")
        check(took < TIMEOUT + SLACK, f"{took:.1f} s, expected less than {TIMEOUT + SLACK}")
        check(len(errors) == 1 and all(name in errors[0] for name in names), f"expected one line with {names}: {errors}\n{self.text()}")
        check(found.get("state") == "resumable" and found.get("code") == 75, f"status.json: {found}")
        # a checkpoint that not all have agreed on yet may be newer
        right = stand[-2:] if "checkpoint" in found.get("reason", "") else stand[-1:]
        check(found.get("step") in right, f"status.json: {found}, checkpoints {stand}")
        self.case.figures.append(f"{took:.1f} s, code {code}, {errors[0][15:150] if errors else 'nothing said'}")


class Case:
    def __init__(self, program, folder, shim, root):
        self.program, self.folder, self.shim, self.root = program, folder, shim, root
        self.wrong, self.figures, self.skipped = [], [], None
        folder.mkdir()
        (folder / "config.yaml").write_text(CONFIG)

    def check(self, good, text):
        if not good:
            self.wrong.append(str(text))
        return good

    def ends_alike(self, run, ranks=1):
        """Resumed until a little later, the run has the bits of one that nothing happened to."""
        last = checkpoints(run.out)[-1]
        edits = ["train.epochs=0", f"train.max_steps={int(last.stem[5:]) + 20}", "watch.timeout=600"]
        for out, resume in ((run.out.name, True), ("whole", False)):
            done = Run(self, out, edits, ranks=ranks if resume else 0, resume=resume)
            self.check(done.end(60) == 0, done.text())
        a, b = final_hash(run.out), final_hash(self.folder / "whole")
        self.check(a and a == b, f"params_hash {a} after --resume, {b} undisturbed")


@case
def stopped_rank(c):
    """A stopped rank is named; all leave with 75; the run goes on to the same bits."""
    run = Run(c, "run", ranks=3)
    run.wait_step(25)
    os.kill(run.pids()[1], signal.SIGSTOP)
    run.judge_late(["rank 1 of 3", "silent", "--resume"], time.monotonic())
    c.check(run.until(lambda: not run.pids(), 5), f"still there: {run.pids()}")
    c.ends_alike(run, ranks=2)


@case
def stopped_first(c):
    """Rank 0 stopped: the others find out alone, and one of them speaks."""
    run = Run(c, "run", ranks=3)
    run.wait_step(25)
    os.kill(run.pids()[0], signal.SIGSTOP)
    run.judge_late(["rank 0 of 3", "silent", "--resume"], time.monotonic())
    c.check(run.until(lambda: not run.pids(), 5), f"still there: {run.pids()}")


@case
def wall(c):
    """A firewall keeps UDP away: a warning says so; a stopped rank, or rank 0, is still noticed, after four timeouts."""
    cases = ((1, ["rank 1 of 2", "never heard"]), (0, ["rank 0 of 2", "says rank 1"]))
    deaf = {"LD_PRELOAD": c.shim, "SHIM_RANK": "all", "SHIM_DEAF": "1"}
    runs = [Run(c, f"stopped{rank}", ["watch.timeout=1"], env=deaf) for rank, _ in cases]
    for run, (rank, _) in zip(runs, cases):
        run.wait_step(25)
        c.check("firewall" in run.text(), f"no warning: {run.text()}")
        os.kill(run.pids()[rank], signal.SIGSTOP)
    since = time.monotonic()
    for run, (_, names) in zip(runs, cases):
        run.judge_late([*names, "--resume"], since)
        reason = status(run.out).get("reason", "")
        c.check(all(name in reason for name in names), f"status.json does not say who: {reason}")


@case
def hung_rank(c):
    """A rank that hangs in what it does (here: its disk), though its process answers."""
    run = Run(c, "run", ["train.epochs=0", "train.max_steps=30"])
    c.check(run.end() == 0, run.text())
    run = Run(c, "run", ["train.epochs=0", "train.max_steps=1000"], env={"LD_PRELOAD": c.shim, "SHIM_RANK": "1", "SHIM_SYNC_MS": "30000"}, resume=True)
    c.check(run.until(lambda: any("00000040.h5.tmp" in p.name for p in (run.out / "checkpoints").iterdir())), run.text())
    run.judge_late(["rank 1 of 2", "checkpoint, step 40", "no progress"], time.monotonic())


@case
def slow_rank(c):
    """A rank that is stopped four seconds of five, evaluations and saves longer than the timeout: nobody is late."""
    edits = ["train.epochs=0", "train.max_steps=40", "data.test.samples=20000", "eval.batch=1", "train.eval_every=20"]
    run = Run(c, "run", edits, env={"LD_PRELOAD": c.shim, "SHIM_RANK": "all", "SHIM_SYNC_MS": "700"})
    run.wait_step(1)
    pid, start = run.pids()[1], time.monotonic()
    while run.child.poll() is None and time.monotonic() - start < 40:
        for number, seconds in ((signal.SIGSTOP, 0.8), (signal.SIGCONT, 0.2)):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                break
            time.sleep(seconds)
    c.check(run.end() == 0, f"a slow rank is not late\n{run.text()}")
    c.figures.append(f"{time.monotonic() - start:.1f} s with a timeout of {TIMEOUT} s")


@case
def suspended(c):
    """The whole job is suspended (TSTP to mpirun) for longer than the timeout, and goes on."""
    run = Run(c, "run", ["train.epochs=0", "train.max_steps=400"])
    run.wait_step(10)
    run.child.send_signal(signal.SIGTSTP)
    time.sleep(0.3)
    states = [pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] for pid in run.pids().values()]
    c.check(set(states) == {"T"}, f"the ranks are not stopped: {states}")
    time.sleep(TIMEOUT + 2.5)
    run.child.send_signal(signal.SIGCONT)
    c.check(run.end() == 0, f"late for having slept\n{run.text()}")


@case
def states(c):
    """USR2: each rank's phase, step and times; also while the run hangs, then with the rank that does not answer."""
    run = Run(c, "run", ["watch.timeout=0"], ranks=3)
    run.wait_step(10)
    run.child.send_signal(signal.SIGUSR2)
    pattern = r"descent: rank {} of 3 on \S+: (computing|exchange|report|checkpoint)( \(waiting for others\))?, step \d+, for \d+\.\d+ s; last step: .*computing \d"
    for rank in range(3):
        c.check(run.until(lambda r=rank: re.search(pattern.format(r), run.text()), 5), f"no state of rank {rank}\n{run.text()}")
    os.kill(run.pids()[2], signal.SIGSTOP)
    time.sleep(4)
    before = run.text()
    run.child.send_signal(signal.SIGUSR2)
    for part in (r"rank 0 of 3 on \S+: \w+ \(waiting for others\), step \d+, for [3-9]", r"rank 2 of 3 on \S+: silent for [3-9]"):
        c.check(run.until(lambda p=part: re.search(p, run.text()[len(before):]), 5), f"no /{part}/ in\n{run.text()[len(before):]}")
    c.figures += [line for line in run.text()[len(before):].splitlines() if "descent:" in line][:2]
    os.kill(run.pids()[2], signal.SIGCONT)
    os.kill(run.pids()[1], signal.SIGTERM)
    c.check(run.end() == 75, f"TERM to rank 1 alone, with no watch.timeout\n{run.text()}")


@case
def bad_moments(c):
    """TERM to mpirun within an evaluation, and where a save takes longer than there is: status.json is true, the run goes on."""
    run = Run(c, "eval", ["data.test.samples=20000", "eval.batch=1", "train.eval_every=20", "checkpoint.every_steps=10", "watch.timeout=600", "model.layers.0.dense.units=2048"])
    run.wait_step(20)
    run.child.send_signal(signal.SIGTERM)
    run.end()
    found = status(run.out)
    c.check(found.get("state") == "resumable" and f"step-{found['step']:08d}.h5" == checkpoints(run.out)[-1].name, f"in an evaluation: {found}\n{run.text()}")
    run = Run(c, "slow", ["watch.timeout=600", "checkpoint.every_steps=5000"], env={"LD_PRELOAD": c.shim, "SHIM_RANK": "0", "SHIM_SYNC_MS": "300"})
    run.wait_step(5010)  # far from the next save
    run.child.send_signal(signal.SIGTERM)
    run.end()
    found = status(run.out)
    c.check(found.get("state") == "resumable" and found["step"] % 5000 == 0 and f"step-{found['step']:08d}.h5" == checkpoints(run.out)[-1].name,
            f"a slow save: {found}\n{run.text()}")
    c.check("without saving" in found.get("reason", ""), found)
    c.figures.append(found.get("reason"))
    c.ends_alike(run, ranks=2)


@case
def terminal(c):
    """Ctrl-C under mpirun on a terminal: gone within 2.5 s, resumed to the same bits."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(c.folder)
        os.execvpe("mpirun", ["mpirun", "--oversubscribe", "-n", "2", c.program.binary, "train", "config.yaml", "--out", "run"], environment())
    run = Run.__new__(Run)
    run.case, run.out, end, typed, text = c, c.folder / "run", time.monotonic() + 40, None, b""
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.05)[0]:
            try:
                more = os.read(fd, 65536)
            except OSError:
                break
            if not more:
                break
            text += more
        if typed is None and any(e["step"] >= 25 for e in events(run.out, "step")):
            typed = time.monotonic()
            os.write(fd, b"\x03")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    took = time.monotonic() - typed if typed else -1
    found = status(run.out)
    c.check(0 < took < 2.5 and not run.pids(), f"{took:.2f} s until the terminal was free, expected 2.5\n{text[-500:]!r}")
    c.check(found.get("state") == "resumable" and checkpoints(run.out)[-1].name == f"step-{found.get('step', 0):08d}.h5", f"{found}")
    c.figures.append(f"{took:.2f} s, mpirun's code {code}, step {found.get('step')}")
    c.ends_alike(run)


@case
def bad_timeouts(c):
    """A timeout that is none: one line, exit 2."""
    for value in ("-1", "0.5", "soon", "1e10", "{a: 1}"):
        run = Run(c, "bad", [f"watch.timeout={value}"], ranks=0)
        c.check(run.end() == 2 and len(run.errors()) == 1 and "watch" in run.errors()[0], f"{value}: {run.text()}")


@case
def dead_link(c):
    """Four hosts, one cut off; then the first one. A wish to stop that reaches one far rank stops all."""
    sys.path.insert(0, str(c.root / "tests/cluster"))
    import hosts as cluster
    c.skipped = cluster.why_not()
    if c.skipped:
        return
    with cluster.Hosts(4) as hosts:
        head = hosts.mpirun("--hostfile", hosts.file, *cluster.INTERFACE)
        for node, names in ((3, ["rank 2 of 4 on node3", "silent"]), (1, ["rank 1 of 4 on node2", "rank 3 of 4 on node4", "rank 0: its own host"])):
            run = Run(c, f"cut{node}", head=head)
            run.wait_step(25)
            hosts.link(node, False)
            run.judge_late(names, time.monotonic(), codes=(75, -9, 137))
            c.check(run.until(lambda r=run: not r.pids(), 10), f"still there: {run.pids()}")
            hosts.link(node, True)
        run = Run(c, "one", head=head)
        run.wait_step(20)
        os.kill(run.pids()[3], signal.SIGUSR1)
        code, found = run.end(), status(run.out)
        c.check(code == 75 and found.get("state") == "resumable", f"USR1 to rank 3 alone: {code}, {found}\n{run.text()}")


def play(function, folder):
    c = Case(Program(sys.argv[1]), folder / function.__name__, str(pathlib.Path(sys.argv[2]).resolve()), pathlib.Path(sys.argv[3]).resolve())
    start = time.monotonic()
    try:
        function(c)
    except Exception as why:
        c.wrong.append(f"the test itself failed: {why!r}")
    return c, time.monotonic() - start


def main():
    tap, only = Tap(), sys.argv[4:]
    chosen = [f for f in CASES if not only or any(part in f.__name__ for part in only)]
    with Folder("watch") as folder, concurrent.futures.ThreadPoolExecutor(3) as pool:
        waits = {f: pool.submit(play, f, folder.path) for f in chosen if f is not dead_link}
        here = play(dead_link, folder.path) if dead_link in chosen else None  # takes its hosts down on a signal: the main thread's
        for function in chosen:
            c, seconds = here if function is dead_link else waits[function].result()
            name = f"{function.__name__} ({(function.__doc__ or '').splitlines()[0]}) in {seconds:.1f} s"
            if c.skipped:
                tap.skip(function.__name__, c.skipped)
                continue
            tap.point(not c.wrong, name, "\n".join(["", *c.wrong]) if c.wrong else "")
            tap.say("\n".join(map(str, c.figures)))
    tap.done()


main()
