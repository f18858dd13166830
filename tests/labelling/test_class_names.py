"""Names of labels that are numbers."""

from __future__ import annotations

import pytest

from imagestore.console import UserError
from imagestore.labelling.class_names import read_class_names


@pytest.mark.parametrize(
    ("file", "text", "labels", "names"),
    [
        ("c.json", '{"1": "rose", "7": "tulip"}', set(), {"1": "rose", "7": "tulip"}),
        ("c.json", '{"1": "rose", "7": null}', set(), {"1": "rose"}),
        ("c.json", '["rose", "tulip"]', set(), {"0": "rose", "1": "tulip"}),
        ("c.json", '{"rose": 1, "tulip": 7}', set(), {"1": "rose", "7": "tulip"}),
        ("c.csv", "label,name\n1.0,rose\n7.0,tulip\n", {"1", "7"}, {"1": "rose", "7": "tulip"}),
        ("c.csv", 'id,name\n1,rose\n7,"tulip, red"\n', {"1", "7"}, {"1": "rose", "7": "tulip, red"}),
        ("c.csv", "name;id\nrose;1\ntulip;7\n", set(), {"1": "rose", "7": "tulip"}),
        ("c.txt", "1 001.Black_footed\n2 002.Laysan\n", {"1"}, {"1": "001.Black_footed", "2": "002.Laysan"}),
        ("c.tsv", "0\trose red\n1\ttulip\n", set(), {"0": "rose red", "1": "tulip"}),
        ("c.txt", "7 up\ncola\nwater\n", {"0"}, {"0": "7 up", "1": "cola", "2": "water"}),
        ("c.txt", "cola\n7 up\n", {"0"}, {"0": "cola", "1": "7 up"}),
        ("c.txt", "rose\n\n tulip \n", set(), {"0": "rose", "1": "tulip"}),
        ("c.txt", "rose\ntulip\n", {"0", "1"}, {"0": "rose", "1": "tulip"}),
        ("c.txt", "rose\ntulip\n", {"1", "2"}, {"1": "rose", "2": "tulip"}),
        ("c.txt", "rose\ntulip\nlily\n", {"1"}, {"0": "rose", "1": "tulip", "2": "lily"}),
    ],
)
def test_names_have_the_numbers_of_the_labels(tmp_path, file, text, labels, names):
    (tmp_path / file).write_text(text)
    assert read_class_names(tmp_path / file, labels) == names


@pytest.mark.parametrize(
    ("file", "text", "labels", "reason"),
    [
        ("c.txt", "rose\ntulip\n", {"0", "1", "2"}, "has 2 names, and counted from 0, none is for label 2;"),
        ("c.txt", "rose\ntulip\n", {"2", "3", "10"}, "counted from 1, none is for labels 3, 10;"),
        ("c.json", '["rose"]', {"5", "6", "7", "8", "9", "10", "x"}, "none is for labels 5, 6, 7, 8, 9, …;"),
        ("c.txt", "rose\n", {"01"}, "none is for label 01;"),
    ],
)
def test_names_that_cannot_be_counted_are_one_line(tmp_path, file, text, labels, reason):
    (tmp_path / file).write_text(text)
    with pytest.raises(UserError) as caught:
        read_class_names(tmp_path / file, labels)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "text", "labels", "told"),
    [
        ("c.txt", "rose\ntulip\nlily\n", {"1", "2"}, "counts the names from 0, but no label is 0 or 3:"),
        ("c.txt", "rose\ntulip\n", {"1", "2"}, ""),
        ("c.txt", "rose\ntulip\n", {"oak"}, ""),
        ("c.json", '{"1": "rose"}', {"1", "7", "-1"}, "has no name for label 7"),
        ("c.json", '{"1": "rose", "7": "tulip"}', {"1", "7"}, ""),
        ("c.csv", "id,name\n1,rose\n", {"1", "7"}, "has no name for label 7"),
    ],
)
def test_what_is_not_certain_is_told(tmp_path, capsys, file, text, labels, told):
    (tmp_path / file).write_text(text)
    read_class_names(tmp_path / file, labels)
    message = capsys.readouterr().err
    assert (told in message) if told else not message
