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

from runs import Folder, Program, Tap, checkpoints, environment, status

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
                        *((["--nodes", "2", "--sweep", v], w) for v, w in (("seed", "expected KEY=V1,V2"), ("=1,2", "expected KEY=V1,V2"), ("", "expected KEY=V1,V2"),
                            ("seed=", "an empty value"), ("seed=1,,2", "an empty value"), ("seed=1,", "an empty value"), ("seed=1,2,1", "a value twice: 1"),
                            ("optimizer.lr=0.1,high", "'high'"), ("optimizer.lrr=1,2", "lrr"), ("model.layers=[1,2", "open at the end"),
                            ("seed=" + ",".join(map(str, range(1001))), "more than 1000"))),
                        (["--nodes", "2", "--sweep", "seed=1,2", "--sweep", "seed=3"], "seed stands in --sweep twice"),
                        (["--nodes", "2", "--sweep", "seed=1,2", "--set", "seed=3"], "in --set and in --sweep"),
                        (["--nodes", "2", "--sweep", "seed=" + ",".join(map(str, range(50))), "--sweep", "batch.size=" + ",".join(map(str, range(64, 96)))],
                         "more than 1000 runs"),
                        *((["--nodes", "2", "--time", t], f"--time is '{t}'")
                          for t in ("0", "00:00:00", "2020-01-01T00:00:00", "now-1hour", "", "1:99:00", "2-24:00:00", "1-", "-5", "1h", "1:2:3:4", "12:", " 5", "1-1-1", "5x"))):
        result = printed(*args)
        good = result.code == 2 and len(result.errors()) == 1 and words in result.errors()[0] and not result.out
        tap.point(good, f"refused: {' '.join(args)[:90] or 'nothing'}", f"code {result.code}\n{result}")
    for t in ("1", "90", "1:30", "02:30:00", "100:00:00", "1-12", "1-12:30", "1-12:30:59"):
        result = printed("--nodes", "2", "--time", t)
        tap.point(result.code == 0 and f"\n#SBATCH --time={t}\n" in result.out, f"taken: --time {t}", f"code {result.code}")


STUB = """#!/bin/bash
echo "$@" >>"$STUB_DIR/mpirun.args"
[ -z "$STUB_STATE" ] || { mkdir -p "$STUB_RUN"; echo "$STUB_STATE" >"$STUB_RUN/status.json"; }
[ -z "$STUB_SAVED" ] || { mkdir -p "$STUB_RUN"; ln -sfn "checkpoints/step-$(printf %08d "$STUB_SAVED").h5" "$STUB_RUN/latest"; }
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

    def env(self, code, state, step, wait="", job="77", more=None):
        text = "" if state is None else json.dumps({"state": state, "code": code, "step": step, "reason": 'a "state":"x"'}, separators=(",", ":"))
        return environment({"PATH": f"{self.dir}:{os.environ['PATH']}", "STUB_DIR": str(self.dir), "STUB_RUN": str(self.run), "STUB_CODE": str(code),
                            "STUB_STATE": text, "STUB_SAVED": str(step or ""), "STUB_WAIT": wait, "SLURM_JOB_ID": job, **(more or {})})

    def start(self, code, state, step=0, **more):
        """(exit code, requeued?) and what was printed."""
        before = self.requeues()
        done = subprocess.run(["bash", self.dir / "job.sbatch"], env=self.env(code, state, step, **more), capture_output=True, text=True, timeout=20)
        return done.returncode, self.requeues() - before, done.stdout + done.stderr

    def requeues(self, job="77"):
        path = self.dir / "scontrol.args"
        return path.read_text().splitlines().count(f"requeue {job}") if path.exists() else 0


def judges(folder):
    again = {(75, s) for s in ("resumable", "running", "failed", "done", None)}
    again |= {(code, s) for code in (0, 1, 137, 205, 143) for s in ("running", "resumable")}
    n, job = 0, Job(folder, "judge")
    for code in (0, 1, 2, 5, 74, 75, 137, 143, 205):
        for state in ("running", "resumable", "done", "failed", None):
            shutil.rmtree(job.run, ignore_errors=True)
            n += 1
            found, requeued, text = job.start(code, state)
            good = found == (1 if code == 0 and requeued else code) and requeued == ((code, state) in again)
            tap.point(good, f"code {code}, state {state}", f"ends with {found}, queued again {requeued} times\n{text}")
    args = (job.dir / "mpirun.args").read_text().splitlines()
    args = args[0] if len(args) == n else f"{len(args)} launches"
    tap.point(args.endswith("--resume") and f" train {CONFIG} " in args, "the launcher gets the program, always with --resume", args)


def progress(folder):
    """R requeues in a row without a newer checkpoint; a newer one starts the count anew, and so does another job."""
    job = Job(folder, "progress", "--requeue", "2")
    steps = [0, 0, 0, 5, 5, 4, 3]
    found = [job.start(75, "resumable", step)[1] for step in steps]
    tap.point(found == [1, 1, 0, 1, 1, 1, 0], f"--requeue 2, checkpoints of steps {steps}", f"queued again {found}")
    job = Job(folder, "progress-none", "--requeue", "0")
    found = [job.start(137, "running", step)[1] for step in (0, 3, 3)]
    tap.point(found == [0, 1, 0], "--requeue 0, checkpoints of steps [0, 3, 3]", f"queued again {found}")
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


def arrays(folder):
    """A sweep: an array with a run of its own for each point; a task is queued again by its index."""
    text = printed("--nodes", 2, "--sweep", "optimizer.lr=0.01,0.1", "--sweep", "model.layers=[dense: {units: 10}],[dense: {units: 5}, dense: {units: 10}],"
                   "[{dense: {units: 10, activation: 'none'}}]", "--out", folder.path / "a sweep").out
    head, case = lines(text, "#SBATCH --array") + lines(text, "#SBATCH --output"), [line for line in text.splitlines() if line.endswith(" ;;") and " run=" in line]
    tap.point(head == ["#SBATCH --array=0-5", "#SBATCH --output=%x-%A_%a.out"] and len(case) == 6, "two rates, three models: six tasks", f"{len(case)} {head}")
    found, wanted = [], []
    for i, line in enumerate(case):
        script = f"SLURM_ARRAY_TASK_ID={i}\ncase $SLURM_ARRAY_TASK_ID in\n{line}\nesac\nprintf '%s\\n' \"$run\" \"${{edits[@]}}\""
        out = subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout.splitlines()
        found.append((pathlib.Path(out[0]).name.split("-")[0], pathlib.Path(out[0]).parent, *out[1:]))
        models = ("[dense: {units: 10}]", "[dense: {units: 5}, dense: {units: 10}]", "[{dense: {units: 10, activation: 'none'}}]")
        wanted.append((str(i), folder.path / "a sweep", "--set", f"optimizer.lr={('0.01', '0.1')[i // 3]}", "--set", f"model.layers={models[i % 3]}"))
    tap.point(found == wanted, "the shell reads each task's directory and edits as meant", "\n".join(map(str, [len(found), *found, *wanted])))
    for task, job in (("0", "78"), ("1", "77")):
        job_of = Job(folder, f"array-{task}", "--sweep", "seed=1,2")
        ids = {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": task}
        run = job_of.run / f"{task}-seed={int(task) + 1}"
        env = {**job_of.env(75, "resumable", 3, job=job, more=ids), "STUB_RUN": str(run)}
        done = subprocess.run(["bash", job_of.dir / "job.sbatch"], env=env, capture_output=True, text=True, timeout=20)
        args = (job_of.dir / "mpirun.args").read_text()
        good = done.returncode == 75 and job_of.requeues(f"77_{task}") == 1 and f"--out {run} --set seed={int(task) + 1} --resume" in args
        tap.point(good, f"task {task} of an array", f"code {done.returncode}\n{args}{done.stdout}{done.stderr}")
    done = subprocess.run(["bash", job_of.dir / "job.sbatch"], env={**env, "SLURM_ARRAY_TASK_ID": "2"}, capture_output=True, text=True, timeout=20)
    tap.point(done.returncode == 2 and "no task '2'" in done.stderr, "a task that the sweep has not", f"code {done.returncode}\n{done.stderr}")
    if shutil.which("shellcheck"):
        run = subprocess.run(["shellcheck", "-"], input=text, capture_output=True, text=True)
        tap.point(run.returncode == 0, "shellcheck finds nothing (a sweep)", f"{len(text)} characters\n{run.stdout}")


def own_clock(folder):
    """The run reads the end of its job and saves before it: SLURM_JOB_END_TIME, or what squeue says."""
    def stop(name, env, *args, squeue="", ranks=0):
        path = folder.path / f"clock-{name}"
        path.mkdir()
        (path / "squeue").write_text(f'#!/bin/sh\necho "$@" >>{path}/asked\necho "{squeue}"\n')
        (path / "squeue").chmod(0o755)
        return path, program.train(CONFIG, path / "run", "--quiet", *args, ranks=ranks, env={"PATH": f"{path}:{os.environ['PATH']}", **env})
    endless = ("--set", "train.epochs=100000")
    for name, env, ranks in (("environment", {"SLURM_JOB_END_TIME": str(int(time.time()) + 20)}, 0), ("squeue", {"SLURM_JOB_ID": "5"}, 2),
                             ("array", {"SLURM_JOB_ID": "6", "SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": "1"}, 0)):
        start = time.time()
        path, result = stop(name, env, *endless, "--set", "checkpoint.margin=14", squeue="0:20", ranks=ranks)
        asked = (path / "asked").read_text() if (path / "asked").exists() else ""
        spent, found = status(path / "run")["heartbeat"] - ((path / "asked").stat().st_mtime if asked else start), status(path / "run")
        good = result.code == 75 and spent < 20 and "the job's time" in found["reason"] and len(checkpoints(path / "run")) > 0
        tap.point(good and asked == {"environment": "", "squeue": "-h -j 5 -o %L\n", "array": "-h -j 6_1 -o %L\n"}[name], f"saved before the end: {name}",
                  f"{spent:.1f} of 20 s, step {found.get('step')}\n{asked}{result}")
    result = program.train(CONFIG, path / "run", "--resume", "--quiet", *endless, "--set", f"train.max_steps={found['step'] + 5}")
    tap.point(result.code == 0, "and goes on", f"code {result.code}\n{result}")
    for name, env, squeue in (("no limit", {"SLURM_JOB_ID": "5"}, "UNLIMITED"), ("nobody knows", {"SLURM_JOB_ID": "5"}, ""), ("a day left", {"SLURM_JOB_ID": "5"}, "1-00:00:00"),
                              ("no job", {}, "0:00")):
        path, result = stop(name, env, "--set", "train.epochs=1", squeue=squeue)
        tap.point(result.code == 0 and not result.err, f"no end in sight: {name}", f"code {result.code}\n{result}")
    for name, env, squeue in (("environment", {"SLURM_JOB_END_TIME": "1000000000"}, ""), ("squeue", {"SLURM_JOB_ID": "5"}, "INVALID")):
        path, result = stop(f"passed-{name}", env, "--set", "train.epochs=1", squeue=squeue)
        warned = [line for line in result.err.splitlines() if line.startswith("descent: warning:")]
        tap.point(result.code == 0 and len(warned) == 1 and "is over" in warned[0], f"a time that has passed: {name}", f"code {result.code}\n{result}")
    path, result = stop("margin", {"SLURM_JOB_END_TIME": str(int(time.time()) + 3600)}, *endless, "--set", "checkpoint.margin=3700", "--set", "train.log_every=1")
    tap.point(result.code == 75 and status(path / "run")["step"] == 1, "a margin longer than the job: one step, saved", f"code {result.code}\n{result}")
    result = program.train(CONFIG, path / "bad", "--set", "checkpoint.margin=-1")
    tap.point(result.code == 2 and len(result.errors()) == 1 and "margin" in result.errors()[0], "checkpoint.margin -1", f"code {result.code}\n{result}")


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
    foreign = {"PMI_RANK": "0", "PMI_SIZE": "3"}
    for name, env, ranks, code in (("another MPI's mpirun -n 3", foreign, 0, 2), ("its mpirun -n 1", {**foreign, "PMI_SIZE": "1"}, 0, 0),
                                   ("mpirun -n 1 below it", foreign, 1, 0)):
        result = program.run("train", CONFIG, "--dry-run", env=env, ranks=ranks)
        tap.point(result.code == code and (code == 0 or (len(result.errors()) == 1 and "3 processes (PMI_SIZE)" in result.err)), name, f"code {result.code}\n{result}")
    result = program.run("train", CONFIG, "--dry-run", env={**foreign, "PMI_RANK": "1"})
    tap.point(result.code == 2 and not result.err, "the other two say nothing", f"code {result.code}\n{result}")
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
        arrays(folder)
        own_clock(folder)
        strangers()
    tap.done()


main()
