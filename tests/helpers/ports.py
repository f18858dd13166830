"""Ports that are free, and stay free until they are used."""

from __future__ import annotations

import contextlib
import os
import random
import socket

FIRST, LAST = 10_000, 20_000  # below those that Linux gives to connections, and those of training jobs
APART = 100  # nobody needs more


def free_ports(count: int) -> list[int]:
    """So many ports in a row that nobody listens at; the first is a multiple of APART.

    Those that the system gives away itself could be a connection's a moment later. No two workers of
    pytest-xdist get the same: one has the odd hundreds, the next one the even ones.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        first = random.SystemRandom().randrange(FIRST, LAST, 2 * APART) + worker % 2 * APART
        if all(map(_is_free, ports := range(first, first + count))):
            return [*ports]


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False
