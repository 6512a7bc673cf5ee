"""Hosts on one machine, for tests: the script hosts.sh beside this file, always taken down again."""
import pathlib
import signal
import subprocess
import sys
import tempfile

SCRIPT = str(pathlib.Path(__file__).resolve().parent / "hosts.sh")
# What docs/hosts.md tells people to say; tests/harness/several_hosts.py holds the page to it.
INTERFACE = ["--mca", "btl_tcp_if_include", "10.77.0.0/24", "--mca", "oob_tcp_if_include", "10.77.0.0/24"]


def why_not(rate="none"):
    """None, or why there can be no such hosts here."""
    done = subprocess.run([SCRIPT, "can", rate], capture_output=True, text=True, timeout=60)
    return None if done.returncode == 0 else (done.stdout + done.stderr).strip()


class Hosts:
    """with Hosts(4, "1gbit") as hosts: nodes 1 to 4; hosts.mpirun(...) is a command line for subprocess."""

    def __init__(self, n, rate="none"):
        self.n, self.rate, self.folder = n, rate, None

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # a test out of time takes its hosts down too
        self.folder = tempfile.TemporaryDirectory(prefix="descent-hosts-")
        self.dir = pathlib.Path(self.folder.name)
        self.file = self.dir / "hosts.txt"
        try:
            self.call("up", self.n, self.rate)
        except BaseException:
            self.folder.cleanup()
            raise
        return self

    def __exit__(self, *_):
        self.call("down")
        self.folder.cleanup()

    def call(self, verb, *args):
        done = subprocess.run([SCRIPT, verb, self.dir, *map(str, args)], capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"hosts {verb}: {done.stderr.strip()}")

    def link(self, i, up):
        """Plug node i's cable in, or pull it out."""
        self.call("link", i, "up" if up else "down")

    def on(self, i, *command):
        return [SCRIPT, "on", str(self.dir), str(i), *map(str, command)]

    def mpirun(self, *args):
        """mpirun on node 1, with any of mpirun's arguments: hosts.mpirun("--hostfile", hosts.file, *INTERFACE, program, ...)."""
        return [SCRIPT, "mpirun", str(self.dir), *map(str, args)]
