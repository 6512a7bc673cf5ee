"""Test results as TAP, for the tests in Python: one Tap a program, point() for each thing judged, end with done()."""
import sys


class Tap:
    def __init__(self):
        self.n, self.bad = 0, 0

    def say(self, text):
        for line in str(text).splitlines():
            print(f"# {line}", flush=True)

    def point(self, good, name, detail=""):
        """One verdict; `detail` is shown with it (the number that was judged), at length only where it failed."""
        self.n += 1
        self.bad += not good
        lines = str(detail).splitlines() or [""]
        short = f": {lines[0]}" if lines[0] else ""
        print(f"{'ok' if good else 'not ok'} {self.n} - {name}{short}", flush=True)
        if not good:
            self.say("\n".join(lines[1:60]))
        return bool(good)

    def skip(self, name, why):
        self.n += 1
        print(f"ok {self.n} - {name} # SKIP {why}", flush=True)

    def done(self):
        print(f"1..{self.n}", flush=True)
        sys.exit(self.bad > 0)


def skip_all(why):
    print(f"1..0 # SKIP {why}", flush=True)
    sys.exit(0)
