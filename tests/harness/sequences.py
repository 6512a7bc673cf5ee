"""Language models as users meet them: preset gpt and lstm on bytes and on numbered tokens, trained, resumed, scored, asked with
predict and generate. The text repeats itself, so that what follows is known. usage: sequences.py DESCENT"""
import random
import re
import struct
import sys

from runs import Folder, Program, Tap, final_hash

SENTENCE = "The quick brown fox jumps over a lazy dog. "
CONFIG = """
name: sequences
data: {{train: {{format: {data}}}}}
model: {model}
loss: cross_entropy
batch: {{size: 32, shards: 4}}
optimizer: {{name: adamw, lr: 0.01}}
train: {{max_steps: {steps}}}
checkpoint: {{every_steps: {half}, keep: 0}}
"""
GPT = "{preset: gpt, layers: 2, width: 32, heads: 4, context: 16, dropout: 0.05}"
LSTM = ("{input: [16], layers: [{embedding: {vocab: 128, width: 16, init: xavier_uniform}}, {lstm: {units: 48}}, "
        "{dense: {units: 128, positionwise: true}}]}")
TOKENS = "{preset: gpt, layers: 1, width: 16, heads: 2, context: 8}"
tap = Tap()


def write(folder, name, data, model, steps):
    path = folder.path / f"{name}.yaml"
    path.write_text(CONFIG.format(data=data, model=model, steps=steps, half=steps // 2))
    return path


def generate(program, run, *args, **more):
    return program.run("generate", run, *args, **more)


def gpt(program, folder):
    config, hashes = write(folder, "gpt", "text, path: text.txt", GPT, 160), {}
    for ranks in (1, 2, 3, 4):
        done = program.train(config, folder.path / f"gpt{ranks}", "--quiet", ranks=ranks)
        hashes[ranks] = final_hash(folder.path / f"gpt{ranks}") if done.code == 0 else str(done)
    half = folder.path / "gpt2/checkpoints/step-00000080.h5"
    done = program.train(config, folder.path / "gpt2", "--quiet", f"--resume={half}", ranks=3)
    hashes["resumed"] = final_hash(folder.path / "gpt2") if done.code == 0 else str(done)
    tap.point(len(set(hashes.values())) == 1, "preset gpt with dropout: one params_hash on 1 to 4 ranks and resumed", hashes)
    again = program.train(folder.path / "gpt1/config.yaml", folder.path / "again", "--quiet")
    tap.point(final_hash(folder.path / "again") == hashes[1], "its config.yaml, written out, gives the same", again.code)
    dry = program.train(config, folder.path / "dry", "--dry-run")
    tap.point("attention2" in dry.out and "[16, 256]" in dry.out, "--dry-run shows its layers", "" if dry.code == 0 else dry)
    return folder.path / "gpt1"


PRESETS = {"gpt": ("text, path: text.txt", "{preset: gpt, layers: 1, width: 16, heads: 2, context: 8}"),
           "mlp": ("synthetic, kind: digits, samples: 40", "{preset: mlp, input: [784], hidden: [16], activation: gelu}")}


def gradients(program, folder):
    """By the data's own number of classes; every preset's gradient is checked by tests/model/test_presets.c."""
    for name, (data, model) in PRESETS.items():
        config = write(folder, f"check-{name}", data, model, 2)
        for ranks in (1, 3):
            done = program.run("gradcheck", config, ranks=ranks)
            tap.point(done.code == 0, f"gradcheck of preset {name}, {ranks} rank(s)", done.out.splitlines()[-1] if done.code == 0 else done)
    small_gradients(program, folder)


def figures(done):
    """Rows of gradcheck: name -> (difference, doubt, verdict)."""
    rows = re.findall(r"^(.+?) +(\S+) \+- (\S+)  (\w+)$", done.out, re.M)
    return {name: (float(difference), float(doubt), verdict) for name, difference, doubt, verdict in rows}


def small_gradients(program, folder):
    """Gpts whose loss bends within a hundredth of a table's size, on a text without order; slopes that no step can tell."""
    draw = random.Random(1)
    (folder.path / "letters.txt").write_text("".join(draw.choice("abcdefghijklm") for _ in range(3000)))
    config = write(folder, "small", "text, path: letters.txt", "{preset: gpt, layers: 1, width: 8, heads: 1, context: 9}", 8)
    for seed in (1, 2, 3, 4, 5):
        done = program.run("gradcheck", config, "--set", f"seed={seed}")
        rows = figures(done)
        worst = max((row[:2] for row in rows.values()), default=None)
        good = len(rows) == 17 and all(0 < difference <= 1e-3 and 0 < doubt <= 1e-3 and verdict == "ok" for difference, doubt, verdict in rows.values())
        tap.point(done.code == 0 and good, f"gradcheck of a gpt of width 8, seed {seed}: all ok", worst if good else done)
    digits = "synthetic, kind: digits, samples: 40"
    config = write(folder, "flat", digits, "{input: [784], layers: [{dense: {units: 16, trainable: false}}, {dense: {units: 8}}, batchnorm, tanh, {dense: {units: 10}}]}", 2)
    done = program.run("gradcheck", config, "--set", "data.normalize=unit")
    rows = figures(done)
    verdicts = {name: row[2] for name, row in rows.items() if row[2] != "ok"}
    tap.point(done.code == 0 and verdicts == {"dense2/bias": "undecided"} and f"1 of {len(rows)} undecided" in done.out and "dense1/weight" not in rows and "frozen" in done.out,
              "gradcheck: a bias before batchnorm is undecided, a frozen layer is frozen, exit 0", rows.get("dense2/bias", done))
    done = program.run("gradcheck", config, "--set", "data.normalize=unit", "--tolerance", "1e-9")
    tap.point(done.code == 1 and {row[2] for row in figures(done).values()} == {"undecided"} and "nothing was decided" in done.err,
              "gradcheck: where nothing is decided, exit 1", done.err.strip() if done.code == 1 else done)


def texts(program, name, run):
    greedy = generate(program, run, "--prompt", "The quick br", "--temperature", "0", "--tokens", "120")
    expected = (SENTENCE * 4)[:132]
    tap.point(greedy.code == 0 and greedy.out == expected, f"{name}: temperature 0 goes on with the sentence", greedy if greedy.out != expected else "")
    top = generate(program, run, "--prompt", "The quick br", "--top-k", "1", "--tokens", "120", "--seed", "9")
    tap.point(top.out == expected, f"{name}: so does the best of one", top.out[:40])
    draw = [generate(program, run, "--tokens", "80", "--temperature", "3", "--seed", s).out for s in ("1", "1", "2")]
    tap.point(draw[0] == draw[1] != draw[2] and len(draw[0]) > 0, f"{name}: a text is the seed's", f"{draw[0][:20]!r} {draw[2][:20]!r}")
    long = generate(program, run, "--prompt", SENTENCE * 3 + "The", "--temperature", "0", "--tokens", "6")
    tap.point(long.code == 0 and long.out.endswith("The quick") and "sees the last 16" in long.err, f"{name}: a prompt longer than the context", long.err)
    ranks = generate(program, run, "--tokens", "80", "--temperature", "3", "--seed", "1", ranks=2)
    tap.point(ranks.out == draw[0], f"{name}: the same under mpirun", ranks.code)


def asked(program, folder, run):
    (folder.path / "in.txt").write_text(SENTENCE[:21])
    done = program.run("predict", run, folder.path / "in.txt", ranks=2)
    lines = done.out.splitlines()
    found = "".join(chr(int(line.split(",")[0])) for line in lines[1:])
    tap.point(done.code == 0 and len(found) == 21 and found[4:15] == SENTENCE[5:16], "predict says what follows each byte", repr(found) if found else done)
    pipe = program.run("predict", run, "-", text=SENTENCE[:21])
    tap.point(pipe.out == done.out, "predict reads a text on standard input", pipe.code if pipe.code == 0 else pipe)
    done = program.run("eval", run)
    tap.point(done.code == 0 and "accuracy" in done.out, "eval", done.out.splitlines()[0] if done.code == 0 else done)


def tokens(program, folder):
    numbers = [7, 400, 3, 299, 65, 12]
    (folder.path / "tokens.bin").write_bytes(struct.pack("<3000H", *(numbers * 500)))
    config = write(folder, "tokens", "tokens, path: tokens.bin, vocab: 500", TOKENS, 80)
    done = program.train(config, folder.path / "tokens", "--quiet", ranks=2)
    tap.point(done.code == 0 and "vocab: 500" in (folder.path / "tokens/config.yaml").read_text(), "the preset has as many tokens as the data", done.code)
    done = generate(program, folder.path / "tokens", "--prompt", "7, 400", "--temperature", "0", "--tokens", "7")
    tap.point(done.out == "7 400 3 299 65 12 7 400 3\n", "numbered tokens go in and out", done.out if done.code == 0 else done)
    return folder.path / "tokens"


def refusals(program, folder, bytes_run, tokens_run):
    (folder.path / "mlp.yaml").write_text("data: {train: {format: synthetic, kind: spirals, samples: 60}}\nmodel: {preset: mlp, input: [2], hidden: []}\n"
                                          "loss: cross_entropy\ntrain: {max_steps: 2}\n")
    program.train(folder.path / "mlp.yaml", folder.path / "mlp", "--quiet")
    (folder.path / "open.yaml").write_text((folder.path / "gpt1/config.yaml").read_text().replace("heads: 4}", "heads: 4, causal: false}"))
    program.train(folder.path / "open.yaml", folder.path / "open", "--quiet", "--set", "train.max_steps=2")
    (folder.path / "few.txt").write_text("")
    (folder.path / "bowl.yaml").write_text("problem: {name: bowl}\ntrain: {max_steps: 2}\n")
    program.train(folder.path / "bowl.yaml", folder.path / "bowl", "--quiet")
    cases = {"no language model": (["generate", folder.path / "mlp"], 2, "no language model"),
             "a problem": (["generate", folder.path / "bowl"], 2, "problem 'bowl'"),
             "a model that sees what follows": (["generate", folder.path / "open"], 2, "causal"),
             "an empty prompt": (["generate", bytes_run, "--prompt", ""], 2, "empty"),
             "a byte outside the vocabulary": (["generate", bytes_run, "--prompt", "caf\u00e9"], 2, "vocabulary"),
             "a token outside the vocabulary": (["generate", tokens_run, "--prompt", "7 500"], 2, "vocabulary"),
             "a prompt of no numbers": (["generate", tokens_run, "--prompt", "7 x"], 2, "numbers"),
             "a negative temperature": (["generate", bytes_run, "--temperature", "-1"], 2, "temperature"),
             "top-k 0": (["generate", bytes_run, "--top-k", "0"], 2, "top-k"),
             "no such checkpoint": (["generate", folder.path / "nowhere"], 4, "nowhere"),
             "predict of an empty text": (["predict", bytes_run, folder.path / "few.txt"], 3, "no tokens")}
    for name, (args, code, word) in cases.items():
        done = program.run(*args)
        good = done.code == code and len(done.errors()) == 1 and word in done.errors()[0]
        tap.point(good, f"refused: {name}", done.errors()[0][15:110] if good else done)


def main():
    program = Program(sys.argv[1])
    with Folder("sequences") as folder:
        (folder.path / "text.txt").write_text(SENTENCE * 200)
        run = gpt(program, folder)
        gradients(program, folder)
        texts(program, "gpt", run)
        asked(program, folder, run)
        config = write(folder, "lstm", "text, path: text.txt", LSTM, 160)
        program.train(config, folder.path / "lstm", "--quiet", ranks=2)
        texts(program, "lstm", folder.path / "lstm")
        refusals(program, folder, folder.path / "lstm", tokens(program, folder))
    tap.done()


main()
