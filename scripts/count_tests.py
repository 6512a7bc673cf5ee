"""Add up what meson's test logs say: each TAP point counts, any other test counts as one. NAME=EXIT_CODE is a check made
elsewhere. What failed is listed with the end of its output. The last line is "N passed, N failed".
usage: count_tests.py (LOG.json | NAME=EXIT_CODE)..."""
import json
import re
import sys


def last_words(test, most=15):
    """What a test said before it failed, indented: a log may be long gone when somebody asks."""
    lines = [line for key in ("stdout", "stderr") for line in (test.get(key) or "").splitlines() if not line.startswith("ok ")]
    return "".join(f"\n    {line[:300]}" for line in lines[-most:])


passed, failed, skipped, bad = 0, 0, 0, []
for log in sys.argv[1:]:
    name, given, code = log.rpartition("=")
    if given and code.isdigit():
        passed, failed = passed + (code == "0"), failed + (code != "0")
        bad += [f"{name}: exit code {code}"] if code != "0" else []
        continue
    try:
        tests = [json.loads(line) for line in open(log, encoding="utf-8", errors="replace")]
    except OSError as why:
        tests = []
        bad.append(f"{log}: {why.strerror}: the tests did not run")
        failed += 1
    for test in tests:
        points = re.findall(r"^(not ok|ok)\b([^\n]*)", test.get("stdout") or "", re.M)
        skips = sum("# SKIP" in text.upper() for word, text in points)
        misses = sum(word == "not ok" and not re.search("# todo", text, re.I) for word, text in points)
        fine = test["result"] in ("OK", "EXPECTEDFAIL")
        if test["result"] == "SKIP":
            skipped += max(1, skips)
            continue
        misses = misses if not fine and misses else int(not fine)
        hits = len(points) - skips - misses if points else int(fine)
        passed, failed, skipped = passed + max(0, hits), failed + misses, skipped + skips
        if not fine:
            bad.append(f"{test['name']}: {test['result']}" + last_words(test))
print("".join(f"failed: {line}\n" for line in bad), end="")
print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
sys.exit(failed > 0 or passed == 0)
