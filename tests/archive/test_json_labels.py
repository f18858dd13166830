"""Labels in JSON files beside images."""

from __future__ import annotations

import json

import pytest

from imagestore.archive.json_labels import labels_in_json
from imagestore.archive.label_text import LABEL_KEYS


@pytest.mark.parametrize(
    ("document", "label"),
    [
        ({"label": "rose", "class": "other"}, "rose"),
        ({"Label": "rose"}, "rose"),
        ({"label": None, "class": 3}, 3),
        ({"label": ["rose"]}, "rose"),
        ([{"label": "rose"}], "rose"),
        ({"label": {"id": 3, "name": "rose"}}, "rose"),
        ({"label": {"id": 3, "text": "rose"}}, "rose"),
        ({"label": [{"name": "rose", "source": "me"}]}, "rose"),
        ({"meta": {"label": "rose"}}, "rose"),
        ({"meta": {"cls": 7}, "class": "rose"}, "rose"),
        ({"image": {"size": 3}, "annotations": [{"class": "rose"}, {"class": "rose"}]}, "rose"),
        ({"annotations": [{"class": "rose"}, {"class": "tulip"}]}, None),
        ({"label": ["rose", "tulip"]}, None),
        ({"label": {"x": "rose", "y": "tulip"}}, None),
        ({"label": {}}, None),
        ({"caption": "rose"}, None),
        ({"a": {"b": {"c": {"d": {"e": {"label": "rose"}}}}}}, None),
        ([{"label": "a"}, {"label": "b"}], None),
        ("rose", None),
        ([], None),
    ],
)
def test_the_first_usual_key_counts(document, label):
    values = labels_in_json(json.dumps(document).encode(), LABEL_KEYS)
    assert next((value for value in values if value is not None), None) == label


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"meta": {"kind": "rose"}, "kind2": "x"}, "kind"),
        ({"meta": {"kind": "rose"}, "other": {"kind": "x"}}, "meta.kind"),
        ({"meta": [{"Kind": ["rose"]}]}, "META.kind"),
        ({"meta.kind": "rose", "meta": {"kind": "x"}}, "meta.kind"),
        ({"all": {"meta": {"kind": "rose"}}}, "meta.kind"),
    ],
)
def test_a_key_may_be_a_path(document, key):
    assert labels_in_json(json.dumps(document).encode(), [key]) == ["rose"]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_has_no_label(data):
    assert labels_in_json(data, LABEL_KEYS) == []
