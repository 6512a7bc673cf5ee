"""The batch script of `descent slurm`, without a Slurm: its text, shellcheck, its logic with stubs for mpirun and scontrol on PATH,
and ranks that were started side by side. usage: slurm_script.py DESCENT ROOT"""
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

from runs import Folder, Program, Tap, environment

root = pathlib.Path(sys.argv[2]).resolve()
tap, program = Tap(), Program(sys.argv[1])
CONFIG = root / "configs/digits-mlp.yaml"


def printed(*args, config=CONFIG, cwd=None):
    return program.run("slurm", config, *args, cwd=cwd)


def lines(text, start):
    return [line for line in text.splitlines() if line.startswith(start)]


def example():
    """What people read in scripts/slurm is what the program prints."""
    result = printed("--nodes", 4, "--ntasks-per-node", 16, "--time", "02:00:00", "--set", "optimizer.lr=0.001", cwd=root)
    text = result.out.replace(program.binary, "/home/you/descent/build/descent").replace(str(root), "/home/you/descent")
    good = text == (root / "scripts/slurm/example.sbatch").read_text()
    tap.point(result.code == 0 and good, "scripts/slurm/example.sbatch is what is printed", f"{len(text)} characters\n{result}")


def options(folder):
    text = printed("--nodes", 2, "--ntasks-per-node", 3, "--time", "1-00:10:00", "--launcher", "srun", "--requeue", 7,
                   "--set", "compute.threads=2", "--out", folder.path / "it's here").out
    wanted = ["--job-name=digits-mlp", "--nodes=2", "--ntasks-per-node=3", "--cpus-per-task=2", "--time=1-00:10:00",
              "--signal=B:USR1@120", "--output=%x-%j.out", "--open-mode=append", "--requeue"]
    found = [line.removeprefix("#SBATCH ") for line in lines(text, "#SBATCH")]
    tap.point(found == wanted, "the options of the job", f"{len(found)} lines\n{found}")
    tap.point("launch=(srun --mpi=pmix " in text and "\nmost=7 " in text, "srun and the number of requeues")
    quoted = shlex.split(lines(text, "run=")[0])[0]
    tap.point(quoted == f"run={folder.path}/it's here", "a path with a space and a quote", quoted)
    tap.point(not lines(printed("--nodes", 1).out, "#SBATCH --time"), "without --time the partition's limit holds")
    if shutil.which("shellcheck"):
        for launcher in ("mpirun", "srun"):
            script = printed("--nodes", 2, "--launcher", launcher, "--out", folder.path / "it's here").out
            run = subprocess.run(["shellcheck", "-"], input=script, capture_output=True, text=True)
            tap.point(run.returncode == 0 and script, f"shellcheck finds nothing ({launcher})", f"{len(script)} characters\n{run.stdout}")
    else:
        tap.skip("shellcheck", "shellcheck is not installed (scripts/packages dev)")


def bad_input():
    for args, words in ((["--nodes", "0"], "--nodes is '0'"), ([], "--nodes is missing"), (["--nodes", "two"], "--nodes is 'two'"),
                        (["--nodes", "-1"], "--nodes is '-1'"), (["--nodes", "2", "--ntasks-per-node", "0"], "--ntasks-per-node is '0'"),
                        (["--nodes", "2", "--requeue", "-1"], "--requeue is '-1'"), (["--nodes", "2", "--launcher", "ssh"], "mpirun or srun"),
                        (["--nodes", "2", "--set", "optimizer.lrr=1"], "lrr"), (["--nodes", "2", "--out", ""], "--out needs"),
                        *((["--nodes", "2", "--time", t], f"--time is '{t}'")
                          for t in ("0", "00:00:00", "", "1:99:00", "2-24:00:00", "1-", "-5", "1h", "1:2:3:4", "12:", " 5", "1-1-1", "5x"))):
        result = printed(*args)
        good = result.code == 2 and len(result.errors()) == 1 and words in result.errors()[0] and not result.out
        tap.point(good, f"refused: {' '.join(args) or 'nothing'}", f"code {result.code}\n{result}")
    for t in ("1", "90", "1:30", "02:30:00", "100:00:00", "1-12", "1-12:30", "1-12:30:59"):
        result = printed("--nodes", "2", "--time", t)
        tap.point(result.code == 0 and f"\n#SBATCH --time={t}\n" in result.out, f"taken: --time {t}", f"code {result.code}")


STUB = """#!/bin/bash
echo "$@" >>"$STUB_DIR/mpirun.args"
[ -z "$STUB_STATE" ] || { mkdir -p "$STUB_RUN"; echo "$STUB_STATE" >"$STUB_RUN/status.json"; }
[ -z "$STUB_WAIT" ] || { trap 'kill $p; exit 75' USR1; sleep 20 & p=$!; touch "$STUB_DIR/up"; wait; }
exit "$STUB_CODE"
"""


class Job:
    """A printed script with stubs on PATH; start() is one start of the job by Slurm."""

    def __init__(self, folder, name, *args):
        self.dir, self.run = folder.path / name, folder.path / name / "run dir"
        self.dir.mkdir()
        (self.dir / "job.sbatch").write_text(printed("--nodes", 2, "--out", self.run, *args).out)
        for stub, text in (("mpirun", STUB), ("scontrol", '#!/bin/bash\necho "$@" >>"$STUB_DIR/scontrol.args"\n')):
            (self.dir / stub).write_text(text)
            (self.dir / stub).chmod(0o755)

    def env(self, code, state, step, wait="", job="77"):
        text = "" if state is None else json.dumps({"state": state, "code": code, "step": step, "reason": 'a "state":"x"'}, separators=(",", ":"))
        return environment({"PATH": f"{self.dir}:{os.environ['PATH']}", "STUB_DIR": str(self.dir), "STUB_RUN": str(self.run), "STUB_CODE": str(code),
                            "STUB_STATE": text, "STUB_WAIT": wait, "SLURM_JOB_ID": job})

    def start(self, code, state, step=0, **more):
        """(exit code, requeued?) and what was printed."""
        before = self.requeues()
        done = subprocess.run(["bash", self.dir / "job.sbatch"], env=self.env(code, state, step, **more), capture_output=True, text=True, timeout=20)
        return done.returncode, self.requeues() - before, done.stdout + done.stderr

    def requeues(self):
        path = self.dir / "scontrol.args"
        return path.read_text().splitlines().count("requeue 77") if path.exists() else 0


def judges(folder):
    again = {(75, s) for s in ("resumable", "running", "failed", "done", None)}
    again |= {(code, s) for code in (1, 137, 205, 143) for s in ("running", "resumable")}
    n, job = 0, Job(folder, "judge")
    for code in (0, 1, 2, 5, 74, 75, 137, 143, 205):
        for state in ("running", "resumable", "done", "failed", None):
            shutil.rmtree(job.run, ignore_errors=True)
            n += 1
            found, requeued, text = job.start(code, state)
            good = found == code and requeued == ((code, state) in again)
            tap.point(good, f"code {code}, state {state}", f"ends with {found}, queued again {requeued} times\n{text}")
    args = (job.dir / "mpirun.args").read_text().splitlines()
    args = args[0] if len(args) == n else f"{len(args)} launches"
    tap.point(args.endswith("--resume") and f" train {CONFIG} " in args, "the launcher gets the program, always with --resume", args)


def progress(folder):
    """R requeues in a row without a new step; a new step starts the count anew, and so does another job."""
    job = Job(folder, "progress", "--requeue", "2")
    steps = [0, 0, 0, 5, 5, 4, 3]
    found = [job.start(75, "resumable", step)[1] for step in steps]
    tap.point(found == [1, 1, 0, 1, 1, 1, 0], f"--requeue 2, steps {steps}", f"queued again {found}")
    job = Job(folder, "progress-none", "--requeue", "0")
    found = [job.start(137, "running", step)[1] for step in (0, 3, 3)]
    tap.point(found == [0, 1, 0], "--requeue 0, steps [0, 3, 3]", f"queued again {found}")
    job = Job(folder, "progress-other", "--requeue", "1")
    found = [job.start(75, "resumable", 9)[1] for _ in range(3)]
    job.run.joinpath(".slurm-progress").write_text("76 500 9\n")
    found.append(job.start(75, "resumable", 9)[1])
    tap.point(found == [1, 1, 0, 1], "what another job knew does not count", f"queued again {found}")


def passes_on(folder, number):
    """The signal reaches the launcher, and its code the judgement."""
    job = Job(folder, f"signal-{number}")
    child = subprocess.Popen(["bash", job.dir / "job.sbatch"], env=job.env(1, "resumable", 3, wait="yes"), stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 10
    while not (job.dir / "up").exists() and time.monotonic() < end:
        time.sleep(0.02)
    child.send_signal(number)
    out, _ = child.communicate(timeout=15)
    tap.point(child.returncode == 75 and job.requeues() == 1, f"signal {number} is passed on", f"code {child.returncode}\n{out}")


def strangers():
    """Tasks of srun that MPI does not know of: refused; a batch job's shell and mpirun's ranks: not."""
    many, word = {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, "--mpi=pmix"
    for name, env, ranks, code in (("srun without --mpi=pmix", many, 0, 2), ("the same, a step", {**many, "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "4"}, 0, 2),
                                   ("a step of a batch job", {**many, "ENVIRONMENT": "BATCH", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4"}, 0, 2),
                                   ("a step of one task", {**many, "SLURM_STEP_NUM_TASKS": "1"}, 0, 0), ("one task", {**many, "SLURM_NTASKS": "1"}, 0, 0),
                                   ("salloc's shell", {"SLURM_NTASKS": "4"}, 0, 0), ("a batch job's shell", {**many, "ENVIRONMENT": "BATCH"}, 0, 0),
                                   ("mpirun -n 1", many, 1, 0), ("mpirun -n 2", many, 2, 0)):
        result = program.run("train", CONFIG, "--dry-run", env=env, ranks=ranks)
        good = result.code == code and (code == 0 or (len(result.errors()) == 1 and word in result.errors()[0]))
        tap.point(good, name, f"code {result.code}\n{result}")
    result = program.run("train", CONFIG, "--dry-run", env={**many, "SLURM_PROCID": "3"})
    tap.point(result.code == 2 and not result.err, "the others of them say nothing", f"code {result.code}\n{result}")


def main():
    with Folder("slurm") as folder:
        example()
        options(folder)
        bad_input()
        judges(folder)
        progress(folder)
        for number in (signal.SIGUSR1, signal.SIGTERM):
            passes_on(folder, number)
        strangers()
    tap.done()


main()
