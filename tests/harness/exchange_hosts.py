"""The exchange on four hosts with links of 1 Gbit/s: at most 1.15 times what 2(n-1)/n of 25 MiB take, and so many times faster in fewer bits.
Prints a markdown table. usage: exchange_hosts.py DESCENT SOURCE_ROOT [--rate 1gbit] [--hosts 4] [--rounds 15] [--codecs none,fp16,bf16,int8]"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

from runs import Tap, environment, skip_all

FASTER = {"fp16": 1.9, "int8": 3.5}  # than none, at least
MOST = 1.15                          # times the bound
tap = Tap()


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("descent", type=pathlib.Path)
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--rate", default="1gbit")
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--size", default="25MiB")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--codecs", default="none,fp16,bf16,int8")
    parser.add_argument("--set", action="append", default=[])
    return parser.parse_args()


def measure(options, cluster):
    bandwidth = options.rate.replace("gbit", "Gbit").replace("mbit", "Mbit")
    sets = [word for edit in options.set for word in ("--set", edit)]
    with cluster.Hosts(options.hosts, options.rate) as hosts:
        command = hosts.mpirun("--hostfile", hosts.file, *cluster.INTERFACE, options.descent.resolve(), "bench", "reduce", "--size", options.size,
                               "--codec", options.codecs, "--rounds", options.rounds, "--bandwidth", bandwidth, "--json", *sets)
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=1200)
    good = tap.point(done.returncode == 0, "descent bench reduce", f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")] if good else []


def table(options, lines, none):
    print(f"\n{options.hosts} hosts, {options.rate} each, {options.size}, medians of {options.rounds} rounds; "
          f"{os.cpu_count()} cores for all of them\n\n"
          "| codec | MB sent by a rank | ms | times the fp32 bound | times faster than none | MPI_Allreduce, ms | times the bound |\n|---|---|---|---|---|---|---|")
    for e in lines:
        print(f"| {e['codec']} | {e['sent'] / 1e6:.2f} | {e['exchange_s'] * 1e3:.0f} | {e['ratio']:.2f} | {none / e['exchange_s']:.2f} | "
              f"{e['allreduce_s'] * 1e3:.0f} | {e['allreduce_ratio']:.2f} |")
    print(flush=True)


def main():
    options = parse()
    sys.path.insert(0, str(options.root.resolve() / "tests/cluster"))
    import hosts as cluster
    why = cluster.why_not(options.rate)
    if why:
        skip_all(why)
    lines = measure(options, cluster)
    by_codec = {e["codec"]: e for e in lines}
    if "none" in by_codec:
        none = by_codec["none"]["exchange_s"]
        tap.point(by_codec["none"]["ratio"] <= MOST, "fp32 against the bound", f"{by_codec['none']['ratio']:.3f}, at most {MOST}")
        for codec, least in FASTER.items():
            if codec in by_codec:
                found = none / by_codec[codec]["exchange_s"]
                tap.point(found >= least, f"{codec} against fp32", f"{found:.2f} times faster, at least {least}")
        table(options, lines, none)
    tap.done()


main()
