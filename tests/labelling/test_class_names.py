"""Names of labels that are numbers."""

from __future__ import annotations

import pytest

from imagestore.labelling.class_names import read_class_names


@pytest.mark.parametrize(
    ("file", "text", "labels", "names"),
    [
        ("c.json", '{"1": "rose", "7": "tulip"}', set(), {"1": "rose", "7": "tulip"}),
        ("c.json", '["rose", "tulip"]', set(), {"0": "rose", "1": "tulip"}),
        ("c.txt", "rose\n\n tulip \n", set(), {"0": "rose", "1": "tulip"}),
        ("c.txt", "rose\ntulip\n", {"0", "1"}, {"0": "rose", "1": "tulip"}),
        ("c.txt", "rose\ntulip\n", {"1", "2"}, {"1": "rose", "2": "tulip"}),
        ("c.txt", "rose\ntulip\nlily\n", {"1"}, {"0": "rose", "1": "tulip", "2": "lily"}),
    ],
)
def test_names_have_the_numbers_of_the_labels(tmp_path, file, text, labels, names):
    (tmp_path / file).write_text(text)
    assert read_class_names(tmp_path / file, labels) == names
