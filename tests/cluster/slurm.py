"""A Slurm of several nodes on this machine, for tests: the script slurm.sh beside this file, always taken down again."""
import os
import pathlib
import random
import re
import socket
import subprocess
import tempfile
import time

SCRIPT = str(pathlib.Path(__file__).resolve().parent / "slurm.sh")


def why_not():
    """None, or why there can be no Slurm here."""
    done = subprocess.run([SCRIPT, "can"], capture_output=True, text=True, timeout=60)
    return None if done.returncode == 0 else (done.stdout + done.stderr).strip()


def free_ports(n):
    """The first of n neighbouring ports on which nobody listens."""
    for _ in range(50):
        first = random.randrange(10240, 30000)
        try:
            for port in range(first, first + n):
                with socket.socket() as s:
                    s.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise RuntimeError("no free ports")


class Slurm:
    """with Slurm(4) as slurm: nodes node1 to node4 of 4 CPUs each."""

    def __init__(self, n, **settings):
        self.n, self.settings = n, settings

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="descent-slurm-")
        self.dir = pathlib.Path(self.folder.name)
        env = {**os.environ, **{name.upper(): str(value) for name, value in self.settings.items()}}
        self.log = open(self.dir / "serve.log", "w")
        self.serve = subprocess.Popen([SCRIPT, "serve", self.dir, str(self.n), str(free_ports(self.n + 12))], env=env,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.start = time.monotonic()
        if self.serve.stdout.readline() != "ready\n":
            self.__exit__()
            raise RuntimeError("Slurm did not come up")
        self.conf = str(self.dir / "slurm.conf")
        return self

    def __exit__(self, *_):
        self.serve.stdin.close()
        try:
            self.serve.wait(20)
        except subprocess.TimeoutExpired:
            self.serve.kill()
            self.serve.wait()
        self.log.close()
        if os.environ.get("DESCENT_KEEP"):
            self.folder._finalizer.detach()
        else:
            self.folder.cleanup()

    def tell(self, verb, node):
        """lost, crash or back."""
        self.serve.stdin.write(f"{verb} {node}\n")
        self.serve.stdin.flush()
        if self.serve.stdout.readline() != "done\n":
            raise RuntimeError(f"{verb} {node} failed")

    def call(self, *command, env=None, cwd=None):
        done = subprocess.run([*map(str, command)], env={**os.environ, **(env or {}), "SLURM_CONF": self.conf}, cwd=cwd, capture_output=True,
                              text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
        return done.stdout

    def submit(self, script, *options, env=None):
        """The job's number. It runs in the script's folder."""
        text = self.call("sbatch", "--parsable", *options, script, env=env, cwd=pathlib.Path(script).parent)
        return text.strip()

    def facts(self, job):
        """{JobState: ..., Restarts: ..., NodeList: ...} of a job that the controller still knows."""
        return dict(re.findall(r"(\S+?)=(\S*)", self.call("scontrol", "-o", "show", "job", job)))

    def state(self, job):
        return self.facts(job)["JobState"]

    def wait_idle(self, seconds=60):
        """Until all nodes are there and have nothing to do."""
        end = time.monotonic() + seconds
        while self.call("sinfo", "-h", "-N", "-o", "%T").split().count("idle") < self.n:
            if time.monotonic() > end:
                raise RuntimeError(f"not all nodes came back:\n{self.call('sinfo', '-N')}")
            time.sleep(0.2)

    def release(self, job, *change):
        """A job that was queued again waits two minutes: not this one. True where it was waiting. The waiting is there for a reason: of
        the old steps nothing may be left, for the new ones have the same names, and credentials of the second in which the old ones ended are refused."""
        facts = self.facts(job)
        if facts["JobState"] != "PENDING" or any(self.dir.glob(f"spool/*/*[._]{facts['JobId']}.*")):
            return False
        time.sleep(1.5)
        self.call("scontrol", "update", f"JobId={job}", "StartTime=now", *change)
        return True
