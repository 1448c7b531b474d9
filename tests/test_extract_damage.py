"""Files of a crawl that are damaged or cut off: nothing is lost without a word, and nothing else is lost."""
import gzip
import io
import random
import zlib

import pytest

pytest.importorskip("selectolax")

from crawls import members, record, response, warcinfo, write              # noqa: E402
from test_memory import MB, peak                                        # noqa: E402

from mc2.extract import warc                                           # noqa: E402

N = 40
RECORDS = [warcinfo(), *(response(f'<img src=/{number}.jpg alt="cat {number}">{"text " * number}',
                                  more=f"WARC-Record-ID: <urn:{number}>\r\n") for number in range(N))]


def found_in(data, longest=1 << 20):
    """(contents of the records, the kinds of damage) of a file."""
    found = list(warc.records(io.BytesIO(data), "x", longest, lambda header: True))
    return [each.content for each in found if isinstance(each, warc.Record)], \
        [each.kind for each in found if isinstance(each, warc.Damage)]


WHOLE = found_in(members(*RECORDS))[0]


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1:]


# ---------------------------------------------------------------- through the command

def test_a_cut_off_file_is_an_error_that_says_where_and_how_to_go_on(sh):
    data = members(*RECORDS)
    (sh / "in.warc.gz").write_bytes(data[:-30])
    begin = len(data) - len(members(RECORDS[-1]))
    sh.fails("mc2 extract in.warc.gz -o out.jsonl", 3, f"mc2 extract: in.warc.gz:{N}: the file is cut off in the gzip "
             f"member that begins at byte {begin:,}. --on-error skip counts it and reads on.")
    done = sh("mc2 extract in.warc.gz -o out.jsonl --on-error skip")
    assert done.status == 0 and f"{N - 1} pairs, 1 bad lines skipped (cut off)" in done.stderr


def test_reading_goes_on_behind_a_damaged_member(sh):
    parts = [members(each) for each in RECORDS]
    parts[7] = parts[7][:60] + b"damage" + parts[7][66:]
    (sh / "in.warc.gz").write_bytes(b"".join(parts))
    sh.fails("mc2 extract in.warc.gz -o out.jsonl", 3, f"the gzip member that begins at byte {len(b''.join(parts[:7])):,} "
             f"is damaged")
    for options in "", "-j 2":
        done = sh(f"mc2 extract in.warc.gz -o out.jsonl --on-error skip {options} --rejects r.jsonl")
        assert f"{N - 1} pairs, 1 bad lines skipped (damaged gzip members)" in done.stderr
        assert [pair["text"] for pair in sh.read("out.jsonl")] == [f"cat {number}" for number in range(N) if number != 6]
        assert sh.read("r.jsonl")[0]["file"] == "in.warc.gz"


def test_other_shards_are_done_when_one_is_damaged_and_it_alone_is_done_again(sh):
    write(sh / "in/0.warc.gz", *RECORDS)
    (sh / "in/1.warc.gz").write_bytes(members(*RECORDS)[:-9])
    done = sh("mc2 extract in/*.gz -O out")
    assert done.status == 3 and "1 shard failed" in done.stderr and (sh / "out/0.warc.jsonl.zst").exists()
    assert not (sh / "out/1.warc.jsonl.zst").exists()
    write(sh / "in/1.warc.gz", *RECORDS)
    assert f"1 shards, {N} pages in" in sh("mc2 extract in/*.gz -O out").stderr


# ---------------------------------------------------------------- wherever it is

def test_a_bit_that_flips_anywhere_in_a_gzip_file_costs_one_record_and_is_said():
    data = members(*RECORDS)
    for at in range(len(members(RECORDS[0])), len(data), 37):
        found, damage = found_in(flipped(data, at))
        lost = len(WHOLE) - len(found)
        assert set(found) <= set(WHOLE), at
        assert lost <= min(1, len(damage)), at          # some bits of a gzip header say nothing


def test_a_file_that_is_cut_off_anywhere_gives_what_came_before_and_is_said():
    data = members(*RECORDS[:6])
    ends = [len(members(*RECORDS[:n])) for n in range(7)]
    for at in range(1, len(data)):
        found, damage = found_in(data[:at])
        assert found == WHOLE[:sum(end <= at for end in ends) - 1], at
        assert damage == ([] if at in ends else ["cut off"]), at


def test_a_plain_file_that_is_cut_off_anywhere_gives_what_came_before_and_is_said():
    data = b"".join(RECORDS[:6])
    for at in range(5, len(data), 7):
        found, damage = found_in(data[:at])
        assert found == WHOLE[:len(found)] and len(damage) <= 1
        if not damage:                                          # at the end of a record, or within what parts two
            assert at >= len(b"".join(RECORDS[:len(found)])) - 4 and at <= len(b"".join(RECORDS[:len(found)])) + 4


def test_whatever_happens_to_a_file_ends_and_never_gives_what_was_not_in_it():
    rng, data = random.Random(1), members(*RECORDS)
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(rng.randrange(1, 6)):
            at, n = rng.randrange(10, len(broken)), rng.randrange(1, 400)
            what = rng.random()
            broken[at:at + n] = b"" if what < 0.3 else bytes(n) if what < 0.5 else rng.randbytes(n) if what < 0.8 \
                else broken[at:at + n] * 2
        found, damage = found_in(bytes(broken))
        assert set(found) <= set(WHOLE)
        assert len(set(found)) == len(WHOLE) or damage


def test_a_digest_tells_of_a_flipped_bit_in_a_file_without_compression():
    import base64
    import hashlib
    content = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<img src=a.jpg alt=cat>"
    digest = base64.b32encode(hashlib.sha1(content).digest()).decode()
    data = record("response", content, more=f"WARC-Block-Digest: sha1:{digest}\r\n")
    assert found_in(data + data.replace(b"cat", b"cut")) == ([content], ["damaged records"])


@pytest.mark.parametrize("length", [9999, 10])
@pytest.mark.parametrize("compress", [True, False])
def test_a_record_of_another_length_than_it_says_is_none(length, compress):
    bad = response("<img src=b.jpg alt=b>", length=length)
    parts = [RECORDS[1], bad, RECORDS[2], RECORDS[3]]
    data = members(*parts) if compress else b"".join(parts)
    found, damage = found_in(data)
    assert len(damage) == 1 and set(found) <= set(WHOLE) and WHOLE[1] in found
    assert len(found) == 3 or length == 9999 and not compress           # which takes the others for its own


@pytest.mark.parametrize("junk, kind", [
    (gzip.compress(b"hello\r\n" * 50), "bytes that are no record"), (b"junk" * 9, "bytes between gzip members"),
    (gzip.compress(b"WARC/1.0\r\nWARC-Type: response\r\n\r\n"), "records without a length"),
    (gzip.compress(b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: -5\r\n\r\n"), "records without a length"),
    (gzip.compress(b"WARC/1.0\r\nWARC-Typo: response\r\nContent-Length: 2\r\n\r\nab\r\n\r\n"), "records without a type"),
    (gzip.compress(b"WARC/1.0\r\n" + b"X: y\r\n" * 20_000), "records without a header")])
def test_what_is_no_record_is_passed_over_and_said(junk, kind):
    assert found_in(members(*RECORDS[:3]) + junk + members(*RECORDS[3:])) == (WHOLE, [kind])


def test_records_that_may_be_pages_and_are_not_read_are_counted(sh):
    write(sh / "p.warc", response("<img src=a.jpg alt=a>"), record("responsa", b"HTTP/1.1 200 OK\r\n\r\n"),
          record("response", b"20240518\r\n", "dns:a.org", content_type="text/dns"), record("request", b"GET / HTTP/1.1"))
    done = sh("mc2 extract p.warc -o p.jsonl --dropped dropped.jsonl")
    assert done.status == 0
    assert "1 pages in, 1 images, 1 pairs, 1 records of an unknown type, 1 responses that are not HTTP" in done.stderr
    assert [row["dropped"] for row in sh.read("dropped.jsonl")] == ["records of an unknown type",
                                                                    "responses that are not HTTP"]


def test_other_forms_of_the_same_file_give_the_same():
    plain = b"".join(RECORDS)
    two = plain.index(b"WARC/1.0", len(plain) // 2)
    for data in (plain, gzip.compress(plain), members(plain[:two], plain[two:]), members(*RECORDS) + bytes(5000),
                 members(plain[:two + 300], plain[two + 300:]), plain.replace(b"\r\nContent-L", b"\r\ncontent-l")):
        assert found_in(data) == (WHOLE, [])


def test_zstd_is_read_and_a_damaged_one_is_refused(sh):
    import zstandard
    data = zstandard.compress(b"".join(RECORDS))
    assert found_in(data) == (WHOLE, [])
    (sh / "in.warc.zst").write_bytes(data[:-20])
    sh.fails("mc2 extract in.warc.zst", 3, "in.warc.zst: the compressed data is cut off")


# ---------------------------------------------------------------- sizes

def test_a_record_that_is_too_long_is_passed_over():
    for megabytes in 2, 100:
        head = record("response", b"", length=megabytes << 20).removesuffix(b"\r\n\r\n")
        long = b"".join(gzip_of([head, *[bytes(MB)] * megabytes, b"\r\n\r\n"]))
        assert found_in(members(RECORDS[1]) + long + members(RECORDS[2])) == ([WHOLE[1], None, WHOLE[2]], [])


def gzip_of(parts):
    """The parts of a member of gzip."""
    deflate = zlib.compressobj(9, wbits=31)
    yield from map(deflate.compress, parts)
    yield deflate.flush()


def test_memory_does_not_grow_with_the_file(sh):
    """A block is 2 MB of pages; here are 60 MB of them."""
    page = response("<img src=/a.jpg alt=cat>" + "text " * 200_000)
    with open(sh / "in.warc.gz", "wb") as stream:
        one = zlib.compressobj(1, wbits=31)
        member = one.compress(page) + one.flush()
        for _ in range(60):
            stream.write(member)
    write(sh / "small.warc.gz", response("<img src=/a.jpg alt=cat>"))
    peaks = [peak(sh, f"extract {name} -o out.jsonl -q") for name in ("small.warc.gz", "in.warc.gz")]
    assert peaks[1] < peaks[0] + 30 * MB
