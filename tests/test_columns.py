"""Other people's tables as pairs: columns of other names, CSV and TSV, JSON documents, ids that are made."""
import gzip
import io
import json
import lzma

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mc2 import engines
from mc2.errors import BadData, BadUsage
from mc2.pairs import delimited, formats, json_arrays, jsonl, shards
from mc2.pairs.columns import Reading, id_of_url, id_text, reading_of

CAPTIONS = b'url,caption\r\nhttp://a.example/1,"a ""red"" circle\nand a cat, too"\r\n' \
    b'http://a.example/2,un chat noir\r\n'


def write(path, data):
    path.write_bytes(data)
    return path


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def pairs_of(path, reading=Reading()):
    """All pairs of a file, as dicts."""
    return [json.loads(batch.line(index)) for block in shards.read_blocks([str(path)], reading=reading)
            for batch in [block.batch()] for index in range(len(batch))]


# ---------------------------------------------------------------- options

def test_columns_are_named_in_one_option_or_in_several():
    given = (("id", "uid"), ("text", "TEXT"))
    assert reading_of(["id=uid,text=TEXT"]).given == reading_of(["text=TEXT"], id="uid").given == given
    assert reading_of([], "uid", "TEXT").given == reading_of(["id=uid", "text=TEXT"]).given == given


def test_a_name_may_hold_commas_and_equals_signs():
    assert reading_of(["id=a,b,text=x=y"]).given == (("id", "a,b"), ("text", "x=y"))


@pytest.mark.parametrize("columns, id, text, message", [
    (["uid"], None, None, "--columns uid: give KEY=COLUMN with a key of id, text, url, lang"),
    (["caption=text"], None, None, "--columns caption=text: give KEY=COLUMN"),
    (["id="], None, None, "--columns id=: give KEY=COLUMN"),
    (["id=a"], "b", None, "two columns are named for id: a and b. Name one."),
    ([], None, "auto", "only ids can be made"),
])
def test_options_that_cannot_be_meant_are_refused(columns, id, text, message):
    with pytest.raises(BadUsage, match=message):
        reading_of(columns, id, text)


# ---------------------------------------------------------------- known forms

@pytest.mark.parametrize("names, form, taken", [
    (["SAMPLE_ID", "URL", "TEXT", "similarity"], "LAION", {"id": "SAMPLE_ID", "text": "TEXT", "url": "URL"}),
    (["URL", "TEXT", "WIDTH", "hash"], "LAION", {"id": "hash", "text": "TEXT", "url": "URL"}),
    (["url", "text", "hash"], "LAION", {"id": "hash", "text": "text", "url": "url"}),
    (["uid", "url", "text", "sha256"], "DataComp", {"id": "uid", "text": "text", "url": "url"}),
    (["uid", "text"], "DataComp", {"id": "uid", "text": "text"}),
    (["uid", "url", "alt"], "cc2dataset", {"id": "uid", "text": "alt", "url": "url"}),
    (["url", "caption", "key", "status"], "img2dataset", {"id": "key", "text": "caption", "url": "url"}),
    (["id", "url", "key", "status", "caption"], "img2dataset", {"id": "id", "text": "caption", "url": "url"}),
    (["file_name", "text"], "a Hugging Face imagefolder", {"id": "file_name", "text": "text"}),
    (["file_name", "caption"], "a Hugging Face imagefolder", {"id": "file_name", "text": "caption"}),
    (["image_id", "caption"], "COCO captions", {"id": "image_id", "text": "caption"}),
])
def test_known_forms_need_no_options(names, form, taken):
    columns = Reading().columns_of("a.csv", dict.fromkeys(names, ""))
    assert (columns.form, columns.taken) == (form, taken)


def test_a_table_with_id_and_text_is_taken_as_it_is():
    assert Reading().columns_of("a.csv", dict.fromkeys(["id", "text", "uid", "TEXT", "URL", "hash"], "")) is None


@pytest.mark.parametrize("names, message", [
    (["URL", "TEXT", "hash", "SAMPLE_ID"],
     "Say which are meant: --id hash --text TEXT, or --id SAMPLE_ID --text TEXT."),
    (["url", "caption", "key", "uid"], "Say which are meant: --id key --text caption, or --id uid --text caption."),
    (["uid", "url", "alt", "caption"], "Say which are meant: --id uid --text alt, or --id uid --text caption."),
    (["file_name", "uid", "text"], "Say which are meant: --id uid, or --id file_name."),
])
def test_what_can_be_read_in_two_ways_is_not_guessed(names, message):
    with pytest.raises(BadData) as error:
        Reading().columns_of("a.csv", dict.fromkeys(names, ""))
    assert message in str(error.value)


def test_one_option_settles_it():
    columns = reading_of([], "uid").columns_of("a.csv", dict.fromkeys(["url", "caption", "key", "uid"], ""))
    assert columns.taken == {"id": "uid", "text": "caption", "url": "url"}


@pytest.mark.parametrize("kinds, reading, message", [
    ({"a": "int64", "b": "double"}, Reading(),
     'x: no column "id" and no column "text". The columns are a (int64), b (double). Say which they are: --id COLUMN '
     "(or --id auto) --text COLUMN."),
    ({"a": "int64", "b": "string"}, Reading(), "Did you mean --id auto --text b?"),
    ({"url": "", "caption": ""}, Reading(), "The columns are url, caption. Did you mean --id auto --text caption?"),
    ({"id": "", "TEXT": "", "Text": ""}, Reading(),
     'x: no column "text". The columns are id, TEXT, Text. Did you mean --text TEXT?'),
    ({"Id": "", "Text": "", "Caption": ""}, Reading(), "Did you mean --id Id and --text Text or --text Caption?"),
    ({"text": "", "image uid": ""}, Reading(), "Did you mean --id 'image uid'?"),
    ({"id": "", "alt_text": "", "title": ""}, Reading(), "Did you mean --text alt_text or --text title?"),
    ({"id": "", "caption": ""}, reading_of([], None, "captoin"),
     "x: no column is called captoin. The columns are id, caption. Did you mean --text caption?"),
    ({"id": "", "caption": ""}, reading_of(["url=lnk"]), "x: no column is called lnk. The columns are id, caption."),
])
def test_missing_columns_are_named_with_the_nearest_option(kinds, reading, message):
    with pytest.raises(BadData) as error:
        reading.columns_of("x", kinds)
    assert message in str(error.value)


def test_what_was_taken_for_what_is_said_once_and_noted(sh):
    for name in "a", "b":
        write(sh / f"{name}.csv", b"uid,url,alt\n1,http://a.example/1,a red cat\n")
    said = "a.csv: taken for cc2dataset: id=uid, text=alt\nlid: 2"
    for jobs in 1, 2:
        done = sh(f"mc2 lid a.csv b.csv -o o.jsonl -j {jobs}")
        assert done.stderr.startswith(f"{said} pairs in")
        assert sh(f"mc2 lid a.csv b.csv -O out{jobs} -j {jobs}").stderr.startswith(f"{said} shards")
    taken = {"id": "uid", "text": "alt", "url": "url", "form": "cc2dataset"}
    for name in "o.jsonl", "out1/a.csv", "out2/b.csv":
        assert json.loads((sh / f"{name}.manifest.json").read_bytes())["columns"] == taken
    assert sh("mc2 lid a.csv b.csv -q").stderr == ""


# ---------------------------------------------------------------- names in the output

def test_what_is_taken_gets_its_name_and_the_rest_is_carried_along():
    columns = reading_of([], "uid", "caption").columns_of("a", dict.fromkeys(["n", "caption", "uid", "URL"], ""))
    assert columns.record({"n": 1, "caption": "t", "uid": "a", "URL": "u"}, 1) == \
        {"id": "a", "text": "t", "n": 1, "URL": "u"}


def test_a_column_that_has_a_taken_name_gets_another_one():
    names = dict.fromkeys(["id", "text", "uid", "caption", "input_id"], "")
    columns = reading_of([], "uid", "caption").columns_of("a", names)
    record = {"id": 1, "text": "x", "uid": "a", "caption": "t", "input_id": 3}
    assert columns.record(record, 1) == {"id": "a", "text": "t", "input_input_id": 1, "input_text": "x", "input_id": 3}


def test_a_url_that_is_the_id_stays_the_url():
    columns = reading_of([], "url", "caption").columns_of("a", dict.fromkeys(["url", "caption"], ""))
    assert columns.record({"url": "http://a.example", "caption": "t"}, 1) == \
        {"id": "http://a.example", "text": "t", "url": "http://a.example"}


def test_lang_and_url_are_named_too(sh):
    write(sh / "a.csv", b"id,text,link,language\na,t,http://a.example,fr\n")
    assert pairs_of(sh / "a.csv", reading_of(["url=link,lang=language"])) == [
        {"id": "a", "text": "t", "url": "http://a.example", "lang": "fr"}]


# ---------------------------------------------------------------- ids

def test_ids_are_made_from_urls_as_published():
    assert id_of_url("http://a.example/1") == id_of_url(" http://a.exam\tple/1") == "17616e47169a582e4ceace4a"


@pytest.mark.parametrize("value, text", [
    ("a", "a"), (7, "7"), (-7, "-7"), (7.0, "7"), (7.5, 7.5), (True, True), (None, None),
    (2.0**60, 2.0**60), (2**70, str(2**70))])
def test_whole_numbers_are_ids_as_decimal_text(value, text):
    assert id_text(value) == text and type(id_text(value)) is type(text)


@pytest.mark.parametrize("number, text", [
    ("7", "7"), ("-3", "-3"), ("7.0", "7"), (str(2**70), str(2**70)), (str(2**53 + 1), str(2**53 + 1))])
@pytest.mark.parametrize("key", ["id", "uid"])
def test_ids_of_lines_that_are_whole_numbers_are_taken_as_text(sh, number, text, key):
    sh.write("a.jsonl", '{"%s":%s,"text":"a red cat","w":1.50}' % (key, number), {key: "b", "text": "a red cat"})
    first, second = sh.ok("mc2 lid a.jsonl -q --single en").splitlines()
    assert json.loads(first)["id"] == text and json.loads(second)["id"] == "b" and '"w":1.50' in first


def test_an_id_that_is_no_whole_number_is_a_bad_line(sh):
    for value in "1.5", "true", "[1]", '{"a":1}':
        sh.write("a.jsonl", {"id": 1, "text": "t"}, '{"id":%s,"text":"t"}' % value)
        sh.fails("mc2 lid a.jsonl", 3, 'a.jsonl:2: "id" is not a string.')


def test_ids_are_made_from_the_url_or_from_file_and_line(sh):
    write(sh / "a.csv", CAPTIONS)
    write(sh / "b.csv", CAPTIONS.replace(b"url", b"path"))
    made = [pair["id"] for pair in lines(sh.ok("mc2 lid a.csv b.csv --id auto --text caption -q"))]
    assert made == [id_of_url("http://a.example/1"), id_of_url("http://a.example/2"), "b.csv:2", "b.csv:4"]


def test_ids_of_file_and_line_depend_on_nothing_else(sh):
    rows = b"caption\nred\ntoo,many\ncat\n\nblue\n"
    for folder in "x", "y":
        (sh / folder).mkdir()
        write(sh / folder / "a.csv", rows)
    write(sh / "b.jsonl", b'{"caption":"red"}\n{\n{"caption":"cat"}\n')
    options = "--id auto --text caption --on-error skip -q"

    def ids(name):
        return [pair["id"] for pair in pairs_of(sh / name)]
    sh.ok(f"mc2 lid x/a.csv y/a.csv b.jsonl {options} -O all -j 2")
    assert ids("all/x/a.csv") == ["x/a.csv:2", "x/a.csv:4", "x/a.csv:6"]
    sh.ok(f"mc2 lid x/a.csv y/a.csv b.jsonl {options} -O parts --shard 1/3")
    assert ids("parts/y/a.csv") == ids("all/y/a.csv") == ["y/a.csv:2", "y/a.csv:4", "y/a.csv:6"]
    assert [pair["id"] for pair in lines(sh.ok(f"mc2 lid y/a.csv b.jsonl {options}"))] == [
        "a.csv:2", "a.csv:4", "a.csv:6", "b.jsonl:1", "b.jsonl:3"]
    assert [pair["id"] for pair in lines(sh.ok(f"mc2 lid {options}", rows))] == []          # stdin: not recognised


def test_ids_of_stdin_and_of_rows_of_parquet(sh):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"caption": ["red", None, "cat"]}), sh / "a.parquet", row_group_size=1)
    found = lines(sh.ok("mc2 lid - a.parquet --id auto --text caption -q", b'{"caption":"t"}\n'))
    assert [pair["id"] for pair in found] == ["stdin:1", "a.parquet:1", "a.parquet:3"]


# ---------------------------------------------------------------- nulls

def test_pairs_without_id_or_text_are_dropped_and_counted_in_every_format(sh):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [("1", "a red cat"), (None, "a red cat"), ("3", None), ("4", "un chat noir")]
    for names in ("id", "text"), ("uid", "TEXT"):
        records = [dict(zip(names, row)) for row in rows]
        sh.write("a.jsonl", *records)
        write(sh / "a.json", json.dumps(records).encode())
        write(sh / "a.csv", "".join(f"{a or ''},{b or ''}\n" for a, b in [names, *rows]).encode())
        pq.write_table(pa.Table.from_pylist(records), sh / "a.parquet")
        for name in "a.jsonl", "a.json", "a.csv", "a.parquet":
            done = sh(f"mc2 lid {name} --dropped d.jsonl -o out.jsonl")
            assert ": 4 pairs in, 2 out" in done.stderr and ", 1 without id, 1 without text ->" in done.stderr
            assert [record["id"] for record in sh.read("out.jsonl")] == ["1", "4"]
            assert [record["dropped"] for record in sh.read("d.jsonl")] == ["without id", "without text"]
            assert json.loads((sh / "out.jsonl.manifest.json").read_bytes())["counts"]["dropped: without text"] == 1


# ---------------------------------------------------------------- CSV and TSV

def test_a_table_of_captions_in_one_command(sh):
    write(sh / "captions.csv", CAPTIONS)
    assert lines(sh.ok("mc2 lid captions.csv --id auto --text caption -q --single en")) == [
        {"id": id_of_url("http://a.example/1"), "text": 'a "red" circle\nand a cat, too', "url": "http://a.example/1",
         "lid": "", "lid_prob": 0.0, "lang": "en"},
        {"id": id_of_url("http://a.example/2"), "text": "un chat noir", "url": "http://a.example/2",
         "lid": "", "lid_prob": 0.0, "lang": "en"}]


@pytest.mark.parametrize("name, data", [
    ("a.csv", b"id,text\n1,red\n2,\"a, b\"\n"), ("b.csv", b"\xef\xbb\xbfid,text\r\n1,red\r\n2,\"a, b\"\r\n"),
    ("c.csv", b"\n\nid,text\n\n1,red\n\n\n2,\"a, b\""), ("a.tsv", b"id\ttext\n1\tred\n2\ta, b\n"),
    ("a.csv.gz", gzip.compress(b"text,id\nred,1\n\"a, b\",2\n")),
    ("a.csv.zst", zstandard.compress(b"id,text\n1,red\n2,\"a, b\"\n")),
    ("a.tsv.xz", lzma.compress(b"id\ttext\n1\tred\n2\ta, b\n")), ("A.CSV", b"id,text\n1,red\n2,\"a, b\"\n"),
    ("a.jsonl.xz", lzma.compress(b'{"id":"1","text":"red"}\n{"id":"2","text":"a, b"}\n')),
])
def test_tables_are_read_by_their_suffix(tmp_path, name, data):
    assert pairs_of(write(tmp_path / name, data)) == [{"id": "1", "text": "red"}, {"id": "2", "text": "a, b"}]


TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('",\n\r\t\'; x\0'), min_size=1, max_size=20)
VALUE = TEXT.filter(lambda text: text) | st.none()


@given(st.lists(st.tuples(TEXT, TEXT, VALUE, VALUE), min_size=1, max_size=8), st.sampled_from(["csv", "tsv"]),
       st.integers(1, 80))
def test_what_is_written_as_a_table_is_read_again(rows, format, size):
    records = [{"id": a, "text": b, **({"x": c} if c else {}), **({"y,\n": d} if d else {})} for a, b, c, d in rows]
    batch = jsonl.Block("a", 1, b"\n".join(map(orjson.dumps, records))).batch()
    out = io.BytesIO()
    writer = delimited.Writer("a", format, out)
    writer.write(delimited.ENCODERS[format](batch))
    writer.close()
    blocks = [(1, out.getvalue())]
    found = [json.loads(batch.line(index)) for block in delimited.read_blocks("a", blocks, format, Reading(), size)
             for batch in [block.batch()] for index in range(len(batch))]
    assert found == records


def test_a_line_of_another_number_of_cells_is_a_bad_line(sh):
    write(sh / "a.csv", b'id,text\n1,"two\nlines"\n2,a red, red cat\n3,cat\n4\n')
    sh.fails("mc2 lid a.csv -o o.jsonl", 3, "a.csv:4: 3 cells, but the header has 2. A cell with a comma or a quote in "
                                            "it must be in quotes.")
    for jobs in 1, 2:
        done = sh(f"mc2 lid a.csv --rejects bad.csv -o o.jsonl -j {jobs}")
        assert ": 4 pairs in, 2 out" in done.stderr
        assert "1 bad lines skipped (3 cells, but the header has 2)" in done.stderr
        assert [record["id"] for record in sh.read("o.jsonl")] == ["1", "3"]
        assert (sh / "bad.csv").read_bytes() == b"2,a red, red cat\n4\n"
    sh.ok("mc2 lid a.csv -O out --on-error skip -q")
    assert [(line["line"], line["text"]) for line in sh.read("out/quarantine/a.csv.jsonl")] == [
        (4, "2,a red, red cat"), (6, "4")]


@pytest.mark.parametrize("data, number, reason, ids", [
    (b'1,"a\n2,b\n3,c\n', 2, "a quote is not closed.", ["2", "3"]),
    (b'1,a\n2,"b" c\n3,c\n', 3, "a quoted cell goes on after its closing quote.", ["1", "3"]),
    (b'1,a\n2,"b\n3,"c"\n4,d\n', 3, "a quoted cell goes on after its closing quote.", ["1", "3", "4"]),
    (b"1,a\n2,\xff\n3,c\n", 3, "not UTF-8. The byte at column 3 of line 3 is wrong.", ["1", "3"]),
    (b'1,a\n2,"b\n\xff"\n3,c\n', 3, "not UTF-8. The byte at column 1 of line 4 is wrong.", ["1", "3"]),
    (b"1,a\n2,b\rx\n3,c\n", 3, "a carriage return stands alone.", ["1", "3"]),
    (b'1,"' + b"x" * 2_000_000 + b'\n2,b\n', 2, "a quote is not closed.", ["2"]),
], ids=range(7))
def test_reading_goes_on_after_a_line_that_is_no_row(sh, data, number, reason, ids):
    write(sh / "a.csv", b"id,text\n" + data)
    sh.fails("mc2 lid a.csv -o o.jsonl", 3, f"a.csv:{number}: {reason}")
    sh.ok("mc2 lid a.csv -o o.jsonl --on-error skip -q")
    assert [record["id"] for record in sh.read("o.jsonl")] == ids


@pytest.mark.parametrize("data, reason", [
    (b'1,"' + b"x" * 60 + b"\n" + b"y" * 60 + b"\n2,b\n", "a cell of more than 100 characters: is a quote not closed?"),
    (b'1,"' + b"x" * 200 + b'\n2,b\n"3",c\n', "longer than 100 bytes."),
    (('1,"' + "\u00e9" * 70 + '\n2,b\n"3",c\n').encode(), "longer than 100 bytes."),
    (b"1," + b"x" * 200 + b"\n2,b\n", "longer than 100 bytes."),
])
def test_longest_line_limits_cells_too(sh, data, reason):
    write(sh / "a.csv", b"id,text\n" + data)
    sh.fails("mc2 lid a.csv -o o.jsonl --longest-line 100", 3, f"a.csv:2: {reason}", "a larger --longest-line")
    sh.ok("mc2 lid a.csv -o o.jsonl --longest-line 100 --on-error skip -q")
    assert sh.read("o.jsonl")[0]["id"] == "2"


def test_a_long_cell_of_a_table_is_read_again(sh):
    sh.write("a.jsonl", {"id": "1", "text": "x" * 2_000_000}, {"id": "2", "text": "y", "later": "z"})
    sh.ok("mc2 lid a.jsonl -o a.csv --single en -q && mc2 lid a.csv -o b.csv --single en -q")
    assert (sh / "a.csv").read_text() == (sh / "b.csv").read_text()
    assert [(len(pair["text"]), pair.get("later")) for pair in pairs_of(sh / "b.csv")] == [(2_000_000, None), (1, "z")]


def test_a_long_cell_is_arranged_where_a_key_comes_in_a_later_block(sh, monkeypatch):
    monkeypatch.setattr(shards, "BLOCK", 100)
    sh.write("a.jsonl", {"id": "1", "text": "x" * 200_000}, {"id": "2", "text": "y", "later": "z"})
    sh.ok("mc2 lid a.jsonl -o a.csv --single en -q")
    assert (sh / "a.csv").read_text() == \
        f"id,text,lid,lid_prob,lang,later\n1,{'x' * 200_000},,0.0,en,\n2,y,,0.0,en,z\n"


@pytest.mark.parametrize("data, message", [
    (b"id,text,id\n1,2,3\n", "a.csv:1: two columns are called 'id'. Rename one"),
    (b"id;text\n1;2\n", "a.csv:1: the columns are separated by semicolons. Write it anew, e.g. python -c"),
    (b"id\ttext\n1\t2\n", "a.csv:1: the columns are separated by tabs. Say --format tsv."),
    ("id,text\n1,2\n".encode("utf-16"),
     "a.csv: is in UTF-16. Write it in UTF-8, e.g. iconv -f UTF-16 -t UTF-8 < a.csv"),
    (b"http://a.example/1,a red cat\n",
     'a.csv: no column "id" and no column "text". The columns are http://a.example/1, a red cat.'),
    (b'"id,text\n1,2\n', "a.csv:1: a quote is not closed."),
])
def test_a_header_that_is_none_is_named(sh, data, message):
    write(sh / "a.csv", data)
    sh.fails("mc2 lid a.csv", 3, message)


def test_semicolons_are_mended_by_the_advised_command(sh):
    from advised import follow
    write(sh / "a.csv", b'id;text\n1;"a, b"\n')
    follow(sh, sh("mc2 lid a.csv").stderr)
    assert pairs_of(sh / "new.csv") == [{"id": "1", "text": "a, b"}]


def test_an_empty_table_is_an_empty_stream(sh):
    for data, written in (b"", b"id,text\n"), (b"\n", b"id,text\n"), (b"id,text\n", b"id,text,lid,lid_prob,lang\n"):
        write(sh / "a.csv", data)
        done = sh("mc2 lid a.csv -o b.csv")
        assert done.status == 0 and " 0 pairs in" in done.stderr and (sh / "b.csv").read_bytes() == written


def test_columns_without_a_value_are_carried_from_table_to_table(sh):
    write(sh / "a.csv", b"id,text,note,nsfw\n1,a cat,,\n2,dog,,\n")
    write(sh / "b.csv", b"note,text,id,nsfw\n")
    write(sh / "c.csv", b"uid,note,alt,text id\n1,,,\n")
    sh.ok("mc2 lid a.csv b.csv -O out --single en -q && mc2 lid c.csv --id uid --text alt -o c.tsv -q")
    assert (sh / "out/a.csv").read_text() == \
        "id,text,note,nsfw,lid,lid_prob,lang\n1,a cat,,,,0.0,en\n2,dog,,,,0.0,en\n"
    assert (sh / "out/b.csv").read_text() == "id,text,note,nsfw,lid,lid_prob,lang\n"
    assert (sh / "c.tsv").read_text() == "id\ttext\tnote\ttext id\tlid\tlid_prob\tlang\n"
    sh.ok("mc2 lid out/a.csv -o again.csv --single fr -q")
    assert (sh / "again.csv").read_text().startswith("id,text,note,nsfw,lid,lid_prob,lang\n1,a cat,,,,0.0,fr\n")
    assert sh.ok("mc2 inspect b.csv").startswith("pairs: 0 read")


def test_a_column_of_a_table_may_be_empty_for_long(sh, monkeypatch):
    monkeypatch.setattr(delimited, "HELD", 10)
    monkeypatch.setattr(shards, "BLOCK", 100)
    write(sh / "a.csv", b"id,note,text\n" + b"1,,a cat on a mat\n" * 20 + b"2,x,dog\n")
    for jobs in 1, 2:
        sh.ok(f"mc2 lid a.csv -o o.csv --single en -q -j {jobs}")
        assert (sh / "o.csv").read_text() == "id,text,note,lid,lid_prob,lang\n" + \
            "1,a cat on a mat,,,0.0,en\n" * 20 + "2,dog,x,,0.0,en\n"


def test_lists_numbers_and_objects_in_tables(toy):
    toy.write("a.jsonl", '{"id":"1","text":"a red circle","lang":"en","lid_prob":0.50,"n":1.50,"big":%d,'
                         '"tags":["a",1.50],"is":true,"none":null}' % (2**70))
    toy.ok("mc2 match a.jsonl -m toy -o m.csv -q")
    assert (toy / "m.csv").read_text("utf-8") == (
        "id,text,lang,lid_prob,n,big,tags,is,none,matched_entry_ids\n"
        f'1,a red circle,en,0.50,1.50,{2**70},"[""a"",1.50]",true,,"[0,1,2,4]"\n')
    toy.ok("mc2 count m.csv -m toy -o counts -q")
    found = pairs_of(toy / "m.csv")[0]
    assert found["matched_entry_ids"] == [0, 1, 2, 4] and found["lid_prob"] == 0.5 and found["n"] == "1.50"


@pytest.mark.parametrize("levels", [300, 990])
def test_a_value_that_is_nested_too_deeply_for_a_table_is_a_bad_line(sh, levels):
    deep = b'{"id":"2","text":"u","deep":' + b"[" * levels + b"]" * levels + b"}\n"
    write(sh / "a.jsonl", b'{"id":"1","text":"t"}\n' + deep + b'{"id":"3","text":"v","deep":[[1]]}\n')
    sh.fails("mc2 lid a.jsonl -o o.csv", 3, "a.jsonl:2: nested too deeply to be written to a table. Write .jsonl.zst")
    done = sh("mc2 lid a.jsonl -o o.csv --single en --rejects bad.jsonl")
    assert ": 3 pairs in, 2 out" in done.stderr and (sh / "bad.jsonl").read_bytes() == deep
    assert (sh / "o.csv").read_text() == "id,text,deep,lid,lid_prob,lang\n1,t,,,0.0,en\n3,v,[[1]],,0.0,en\n"
    sh.ok("mc2 lid a.jsonl -o o.jsonl -q")


@pytest.mark.parametrize("levels", [300, 990])
def test_a_line_that_is_nested_too_deeply_to_get_other_keys_is_a_bad_line(sh, levels):
    write(sh / "a.jsonl", b'{"uid":"1","alt":"t"}\n{"uid":"2","alt":"u","x":' + b"[" * levels + b"]" * levels + b"}\n")
    sh.fails("mc2 lid a.jsonl --id uid --text alt -o o.jsonl", 3, "a.jsonl:2: ")
    sh.ok("mc2 lid a.jsonl --id uid --text alt -o o.jsonl --on-error skip -q")
    assert [pair["id"] for pair in sh.read("o.jsonl")] == ["1"]


@pytest.mark.parametrize("codec", [jsonl.Batch, jsonl.NativeBatch])
@pytest.mark.parametrize("levels", [300, 990])
@pytest.mark.parametrize("number", [b"7", b"100000000000000000000"])
def test_a_line_that_is_nested_too_deeply_to_get_a_text_as_its_id_is_a_bad_line(codec, levels, number):
    deep = b'{"text":"u","x":' + b"[" * levels + b"]" * levels + b',"id":' + number + b"}"
    data = b'{"id":"1","text":"t"}\n' + deep + b'\n{"text":"v","id":3}\n'
    if codec is jsonl.NativeBatch and not engines.native():
        pytest.skip("needs the native core")
    batch = codec(jsonl.Block("a", 1, data), skip_bad=True)
    assert batch.column("id") == ["1", "3"]
    (_, reason, line), = batch.rejects
    assert line == deep and reason.startswith('"id" is not a string. It is a number.')


def test_matched_ids_of_a_table_that_are_none_are_bad_lines(toy):
    write(toy / "m.csv", b'id,text,lang,matched_entry_ids\na,red,en,"[0]"\nb,red,en,"[2,1]"\nc,red,en,x\nd,red,en,\n')
    toy.fails("mc2 count m.csv -m toy -o c", 3, 'm.csv:3: "matched_entry_ids" is not an ascending list of entry ids.')
    done = toy("mc2 count m.csv -m toy -o c --on-error skip")
    assert ": 4 pairs in, 1 matched" in done.stderr


def test_columns_that_come_later_are_columns_from_the_first_line(sh):
    sh.write("a.jsonl", {"id": "1", "text": "t"}, {"b": "x", "id": "2", "text": "u"})
    sh.write("b.jsonl", {"c": "y", "text": "v", "id": "3"})
    sh.ok("mc2 lid a.jsonl b.jsonl -o o.csv --single en -q")
    assert (sh / "o.csv").read_text() == \
        "id,text,b,lid,lid_prob,lang,c\n1,t,,,0.0,en,\n2,u,x,,0.0,en,\n3,v,,,0.0,en,y\n"


def test_a_column_that_comes_too_late_stops_the_command(sh, monkeypatch):
    monkeypatch.setattr(delimited, "HELD", 10)
    sh.write("a.jsonl", {"id": "1", "text": "t" * 20})
    sh.write("b.jsonl", {"c": "y", "text": "v", "id": "3"})
    sh.fails("mc2 lid a.jsonl b.jsonl -o o.csv", 3, "o.csv: c is a key that the pairs before do not have",
             "Write .jsonl.zst")


@pytest.mark.parametrize("name", ["o.csv", "o.tsv", "o.csv.gz", "o.tsv.zst"])
def test_tables_are_written_by_their_suffix(sh, name):
    sh.write("a.jsonl", {"id": "1", "text": 'a "b",\tc\n\r'}, {"id": "2", "text": "d"})
    sh.ok(f"mc2 lid a.jsonl -o {name} --single en -q")
    assert [(record["id"], record["text"], record["lid_prob"]) for record in pairs_of(sh / name)] == [
        ("1", 'a "b",\tc\n\r', 0.0), ("2", "d", 0.0)]


# ---------------------------------------------------------------- JSON documents

COCO = {"info": {"year": 2014, "n": [1, {"a": "]"}]}, "images": [{"id": 9, "file_name": "9.jpg"}], "licenses": [],
        "annotations": [{"image_id": 9, "id": 1, "caption": "a red cat"},
                        {"image_id": 9, "id": 2, "caption": "un chat \u00e9"}]}


@pytest.mark.parametrize("text", [json.dumps(COCO), json.dumps(COCO, indent=1),
                                  json.dumps({**COCO, "type": "captions"}),
                                  "\ufeff" + json.dumps(COCO, ensure_ascii=False)])
def test_coco_captions_are_a_pair_for_each_caption(sh, text):
    write(sh / "captions.json", text.encode())
    done = sh("mc2 lid captions.json --single en")
    assert done.stderr.startswith("captions.json: taken for COCO captions: id=image_id, text=caption\n")
    assert [(pair["id"], pair["text"], pair["input_id"]) for pair in lines(done.stdout)] == [
        ("9", "a red cat", 1), ("9", "un chat \u00e9", 2)]
    assert [pair["id"] for pair in lines(sh.ok("mc2 lid -q", text.encode()))] == ["9", "9"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3))


@given(st.lists(st.dictionaries(st.sampled_from(["id", "text", "x"]), JSON), max_size=5), st.integers(1, 30),
       st.sampled_from([None, 2]))
def test_a_document_is_read_alike_however_it_is_cut(records, step, indent):
    data = json.dumps(records, indent=indent).encode()
    chunks = [data[start:start + step] for start in range(0, len(data), step)]
    text = json_arrays._Text("a", chunks)
    found = [json.loads(json_arrays._line(record)) for _, record in json_arrays._objects(text)]
    assert found == json.loads(json.dumps(records))


@pytest.mark.parametrize("data, message", [
    (b'[{"id":"1","text":"t"}',
     'a.json: not JSON at character 23: it ends where "," or "]" is expected; it is cut off.'),
    (b'[{"id":"1","text":"t"},', "it is cut off"), (b'[{"id":"1","text":"t"', "a.json: not JSON at character"),
    (b'[{"id":"1","text":"t"}]x', "something follows the end of the document"),
    (b'[{"id":"1","text":NaN}]', "a.json: not JSON at character 2: NaN is no number of JSON."),
    (b'[{"id":"1" "text":1}]', "a.json: not JSON at character 13: expecting ',' delimiter."),
    (b'[{"id":"1","text":"\xff"}]', "a.json: not UTF-8"),
    (b"[" * 100_000, "a.json: not JSON at character 2: nested too deeply."),
    (b'{\n"data":[{"id":"1"}],"n":1}',
     "an object with the keys data, n: neither an array of objects nor COCO captions."),
    (b'[{"uid":"1"}]', 'a.json:1: no "id" key.'), (b"[7]", "a.json:1: not a JSON object."),
    (b'[{"id":"1","text":"\\ud800"}]', "a.json:1: not JSON."),
    (b'{"images":[],"annotations":[{"image_id":1,"bbox":[1]}]}', 'no column "text". The columns are image_id, bbox.'),
])
def test_a_document_that_is_none_is_named(sh, data, message):
    write(sh / "a.json", data)
    sh.fails("mc2 lid a.json -o o.jsonl", 3, message)


@pytest.mark.parametrize("depth", [200, 260, 900])
def test_numbers_of_an_array_are_kept_as_they_are_written_at_any_depth(sh, depth):
    nested = b"[" * depth + b"1.50" + b"]" * depth
    (sh / "a.json").write_bytes(b'[{"id":"1","text":"t","n":0.5,"big":1e400,"e":{"a":[1,{}]},"d":' + nested + b"}]")
    block, = shards.read_blocks([str(sh / "a.json")])
    assert block.data == b'{"id":"1","text":"t","n":0.5,"big":1e400,"e":{"a":[1,{}]},"d":' + nested + b"}\n"


def test_lines_in_a_file_called_json_are_lines(sh):
    sh.write("a.json", {"id": "1", "text": "t"}, {"id": "2", "text": "u"})
    assert [pair["id"] for pair in lines(sh.ok("mc2 lid a.json -q"))] == ["1", "2"]
    sh.write("one.json", {"id": "1", "text": "t", "images": [1]})
    assert len(lines(sh.ok("mc2 lid one.json -q"))) == 1


# ---------------------------------------------------------------- stdin

@pytest.mark.parametrize("data, options", [
    (b"id,text\n1,red\n2,cat\n", ""), (b"id\ttext\n1\tred\n2\tcat\n", ""), (b"uid,TEXT\n1,red\n2,cat\n", ""),
    (b"a,b\n1,red\n2,cat\n", "--id a --text b"), (b"a,b\n1,red\n2,cat\n", "--id a --text b --format csv"),
    (b'[{"id":1,"text":"red"},{"id":2,"text":"cat"}]', ""),
    (b'[{"id":1,"text":"red"},{"id":2,"text":"cat"}]', "--format json"),
    (b'{"id":1,"text":"red"}\n{"id":2,"text":"cat"}\n', "--format json"),
    (b'{"a":1,"b":"red"}\n{"a":2,"b":"cat"}\n', "--id a --text b"),
])
def test_stdin_is_recognised_or_named(sh, data, options):
    found = lines(sh.ok(f"mc2 lid -q {options}", data))
    assert [(pair["id"], pair["text"]) for pair in found] == [("1", "red"), ("2", "cat")]


def test_a_table_on_stdin_without_known_columns_is_refused_with_its_columns(sh):
    for data, separator in ((b"url,caption\nhttp://a.example/1,red\n", "csv"), (b"url\tcaption\n", "tsv")):
        for more in "", f" --format {separator}":
            sh.fails(f"mc2 lid{more}", 3, '<stdin>: no column "id" and no column "text". The columns are url, caption. '
                     "Did you mean --id auto --text caption?", stdin=data)
    sh.fails("mc2 lid", 3, "<stdin>:1: the columns are separated by semicolons.", stdin=b"id;text\n1;a\n")
    sh.fails("mc2 lid --text foo", 3, "<stdin>: no column is called foo. The columns are uid, text.",
             stdin=b"uid,text\n1,a\n")
    sh.fails("mc2 lid", 3, "<stdin>:1: not JSON.", stdin=b"A sentence, and another one\nwithout a comma\n")


@pytest.mark.parametrize("header, said", [
    ("ID,Text", "id=ID, text=Text"), ("id,Caption", "text=Caption"), ("Id,TEXT", "id=Id, text=TEXT")])
def test_columns_in_capitals_are_known_and_said(sh, header, said):
    (sh / "a.csv").write_bytes(header.encode() + b"\n1,a red circle\n")
    done = sh("mc2 lid a.csv -o o.jsonl")
    assert done.status == 0 and done.stderr.startswith(f"a.csv: taken for a table of captions: {said}\n"), done.stderr
    assert [(pair["id"], pair["text"]) for pair in sh.read("o.jsonl")] == [("1", "a red circle")]


def test_a_table_without_a_header_is_read_with_the_names_that_the_user_gives(sh):
    (sh / "Train_GCC-training.tsv").write_bytes(b'a very typical bus station\thttp://a.example/1\n'
                                                b'a "red" circle\thttp://a.example/2\n')
    done = sh.fails("mc2 lid Train_GCC-training.tsv", 3, "Where the first line is a pair already, name the columns: "
                    "--header text,url --id auto.")
    advised = done.stderr.rpartition("columns: ")[2].strip().rstrip(".")
    found = lines(sh.ok(f"mc2 lid Train_GCC-training.tsv {advised} -q"))
    assert [(pair["text"], pair["url"]) for pair in found] == [
        ("a very typical bus station", "http://a.example/1"), ('a "red" circle', "http://a.example/2")]
    assert sh.ok("mc2 lid --header text,url --id auto -q", stdin=(sh / "Train_GCC-training.tsv").read_bytes()) \
        == "".join(json.dumps(pair, separators=(",", ":")) + "\n" for pair in found)
    sh.fails("mc2 lid Train_GCC-training.tsv --header text,,url", 2, "give the name of every column, each once")
    sh.write("a.jsonl", {"id": "1", "text": "t"})
    sh.fails("mc2 lid a.jsonl --header id,text", 2, "--header is for CSV and TSV")
    (sh / "named.csv").write_text("text,url\na cat,http://a.org/1.jpg\n")
    refused = sh("mc2 lid named.csv --header text,url --id auto")
    assert refused.status == 3 and "named.csv:1: this line has the names of the columns" in refused.stderr


# ---------------------------------------------------------------- quotes in TSV, columns without a name

@pytest.mark.parametrize("table, pairs", [
    (b'1\ta "red" circle\n', [("1", 'a "red" circle')]),                              # in the middle: a letter
    (b'1\t"red" circle\n2\t"a"\n', [("1", '"red" circle'), ("2", "a")]),              # at the beginning
    (b'1\t"unclosed\n2\ta\n', [("1", '"unclosed'), ("2", "a")]),
    (b'1\t"first\n2\tlast"\n', [("1", '"first'), ("2", 'last"')]),                   # no line is merged
    (b'1\t"two\nlines"\n2\ta\n', [("1", "two\nlines"), ("2", "a")]),                # but where they are one row
    (b'1\t"a ""red"" circle"\n', [("1", 'a "red" circle')]),
    (b'1\t"a\tb\nc\td"\n', [("1", "a\tb\nc\td")]),
])
def test_quotes_in_tsv_are_letters_where_they_are_not_around_a_cell(sh, table, pairs):
    (sh / "a.tsv").write_bytes(b"id\ttext\n" + table)
    assert [(pair["id"], pair["text"]) for pair in lines(sh.ok("mc2 lid a.tsv -q"))] == pairs


def test_a_bad_line_between_two_quotes_of_tsv_is_bad_alone(sh):
    (sh / "a.tsv").write_bytes(b'text\tid\n"cat\t1\nbroken\ndog"\t3\n')
    sh.fails("mc2 lid a.tsv", 3, "a.tsv:3: 1 cells, but the header has 2.")
    assert [pair["text"] for pair in lines(sh.ok("mc2 lid a.tsv -q --on-error skip"))] == ['"cat', 'dog"']


@given(st.lists(st.lists(st.text('"a\t\n\r', max_size=6), min_size=3, max_size=3).filter(any), min_size=1, max_size=3))
def test_tsv_that_is_written_is_read_again(rows):
    reader = delimited._Rows("a", [(1, delimited._text_of(rows, "tsv"))], "tsv")
    reader.width = 3
    assert [cells for _, cells, _ in reader] == rows


def test_columns_without_a_name_are_passed_over_where_they_are_empty(sh):
    (sh / "a.csv").write_bytes(b"id,text,,\n1,a cat,,\n2,a dog,, \n")
    sh.ok("mc2 lid a.csv -q -o o.csv")
    assert (sh / "o.csv").read_bytes().startswith(b"id,text,lid,lid_prob,lang\n1,a cat,en,")
    (sh / "a.csv").write_bytes(b"id,text,,\n1,a cat,,\n2,a dog,x,\n")
    sh.fails("mc2 lid a.csv -o o.jsonl", 3, "a.csv:3: a cell in column 3, which has no name. Name the column")
    (sh / "a.csv").write_bytes(b"id,text,text\n1,a cat,b\n")
    sh.fails("mc2 lid a.csv -o o.jsonl", 3, "two columns are called 'text'")


# ---------------------------------------------------------------- the commands

@pytest.fixture
def tables(toy):
    """A Shell with `toy` and the same pairs as a.csv, with columns of other names, and as b.jsonl."""
    texts = ["a red circle", "un chat noir", "red", "circle, a \"cat\"", "chat\nnoir"] * 20
    rows = [(f"{number:024x}", text) for number, text in enumerate(texts)]
    table = delimited._text_of([("key id", "the caption"), *rows], "csv")
    (toy / "a.csv").write_bytes(table)
    (toy / "a.tsv.gz").write_bytes(gzip.compress(delimited._text_of([("key id", "the caption"), *rows], "tsv")))
    toy.write("b.jsonl", *({"id": id, "text": text} for id, text in rows))
    return toy


NAMES = '--id "key id" --text "the caption"'


def test_curate_takes_a_table_from_beginning_to_end(tables):
    tables.ok("mc2 curate b.jsonl -m toy --t-en 3 -o expected -q")
    expected = [(record["id"], record["text"]) for record in pairs_of(tables / "expected/curated/b.jsonl")]
    assert expected
    for name in "a.csv", "a.tsv.gz":
        tables.ok(f"mc2 curate {name} {NAMES} -m toy --t-en 3 -o out-{name} -q")
        found = pairs_of(tables / f"out-{name}/curated/{name}")
        assert [(record["id"], record["text"]) for record in found] == expected
        assert (tables / f"out-{name}/matched/{name}").exists()


def test_curate_goes_on_with_the_same_columns_and_begins_anew_with_others(tables):
    command = f"mc2 curate a.csv {NAMES} -m toy --t-en 3 -o out"
    tables.ok(command)
    before = tables.files()
    tables.ok(command)
    assert {name: what for name, what in tables.files().items() if "/matched/" in name or "/curated/" in name} == \
        {name: what for name, what in before.items() if "/matched/" in name or "/curated/" in name}
    assert "counted" in tables.ok(command + " -n") or "drawn" in tables.ok(command + " -n")
    assert tables.ok("mc2 curate a.csv --id auto --text \"the caption\" -m toy --t-en 3 -o out -n").startswith("to do")


def test_match_sample_join_and_filter_read_other_names(tables):
    tables.ok(f"mc2 lid a.csv {NAMES} -o l.csv -q")
    tables.ok("mc2 match l.csv -m toy -o m.csv -q && mc2 count m.csv -m toy -o counts -q")
    tables.ok("mc2 thresholds counts --t-all 3 -o t.json -q")
    renamed = (tables / "m.csv").read_bytes().replace(b"id,text,", b"key id,the caption,", 1)
    write(tables / "r.csv", renamed)
    sampled = tables.ok("mc2 sample m.csv -c counts -t t.json -q")
    assert sampled and tables.ok(f"mc2 sample r.csv {NAMES} -c counts -t t.json -q") == sampled
    assert tables.ok(f"mc2 sample r.csv {NAMES} -c counts -t t.json -q --one-per-image") == \
        tables.ok("mc2 sample m.csv -c counts -t t.json -q --one-per-image")
    tables.ok(f"mc2 count r.csv {NAMES} -m toy -o again -q && cmp counts/en.npy again/en.npy")


def test_lines_of_one_image_stay_together_in_tables_and_documents(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "BLOCK", 20)
    rows = [(str(number // 4), f"text {number}") for number in range(40)]
    write(tmp_path / "a.csv", delimited._text_of([("uid", "text"), *rows], "csv"))
    write(tmp_path / "a.json", json.dumps([{"uid": int(id), "text": text} for id, text in rows]).encode())
    write(tmp_path / "a.jsonl", b"\n".join(orjson.dumps({"uid": int(id), "text": text}) for id, text in rows))
    for name in "a.csv", "a.json", "a.jsonl":
        blocks = shards.read_blocks([str(tmp_path / name)], whole_images=lambda block: block.batch(skip_bad=True))
        batches = [block.batch().column("id") for block in blocks]
        assert len(batches) == 10 and all(ids == [str(number)] * 4 for number, ids in enumerate(batches)), name


def test_bad_lines_of_a_table_come_in_blocks_where_images_stay_together(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "BLOCK", 200)
    write(tmp_path / "a.csv", b"id,text\n" + b"bad\n" * 20 + b"1,a\n1,b\n")
    blocks = list(shards.read_blocks([str(tmp_path / "a.csv")], whole_images=lambda block: block.batch(skip_bad=True)))
    assert [number for block in blocks for number, *_ in block.bad] == list(range(2, 22))
    assert [len(block.bad) for block in blocks] == [4, 4, 4, 4, 4, 0]
    assert [[cells for _, cells in block.rows] for block in blocks] == [[], [], [], [], [], [["1", "a"], ["1", "b"]]]


def test_outputs_of_formats_that_are_only_read_get_another_suffix(sh):
    write(sh / "a.json", b'[{"id":"1","text":"t"}]')
    write(sh / "b.csv.xz", lzma.compress(b"id,text\n2,u\n"))
    sh.ok("mc2 lid a.json b.csv.xz -O out -q")
    assert {path.name for path in (sh / "out").glob("[!.]*")} == {
        "a.jsonl", "a.jsonl.manifest.json", "b.csv.zst", "b.csv.zst.manifest.json"}
    assert [pairs_of(sh / f"out/{name}")[0]["id"] for name in ("a.jsonl", "b.csv.zst")] == ["1", "2"]
    assert " 2 shards were finished" in sh("mc2 lid a.json b.csv.xz -O out").stderr
    sh.write("a.jsonl", {"id": "1", "text": "t"})
    sh.fails("mc2 lid a.json a.jsonl -O two", 2, "two inputs are called a.jsonl")


def test_inspect_lists_the_columns_of_a_table(sh):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"number": [1], "words": ["x"]}), sh / "nothing.parquet")
    assert sh.ok("mc2 inspect nothing.parquet").splitlines() == [
        "a table of 2 columns, of which it is not known which are id and text", "number  int64", "words   string",
        "Did you mean --id auto --text words?"]
    assert sh.ok("mc2 inspect nothing.parquet --id auto --text words").splitlines()[:2] == [
        "pairs: 1 read", "ids are made from file and line"]
    sh.fails("mc2 lid nothing.parquet", 3, "The columns are number (int64), words (string).")


@pytest.mark.parametrize("name, data", [
    ("a.tsv", b"id\ttext\n1\tred\n"), ("a.json", b'[{"id":"1","text":"red"}]'),
    ("b.json", b'{"id":"1","text":"red"}\n'),
    ("coco.json", json.dumps(COCO).encode()), ("a.csv", b"uid,alt\n1,red\n")])
def test_inspect_tells_tables_from_artefacts_of_the_same_suffix(artefacts, name, data):
    write(artefacts / name, data)
    assert artefacts.ok(f"mc2 inspect {name}").startswith("pairs: ")
    assert not artefacts.ok("mc2 inspect t.json").startswith("pairs")


@pytest.mark.parametrize("name, written", [
    ("a.json", "a.jsonl"), ("a.json.gz", "a.jsonl.gz"), ("a.json.xz", "a.jsonl.zst"), ("a.csv", "a.csv"),
    ("a.csv.bz2", "a.csv.zst"), ("a.parquet", "a.parquet"),
    ("a", "a"), ("a.b.jsonl.zst", "a.b.jsonl.zst"), (".json", ".json"), ("a.gz", "a.gz")])
def test_names_of_outputs(name, written):
    assert formats.written_name(name) == written
