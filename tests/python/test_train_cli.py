# SPDX-License-Identifier: Apache-2.0
"""cosmos-train as it is used: from traces to a model file, what interrupts it, and what goes wrong."""

import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

import conftest
import pytest

import cosmos

TOOLS = pathlib.Path(os.environ.get("COSMOS_BUILD", "/nonexistent"), "cli")
TRAIN, SCORE = TOOLS / "cosmos-train", TOOLS / "cosmos-score"

pytestmark = pytest.mark.skipif(not TRAIN.exists(), reason="no cosmos-train: set COSMOS_BUILD to a build folder")

SMALL = ["--units", 8, "--embedding", 4, "--window", 20, "--hop", 10, "--threads", 1]
LONG = [*SMALL, "--units", 112, "--batch", 1, "--epochs", 4]  # an epoch takes long enough to be interrupted
LIMIT = 60  # seconds


def command(*arguments):
    return [str(TRAIN), *map(str, arguments)]


def train(*arguments, **options):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=LIMIT, **options)


def succeeds(*arguments):
    run = train(*arguments)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "" and "\r" not in run.stderr
    return run.stderr


def fails(*arguments):
    """The last line of what is said."""
    run = train(*arguments)
    assert run.returncode == 2 and run.stdout == "", (run.returncode, run.stderr)
    last = run.stderr.splitlines()[-1]
    assert last.startswith("cosmos-train: "), run.stderr
    return last


def leftovers(folder):
    return [name for name in os.listdir(folder) if "tmp" in name or "writable" in name]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A function: the bytes of the model of a trace by a training that nothing interrupts; LONG, and once only."""
    known = {}

    def make(path):
        key = pathlib.Path(path).read_bytes()
        if key not in known:
            out = tmp_path_factory.mktemp("whole") / "model.bin"
            succeeds(path, "-o", out, *LONG)
            known[key] = out.read_bytes()
        return known[key]

    return make


class Running:
    """A training that is under way."""

    def __init__(self, *arguments):
        # Python ignores SIGXFSZ, the signal of a file that may not grow; so does what it starts here.
        self._process = subprocess.Popen(
            command(*arguments), stderr=subprocess.PIPE, text=True, restore_signals=False
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stderr.close()

    def wait_for(self, text):
        for line in self._process.stderr:
            if text in line:
                return line
        pytest.fail(f"it ended without '{text}'")

    def fill_the_disk(self):
        """A limit on a file's size is a full disk that needs no rights."""
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (1000, 1000))

    def rest(self):
        """Its status and what it has still said."""
        said = self._process.stderr.read()
        return self._process.wait(LIMIT), said

    def end(self, number):
        """The same, after a signal in the middle of an epoch."""
        time.sleep(0.05)
        self._process.send_signal(number)
        return self.rest()


# ---- from traces to a model --------------------------------------------------------------


def test_from_traces_to_verdicts(normal, trace, tmp_path):
    first, second, out = normal("1.jsonl", seed=1), normal("2.jsonl", seed=2), tmp_path / "model.bin"
    said = succeeds(first, second, "-o", out, *SMALL, "--units", 32, "--embedding", 16, "--seed", 5)
    assert "epoch 1/30: loss" in said and f"{out} is written" in said
    for word in ["read 12", "perplexity", "5-grams", "threshold", "95% confidence", "least expected", "in time"]:
        assert word in said
    moment = r"  \d{4}-\d\d-\d\dT\S+ app: \S+ after \S+ \([0-9.]+ nats\); expected \S+ \(p [01]\.\d+\)"
    assert len(re.findall(moment, said)) == 10

    model = cosmos.Model(out)
    assert model.info["units"] == (32,) and model.info["fields"] == ("name", "errno")
    assert model.info["quantile"] == 0.999 and model.info["source"] == "audit"
    assert model.metadata("cosmos.seed") == "5"
    assert model.metadata("cosmos.vocab").count("<reserved-") == 16

    score = subprocess.run([SCORE, out, normal("3.jsonl", seed=3)], capture_output=True, text=True, timeout=LIMIT)
    assert score.returncode == 0 and "verdict: normal" in score.stderr, score.stderr
    odd = trace("odd.jsonl")
    for name in ["execve", "ptrace", "socket", "connect", "dup2", "dup2", "execve", "openat", "sendto"] * 3:
        odd.call(name, pid=7)
    assert subprocess.run([SCORE, out, odd.done()], capture_output=True, timeout=LIMIT).returncode == 1


def test_options_reach_the_model(normal, tmp_path):
    scheme, out, path = "name,errno,size/half,fd,path,args,frequency/100", tmp_path / "model.bin", normal()
    shape = ["--layers", 2, "--units", 6, "--embedding", 5, "--epochs", 1, "--fields", scheme, "--keep", 0]
    said = succeeds(path, "-o", out, *SMALL, *shape, "-q", 0.9, "--margin", 0, "--unit", "process")
    assert "epoch 1/1:" in said and "epoch 2" not in said and "(0.9 of" in said and "too few" not in said
    model = cosmos.Model(out)
    assert model.metadata("cosmos.tokens") == scheme and model.info["units"] == (6, 6)
    assert model.info["embedding"] == 5 and model.info["quantile"] == 0.9
    assert (model.info["window"], model.info["hop"]) == (20, 10)


def test_standard_input(normal, tmp_path):
    path, one, other = normal(), tmp_path / "1.bin", tmp_path / "2.bin"
    succeeds(path, "-o", one, *SMALL, "--epochs", 1)
    with open(path) as f:
        run = train("-", "-o", other, *SMALL, "--epochs", 1, stdin=f)
    assert run.returncode == 0, run.stderr
    assert cosmos.Model(other).info["threshold"] == cosmos.Model(one).info["threshold"]


def test_any_number_of_threads_gives_the_same_bytes(normal, tmp_path):
    path, models = normal(), []
    for threads in (1, 2):
        out = tmp_path / f"{threads}.bin"
        succeeds(path, "-o", out, *SMALL, "--epochs", 2, "-j", threads)
        models.append(out.read_bytes())
    assert models[0] == models[1]
    succeeds(path, "-o", out, *SMALL, "--epochs", 2, "--seed", 2)
    assert out.read_bytes() != models[0]


def test_too_few_windows_are_a_warning(normal, tmp_path):
    said = succeeds(normal(), "-o", tmp_path / "model.bin", *SMALL, "--epochs", 1)
    assert re.search(r"warning: \d+ windows are too few for a quantile of 0.999, which needs 1000", said)


def test_names_from_outside_do_not_reach_the_terminal(trace, tmp_path):
    out = trace()
    for i in range(4000):
        out.call("read" if i % 3 else "write", pid=1 + i // 50, proc_start=i // 50, comm="\x1b[2Jevil")
    run = train(out.done(), "-o", tmp_path / "model.bin", *SMALL, "--epochs", 1)
    assert run.returncode == 0 and "evil" in run.stderr and "\x1b" not in run.stderr


# ---- on a terminal --------------------------------------------------------------------------


def test_a_line_that_moves_on_a_terminal_only(normal, tmp_path):
    seen = conftest.on_a_terminal(command(normal(), "-o", tmp_path / "model.bin", *LONG), LIMIT)
    shown = [part for part in seen.split("\r\033[K") if re.match(r"epoch \d/4: (learning|evaluating), ", part)]
    assert shown, seen
    assert any(re.search(r"loss \d.*perplexity \d.* calls/s, at most \d+ (s|min) left", part) for part in shown), shown
    assert "\r\033[Kcosmos-train: " in seen, "the line goes before another comes"


# ---- interrupted --------------------------------------------------------------------------


def test_a_signal_leaves_a_checkpoint_to_go_on_from(normal, whole, tmp_path):
    path, out, kept = normal(), tmp_path / "model.bin", tmp_path / "kept"
    with Running(path, "-o", out, "-k", kept, *LONG) as running:
        running.wait_for("epoch 1/")
        status, said = running.end(signal.SIGINT)
    assert status == 130 and f"interrupted, the same command goes on from {kept}" in said
    assert kept.exists() and not out.exists() and not leftovers(tmp_path)
    said = succeeds(path, "-o", out, "-k", kept, *LONG)
    assert re.search(f"{kept}: going on from epoch [2-4], \\d+%", said) and "epoch 1/" not in said
    assert out.read_bytes() == whole(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_do_too(number, normal, tmp_path):
    out, kept = tmp_path / "model.bin", tmp_path / "kept"
    with Running(normal(), "-o", out, "-k", kept, *LONG) as running:
        running.wait_for("epoch 1/")
        status, said = running.end(number)
    assert status == 130 and f"goes on from {kept}" in said and kept.exists() and not out.exists()


def test_a_signal_ends_a_live_trace_and_a_second_one_the_reading(normal, tmp_path):
    """The first is its collector's, too: what has come is learnt."""
    out, text = tmp_path / "model.bin", pathlib.Path(normal()).read_bytes()
    for signals, status, last in ((1, 0, f"{out}.md says what it is"), (2, 130, "interrupted while reading")):
        process = subprocess.Popen(
            command("-", "-o", out, *SMALL, "--epochs", 1), stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        process.stdin.write(text)
        process.stdin.flush()
        for _ in range(signals):
            time.sleep(0.3)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
        if signals == 2:
            process.wait(LIMIT)
        said = process.communicate(timeout=LIMIT)[1].decode()
        assert process.returncode == status and last in said.splitlines()[-1], said


def test_a_kill_leaves_the_latest_checkpoint(normal, whole, tmp_path):
    path, out, kept = normal(), tmp_path / "model.bin", tmp_path / "kept"
    with Running(path, "-o", out, "-k", kept, *LONG) as running:
        running.wait_for("epoch 2/")
        assert running.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert kept.exists() and not out.exists()
    assert "going on from epoch " in succeeds(path, "-o", out, "-k", kept, *LONG)
    assert out.read_bytes() == whole(path)


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="waits for half a minute: once is enough")
def test_a_kill_within_a_long_epoch_costs_half_a_minute(normal, tmp_path):
    path, out, kept = normal(calls=150_000), tmp_path / "model.bin", tmp_path / "kept"
    arguments = [path, "-o", out, "-k", kept, *LONG, "--units", 512]
    with Running(*arguments) as running:
        end = time.monotonic() + LIMIT
        while not kept.exists() and time.monotonic() < end:
            time.sleep(0.1)
        status, said = running.end(signal.SIGKILL)
    assert status == -signal.SIGKILL and kept.exists() and "epoch 1/" not in said
    with Running(*arguments) as running:
        assert re.search("going on from epoch 1, [1-9]", running.wait_for("going on"))
        running.end(signal.SIGKILL)


def test_a_signal_without_a_checkpoint_leaves_nothing(normal, tmp_path):
    path, out = normal(), tmp_path / "model.bin"
    out.write_bytes(b"old")
    with Running(path, "-o", out, *LONG, "--epochs", 1000) as running:
        running.wait_for("epoch 1/")
        status, said = running.end(signal.SIGINT)
    assert status == 130 and "interrupted, nothing is written" in said
    assert out.read_bytes() == b"old" and not leftovers(tmp_path)


def test_what_is_learnt_can_get_another_threshold(normal, tmp_path):
    path, out, kept = normal(), tmp_path / "model.bin", tmp_path / "kept"
    succeeds(path, "-o", out, "-k", kept, *SMALL, "--epochs", 1)
    assert kept.exists()
    said = succeeds(path, "-o", out, "-k", kept, *SMALL, "--epochs", 1, "-q", 0.5)
    assert "all is learnt" in said and "epoch 1/" not in said and cosmos.Model(out).info["quantile"] == 0.5


def test_a_checkpoint_that_does_not_fit(normal, tmp_path):
    path, out, kept = normal(), tmp_path / "model.bin", tmp_path / "kept"
    succeeds(path, "-o", out, "-k", kept, *SMALL, "--epochs", 1)
    before = out.read_bytes()
    again = ["-o", out, "-k", kept, *SMALL, "--epochs", 1]
    assert "other seed" in fails(path, *again, "--seed", 2)
    assert "other layers" in fails(path, *again, "--units", 9)
    assert "other traces" in fails(normal("other.jsonl", seed=2), *again)
    data = kept.read_bytes()
    for damaged in (b"", data[:100], data[:-1], b"\xff" * len(data), before):
        kept.write_bytes(damaged)
        assert str(kept) in fails(path, *again)
        assert kept.read_bytes() == damaged, "it is whoever made it that removes it"
    assert out.read_bytes() == before


# ---- what can't be written ------------------------------------------------------------------


def test_a_full_disk_leaves_the_model_and_the_checkpoint(normal, whole, tmp_path):
    path, out, kept = normal(), tmp_path / "model.bin", tmp_path / "kept"
    out.write_bytes(b"old")
    with Running(path, "-o", out, "-k", kept, *LONG) as running:
        running.wait_for("epoch 2/")  # the checkpoint of the first is written
        running.fill_the_disk()
        status, said = running.rest()
    assert status == 2 and f"warning: {kept}: the checkpoint could not be written" in said and "goes on" in said
    assert f"{out}: the model could not be written" in said, said
    assert f"goes on from {kept}" in said.splitlines()[-1]
    assert out.read_bytes() == b"old" and not leftovers(tmp_path)
    assert "going on from epoch " in succeeds(path, "-o", out, "-k", kept, *LONG)
    assert out.read_bytes() == whole(path)


def test_a_signal_while_the_disk_is_full_is_an_error(normal, tmp_path):
    path, out, kept = normal(), tmp_path / "model.bin", tmp_path / "kept"
    with Running(path, "-o", out, "-k", kept, *LONG) as running:
        running.wait_for("epoch 1/")
        running.fill_the_disk()
        status, said = running.end(signal.SIGINT)
    assert status == 2 and f"{kept}: the checkpoint could not be written" in said.splitlines()[-1]
    assert not out.exists() and not leftovers(tmp_path)


def test_a_folder_that_is_not_there_is_found_before_anything_is_read(normal, tmp_path):
    for path in (tmp_path / "none" / "model.bin", tmp_path, f"{tmp_path}/none/", tmp_path / ("x" * 255)):
        last = fails("/none.jsonl", "-o", path)
        assert f"{path}: can't be written: " in last and "none.jsonl" not in last
        assert "can't be written" in fails("/none.jsonl", "-o", tmp_path / "model.bin", "-k", path)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    assert "Permission denied" in fails("/none.jsonl", "-o", folder / "model.bin")


# ---- what can't be learnt from -----------------------------------------------------------------


def test_traces_that_are_too_little(trace, tmp_path):
    out = tmp_path / "model.bin"
    out.write_bytes(b"old")
    (tmp_path / "empty.jsonl").touch()
    assert "empty" in fails(tmp_path / "empty.jsonl", "-o", out)
    assert "no call" in fails(trace("head.jsonl").done(), "-o", out)
    one = trace("one.jsonl")
    one.call("read")
    last = fails(one.done(), "-o", out)
    assert "1 call " in last and "too few" in last
    few = trace("few.jsonl")
    for _ in range(100):
        few.call("read")
    assert "100 calls are too few to learn from: collect 3667 at least" in fails(few.done(), "-o", out)
    assert "no call" in fails(few.path, "-o", out, "--container", "other")
    assert out.read_bytes() == b"old" and not leftovers(tmp_path)


# ---- going on from a model ------------------------------------------------------------------------


@pytest.fixture
def first(normal, tmp_path):
    """A model to go on from."""
    out = tmp_path / "first.bin"
    succeeds(normal("first.jsonl", calls=10_000), "-o", out, *SMALL, "--units", 24, "--batch", 8)
    return out


def with_new_call(trace, normal, name):
    """A normal trace in which a call that was never seen follows each sendto."""
    lines = pathlib.Path(normal("plain.jsonl", calls=10_000, seed=3)).read_text().splitlines()
    out = trace(name, source=None)
    for line in lines:
        out.raw(line)
        if '"sendto"' in line:
            out.raw(line.replace('"sendto"', '"sendmsg"'))
    return out.done()


def test_new_calls_enter_the_vocabulary(first, trace, normal, tmp_path):
    path, before, out = with_new_call(trace, normal, "new.jsonl"), cosmos.Model(first), tmp_path / "second.bin"
    said = succeeds(path, "-o", out, "--init", first, "--learn-anomalous", "--epochs", 8, "-j", 1)
    assert f"{first}: held-out loss" in said and f"going on from {first}" in said
    assert "1 in the vocabulary" in said and "learnt all the same" in said
    assert re.search(r"on later calls of these traces [0-9.]+ before, [0-9.]+ now", said)
    assert re.search(r"model keeps of what it has learnt [0-9.]+ before, [0-9.]+ now", said)
    model = cosmos.Model(out)
    assert '"sendmsg"' in model.metadata("cosmos.vocab") and '"sendmsg"' not in before.metadata("cosmos.vocab")
    for key in ("units", "embedding", "window", "hop", "unit"):
        assert model.info[key] == before.info[key]
    assert b"sendmsg" not in first.read_bytes()


def test_what_is_anomalous_is_left_out(first, trace, normal, tmp_path):
    """A change of each request is one of the server that lives long; a shell for a moment happened once; tools that
    all do something new have drifted."""
    new, once, drifted = with_new_call(trace, normal, "new.jsonl"), trace("once.jsonl"), trace("drifted.jsonl")
    lines = pathlib.Path(normal("plain.jsonl", calls=20_000, seed=4)).read_text().splitlines()
    for i, line in enumerate(lines):
        once.raw(line)
        drifted.raw(line)
        if i == len(lines) // 2:
            for k in range(40):
                once.raw(line.replace(json.loads(line)["syscall"], "ptrace" if k % 2 else "socket"))
        if '"access"' in line:
            for name in ["ptrace", "socket", "connect", "dup2"] * 5:
                drifted.raw(line.replace('"access"', f'"{name}"'))
    arguments = ["-o", tmp_path / "second.bin", "--init", first, "--epochs", 1, "-j", 1]
    for path, word in ((new, "few sequences"), (once.done(), "happened once"), (drifted.done(), "looks like drift")):
        said = train(path, *arguments).stderr
        assert re.search(r"anomalous   to it, [1-9]\d* of \d+ windows", said) and word in said, said
        assert re.search(r"they were left out: [1-9]\d* calls", said)


def test_what_is_least_expected_is_not_learnt(first, normal, tmp_path):
    arguments = [normal("new.jsonl", calls=20_000, seed=4), "-o", tmp_path / "second.bin", "--init", first, "--epochs", 1]
    told = "more calls were not learnt: it expected them least"
    assert re.search(rf"trimmed     [1-9]\d* {told}", train(*arguments).stderr)
    assert told not in train(*arguments, "--learn-anomalous").stderr


def test_a_model_may_be_replaced_by_its_successor(first, normal):
    before = first.read_bytes()
    said = succeeds(normal("more.jsonl", seed=4), "-o", first, "--init", first, "--epochs", 1, "-j", 1)
    assert "0 in the vocabulary" in said and first.read_bytes() != before


def test_what_contradicts_the_model_is_refused(first, normal, tmp_path):
    before, path = first.read_bytes(), normal("more.jsonl", seed=4)
    for option, value, has in (
        ("--fields", "name", "name,errno"),
        ("--unit", "thread", "process"),
        ("--layers", "2", "1"),
        ("--units", "8", "24"),
        ("--embedding", "8", "4"),
    ):
        last = fails(path, "-o", first, "--init", first, option, value)
        assert f"{option} {value}: {first} has {has}, which must stay" in last
    same = ["--fields", "name,errno", "--unit", "process", "--layers", 1, "--units", 24, "--embedding", 4]
    succeeds(path, "-o", tmp_path / "second.bin", "--init", first, *same, "--epochs", 1)
    assert first.read_bytes() == before


def test_traces_that_do_not_fit_the_model(first, trace, normal, tmp_path):
    other = trace("other.jsonl", source="bpf")
    for i in range(4000):
        other.call("read" if i % 3 else "write", tid=10)
    other.done()
    before = first.read_bytes()
    last = fails(other.path, "-o", first, "--init", first)
    assert "source audit" in last and "bpf" in last
    threads = tmp_path / "threads.bin"
    succeeds(other.path, "-o", threads, *SMALL, "--epochs", 1)
    assert cosmos.Model(threads).info["unit"] == "thread"
    assert "thread" in fails(normal(), "-o", first, "--init", threads)
    assert str(first.parent / "none") in fails(normal(), "-o", first, "--init", first.parent / "none")
    assert first.read_bytes() == before


def test_a_vocabulary_without_a_place_left(model_file, normal, tmp_path):
    """As models have it that were made before places were reserved."""
    path = model_file(tokens="name,errno", threshold=None)
    said = succeeds(normal(), "-o", tmp_path / "model.bin", "--init", path, "--epochs", 1)
    assert "no place left" in said and "has no threshold" in said and "keeps no calls" in said
