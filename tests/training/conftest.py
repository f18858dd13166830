"""The stores of the tests in this folder."""

from tests.helpers.two_stores import broken_stores, two_stores

__all__ = ["broken_stores", "two_stores"]
