"""What the style tests need to know of C sources. clang-format has been over them: a function's braces stand in column 0."""
import pathlib
import re

TOPS = ("include", "workers", "runtime", "tests")


def files(root, pattern="*.[ch]"):
    return sorted(p for top in TOPS for p in (root / top).rglob(pattern))


def strip(text):
    """The text with comments, strings and characters blanked; lines stay where they are."""
    def blank(found):
        return re.sub(r"[^\n]", " ", found[0])
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


class Function:
    """name, first line, number of lines (braces included), parameters, deepest nesting."""

    def __init__(self, head, line, body):
        self.name = re.search(r"(\w+)\s*\($", head[:head.index("(") + 1])[1]
        self.line, self.n_lines = line, len(body)
        inner = head[head.index("(") + 1:head.rindex(")")]
        self.n_params = 0 if inner.strip() in ("", "void") else top_level_commas(inner) + 1
        self.nesting = max(depths(body)) - 1


def top_level_commas(text):
    depth = commas = 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        commas += c == "," and depth == 0
    return commas


def depths(lines):
    """Depth of braces at each line; initialisers (= {...}) do not nest."""
    depth, seen, plain = 0, [0], []
    for line in lines:
        for i, c in enumerate(line):
            if c == "{":
                plain.append(bool(re.search(r"[=,({)]\s*$|return\s*$", line[:i])) and not re.search(r"(if|for|while|switch)\b.*\)\s*$", line[:i]))
                depth += not plain[-1]
            elif c == "}" and plain:
                depth -= not plain.pop()
        seen.append(depth)
    return seen


def functions(text):
    lines = strip(text).splitlines()
    found = []
    for n, line in enumerate(lines):
        if line.rstrip() != "{":
            continue
        start = n
        while start > 0 and lines[start - 1].strip() and not lines[start - 1].startswith(("#", "}")):
            start -= 1
        head = " ".join(lines[start:n]).rsplit(";", 1)[-1]
        if "(" not in head or re.match(r"\s*(typedef|struct|enum|union)\b[^(]*$", head):
            continue
        end = next((i for i in range(n, len(lines)) if lines[i].startswith("}")), len(lines) - 1)
        found.append(Function(head, n + 1, lines[n:end + 1]))
    return found


def prototypes(text):
    """(line, comment before it, head) of each function declared in a header. A comment holds for what follows it at once."""
    clean, found = strip(text), []
    for match in re.finditer(r"^(?:DS_API )?[a-z][\w \t*]*?\bds_\w+\s*\([^;{]*\)[^;{]*;", clean, re.M):
        if match[0].startswith("typedef"):
            continue
        before = text[:match.start()]
        end = before.rfind("*/")
        gap = before[end:]
        comment = before[before.rfind("/*", 0, end):end] if end >= 0 and "\n\n" not in gap else ""
        found.append((clean.count("\n", 0, match.start()) + 1, comment, " ".join(match[0].split())))
    return found


def exceptions(root):
    """CONTRIBUTING.md's list of what may be longer: {"path" or "path:function"}."""
    text = (root / "CONTRIBUTING.md").read_text()
    part = text.split("## Longer than the rule")[1]
    return set(re.findall(r"^- `([^`]+)`", part, re.M))


def name_of(root, path):
    return pathlib.Path(path).relative_to(root).as_posix()
