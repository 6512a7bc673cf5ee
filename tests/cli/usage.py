"""Each command's help names the options that its table takes, in the form in which they are taken, and no others.
Tables are read from the source, the help from the program. usage: usage.py DESCENT SOURCE_ROOT"""
import pathlib
import re
import subprocess
import sys

descent, root = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
sys.path.insert(0, str(root / "tests"))
from tap import Tap  # noqa: E402

tap = Tap()
ENTRY = re.compile(r'\{"(--?[a-z][a-z-]*)",\s*(ARG_[A-Z]+),\s*&([\w>.-]+)\}')
FORM = {"ARG_FLAG": r"\]", "ARG_VALUE": r"[= ]\S", "ARG_OPTIONAL": r"\[=[A-Z]", "ARG_LIST": r" [A-Z]\S*?\]\.\.\."}


def files(command):
    own = root / "runtime/cli" / f"cmd_{command}.c"
    return [own, *sorted(own.parent.glob(f"{command}_*.c"))] if command == "bench" else [own]


def taken(command):
    """{option: (its kind, its other names)}: what stores in the same place is one option."""
    entries = [(name, kind, (path.name, where)) for path in files(command) for name, kind, where in ENTRY.findall(path.read_text())]
    return [(name, kind, [other for other, _, there in entries if there == where]) for name, kind, where in entries]


def wrong(command):
    told = subprocess.run([descent, "help", command.replace("_", "-")], capture_output=True, text=True, check=True).stdout
    shown = told.split("\n\n")[0] if command != "bench" else told  # bench: one usage a kind
    for name, kind, names in taken(command):
        if not any(re.search(rf"(?<![\w-]){re.escape(n)}{FORM[kind]}", shown) for n in names):
            yield f"{name} ({kind}) is taken, but not shown"
        if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", told):
            yield f"{name} is taken, but not in the help"
    known = {name for name, _, _ in taken(command)}
    for name in sorted(set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", shown)) - known):
        yield f"{name} is shown, but not taken"


def main():
    commands = re.findall(r"^X\((\w+)\)", (root / "runtime/cli/commands.list").read_text(), re.M)
    n = 0
    for command in commands:
        faults = list(wrong(command))
        n += len(taken(command))
        tap.point(not faults, f"{command}: {len(taken(command))} options", "\n".join(["", *faults]) if faults else "")
    tap.point(n > 50, "tables were found", f"{n} options of {len(commands)} commands")
    tap.done()


main()
