# SPDX-License-Identifier: Apache-2.0
"""The workers that train together, and the one that is lost.

Each strategy of tf.distribute is a Team: where the replicas are, which rows of a
batch are this worker's, sums over all replicas. A worker that waits for another one
in a collective operation would wait for ever if that one is gone; so beside the
training a thread looks whether the other workers still have their ports open, and
ends this process where one has not.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import socket
import sys
import threading
import time
from typing import Any, Callable, List, Optional

from data import BadInput

STRATEGIES = ("default", "mirrored", "multiworker", "tpu")
EXAMPLE = '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
START = 600.0  # seconds until all workers must have come
EVERY = 1.0  # second: so often the others are looked at
GRACE = 3.0  # seconds for which a worker must be gone


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
            raise BadInput(f"TF_CONFIG is not understood ({e or type(e).__name__}); it should be like {EXAMPLE}") from None
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


class Watch:
    """A thread that ends the process, status 2, when a worker has not come, or is gone. Nothing else can: the
    main thread may be inside an operation that waits for that worker."""

    def __init__(self, cluster: Cluster, end: Callable[[str], None]):
        self._cluster, self._end = cluster, end
        self._begun, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def all_here(self) -> None:
        self._begun.set()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        deadline = time.monotonic() + START
        while not self._begun.wait(EVERY):
            if time.monotonic() > deadline:
                missing = ", ".join(map(self._cluster.name, self._cluster.gone()))
                self._end(f"not all workers came within {START:.0f} s{missing and ': missing ' + missing}")
        since = [0.0] * len(self._cluster.workers)
        while not self._over.wait(EVERY):
            gone, now = self._cluster.gone(), time.monotonic()
            since = [since[i] or now if i in gone else 0.0 for i in range(len(since))]
            lost = [i for i in gone if now - since[i] >= GRACE]
            if lost:
                self._end(f"lost {', '.join(map(self._cluster.name, lost))}")


class Team:
    """One strategy's replicas. `size`: all of them; `mine`: range of this worker's; `chief`: does this worker
    write what is written?"""

    def __init__(self, strategy: Any, cluster: Optional[Cluster] = None, watch: Optional[Watch] = None):
        self.strategy, self.cluster, self._watch = strategy, cluster, watch
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
        """What an error of TensorFlow means: most likely another worker is gone."""
        line = (str(e) or type(e).__name__).splitlines()[0]
        if not self.cluster:
            return f"TensorFlow: {line}"
        gone = self.cluster.gone()
        if not gone:  # or back already, as another process
            named = {int(i) for i in re.findall(r"/task:(\d+)", str(e))} - {self.cluster.index}
            gone = sorted(i for i in named if i < len(self.cluster.workers))
        lost = ", ".join(map(self.cluster.name, gone))
        return f"lost {lost}" if lost else f"lost a worker: {line}"

    def leave(self) -> None:
        """Nobody is waited for any more."""
        if self._watch:
            self._watch.stop()
            self._watch = None


def quiet() -> Any:
    """TensorFlow, without its news of devices, and without kernels whose sums come in another order."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    return tf


def join(name: str, end: Callable[[str], None]) -> Team:
    """Start a strategy: with multiworker, wait for the others. `end` ends the process with what it is given."""
    cluster = Cluster.from_environment() if name == "multiworker" else None
    if cluster is None:
        os.environ.pop("TF_CONFIG", None)  # or the other strategies would heed it
    tf = quiet()
    if cluster:
        watch = Watch(cluster, end)
        team = Team(tf.distribute.MultiWorkerMirroredStrategy(), cluster, watch)
        watch.all_here()
        return team
    if name == "mirrored":
        return Team(tf.distribute.MirroredStrategy())
    if name == "tpu":
        return Team(_tpu(tf))
    return Team(tf.distribute.get_strategy())


def _tpu(tf: Any) -> Any:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(os.environ.get("TPU_NAME", "local"))
    except Exception as e:  # it has many ways to say that there is none
        raise BadInput(f"no TPU (TPU_NAME says which; \"local\" is that of this machine): {str(e).splitlines()[0]}") from None
    return tf.distribute.TPUStrategy(resolver)


def die(program: str, text: str) -> None:
    """End at once, whatever other threads do."""
    sys.stdout.flush()
    print(f"\n{program}: {text}" if sys.stderr.isatty() else f"{program}: {text}", file=sys.stderr, flush=True)
    os._exit(2)
