"""The stores of the tests in this folder."""

import pytest

from imagestore.loading import pixel_processes
from tests.helpers.two_stores import broken_stores, two_stores

__all__ = ["broken_stores", "two_stores"]


@pytest.fixture(autouse=True)
def few_images_are_worth_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that are processes for many images are so, too, for the few images of the tests."""
    monkeypatch.setattr(pixel_processes, "FEWEST_IMAGES", 1)
