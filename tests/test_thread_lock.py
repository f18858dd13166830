"""A lock for threads: one at a time, and free in a forked process."""

from __future__ import annotations

import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from imagestore.thread_lock import ThreadLock


def test_one_thread_at_a_time() -> None:
    lock, inside, most = ThreadLock(), [], []

    def enter(number: int) -> None:
        with lock:
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.001)
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(50)))
    assert max(most) == 1


def test_a_forked_process_does_not_wait_for_a_thread() -> None:
    lock, entered, leave = ThreadLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            entered.set()
            leave.wait(120)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(120)
    child = os.fork()
    if not child:
        with lock, pickle.loads(pickle.dumps(lock)):
            os._exit(7)
    for _ in range(10_000):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
    leave.set()
    holder.join()
    assert os.waitstatus_to_exitcode(status) == 7
