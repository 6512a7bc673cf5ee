"""descent bench reduce: one JSON line a size and codec, the bytes and the bound by their closed forms, clear refusals.
usage: bench_reduce.py DESCENT"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))
from runs import Folder, Program, Tap  # noqa: E402

tap, program = Tap(), Program(sys.argv[1])
SIZES = {"256KiB": 256 << 10, "5MiB": 5 << 20}


def lines(ranks, *more):
    done = program.run("bench", "reduce", "--size", ",".join(SIZES), "--rounds", 3, "--bandwidth", "1Gbit", "--json", *more, ranks=ranks)
    try:
        return [json.loads(line) for line in done.out.splitlines()], done
    except ValueError:
        return [], done


def closed_forms(ranks, transport):
    """2(n-1)/n of the size in 4096-float slices, over 125 MB/s; sent bytes differ from it by a slice a bucket at most."""
    found, done = lines(ranks, "--set", f"sync.transport={transport}")
    tap.point(done.code == 0 and [e["size"] for e in found] == list(SIZES.values()), f"{ranks} ranks, {transport}: a line a size", done if done.code else "")
    for e in found:
        wire = 2 * (ranks - 1) / ranks * e["size"]
        slack = 0 if ranks in (1, 2, 4) else 2 * ranks * 16384 * (1 + e["size"] // (4 << 20))
        tap.point(abs(e["sent"] - wire) <= slack, f"{e['size']} bytes: what a rank sends", f"{e['sent']}, 2(n-1)/n is {wire:.0f}")
        tap.point(abs(e["bound_s"] - wire / 125e6) <= 1e-5 * e["bound_s"] and e["ranks"] == ranks, "the bound", f"{e['bound_s']} s")
        tap.point(e["transport"] == ("none" if ranks == 1 else transport), "the transport", e["transport"])
        times = e["exchange_min_s"] <= e["exchange_s"] <= e["exchange_max_s"]
        tap.point(times and 0 < e["exchange_s"] < 10, "times", f"{e['exchange_s'] * 1e3:.2f} ms, allreduce {e['allreduce_s'] * 1e3:.2f} ms")


def measured():
    done = program.run("bench", "reduce", "--size", "1MiB", "--rounds", 1, ranks=2)
    tap.point(done.code == 0 and "bandwidth measured" in done.out, "the bandwidth is measured", "" if done.code == 0 else done)


def bad_input():
    for args, words in ((["--size", "5"], "--size is '5'"), (["--size", "1MiB,,"], "--size"), (["--size", "big"], "--size is 'big'"),
                        (["--rounds", "0"], "--rounds is '0'"), (["--codec", "fp61"], "fp61"), (["--bandwidth", "fast"], "--bandwidth is 'fast'"),
                        (["--bandwidth", "0Gbit"], "--bandwidth is '0Gbit'"), (["--bandwidth", "nanGbit"], "--bandwidth"),
                        (["--set", "sync.strategy=local-sgd"], "expected exact or allreduce"), (["--set", "sync.buckt=1"], "buckt"), (["more"], "'more'")):
        done = program.run("bench", "reduce", *args, ranks=2)
        good = done.code == 2 and len(done.errors()) == 1 and words in done.errors()[0]
        tap.point(good, f"refused: {' '.join(args)}", done.errors()[0] if good else done)


def main():
    with Folder("bench"):
        for ranks, transport in ((1, "direct"), (2, "shared"), (2, "direct"), (3, "direct"), (4, "shared")):
            closed_forms(ranks, transport)
        measured()
        bad_input()
    tap.done()


main()
