"""What a run reports: the lines of its log, and totals over ranks and resumptions."""
from mc2.training import metrics


def line(of_ranks, **more):
    values = dict(global_batch=8, loss=2.5, means={"contrastive": 2.5}, logit_scale=14.0, lr=1e-3, other_losses={}, steps=10,
                  seconds=4.0, seconds_of_run=9.0, before={})
    return metrics.line_of(20, of_ranks, **{**values, **more})


def rank(samples="ab", ids=None, waited=0.0, tally=None):
    return {"samples": samples, "ids": ids, "waited": waited, "tally": tally}


def test_a_line_of_the_log():
    assert line([rank(waited=1.0)]) == {
        "step": 20, "loss": 2.5, "logit_scale": 14.0, "lr": 1e-3, "seen_pairs": 160, "samples": "fb8e20fc2e4c3f24",
        "contrastive": 2.5, "pairs_per_second": 20.0, "data_wait": 0.25, "seconds": 9.0}


def test_ids_and_losses_of_further_students_are_in_the_line_where_there_are_any():
    found = line([rank(ids=["a", "b"]), rank(ids=["c"])], other_losses={"wide": 3.5})
    assert found["ids"] == ["a", "b", "c"] and found["loss_wide"] == 3.5


def test_the_digest_depends_on_the_pairs_of_every_rank_and_their_order():
    digests = {line([rank(one), rank(other)])["samples"] for one, other in (("ab", "cd"), ("cd", "ab"), ("ab", "ce"))}
    assert len(digests) == 3


def test_the_slowest_rank_says_how_long_was_waited():
    assert line([rank(waited=0.4), rank(waited=2.0)])["data_wait"] == 0.5


def test_with_a_checkpoint_the_line_has_what_happened_since_the_run_was_first_started():
    found = line([rank(tally={("seen", "en"): 1}), rank(tally={("seen", "fr"): 2, "corrupt image": 1})],
                 before={"seen": {"en": 5}})
    assert found["languages"] == {"en": {"seen": 6}, "fr": {"seen": 2}} and found["images"] == {"corrupt image": 1}


def test_growth_is_one_over_the_english_share_of_the_seen_pairs():
    assert metrics.summary({"seen": {"en": 200, "fr": 500, "zh": 100}})["growth"] == 4
    assert "growth" not in metrics.summary({"seen": {"en": 200}}) | metrics.summary({"seen": {"fr": 500, "zh": 100}})


def test_the_receipt_says_how_many_pairs_were_english_where_there_were_others():
    done = {"step": 4, "steps": 4, "seen_pairs": 800, "loss": [1.5], "images": {}, "seconds": 2.0}
    assert metrics.receipt({**done, "growth": 4.0}, "run") == \
        "train: 4 of 4 steps, 800 pairs seen, loss 1.5000; 25.0% of the pairs English (growth 4.000) -> run (2.0 s)"
    assert metrics.receipt({**done, "growth": None}, "run") == \
        "train: 4 of 4 steps, 800 pairs seen, loss 1.5000 -> run (2.0 s)"


def test_the_totals_of_a_run_are_those_of_all_ranks_and_of_before():
    total = metrics.total_of({"seen": {"en": 5}}, [{("seen", "en"): 1, ("drawn", "en"): 4}, {("kept", "en"): 2}])
    assert total == {"seen": {"en": 6}, "drawn": {"en": 4}, "kept": {"en": 2}}
    total = metrics.total_of(total, [{("expected", "en"): 2.2, "corrupt image": 1, ("cut off tar", "a.tar"): 1}])
    assert metrics.summary(total) == {
        "languages": {"en": {"seen": 6, "drawn": 4, "kept_share": 0.5, "expected_share": 0.55}},
        "images": {"corrupt image": 1, "cut off tar a.tar": 1}}


def test_the_log_is_cut_after_the_checkpoints_step_and_at_a_torn_line(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step":1}\n{"step":2}\n{"step":3}\n')
    metrics.cut_off(path, 2)
    assert path.read_bytes() == b'{"step":1}\n{"step":2}\n'
    path.write_bytes(b'{"step":1}\n{"ste')
    metrics.cut_off(path, 2)
    assert path.read_bytes() == b'{"step":1}\n'
