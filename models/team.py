# SPDX-License-Identifier: Apache-2.0
"""The workers that train together, and the one that is lost.

Each strategy of tf.distribute is a Team: where the replicas are, which rows of a
batch are this worker's, sums over all replicas. A worker that waits for another one
would wait for ever if that one has not come, or is gone, and TensorFlow may hold
Python's lock meanwhile; so a worker is two processes: one trains, its parent looks
whether the other workers still have their ports open, and ends it where one has not.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import re
import select
import signal
import socket
import sys
import time
from typing import Any, Callable, List, Optional

from data import BadInput

STRATEGIES = ("default", "mirrored", "multiworker", "tpu")
EXAMPLE = '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
START = 600.0  # seconds until all workers must have come
EVERY = 1.0  # second: so often the others are looked at
GRACE = 3.0  # seconds for which a worker must be gone
HERE, OVER = b"+", b"-"  # what a worker tells its parent: all workers are here; none is waited for any more


@dataclasses.dataclass
class Cluster:
    """What TF_CONFIG says: the workers' addresses in order, and which of them this is."""

    workers: List[str]
    index: int

    @classmethod
    def from_environment(cls) -> Cluster:
        text = os.environ.get("TF_CONFIG")
        if not text:
            raise BadInput(f"--strategy multiworker needs the workers in TF_CONFIG, on each of them: {EXAMPLE}")
        try:
            config = json.loads(text)
            cluster, task = dict(config["cluster"]), config["task"]
            if not set(cluster) <= {"chief", "worker"}:
                raise ValueError("its jobs must be chief and worker")
            chiefs, workers = list(cluster.get("chief", [])), list(cluster.get("worker", []))
            mine = {"chief": chiefs, "worker": workers}[task["type"]][int(task["index"])]
            everyone = chiefs + workers
            for address in everyone:
                host, port = address.rsplit(":", 1)
                if not host or not 0 < int(port) < 65536:
                    raise ValueError(f"{address!r} is not HOST:PORT")
            if len(set(everyone)) < len(everyone) or int(task["index"]) < 0:
                raise ValueError("a worker is there twice, or the index is below 0")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as e:
            why = str(e) or type(e).__name__
            raise BadInput(f"TF_CONFIG is not understood ({why}); it should be like {EXAMPLE}") from None
        return cls(everyone, everyone.index(mine))

    def name(self, i: int) -> str:
        return f"worker {i} ({self.workers[i]})"

    def gone(self) -> List[int]:
        """The other workers whose ports are closed."""
        return [i for i in range(len(self.workers)) if i != self.index and not _open(self.workers[i])]


def _open(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host.strip("[]"), int(port)), GRACE).close()
    except OSError:
        return False
    return True


def supervise(cluster: Cluster, end: Callable[[str], None]) -> int:
    """Fork. Returns in the child only, which is to train: the file descriptor to write HERE to as soon as all
    workers are, and OVER when none is waited for any more. The parent ends as the child does, or as `end` does
    with what it is given."""
    reading, writing = os.pipe()
    parent, child = os.getpid(), os.fork()
    if child:
        os.close(writing)
        sys.exit(_Supervisor(cluster, end, child, reading).run())
    os.setpgid(0, 0)  # of its own: the parent passes signals on, each once
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it does not outlive its parent
    if os.getppid() != parent:
        os._exit(2)
    os.close(reading)
    return writing


class _Supervisor:
    def __init__(self, cluster: Cluster, end: Callable[[str], None], child: int, reports: int):
        self._cluster, self._end, self._child, self._reports = cluster, end, child, reports
        self._seen, self._since = b"", {}
        self._deadline = time.monotonic() + START
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._pass_on)

    def _pass_on(self, number, _frame) -> None:
        # A child that waits for others in TensorFlow would not hear of it.
        os.kill(self._child, number if HERE in self._seen else signal.SIGKILL)

    def run(self) -> int:
        """The status to end with."""
        while True:
            ready = select.select([self._reports], [], [], EVERY)[0] if self._reports >= 0 else time.sleep(EVERY)
            if ready:
                report = os.read(self._reports, 1)
                self._seen += report
                if not report:  # the child is ending
                    self._reports = -1
            pid, status = os.waitpid(self._child, 0 if OVER in self._seen else os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            self._look()

    def _look(self) -> None:
        if HERE not in self._seen:
            if time.monotonic() > self._deadline:
                missing = ", ".join(map(self._cluster.name, self._cluster.gone()))
                self._kill(f"not all workers came within {START:.0f} s" + (f": {missing} did not" if missing else ""))
            return
        now = time.monotonic()
        self._since = {i: self._since.get(i, now) for i in self._cluster.gone()}
        lost = [self._cluster.name(i) for i, since in self._since.items() if now - since >= GRACE]
        if lost:
            self._kill(f"lost {', '.join(lost)}")

    def _kill(self, why: str) -> None:
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        self._end(why)


class Team:
    """One strategy's replicas. `size`: all of them; `mine`: range of this worker's; `chief`: does this worker
    write what is written?"""

    def __init__(self, strategy: Any, cluster: Optional[Cluster] = None, reports: int = -1):
        self.strategy, self.cluster, self._reports = strategy, cluster, reports
        self.size = strategy.num_replicas_in_sync
        index, workers = (cluster.index, len(cluster.workers)) if cluster else (0, 1)
        each = self.size // workers
        self.mine = range(index * each, (index + 1) * each)
        self.chief = index == 0

    def spread(self, rows: Any) -> Any:
        """Tensors of this worker's rows of a batch -> to each of its replicas the tensors of its own."""
        import tensorflow as tf

        if self.size == 1:
            return rows
        each = {replica: i for i, replica in enumerate(self.mine)}

        def own(context):
            i = each[context.replica_id_in_sync_group]
            return tf.nest.map_structure(lambda t: t[i * len(t) // len(each) : (i + 1) * len(t) // len(each)], rows)

        return self.strategy.experimental_distribute_values_from_function(own)

    def first(self, value: Any) -> Any:
        """One replica's value."""
        return self.strategy.experimental_local_results(value)[0]

    def agree(self, number: int) -> bool:
        """Have all workers the same number, of 31 bits at most?"""
        import tensorflow as tf

        @tf.function(autograph=False)
        def total(values):
            def add(value):
                value = tf.identity(value)  # on the replica's device; what is none of its own is not reduced
                return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)

            return self.strategy.run(add, args=(values,))

        mine = self.spread(tf.fill([len(self.mine)], tf.constant(number, tf.float64)))
        return float(self.first(total(mine))[0]) == number * self.size

    def failure(self, e: Exception) -> str:
        """What an error of TensorFlow means: where there are other workers, most likely that one is gone."""
        from tensorflow import errors

        line = first_line(e)
        signs = (errors.UnavailableError, errors.DeadlineExceededError, errors.AbortedError, errors.CancelledError)
        if not self.cluster or not isinstance(e, (*signs, errors.InternalError)):
            return f"TensorFlow: {line}"
        lost = self.cluster.gone()
        if not lost:  # it hangs, or is back already as another process
            named = {int(i) for i in re.findall(r"/task:(\d+)", str(e))}
            others = [i for i in range(len(self.cluster.workers)) if i != self.cluster.index]
            lost = [i for i in others if i in named] or others
        names = list(map(self.cluster.name, lost))
        return f"lost {names[0]}" if len(names) == 1 else f"lost one of {', '.join(names)}"

    def leave(self) -> None:
        """Nobody is waited for any more."""
        if self._reports >= 0:
            os.write(self._reports, OVER)


def first_line(e: Exception) -> str:
    return (str(e) or type(e).__name__).splitlines()[0]


def quiet() -> Any:
    """TensorFlow, without its news of devices, and without kernels whose sums come in another order."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    return tf


def join(name: str, end: Callable[[str], None]) -> Team:
    """Start a strategy. With multiworker that waits for the others, and returns in a child of this process; where a
    worker is lost, `end` is given the text, and must end the process."""
    if name == "multiworker":
        cluster = Cluster.from_environment()
        reports = supervise(cluster, end)
        team = Team(quiet().distribute.MultiWorkerMirroredStrategy(), cluster, reports)
        os.write(reports, HERE)
        return team
    os.environ.pop("TF_CONFIG", None)  # or the other strategies would heed it
    tf = quiet()
    if name == "mirrored":
        return Team(tf.distribute.MirroredStrategy())
    if name == "tpu":
        return Team(_tpu(tf))
    return Team(tf.distribute.get_strategy())


def _tpu(tf: Any) -> Any:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(os.environ.get("TPU_NAME", "local"))
    except Exception as e:  # it has many ways to say that there is none
        line = first_line(e)[:100]
        raise BadInput(f'no TPU (TPU_NAME says which; "local", the default, is that of this machine): {line}') from None
    return tf.distribute.TPUStrategy(resolver)
