"""Tokenizers: the ids of a row, whatever the text; compared with open_clip's tokenizer and its pooling."""
import json
import pickle

from training_tools import require_train
require_train()

import numpy as np                                              # noqa: E402
import pytest                                                   # noqa: E402
import tokenizers                                               # noqa: E402
import torch                                                    # noqa: E402
from hypothesis import given, strategies                        # noqa: E402
from open_clip.tokenizer import tokenize                        # noqa: E402
from open_clip.transformer import text_global_pool              # noqa: E402
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers      # noqa: E402

from mc2.errors import BadData, BadUsage, Mc2Error              # noqa: E402
from mc2.clip import architecture                           # noqa: E402
from mc2.clip.tokenizers import KNOWN, canonical, load      # noqa: E402

TEXTS = ["a red star", "une étoile rouge", "красная звезда", "红色的小星星", "赤い星", "نجمة حمراء", "ᎩᎦᎨᎢ ᏃᏈᏏ"] * 3
ODD = ["", " ", "\x00", "a\x00b", "\ud83d", "\ud83d\ude00", "line\nbreak", "★" * 50, "red star " * 5000,
       "x" * 20_000]
CLIP_CFG = architecture.load("ViT-B-32-quickgelu")["text_cfg"]


def unigram(specials, template, **words):
    """Like sentencepiece's: XLM-R's, mT5's and Gemma's differ in their special tokens and in the template."""
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(TEXTS, trainers.UnigramTrainer(
        vocab_size=120, special_tokens=specials, unk_token="<unk>", show_progress=False))
    if template:
        named = [(token, specials.index(token)) for token in specials if token in template.split()]
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=named)
    return tokenizer


def byte_bpe(specials=("<|endoftext|>",)):
    """Like GPT-2's: every text has tokens, no token is unknown, nothing is added."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=300, special_tokens=list(specials), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


MADE = {        # a tokenizer, and the ids that a row of it must have: before the text, at its end, after it
    "xlm-r": (unigram(["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>"), [0], 2, 1),
    "mt5": (unigram(["<pad>", "</s>", "<unk>"], "$A </s>"), [], 1, 0),
    "gemma": (unigram(["<pad>", "<eos>", "<bos>", "<unk>"], "<bos> $A"), [2], 1, 0),
    "byte-level": (byte_bpe(), [], 0, 0),
}


@pytest.fixture(params=MADE)
def kind(request):
    return request.param


def text_cfg(kind, **changes):
    tokenizer, _, eos, pad = MADE[kind]
    return {"context_length": 16, "vocab_size": tokenizer.get_vocab_size(), "pool_type": "eos", "eos_id": eos,
            "pad_id": pad, **changes}


@pytest.fixture
def made(tmp_path):
    """made(kind, **changes of text_cfg): that tokenizer, read from its file."""
    def make(kind, **changes):
        path = tmp_path / f"{kind}.json"
        MADE[kind][0].save(str(path))
        return load(str(path), text_cfg(kind, **changes))
    return make


def end_of(rows, eos):
    """Where open_clip pools: the features of a position are its number here."""
    positions = torch.arange(rows.shape[1]).expand(len(rows), -1)[..., None]
    return text_global_pool(positions, torch.from_numpy(rows), "eos", eos)[:, 0].tolist()


# ---------------------------------------------------------------- rows

def test_a_row_is_bos_text_eos_and_padding(made, kind):
    tokenizer, (plain, bos, eos, pad) = made(kind), MADE[kind]
    for text, row in zip(TEXTS, tokenizer(TEXTS)):
        ids = [*bos, *plain.encode(text, add_special_tokens=False).ids[:15 - len(bos)], eos]
        assert row.tolist() == ids + [pad] * (16 - len(ids))


def test_rows_are_those_of_the_post_processor_where_it_adds_bos_and_eos(made):
    plain = tokenizers.Tokenizer.from_str(MADE["xlm-r"][0].to_str())
    plain.enable_truncation(16)
    plain.enable_padding(length=16, pad_id=1, pad_token="<pad>")
    assert made("xlm-r")(TEXTS).tolist() == [encoding.ids for encoding in plain.encode_batch(TEXTS)]


def test_rows_are_int64_of_context_length_whatever_the_text(made, kind):
    tokenizer = made(kind)
    rows = tokenizer(ODD)
    assert rows.dtype == np.int64 and rows.shape == (len(ODD), 16)
    assert rows.min() >= 0 and rows.max() < tokenizer.vocab_size
    assert all((row == tokenizer.eos_id).any() for row in rows)
    assert tokenizer([]).shape == (0, 16)


def test_an_empty_text_is_bos_and_eos(made, kind):
    _, bos, eos, pad = MADE[kind]
    assert made(kind)([""]).tolist() == [[*bos, eos] + [pad] * (15 - len(bos))]


def test_literal_special_tokens_do_not_move_the_pooled_position(made, kind):
    """Nor do they add a token: each becomes <unk>, or goes where there is none."""
    tokenizer, (plain, bos, eos, pad) = made(kind), MADE[kind]
    literal = [plain.id_to_token(id) for id in sorted({*bos, eos, pad})]
    texts = [f"red {token} star {token}" for token in literal]
    rows = tokenizer(texts)
    lengths = [len(plain.encode(text, add_special_tokens=False).ids) for text in texts]
    if tokenizer.special.unk is None:
        lengths = [length - 2 for length in lengths]
        assert rows.tolist() == tokenizer(["red  star "] * len(texts)).tolist()
    else:
        assert ((rows == tokenizer.special.unk).sum(1) >= 2).all()
    assert end_of(rows, eos) == [len(bos) + length for length in lengths]
    assert (rows == eos).argmax(1).tolist() == end_of(rows, eos)


def test_a_long_text_ends_with_eos_in_the_last_place(made, kind):
    assert end_of(made(kind)(["red star " * 100, "</s>" * 100 + "red star" * 100]), MADE[kind][2]) == [15, 15]


def test_a_long_text_is_cut_at_the_same_tokens_as_a_short_one(made, kind):
    tokenizer = made(kind)
    assert (tokenizer(["red star " * 9000]) == tokenizer(["red star " * 30])).all()


def test_lone_surrogates_are_replacement_characters(made, kind):
    assert (made(kind)(["a \ud83d b", "\ud83d\ude00"]) == made(kind)(["a \ufffd b", "😀"])).all()


def test_truncation_and_padding_of_the_definition_do_not_count(tmp_path, made):
    plain = tokenizers.Tokenizer.from_str(MADE["xlm-r"][0].to_str())
    plain.enable_truncation(4)
    plain.enable_padding(length=8, pad_id=1, pad_token="<pad>")
    plain.save(str(tmp_path / "cut.json"))
    assert (load(str(tmp_path / "cut.json"), text_cfg("xlm-r"))(TEXTS) == made("xlm-r")(TEXTS)).all()


def test_padding_of_the_definition_says_what_pad_is(tmp_path):
    plain = byte_bpe(["<|endoftext|>", "nothing"])
    plain.enable_padding(length=8, pad_id=1, pad_token="nothing")
    plain.save(str(tmp_path / "padded.json"))
    cfg = text_cfg("byte-level", pad_id=1, vocab_size=plain.get_vocab_size())
    assert load(str(tmp_path / "padded.json"), cfg)([""]).tolist() == [[0] + [1] * 15]


# ---------------------------------------------------------------- CLIP's own BPE

def test_openai_is_open_clips_tokenizer():
    texts = TEXTS + ["", "A DOG &amp; a cat!!", "  two\n lines ", "word " * 200, "sch\u00f6n", "a\x00b",
                     "it's 3 o'clock", "a !"]
    tokenizer = load("openai", CLIP_CFG)
    assert tokenizer(texts).tolist() == tokenize(texts).tolist()
    assert (tokenizer.context_length, tokenizer.eos_id, tokenizer.pad_id) == (77, 49407, 0)


def test_openai_reads_literal_marks_as_words():
    rows = load("openai", CLIP_CFG)(["a <end_of_text> b", "!!<Start_Of_Text>", "\ud83d"])
    assert rows[0].tolist() == tokenize(["a < end_of_text> b"])[0].tolist()
    assert rows[1].tolist() == tokenize(["!!< start_of_text>"])[0].tolist()
    assert rows[2].tolist() == tokenize(["\ufffd"])[0].tolist()
    assert (rows == 49407).sum(1).tolist() == [1, 1, 1]


def test_openai_forgets_words_when_they_are_many(monkeypatch):
    monkeypatch.setattr("mc2.clip.tokenizers.CLIP_WORDS", 10)
    tokenizer = load("openai", CLIP_CFG)
    texts = [f"word{'abcdefghij'[k % 10] * k}" for k in range(40)]
    assert [tokenizer([text]).tolist() for text in texts] == [tokenize([text]).tolist() for text in texts]


# ---------------------------------------------------------------- copies

def test_a_tokenizer_is_picklable_and_saved_whole(tmp_path, made, kind):
    tokenizer = made(kind)
    assert tokenizer.save(tmp_path / "copy.json")
    for copy in (pickle.loads(pickle.dumps(tokenizer)), load(str(tmp_path / "copy.json"), text_cfg(kind))):
        assert copy.fingerprint == tokenizer.fingerprint and len(copy.fingerprint) == 64
        assert (copy(TEXTS + ODD) == tokenizer(TEXTS + ODD)).all()


def test_openai_is_picklable_and_not_saved(tmp_path):
    tokenizer = load("openai", CLIP_CFG)
    assert not tokenizer.save(tmp_path / "copy.json") and not list(tmp_path.iterdir())
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert (copy(TEXTS) == tokenizer(TEXTS)).all() and copy.fingerprint == tokenizer.fingerprint


def test_a_directory_that_holds_a_tokenizer_json_will_do(tmp_path, made):
    MADE["mt5"][0].save(str(tmp_path / "tokenizer.json"))
    assert (load(str(tmp_path), text_cfg("mt5"))(TEXTS) == made("mt5")(TEXTS)).all()


@given(text=strategies.text())
def test_canonical_texts_are_open_clips_but_for_what_ftfy_mends(text):
    from open_clip.tokenizer import canonicalize_text
    assert canonical(text) == canonicalize_text(text)


def test_a_model_may_have_its_texts_canonicalised(tmp_path):
    cfg = {**text_cfg("mt5"), "tokenizer_kwargs": {"clean": "canonicalize"}}
    MADE["mt5"][0].save(str(tmp_path / "tokenizer.json"))
    assert (load(str(tmp_path), cfg)(["A_Cat,  “here”!"]) == load(str(tmp_path), text_cfg("mt5"))(["a cat “here”"])).all()
    model = architecture.load("ViT-B-32-i18n-quickgelu")
    model["text_cfg"]["tokenizer_kwargs"] = {"clean": "lower"}
    with pytest.raises(BadData, match="tokenizer_kwargs is {'clean': 'lower'}, not {\"clean\": \"canonicalize\"}"):
        architecture.parse(json.dumps(model), "mine.json")


# ---------------------------------------------------------------- does it fit the model?

@pytest.mark.parametrize("changes, numbers", [
    ({"eos_id": 5}, "ends a text with id 2, but the model's text_cfg.eos_id is 5"),
    ({"pad_id": 0}, "fills rows with id 1, but the model's text_cfg.pad_id is 0"),
    ({"vocab_size": 30}, "tokens, but the model's text_cfg.vocab_size is 30"),
    ({"vocab_size": 250_002}, "tokens, but the model's text_cfg.vocab_size is 250,002"),
    ({"pool_type": "argmax"}, 'text_cfg.pool_type is "argmax"'),
    ({"context_length": 2}, "text_cfg.context_length is 2"),
])
def test_what_does_not_fit_the_model_is_told_with_both_numbers(made, changes, numbers):
    with pytest.raises(BadData) as error:
        made("xlm-r", **changes)
    assert numbers in str(error.value) and "xlm-r.json: " in str(error.value)


def test_token_embeddings_may_be_rounded_up(made):
    size = MADE["mt5"][0].get_vocab_size()
    assert (made("mt5", vocab_size=size + 12)(TEXTS) == made("mt5")(TEXTS)).all()


@pytest.fixture
def with_sentinels(tmp_path):
    """mT5's, with three tokens at its end that stand for gaps in a text; its size without them."""
    tokenizer = tokenizers.Tokenizer.from_str(MADE["mt5"][0].to_str())
    size = tokenizer.get_vocab_size()
    tokenizer.add_special_tokens(["<extra_id_1>", "▁<extra_id_0>", "<extra_id_2>"])
    tokenizer.save(str(tmp_path / "sentinels.json"))
    return str(tmp_path / "sentinels.json"), size


def test_a_model_may_have_no_embeddings_for_the_sentinels_of_mt5(with_sentinels, made):
    """Meta CLIP 2 has 250,000 token embeddings; mT5's tokenizer has 250,100 tokens."""
    path, size = with_sentinels
    tokenizer = load(path, text_cfg("mt5", vocab_size=size))
    assert (tokenizer(TEXTS) == made("mt5")(TEXTS)).all()
    ids = tokenizer(["a <extra_id_1> star"])[0]
    assert ids.max() < size and list(ids).index(1) == np.flatnonzero(ids > 1).max() + 1     # the end is the end
    assert load(path, text_cfg("mt5", vocab_size=size + 3))(["<extra_id_1>"]).max() == size


def test_a_model_must_have_embeddings_for_all_other_tokens(with_sentinels):
    path, size = with_sentinels
    with pytest.raises(BadData, match=f"but the model's text_cfg.vocab_size is {size - 1}: some ids would have no"):
        load(path, text_cfg("mt5", vocab_size=size - 1))


def test_an_unknown_token_that_also_ends_texts_does_not_end_one_in_the_middle(tmp_path):
    """So it is in transformers' form of CLIP's tokenizer."""
    tokenizer = tokenizers.Tokenizer.from_str(byte_bpe().to_str())
    tokenizer.model.unk_token = "<|endoftext|>"
    tokenizer.save(str(tmp_path / "clip.json"))
    row = list(load(str(tmp_path / "clip.json"), text_cfg("byte-level"))(["red<|endoftext|> star"])[0])
    assert row[:row.index(0)] == tokenizer.encode("red star").ids


@pytest.mark.parametrize("name", architecture.names())
def test_every_model_of_the_package_fits_its_known_tokenizer(name):
    cfg = architecture.load(name)["text_cfg"]
    if "hf_tokenizer_name" in cfg:
        size, special = KNOWN[cfg["hf_tokenizer_name"]]
        sizes = (size, 250_000) if cfg["hf_tokenizer_name"] == "google/mt5-base" else (size,)   # without its sentinels
        assert cfg["vocab_size"] in sizes and (cfg["eos_id"], cfg["pad_id"]) == (special.eos, special.pad)
    elif cfg["vocab_size"] == CLIP_CFG["vocab_size"]:
        assert load("openai", cfg).vocab_size == cfg["vocab_size"]


def test_a_text_without_an_end_is_refused(tmp_path):
    plain = byte_bpe(["<x>"])
    plain.save(str(tmp_path / "endless.json"))
    with pytest.raises(BadData, match="no token ends a text"):
        load(str(tmp_path / "endless.json"), text_cfg("byte-level"))


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[1, 2]"])
def test_what_is_no_tokenizer_is_told(tmp_path, content):
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(BadData, match="bad.json: is not a tokenizer.json"):
        load(str(tmp_path / "bad.json"), text_cfg("mt5"))


@pytest.mark.parametrize("name", ["none.json", "/none", "./none", "a/b/c", "owner/none.json"])
def test_a_tokenizer_that_is_not_there_is_told(name):
    with pytest.raises(BadUsage, match="there is no such tokenizer. Name a tokenizer.json"):
        load(name, text_cfg("mt5"))


def test_a_hub_out_of_reach_says_what_to_do(monkeypatch):
    def refuse(name):
        raise Exception("no route to the Hub\nat all")
    monkeypatch.setattr(tokenizers.Tokenizer, "from_pretrained", staticmethod(refuse))
    way_out = r"from the Hub \(no route to the Hub\). Download it by hand.*save_pretrained"
    with pytest.raises(Mc2Error, match=way_out) as error:
        load("google/mt5-base", text_cfg("mt5"))
    assert "\n" not in str(error.value)


def test_a_name_of_the_hub_gives_its_tokenizer(monkeypatch, made):
    monkeypatch.setattr(tokenizers.Tokenizer, "from_pretrained", staticmethod(lambda name: MADE["mt5"][0]))
    tokenizer = load("owner/name", text_cfg("mt5"))
    assert (tokenizer(TEXTS) == made("mt5")(TEXTS)).all()
    assert json.loads(tokenizer.definition)["model"]["type"] == "Unigram"


def test_a_known_name_with_another_tokenizer_is_refused(monkeypatch):
    monkeypatch.setattr(tokenizers.Tokenizer, "from_pretrained", staticmethod(lambda name: MADE["mt5"][0]))
    with pytest.raises(BadData, match="expected were 250,100, bos none, eos 1, pad 0, unk 2"):
        load("google/mt5-base", text_cfg("mt5"))
