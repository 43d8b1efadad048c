# SPDX-License-Identifier: Apache-2.0
"""models/train.py on several workers and devices, and what a kill leaves. On loopback."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import conftest
import loopback
import numpy as np
import pytest

pytestmark = conftest.needs_tensorflow

TRACE = str(conftest.TREE / "examples/traces/intrusion.jsonl.gz")  # long sequences and short ones
# At the usual rate of Adam: at higher ones, training soon magnifies the rounding that the order of a sum makes.
SMALL = ["--units", "16", "--embedding", "8", "--learning-rate", "0.001"]
EPOCHS = 2  # of 25 steps, with WHOLE chunks a step
WHOLE, HALF = 26, 13
LIMIT = 120  # seconds that nothing here should take


def command(*arguments, program=("models/train.py",)):
    return [sys.executable, str(conftest.TREE / program[0]), *program[1:], *map(str, arguments)]


def start(*arguments, env=None, **options):
    env = {**os.environ, **(env or {})}
    return subprocess.Popen(
        command(*arguments, **options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )


def end(process):
    """Status, and what was said. A process that hangs is an error, not a test that hangs."""
    try:
        out, err = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert "Traceback" not in err, err
    return process.returncode, err


def run(*arguments, **options):
    status, said = end(start(*arguments, **options))
    assert status == 0, said
    return said


def workers(*arguments, n=2, each=()):
    """Start them; `each`: what only one is told."""
    addresses, configurations = loopback.cluster(n)
    more = list(each) or [()] * n
    return addresses, [
        start(*arguments, *own, "--strategy", "multiworker", env={"TF_CONFIG": configuration})
        for own, configuration in zip(more, configurations)
    ]


def until_saved(folder, *processes):
    """Wait for the first checkpoint."""
    deadline = time.monotonic() + LIMIT
    while not (folder / "checkpoint").exists():
        assert time.monotonic() < deadline and all(process.poll() is None for process in processes)
        time.sleep(0.02)


def weights(path):
    import export

    return export.parse(path.read_bytes())[0]


def assert_near(first, second, most=1e-4):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    assert max(np.abs(first[name] - second[name]).max() for name in first) <= most


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A model that one worker has learnt, undisturbed, in 50 steps."""
    path = tmp_path_factory.mktemp("one") / "model.bin"
    run(TRACE, "-o", path, *SMALL, "--epochs", EPOCHS, "--batch", WHOLE)
    return path


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The same by two workers, each with half of a batch."""
    folder = tmp_path_factory.mktemp("two")
    each = [("-o", folder / f"model-{i}.bin") for i in range(2)]
    _, processes = workers(TRACE, *SMALL, "--epochs", EPOCHS, "--batch", HALF, each=each)
    ends = [end(process) for process in processes]
    assert [status for status, _ in ends] == [0, 0], ends
    assert "epoch 2/2" in ends[0][1] and ends[1][1] == "", "the first one speaks"
    assert sorted(os.listdir(folder)) == ["model-0.bin", "model-0.bin.md", "model-0.bin.svg"], "and writes"
    return folder / "model-0.bin"


def test_two_workers_learn_what_one_does_with_the_doubled_batch(one, two):
    assert_near(one, two)


def test_lost_worker_is_named_and_the_restart_goes_on(two, tmp_path):
    arguments = [TRACE, "-o", tmp_path / "model.bin", *SMALL, "--batch", HALF, "--checkpoint", tmp_path / "kept"]
    addresses, processes = workers(*arguments, "--epochs", 1000)
    until_saved(tmp_path / "kept", *processes)
    processes[1].kill()
    status, said = end(processes[0])
    end(processes[1])
    assert status == 2 and f"train.py: lost worker 1 ({addresses[1]}); start the same command" in said
    assert not (tmp_path / "model.bin").exists()
    # It was killed in the first epochs: what it is when it comes to the end of the second one is known.
    _, processes = workers(*arguments, "--epochs", EPOCHS)
    ends = [end(process) for process in processes]
    assert [status for status, _ in ends] == [0, 0], ends
    assert "going on from epoch" in ends[0][1]
    if "going on from epoch 2," in ends[0][1]:
        assert (tmp_path / "model.bin").read_bytes() == two.read_bytes()


def test_worker_that_does_not_come(tmp_path):
    _, configurations = loopback.cluster(2)
    text = "import sys; sys.path.insert(0, 'models'); import team, train; team.START = 2; sys.exit(train.main())"
    env = {**os.environ, "TF_CONFIG": configurations[1]}
    arguments = [TRACE, "-o", str(tmp_path / "model.bin"), "--strategy", "multiworker"]
    process = subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        cwd=conftest.TREE, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    status, said = end(process)
    assert status == 2 and "not all workers came within 2 s: worker 0 (127.0.0.1:" in said


def test_workers_that_differ(tmp_path):
    _, processes = workers(TRACE, "-o", tmp_path / "model.bin", *SMALL, each=[("--seed", 1), ("--seed", 2)])
    for process in processes:
        status, said = end(process)
        assert status == 2 and ("the workers don't do the same" in said or "lost worker" in said)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "text,said",
    [
        (None, "needs the workers in TF_CONFIG"),
        ("{", "TF_CONFIG is not understood"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "list index"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}', "chief and worker"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}', "twice"),
        ('{"cluster": {"worker": ["a:99999"]}, "task": {"type": "worker", "index": 0}}', "'a:99999' is not HOST:PORT"),
    ],
)
def test_bad_cluster(text, said, monkeypatch):
    import data
    import team

    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(data.BadInput, match=said):
        team.Cluster.from_environment()


def test_chief_is_the_first_worker(monkeypatch):
    import team

    jobs = {"worker": ["w0:1", "w1:1"], "chief": ["c:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": {"type": "worker", "index": 1}}))
    assert team.Cluster.from_environment() == team.Cluster(["c:1", "w0:1", "w1:1"], 2)


def test_two_devices_of_one_machine(one, tmp_path):
    """In place of GPUs: the processor as two devices."""
    text = (
        "import sys; sys.path.insert(0, 'models'); import team, train; tf = team.quiet();"
        "tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0],"
        " [tf.config.LogicalDeviceConfiguration()] * 2);"
        "mirrored = tf.distribute.MirroredStrategy;"
        "tf.distribute.MirroredStrategy = lambda: mirrored(['CPU:0', 'CPU:1']);"
        "train.GAIN = 99;"  # after the second epoch the learning rate is halved, which nothing shows but the curves
        "sys.exit(train.main())"
    )
    arguments = [TRACE, "-o", tmp_path / "model.bin", *SMALL, "--epochs", EPOCHS, "--batch", HALF]
    arguments += ["--tensorboard", tmp_path / "curves"]
    process = subprocess.run(
        [sys.executable, "-c", text, *map(str, arguments), "--strategy", "mirrored"],
        cwd=conftest.TREE, capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert_near(one, tmp_path / "model.bin")
    curves_are_written(tmp_path / "curves")


def test_killed_and_gone_on_from_is_as_undisturbed(one, tmp_path):
    kept, out = tmp_path / "kept", tmp_path / "model.bin"
    arguments = [TRACE, "-o", out, *SMALL, "--batch", WHOLE, "--checkpoint", kept, "--tensorboard", tmp_path / "curves"]
    process = start(*arguments, "--epochs", EPOCHS)
    until_saved(kept, process)
    process.kill()
    end(process)
    assert not out.exists()
    said = run(*arguments, "--epochs", EPOCHS)
    assert f"{kept}: going on from epoch 2, chunk 0" in said and "epoch 1/" not in said
    assert out.read_bytes() == one.read_bytes()
    curves_are_written(tmp_path / "curves")
    exported_is(kept, one, tmp_path / "exported.bin")

    # All is done: the same command only writes the model once more. Another one does not touch it.
    out.unlink()
    assert "epoch 2/" not in run(*arguments, "--epochs", EPOCHS)
    assert out.read_bytes() == one.read_bytes()
    status, said = end(start(*arguments, "--seed", 2))
    assert status == 2 and "checkpoint of another training: seed is 1 there, 2 here" in said


def curves_are_written(folder):
    import team

    tf = team.quiet()
    found = {}
    for path in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
                found.setdefault(value.tag, []).append(float(tf.make_ndarray(value.tensor)))
    assert set(found) == {"loss", "held-out loss", "learning rate"}
    assert found["held-out loss"][-1] < found["held-out loss"][0] and found["learning rate"][0] == pytest.approx(0.001)


def exported_is(folder, model, path):
    """The best weights so far of a training, and its metadata but for the threshold."""
    import export

    run(folder, "-o", path, program=("models/export.py",))
    (mine, said), (theirs, of_theirs) = export.parse(path.read_bytes()), export.parse(model.read_bytes())
    assert all((mine[name] == theirs[name]).all() for name in theirs)
    assert said == {key: value for key, value in of_theirs.items() if key in said}
    assert {key[len("cosmos.") :] for key in of_theirs.keys() - said.keys()} == {
        "threshold", "quantile", "threshold_n", "threshold_spread", "threshold_rule", "report",
    }  # fmt: skip


def test_interrupted_within_an_epoch(one, tmp_path):
    kept, out = tmp_path / "kept", tmp_path / "model.bin"
    arguments = [TRACE, "-o", out, *SMALL, "--batch", WHOLE, "--checkpoint", kept]
    process = start(*arguments, "--epochs", 1000)
    until_saved(kept, process)
    process.send_signal(signal.SIGINT)
    status, said = end(process)
    assert status == 130 and f"interrupted, the same command goes on from {kept}" in said and not out.exists()
    said = run(*arguments, "--epochs", EPOCHS)
    if "going on from epoch 2," in said:  # the machine was fast enough
        assert out.read_bytes() == one.read_bytes()


def test_full_disk_leaves_what_was_there(normal, tmp_path):
    """As one whose files may not grow, from when the traces are read on."""
    import export

    out, kept = tmp_path / "model.bin", tmp_path / "kept"
    out.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        with pytest.raises(OSError, match="File too large.*model.bin"):
            export.write(str(out), b"new" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    text = (
        "import resource, sys; sys.path.insert(0, 'models'); import data, train; split = data.split;"
        "data.split = lambda read: [split(read), resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))][0];"
        "sys.exit(train.main())"
    )
    arguments = [normal(), "-o", out, "--epochs", 1, "--window", 20, "--hop", 10, "--checkpoint", kept]
    process = subprocess.run(
        [sys.executable, "-c", text, *map(str, arguments)],
        cwd=conftest.TREE, capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip
    assert process.returncode == 2, process.stderr
    assert f"{kept}: the checkpoint was not written" in process.stderr.splitlines()[-1]
    assert out.read_bytes() == b"old" and not list(tmp_path.glob("*.tmp"))


def test_damaged_checkpoint(tmp_path):
    import checkpoint
    import data

    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    for name in ("ckpt-1.index", "ckpt-1.data-00000-of-00001"):
        (tmp_path / name).write_bytes(b"x" * 100)
    with pytest.raises(data.BadInput, match="training.json|No such file"):
        try:
            checkpoint.read(str(tmp_path))
        except FileNotFoundError as e:
            raise data.BadInput(str(e)) from None
    (tmp_path / "training.json").write_text("[]")
    with pytest.raises(data.BadInput, match="training.json is not as train.py writes it"):
        checkpoint.read(str(tmp_path))
    (tmp_path / "training.json").write_text('{"settings": {}, "metadata": {}, "tensors": []}')
    with pytest.raises(data.BadInput, match="this checkpoint is damaged"):
        checkpoint.read(str(tmp_path))
