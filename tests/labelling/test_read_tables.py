"""CSV, TSV and JSON files with names and values."""

from __future__ import annotations

import json

import pytest

from imagestore.console import UserError
from imagestore.labelling.label_sources import LABEL_COLUMNS
from imagestore.labelling.read_tables import read_table

COLUMNS = ("label", "class", "target")


def table(tmp_path, text, *, name="labels.csv", encoding="utf-8", columns=COLUMNS, name_column=None):
    (tmp_path / name).write_bytes(text.encode(encoding, "surrogateescape"))
    return read_table(tmp_path / name, columns, name_column)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "titles", [("name", "label"), ("path", "class"), ("File", "TARGET"), (" name ", "label")]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_titles_separators_and_byte_order_marks(tmp_path, separator, titles, encoding):
    text = separator.join(titles) + "\r\n" + separator.join(["a.jpg", "gänse blume"]) + "\r\n\r\n"
    assert table(tmp_path, text, encoding=encoding) == [("a.jpg", "gänse blume")]


def test_a_tsv_file_may_have_commas_in_its_titles(tmp_path):
    assert table(tmp_path, "name\tlabel\ta,b,c\nx.jpg\trose\t1\n", name="l.tsv") == [("x.jpg", "rose")]


def test_quoted_fields_hold_separators_quotes_and_line_ends(tmp_path):
    text = 'label,name\n"AC/DC, ""live""","a\nb\x0b.jpg"\n'
    assert table(tmp_path, text) == [("a\nb\x0b.jpg", 'AC/DC, "live"')]


def test_labels_come_back_as_they_are_written(tmp_path):
    assert table(tmp_path, "name,label\na, rose \nc,007\n") == [("a", " rose "), ("c", "007")]


def test_blanks_behind_delimiters_of_the_titles_belong_to_them(tmp_path):
    text = 'name, label, n\na.jpg, rose, 1\nb.jpg, "red, rose ", 2\n'
    assert table(tmp_path, text) == [("a.jpg", "rose"), ("b.jpg", "red, rose ")]


@pytest.mark.parametrize(
    ("titles", "row"),
    [
        ("image_id,species", "a,rose"),
        ("File Name;Class-Name", "a;rose"),
        ("\n \nname,label", "a,rose"),
        ("# made by me\n#\nname,label", "a,rose"),
        ("# name,label", "a,rose"),
        ("sep=;\nname;label", "a;rose"),
        (" name , label ", "a , rose "),
        ("id,label,file", "7,rose,a"),
        ("a.jpg,rose", "a,rose"),
        ("rose\ta.jpg", "rose\ta"),
        ("x/a.jpg rose", "a rose"),
        ("name,rose,lily", "a,1,0\n\nb,0.0,0.0"),
    ],
)
def test_tables_of_other_forms(tmp_path, titles, row):
    rows = table(tmp_path, f"{titles}\n{row}\n", columns=LABEL_COLUMNS)
    assert dict(rows)["a"] == "rose"
    assert set(dict(rows)) <= {"a", "b", "a.jpg", "x/a.jpg"}
    assert dict(rows).get("b") is None


def test_columns_that_are_no_classes_are_no_labels(tmp_path):
    for row in ("a,1,1", "a,2,0", "a,x,0"):
        with pytest.raises(UserError, match=r"no column label, class or target; it has name, rose, lily"):
            table(tmp_path, f"name,rose,lily\n{row}\n")


def test_a_huge_field_is_read(tmp_path):
    text = "name,note,label\na," + "x" * 3_000_000 + ",rose\n"
    assert table(tmp_path, text) == [("a", "rose")]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_read(tmp_path, encoding):
    assert table(tmp_path, "name,label\na.jpg,gänse\n", encoding=encoding) == [("a.jpg", "gänse")]


def test_utf16_with_a_byte_order_mark_is_read(tmp_path):
    text = "name\tlabel\r\na.jpg\tgänse\r\n"
    assert table(tmp_path, text, name="l.txt", encoding="utf-16") == [("a.jpg", "gänse")]


@pytest.mark.parametrize("name", ["labels.csv", "labels.json"])
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_bytes_that_are_no_utf8_are_windows_1252(tmp_path, capsys, name, encoding):
    pair = ("é.jpg", "café") if encoding == "latin-1" else ("é.jpg", "“café” œ €")
    text = (
        f"name,label\n{pair[0]},{pair[1]}\n"
        if name == "labels.csv"
        else json.dumps(dict([pair]), ensure_ascii=False)
    )
    assert table(tmp_path, text, name=name, encoding=encoding) == [pair]
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert f"{name} is not UTF-8 and is read as Windows-1252" in message


def test_a_byte_of_another_encoding_costs_no_letter_of_utf8(tmp_path):
    assert table(tmp_path, "name,label\n\udce9.jpg,café\n\udc81,a\n") == [("é.jpg", "café"), ("\x81", "a")]


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["3.0", "", "10.0", "0"], ["3", None, "10", "0"]),
        (["3.", "nan", "-1.0"], ["3", None, "-1"]),
        (["3.000000000000000000e+00", "1.200000000000000000e+01", "NaN"], ["3", "12", None]),
        (["3.0", "2.5"], ["3.0", "2.5"]),
        (["3.0", "rose"], ["3.0", "rose"]),
        (["007", "nan"], ["007", "nan"]),
        (["nan"], ["nan"]),
    ],
)
def test_whole_numbers_with_a_point_are_whole_numbers(tmp_path, cells, labels):
    text = "name,label\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    assert [label for _, label in table(tmp_path, text)] == labels


def test_columns_can_be_named(tmp_path):
    text = "id,name,species\n1.jpg,Anna,rose\n"
    assert table(tmp_path, text, columns=("species",), name_column="id") == [("1.jpg", "rose")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("picture,label\na,b\n", "has no column name, path.*: name it with --name-column"),
        ("name,kind\na,b\n", "no column label, class or target; it has name, kind: name it with --label-c"),
        ("name,label\na,b\nc\n", "line 3: it has 1 of 2 columns"),
        ("sep=,\n\n# a\nname,label\na,b\nc\n", "line 6: it has 1 of 2 columns"),
        ('name,label\n"a,b\nc,d\n', "line 3: it has 1 of 2 columns"),
        ("name,label\n", "names no image"),
        ("PK\3\4\0\0", "is a zip file: save the table as CSV"),
        ("version https://git-lfs.github.com/spec/v1\n", "is a git-lfs pointer: git lfs pull fetches"),
    ],
)
def test_a_table_that_makes_no_sense_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        table(tmp_path, text)


def test_a_column_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"has no column 'specis'.*species"):
        table(tmp_path, "name,species\na,b\n", columns=("specis",))


def test_json_values_may_be_numbers(tmp_path):
    text = '{"a.jpg": "rose", "b.jpg": 3, "c.jpg": 4.0, "d.jpg": null, "e.jpg": NaN, "a.jpg": "rose"}'
    assert table(tmp_path, text, name="l.json") == [
        ("a.jpg", "rose"), ("b.jpg", "3"), ("c.jpg", "4"), ("d.jpg", None),
        ("e.jpg", None),
    ]  # fmt: skip


def test_an_empty_cell_has_no_value_and_an_empty_text_is_one(tmp_path):
    rows = [("a.jpg", None), ("b.jpg", None), ("c.jpg", "3")]
    assert table(tmp_path, 'name,label\na.jpg,\nb.jpg,"  "\nc.jpg,3\n') == rows
    assert table(tmp_path, '{"a.jpg": "", "b.jpg": null}', name="l.json") == [("a.jpg", ""), ("b.jpg", None)]


def test_json_may_be_a_list_of_records(tmp_path):
    text = '[{"id": 1, "File_name": "a.jpg", "label": 3}, {"label": "rose", "File_name": "b.jpg"}, '
    assert table(tmp_path, text + '{"File_name": "c.jpg"}]', name="l.json") == [
        ("a.jpg", "3"),
        ("b.jpg", "rose"),
        ("c.jpg", None),
    ]
    with pytest.raises(UserError, match=r"l\.json: record 3 has no File_name"):
        table(tmp_path, text + '{"label": "lily"}]', name="l.json")
    with pytest.raises(UserError, match=r"l\.json has no column 'species'"):
        table(tmp_path, text[:-2] + "]", name="l.json", columns=["species"])


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": {}, "label": 1}]',
        "[]",
        "[1, 2]",
        '{"a": {"b": 1}}',
        "{",
        "[" * 100_000,
        '{"a": ["b", "c"]}',
    ],
)
def test_other_json_is_refused(tmp_path, text):
    with pytest.raises(UserError, match=r"l\.json (is no|has no column label)"):
        table(tmp_path, text, name="l.json")


def test_json_with_two_values_for_a_name_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"l\.json names a\.jpg twice, with different values"):
        table(tmp_path, '{"a.jpg": "rose", "a.jpg": "lily"}', name="l.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv"):
        read_table(tmp_path / "none.csv", COLUMNS, None)
