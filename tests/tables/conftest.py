"""What these tests share: each has a cache folder of its own."""

from tests.helpers.archive_fixtures import cache, large_archives

__all__ = ["cache", "large_archives"]
