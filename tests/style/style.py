"""How the code must look, as far as a program can tell. usage: style.py ROOT. Each check is a TAP point with what it read."""
import collections
import pathlib
import re
import shutil
import subprocess
import sys

import source

root = pathlib.Path(sys.argv[1]).resolve()
sys.path += [str(root / "tests"), str(root / "scripts")]
import check_layers  # noqa: E402
from tap import Tap  # noqa: E402

tap = Tap()
FUNCTION_MOST, FILE_MOST, PARAMS_MOST, NESTING_MOST = 80, 450, 8, 5
FUNCTION_RULE, FILE_RULE = 40, 400


def verdict(name, wrong, read):
    tap.point(not wrong and read > 0, name, "\n".join([f"{read} read, {len(wrong)} wrong", *wrong]))


def layers():
    verdict("includes go down the levels", *check_layers.check(root))


def headers_alone():
    """Each header of include/descent compiles alone and twice."""
    flags = subprocess.run(["pkg-config", "--cflags", "ompi-c"], capture_output=True, text=True).stdout.split()
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    headers, wrong = sorted((root / "include/descent").glob("*.h")), []
    for header in headers:
        text = f'#include "descent/{header.name}"\n' * 2 + "extern int ds_header;\nint ds_header;\n"
        run = subprocess.run([compiler, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Wstrict-prototypes", "-Werror",
                              "-fsyntax-only", "-I", root / "include", *[f.replace("-I", "-isystem") for f in flags], "-x", "c", "-"],
                             input=text, capture_output=True, text=True)
        if run.returncode:
            wrong.append(f"{header.name}: {run.stderr.splitlines()[0] if run.stderr else run.returncode}")
    verdict("headers compile alone and twice", wrong, len(headers))


def unique_names():
    places = collections.defaultdict(list)
    for path in source.files(root):
        places[path.name].append(source.name_of(root, path))
    wrong = [f"{name}: {', '.join(found)}" for name, found in places.items() if len(found) > 1]
    verdict("base names are unique", wrong, len(places))


def sizes():
    allowed, wrong, read, long_ones = source.exceptions(root), [], 0, []
    for path in source.files(root):
        name, text = source.name_of(root, path), path.read_text()
        n_lines = text.count("\n")
        params_most = 12 if name.startswith("workers/kernels/") else PARAMS_MOST
        if n_lines > FILE_MOST and name not in allowed:
            wrong.append(f"{name}: {n_lines} lines, at most {FILE_MOST}")
        if n_lines > FILE_RULE:
            long_ones.append(f"{name} ({n_lines})")
        for f in source.functions(text):
            read += 1
            if f.n_lines > FUNCTION_RULE:
                long_ones.append(f"{f.name} ({f.n_lines})")
            if f"{name}:{f.name}" in allowed:
                continue
            for what, found, most in (("lines", f.n_lines, FUNCTION_MOST), ("parameters", f.n_params, params_most),
                                      ("levels", f.nesting, NESTING_MOST)):
                if found > most:
                    wrong.append(f"{name}:{f.line}: {f.name} has {found} {what}, at most {most}")
    tap.say(f"over the rule of {FUNCTION_RULE} lines a function, {FILE_RULE} a file: {', '.join(long_ones) or 'none'}")
    verdict("functions and files keep their size", wrong, read)


def local_or_collective():
    """Where a world is a parameter, the comment's first word says who must call. One comment may hold for a group."""
    wrong, read = [], 0
    headers = [p for p in source.files(root, "*.h") if not source.name_of(root, p).startswith("tests/")]
    for path in headers:
        previous = ""
        for line, comment, head in source.prototypes(path.read_text()):
            comment = comment or previous
            previous = comment
            arguments = head[head.index("("):]
            if not re.search(r"(?<!const )\bds_world \*", arguments):
                continue
            read += 1
            first = re.sub(r"^[/*\s]+", "", comment).split(" ")[0]
            if first not in ("Local.", "Collective.", "Local,", "Collective,", "Local", "Collective"):
                wrong.append(f"{source.name_of(root, path)}:{line}: begins '{first}', not 'Local.' or 'Collective.'")
    verdict("calls near a world say Local or Collective", wrong, read)


def static_names():
    """A static function carries its file's name (or one of its words) at the start; main and macros' are free."""
    wrong, read = [], 0
    for path in source.files(root, "*.c"):
        name = source.name_of(root, path)
        if name.startswith("tests/"):
            continue
        stem = path.stem.removeprefix("cmd_").removeprefix("ds_")
        for n, line in enumerate(source.strip(path.read_text()).splitlines(), 1):
            found = re.match(r"static (?:inline )?(?!const\b.*=)[\w \*]+?[\* ](\w+)\(", line)
            if not found or re.fullmatch(r"ds_\w+_destroy", found[1]):  # ds_auto wants that name
                continue
            read += 1
            if found[1].split("_")[0] not in stem and not found[1].startswith(path.stem):
                wrong.append(f"{name}:{n}: static {found[1]} does not begin with '{stem}'")
    verdict("static functions carry their file's name", wrong, read)


def registries():
    """Each X(name) of a .list has its file; each file that defines a member is in the list."""
    wrong, read = [], 0
    for path in source.files(root, "*.list"):
        names = re.findall(r"^X\((\w+)\)", path.read_text(), re.M)
        prefix = "cmd_" if path.name == "commands.list" else ""
        where = source.name_of(root, path)
        wrong += [f"{where}: no file {prefix}{n}.c" for n in names if not (path.parent / f"{prefix}{n}.c").exists()]
        wrong += [f"{where}: {n} is there twice" for n, k in collections.Counter(names).items() if k > 1]
        for other in path.parent.glob(f"{prefix}*.c"):
            member = other.stem.removeprefix(prefix)
            defined = re.search(rf"^(?:DS_API )?const ds_\w+ ds_[a-z]+_{member} = {{", other.read_text(), re.M)
            if defined and member not in names:
                wrong.append(f"{where}: {other.name} defines a member that is not listed")
        read += len(names)
    verdict("lists and files agree", wrong, read)


def words():
    """Nothing left open, and nothing of the tools around the project."""
    left_open = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    outside = re.compile(r"\bfarm-|\bduplicates --|/work/|\bshared/(DESIGN|STYLE|FIELD|prototype|peers|cluster)|\b(DESIGN|STYLE|FIELD)\.md|\bDESIGN\b section")
    wrong, read = [], 0
    outside_tops = ("build", "runs", ".git", ".cache")
    paths = [source.name_of(root, p) for p in sorted(root.rglob("*")) if not p.relative_to(root).parts[0].startswith(outside_tops)]
    paths = [name for name in paths if "__pycache__" not in name]
    for name in paths:
        path = root / name
        if not path.is_file() or path == pathlib.Path(__file__).resolve() or path.suffix in (".csv", ".log", ".gz", ".npy", ".h5"):
            continue
        read += 1
        for n, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            for found in filter(None, (left_open.search(line), outside.search(line))):
                wrong.append(f"{name}:{n}: '{found[0]}'")
    verdict("nothing left open, nothing from outside", wrong, read)


def with_tool(name, tool, command, paths):
    if not shutil.which(tool):
        tap.skip(name, f"{tool} is not installed (scripts/packages dev)")
        return
    run = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, cwd=root)
    wrong = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()] if run.returncode else []
    verdict(name, wrong, len(paths))


def suppressions():
    """No warning is switched off in the source."""
    mark = re.compile(r"#\s*pragma\s+(GCC|clang)\s+diagnostic|\bNO" r"LINT|no_sanitize|clang-format off")
    allowed, wrong = source.exceptions(root), []
    paths = source.files(root)
    for path in paths:
        name = source.name_of(root, path)
        for n, line in enumerate(path.read_text().splitlines(), 1):
            if mark.search(line) and name not in allowed:
                wrong.append(f"{name}:{n}: {line.strip()}")
    verdict("no suppressions but those listed", wrong, len(paths))


def main():
    for check in (layers, headers_alone, unique_names, sizes, local_or_collective, static_names, registries, words, suppressions):
        check()
    with_tool("clang-format changes nothing", "clang-format", ["clang-format", "--dry-run", "--Werror"], source.files(root))
    scripts = [p for p in [*(root / "scripts").iterdir(), root / ".ci/run", *(root / "tests").rglob("*.sh")]
               if p.is_file() and (p.suffix == ".sh" or p.read_bytes()[:30].startswith((b"#!/usr/bin/env bash", b"#!/bin/sh")))]
    with_tool("shellcheck finds nothing", "shellcheck", ["shellcheck", "-x", "-P", str(root / "scripts")], scripts)
    tap.done()


main()
