# SPDX-License-Identifier: Apache-2.0
"""Workers of models/train.py on this machine."""

import json
import socket


def cluster(n):
    """The addresses of n workers, and the TF_CONFIG of each."""
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    workers = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return workers, [json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": i}}) for i in range(n)]
