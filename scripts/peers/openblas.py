"""OpenBLAS at its best on this CPU. An old release does not know a new CPU and takes a core for old ones (0.3.21 on Emerald Rapids: Prescott,
a third of PyTorch's speed); OPENBLAS_CORETYPE in the environment names another, before the library is loaded."""
import os
import subprocess
import sys

VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
# Cores as they are asked for, what of the CPU they need, and the names of those as good.
CORES = (("SkylakeX", {"avx512f", "avx512bw", "avx512dq", "avx512vl"}, {"skylakex", "cooperlake", "sapphirerapids"}),
         ("Haswell", {"avx2", "fma"}, {"haswell", "zen", "skylakex", "cooperlake", "sapphirerapids"}))
ASK = """import ctypes
call = ctypes.CDLL("libopenblas.so.0").openblas_get_corename
call.restype = ctypes.c_char_p
print(call().decode())"""


def clean():
    """The environment without choices of old."""
    return {k: v for k, v in os.environ.items() if k not in VARIABLES}


def core(**more):
    """The core that the library takes, "" where there is none."""
    done = subprocess.run([sys.executable, "-c", ASK], env={**clean(), **more}, capture_output=True, text=True)
    return done.stdout.strip()


def flags():
    """What the CPU has, as Linux names it."""
    try:
        with open("/proc/cpuinfo") as lines:
            return set(next((line.split(":")[1] for line in lines if line.startswith("flags")), "").split())
    except OSError:
        return set()


def best():
    """The variables to set, and a line's words on the core in use."""
    own, cpu = core(), flags()
    if not own:
        return {}, "no OpenBLAS"
    wanted = next(((name, good) for name, needs, good in CORES if needs <= cpu), None)
    if wanted is None or own.lower() in wanted[1]:
        return {}, f"OpenBLAS core {own}"
    choice = {"OPENBLAS_CORETYPE": wanted[0]}
    return choice, f"OpenBLAS core {core(**choice)} (asked for; its own choice is {own})"


def settle():
    """Sets this process' environment so. Before numpy is there, which loads the library. Returns the words."""
    choice, words = best()
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(choice)
    return words
