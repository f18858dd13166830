"""Counts of files that were passed over, with the first name for each reason."""

from __future__ import annotations

from imagestore.archive.passed_over import PassedOver, passed_over_in_all


def test_the_first_name_of_each_reason_is_kept() -> None:
    passed_over = PassedOver()
    for reason, name in (("links", "a"), ("links", "b"), ("videos", "c")):
        passed_over.note(reason, name)
    assert +passed_over == {"links": 2, "videos": 1}
    assert passed_over.first == {"links": "a", "videos": "c"}


def test_several_archives_are_summed() -> None:
    parts = [
        PassedOver({"links": 2}, {"links": "a"}),
        PassedOver({"links": 1, "hidden": 3}, {"links": "b", "hidden": "c"}),
    ]
    total = passed_over_in_all(parts)
    assert +total == {"links": 3, "hidden": 3}
    assert total.first == {"links": "a", "hidden": "c"}
