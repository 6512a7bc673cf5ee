"""Kill -9, resume on another number of ranks, and get the bits of the undisturbed run.
One run goes undisturbed. Then the same training is started again and again with --resume on a random number of ranks, and a random
rank, or all, get SIGKILL: at a random instant, or aimed between the first byte of a checkpoint's .tmp and its rename (inotify tells;
the .tmp that stays behind proves the hit). After each kill the newest checkpoint must verify. Whenever the training comes to its end
its params_hash and all tensors of its last checkpoint must be the undisturbed run's, and it starts over in a new folder. A histogram at the end. Standard library only.
--method NAME: another way to synchronise (METHODS below; `quick`, `all`), with a reference of its own. --set KEY=VALUE edits the config.
usage: kill_resume.py DESCENT [--method NAME]... [--kills 20] [--min-tmp KILLS/4] [--min-all KILLS/4] [--seed S] [--set KEY=VALUE]...
                      [--log FILE]"""
import argparse
import collections
import ctypes
import os
import pathlib
import random
import select
import signal
import struct
import subprocess
import time

from runs import Folder, Program, Tap, checkpoints, environment, events, final_hash, status

CONFIG = """
name: kill
seed: 3
data: {train: {format: synthetic, kind: spirals, samples: 600, classes: 7}, normalize: standard}
model:
  input: [2]
  layers:
    - dense: {units: 256, activation: relu}
    - dense: {units: 256, activation: tanh}
    - dense: {units: 7}
loss: cross_entropy
batch: {size: 64, shards: 8}
optimizer: {name: adam, lr: 0.001, clip_norm: 1}
lr: {schedule: cosine, warmup_steps: 5}
train: {epochs: 12, log_every: 1}
checkpoint: {every_steps: 4, initial: true, keep: 3}
"""
RANKS = (1, 2, 3, 4, 5, 8)
# {name: (its sync map, the ranks a run begins on, those it goes on with)}. With eight replicas the bits are the same on any of RANKS; where
# replicas are the ranks that the run began with, on as many or fewer. Each strategy by each codec; their options vary along the way.
STRATEGIES = {"exact": "strategy: exact", "local-sgd": "strategy: local-sgd, local_steps: 7",
              "post-local": "strategy: post-local, local_after: 45 steps, local_steps: 5, optimizer_state: average",
              "diloco": "strategy: diloco, local_steps: 9, optimizer_state: reset"}
CODECS = {"none": "compress: none", "fp16": "compress: fp16", "bf16": "compress: bf16, transport: direct", "int8": "compress: int8, block: 64"}
METHODS = {
    **{f"{way}-{codec}": (f"{{{STRATEGIES[way]}, {CODECS[codec]}, replicas: 8}}", RANKS, RANKS) for way in STRATEGIES for codec in CODECS},
    **{f"{way}-{codec}-ranks": (f"{{{STRATEGIES[way]}, {CODECS[codec]}, replicas: ranks}}", (4,), (1, 2, 3, 4))
       for way, codec in (("exact", "fp16"), ("exact", "int8"), ("local-sgd", "none"), ("diloco", "bf16"))}}
QUICK = ("exact-fp16", "exact-bf16", "exact-int8", "local-sgd-none", "post-local-fp16", "diloco-bf16", "exact-int8-ranks")
IN_MODIFY, IN_NONBLOCK = 0x2, 0o4000


class TmpWatch:
    """Tells when a .tmp in a folder gets bytes."""

    def __init__(self, folder):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(IN_NONBLOCK)
        if self.fd < 0 or self.libc.inotify_add_watch(self.fd, os.fsencode(folder), IN_MODIFY) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def wait(self, seconds):
        """True once a .tmp was written to; False when time is over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0] and self.names() & {"tmp"}:
                return True
        return False

    def names(self):
        data, at, found = os.read(self.fd, 65536), 0, set()
        while at < len(data):
            length = struct.unpack_from("iIII", data, at)[3]
            found.add(data[at + 16:at + 16 + length].rstrip(b"\0").decode().rsplit(".", 1)[-1])
            at += 16 + length
        return found

    def close(self):
        os.close(self.fd)


def children(pid):
    """{MPI rank: pid} of mpirun's children that are ranks."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = pathlib.Path("/proc", entry, "stat").read_text()
            if int(stat.rsplit(")", 1)[1].split()[1]) != pid:
                continue
            for word in pathlib.Path("/proc", entry, "environ").read_bytes().split(b"\0"):
                if word.startswith(b"OMPI_COMM_WORLD_RANK="):
                    found[int(word.split(b"=")[1])] = int(entry)
        except (OSError, ValueError, IndexError):
            continue
    return found


class Killer:
    """Kills runs of one method (None: as the config says)."""

    def __init__(self, program, folder, options, tap, method=None):
        self.program, self.folder, self.options, self.tap = program, folder, options, tap
        self.name = f"{method}: " if method else ""
        sync, self.begin, self.go_on = METHODS[method] if method else (None, RANKS, RANKS)
        self.edits = [word for edit in ([f"sync={sync}"] if method else []) + options.set for word in ("--set", edit)]
        self.path = folder.path / (method or "plain")
        self.path.mkdir()
        self.draw = random.Random(f"{options.seed} {method}")
        self.phase, self.who, self.on = collections.Counter(), collections.Counter(), collections.Counter()
        self.kills = self.runs = self.wrong = self.resumed = self.stuck = 0
        self.midway = 0  # kills that left a checkpoint with something before it and something to come
        self.whole, self.first, self.struck, self.stale, self.hash, self.steps = 2.0, 0, 0, set(), None, 0

    def tell(self, text):
        if self.options.log:
            print(self.name + text, file=self.options.log, flush=True)

    def point(self, good, name, detail=""):
        return self.tap.point(good, self.name + name, detail)

    def ranks(self, out):
        return self.draw.choice(self.go_on if checkpoints(out) else self.begin)

    def reference(self):
        """The undisturbed run, and how long such a run takes."""
        out, ranks = self.path / "undisturbed", 2 if 2 in self.begin else self.begin[0]
        done = self.program.train(self.folder.path / "config.yaml", out, *self.edits, ranks=ranks)
        self.hash = final_hash(out) if done.code == 0 else None
        if self.hash:
            self.whole, self.steps = done.seconds, events(out, "end")[-1]["step"]
            self.tell(f"undisturbed: {self.hash}, {self.steps} steps, {ranks} ranks, {done.seconds:.2f} s")
        self.point(self.hash, "the undisturbed run", self.hash or done)
        return self.hash

    def start(self, out, ranks):
        self.first = time.monotonic()
        command = self.program.command(["train", self.folder.path / "config.yaml", "--resume", "--out", out, *self.edits], ranks)
        return subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True)

    def aim(self, child, out, want_tmp):
        """Wait for the instant to kill at; False when the run ended before."""
        if not want_tmp:
            try:
                child.wait(self.draw.uniform(0.02, self.whole))
                return False
            except subprocess.TimeoutExpired:
                return True
        try:
            child.wait(self.draw.uniform(0, self.whole / 2))  # not always the first one
            return False
        except subprocess.TimeoutExpired:
            pass
        watch = TmpWatch(out / "checkpoints")
        try:
            while child.poll() is None:
                if watch.wait(0.2):
                    time.sleep(self.draw.choice((0, 0, self.draw.uniform(0, 0.002))))
                    return True
            return False
        finally:
            watch.close()

    def strike(self, child, everyone):
        """SIGKILL to one rank or all that stand; the number of ranks that got it."""
        pids = children(child.pid)
        if not everyone and pids:
            pids = dict([self.draw.choice(sorted(pids.items()))])
        hit, self.struck = 0, time.monotonic() - self.first
        for pid in pids.values():
            try:
                os.kill(pid, signal.SIGKILL)
                hit += 1
            except ProcessLookupError:
                pass
        return hit

    def bury(self, child, patience=60):
        """mpirun ends by itself once a rank is lost. Ranks that live on after a minute are a fault; an mpirun without ranks, whose
        launch was hit, is Open MPI's own affair: counted and ended."""
        try:
            _, err = child.communicate(timeout=patience if children(child.pid) else 15)
        except subprocess.TimeoutExpired:
            alive = children(child.pid)
            os.killpg(child.pid, signal.SIGKILL)
            for pid in alive.values():
                os.kill(pid, signal.SIGKILL)
            _, err = child.communicate()
            self.stuck += not alive
            if alive:
                self.fault(f"{len(alive)} ranks live on after {patience} s")
        return err

    def fault(self, text):
        self.wrong += 1
        self.point(False, f"kill {self.kills}", text)
        self.tell(f"WRONG: {text}")

    @staticmethod
    def leftovers(out):
        """The .tmp files with bytes in them; those of earlier starts stay for the run to meet."""
        stats = {p.name: p.stat() for p in (out / "checkpoints").glob("*.tmp")}
        return {(name, s.st_mtime_ns, s.st_size) for name, s in stats.items() if s.st_size > 0}

    def where(self, out, mark):
        """In what the run was when it died."""
        if self.leftovers(out) - self.stale:
            return "tmp"
        try:
            lines = events(out)
        except ValueError:
            return "metrics line"
        if len(lines) <= mark:
            return "start"
        return {"checkpoint": "after rename", "end": "end"}.get(lines[-1]["event"], "steps")

    def examine(self, out):
        """The newest committed checkpoint must verify; and a stale .tmp must not count as one."""
        files = checkpoints(out)
        if files:
            seen = self.program.run("verify", files[-1], timeout=30)
            if seen.code != 0:
                self.fault(f"verify {files[-1].name}\n{seen}")
        return files[-1].name if files else "no checkpoint"

    def one(self, out):
        """One start of the training; True when it came to its end."""
        left = self.options.kills - self.kills
        want_tmp = self.phase["tmp"] < self.options.min_tmp and (self.draw.random() < 0.7 or left <= self.options.min_tmp)
        want_tmp = want_tmp or self.draw.random() < 0.25
        everyone = self.draw.random() < 0.5 or (self.who["all"] < self.options.min_all and left <= self.options.min_all)
        ranks = self.ranks(out)
        self.stale = self.leftovers(out)
        try:
            mark = len(events(out))
        except ValueError:
            mark = 0
        child = self.start(out, ranks)
        if self.aim(child, out, want_tmp) and (hit := self.strike(child, everyone)):
            self.bury(child)
            self.count(out, mark, ranks, "all" if everyone and hit == ranks else "one" if hit == 1 else "some", hit)
            return False
        err = self.bury(child, 180)  # nobody killed it: it may take its time beside other tests
        if child.returncode != 0:
            self.fault(f"the run ended with {child.returncode}, nobody killed it\n{err[-2000:]}")
        return child.returncode == 0 and status(out).get("state") == "done"

    def count(self, out, mark, ranks, who, hit):
        self.kills += 1
        phase = self.where(out, mark)
        self.phase[phase] += 1
        self.who[who] += 1
        self.on[ranks] += 1
        newest = self.examine(out)
        self.midway += newest not in ("no checkpoint", "step-00000000.h5", f"step-{self.steps:08}.h5")
        self.tell(f"kill {self.kills}: {who} of {ranks} ({hit} pids), {self.struck:.2f} s after the start, in: {phase}; newest {newest}")
        self.folder.sweep()

    def finish(self, out):
        """Compare a run that came to its end with the undisturbed one."""
        self.runs += 1
        found = final_hash(out)
        self.resumed += len(events(out, "resume"))
        self.tell(f"run {self.runs}: {found}")
        self.examine(out)
        if found != self.hash:
            self.fault(f"params_hash {found}, undisturbed {self.hash}")
        same = self.program.run("diff", self.path / "undisturbed", out, timeout=30)
        if same.code != 0:
            self.fault(f"the last checkpoint is not the undisturbed one's\n{same}")
        steps = [e["step"] for e in events(out, "step")]
        if steps != sorted(set(steps)):
            self.fault("metrics.jsonl has a step twice or out of order")

    def enough(self):
        o = self.options
        return self.kills >= o.kills and self.midway > 0 and self.phase["tmp"] >= o.min_tmp and self.who["all"] >= o.min_all

    def go(self):
        number, out = 0, None
        limit = self.options.kills * 4 + 40
        while limit > 0 and self.wrong < 5:
            limit -= 1
            if out is None:
                if self.enough():
                    break
                number += 1
                out = self.path / f"run{number}"
                (out / "checkpoints").mkdir(parents=True)
            if self.enough():  # let this one come to its end
                child = self.start(out, self.ranks(out))
                ended = self.bury(child, 180) is not None and child.returncode == 0
                if not ended:
                    self.fault(f"the last resume ended with {child.returncode}")
                    break
            else:
                ended = self.one(out)
            if ended:
                self.finish(out)
                out = None

    def report(self):
        lines = [f"{self.kills} kills, {self.runs} runs to the end, {self.resumed} resumes in them",
                 "in: " + ", ".join(f"{k} {v}" for k, v in self.phase.most_common()),
                 "of: " + ", ".join(f"{k} {v}" for k, v in self.who.most_common()),
                 "ranks: " + ", ".join(f"{k}: {v}" for k, v in sorted(self.on.items())), f"mpirun without ranks that did not end by itself: {self.stuck}", f"faults: {self.wrong}"]
        for line in lines:
            self.tap.say(self.name + line)
            self.tell(line)
        o = self.options
        self.point(self.kills >= o.kills, "kills", f"{self.kills} >= {o.kills}")
        self.point(self.phase["tmp"] >= o.min_tmp, "between a .tmp's first byte and its rename", f"{self.phase['tmp']} >= {o.min_tmp}")
        self.point(self.who["all"] >= o.min_all, "of all ranks", f"{self.who['all']} >= {o.min_all}")
        self.point(self.runs > 0 and self.resumed > 0, "runs that came to their end", f"{self.runs}, resumed {self.resumed} times")
        self.point(self.wrong == 0, "no difference, no unreadable newest checkpoint", f"{self.wrong} faults")


def methods(words):
    """The names that --method asks for, in the table's order; [None] for none."""
    asked = [name for word in words for name in {"all": METHODS, "quick": QUICK}.get(word, [word])]
    return [name for name in METHODS if name in asked] or [None]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("descent")
    parser.add_argument("--method", action="append", default=[], choices=["quick", "all", *METHODS], metavar="NAME")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--min-tmp", type=int)
    parser.add_argument("--min-all", type=int)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--log", type=argparse.FileType("w"))
    options, tap = parser.parse_args(), Tap()
    few = max(1, options.kills // 4)
    options.min_tmp, options.min_all = (few if n is None else n for n in (options.min_tmp, options.min_all))
    tap.say(f"seed {options.seed} {' '.join(options.set)}")
    with Folder("kill") as folder:
        (folder.path / "config.yaml").write_text(CONFIG)
        for method in methods(options.method):
            killer = Killer(Program(options.descent), folder, options, tap, method)
            killer.tell(f"kill_resume.py, seed {options.seed}, {options.kills} kills")
            if killer.reference():
                killer.go()
                killer.report()
    tap.done()


main()
