"""Serve a tree by the interface of libfuse that there is, with the processes that can share the work.

The adapters (low_level_requests, requests) translate between libfuse and the tree; the sessions mount.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from imagestore.mount import fuse_options
from imagestore.mount.fuse_library import Library
from imagestore.mount.low_level_library import LowLevelLibrary
from imagestore.mount.low_level_requests import MOST_PROCESSES, LowLevelRequests
from imagestore.mount.mount_settings import MountSettings
from imagestore.processes import cpu_count
from imagestore.vfs.tree import Tree

SECONDS_TO_LOOK_AHEAD = 0.25
FOREVER = 1e9  # seconds that the kernel may keep answers: a mounted tree does not change
MOST_BY_DEFAULT = 4  # processes

OnServing = Callable[[Callable[[], int]], None]  # takes a function that counts the requests until now


def serve(
    settings: MountSettings,
    library: Library,
    tree: Tree,
    on_mounted: Callable[[], None],
    on_serving: OnServing,
) -> int | None:
    """Mount, answer requests until unmounted or ended by a signal, and close the tree.

    `on_mounted` is called once it is mounted, and then `on_serving`, after which threads may be started.
    Returns libfuse's status if the tree cannot be mounted, else None.
    """
    if library.low_level is not None:
        return _serve_low_level(settings, library.low_level, tree, on_mounted, on_serving)
    return _serve_high_level(settings, library, tree, on_mounted, on_serving)


def _serve_low_level(
    settings: MountSettings,
    library: LowLevelLibrary,
    tree: Tree,
    on_mounted: Callable[[], None],
    on_serving: OnServing,
) -> int | None:
    from imagestore.mount import low_level_session  # each interface is loaded where it is used

    options, shown = fuse_options.low_level_options(
        stores=_names(tree), user_options=settings.fuse_options, timeout=_timeout(settings)
    )
    requests: LowLevelRequests
    if settings.show_replacements:
        from imagestore.mount.low_level_following import FollowingRequests

        requests = FollowingRequests(tree, library, shown, lambda: settings.open_tree(tree.files))
    else:
        requests = LowLevelRequests(tree, library, shown)
    with contextlib.closing(requests):
        processes = _process_count(settings, requests)
        status = low_level_session.serve(
            requests,
            settings.mountpoint,
            options,
            processes,
            on_mounted,
            lambda: on_serving(lambda: requests.count),
        )
        return None if requests.is_mounted else status


def _process_count(settings: MountSettings, requests: LowLevelRequests) -> int:
    """How many processes serve: one if another could not know what a number means, or see another file."""
    is_listed = requests.tree.look_ahead(SECONDS_TO_LOOK_AHEAD)
    count = min(settings.processes or min(MOST_BY_DEFAULT, cpu_count()), MOST_PROCESSES)
    is_fixed = not (settings.show_replacements or requests.tree.is_live)
    may_be_several = count > 1 and is_listed and is_fixed
    return count if may_be_several and requests.nodes.number_all() else 1


def _serve_high_level(
    settings: MountSettings,
    library: Library,
    tree: Tree,
    on_mounted: Callable[[], None],
    on_serving: OnServing,
) -> int | None:
    from imagestore.mount import high_level_session
    from imagestore.mount.requests import ReopeningRequests, Requests

    requests: Requests

    def on_first_request() -> None:
        on_mounted()
        on_serving(lambda: requests.count)

    if settings.show_replacements:
        requests = ReopeningRequests(tree, library, on_first_request, lambda: settings.open_tree(tree.files))
    else:
        requests = Requests(tree, library, on_first_request)
    with contextlib.closing(requests):
        tree.look_ahead(SECONDS_TO_LOOK_AHEAD)
        options = fuse_options.mount_options(
            library,
            stores=_names(tree),
            user_options=settings.fuse_options,
            timeout=_timeout(settings),
            kernel_cache=not settings.show_replacements,
        )
        status = high_level_session.serve(library, requests.callbacks(), settings.mountpoint, options)
        return None if requests.is_mounted else status


def _names(tree: Tree) -> str:
    """The stores, as /proc/mounts shows them."""
    return ",".join(map(str, tree.files))


def _timeout(settings: MountSettings) -> float:
    """How long the kernel may keep names and attributes, in seconds."""
    if settings.show_replacements:
        return 0.0
    if settings.idle_timeout:
        return settings.idle_timeout / 2  # then somebody who uses the tree causes a request in time
    return FOREVER
