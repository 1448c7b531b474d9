"""Large and odd loads: many languages and shards with few descriptors, and single values of great size."""
import numpy as np
import pytest
from conftest import filled, pair

from mc2 import mapped_files, parsing


@pytest.mark.parametrize("dtype, shape", [("<u8", (5,)), ("<f4", (3, 4)), ("<i2", (2, 3, 4)), ("u1", (0,)), ("<f8", ())])
@pytest.mark.parametrize("order", "CF")
def test_an_array_that_is_mapped_is_the_one_that_was_written(tmp_path, dtype, shape, order):
    array = np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape, order=order)
    np.save(tmp_path / "a.npy", array)
    found = parsing.array(tmp_path / "a.npy", mapped=array.size > 0)
    assert found.dtype == array.dtype and found.shape == shape and (found == array).all()


def test_a_mapped_file_is_read_only_and_lives_as_long_as_what_looks_at_it(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 5000)
    part = mapped_files.bytes_of(tmp_path / "a")[3:9]
    (tmp_path / "a").unlink()
    assert part.tobytes() == b"abcabc"
    with pytest.raises(ValueError):
        part[0] = 0
    (tmp_path / "empty").touch()
    assert mapped_files.bytes_of(tmp_path / "empty").tobytes() == b""
    with pytest.raises(FileNotFoundError) as error:
        mapped_files.bytes_of(tmp_path / "none")
    assert error.value.filename == str(tmp_path / "none")


@pytest.fixture
def few_descriptors(sh, toy_template):
    """A shell with a pool of 60 shards in all languages of the release."""
    filled(sh, toy_template)
    langs = sorted(path.name.removesuffix(".tsv") for path in (sh / "toy").glob("*.tsv"))
    assert len(langs) > 150
    for shard in range(60):
        sh.write(f"m/{shard:02}.jsonl", *(pair(1000 * shard + number, f"7 {shard}", lang, [7])
                                          for number, lang in enumerate(langs) if lang not in ("en", "fr")),
                 pair(1000 * shard + 999, "a", "en", [4]))
    return sh


@pytest.mark.parametrize("jobs", [1, 4])
def test_sampling_and_counting_many_languages_takes_few_descriptors(few_descriptors, jobs):
    def limited(command):
        done = few_descriptors.process(f"ulimit -n 40; mc2 {command} -q -j {jobs}")
        assert (done.status, done.stderr) == (0, "")

    limited("count m/*.jsonl -m toy -o counts")
    few_descriptors.ok("mc2 thresholds counts --t-all 1000 -o t.json -q")
    limited("sample m/*.jsonl -c counts -t t.json -o kept.jsonl")
    limited("sample m/*.jsonl -c counts -t t.json -O kept")
    assert len(few_descriptors.read("kept.jsonl")) == sum(len(few_descriptors.read(f"m/{n:02}.jsonl")) for n in range(60))


def test_a_job_of_many_languages_and_shards_takes_few_descriptors(few_descriptors):
    done = few_descriptors.process("ulimit -n 40; mc2 curate m/*.jsonl -m toy --t-all 1000 -o out -j 2")
    assert done.status == 0 and "curate: 60 shards, " in done.stderr, done.stderr
