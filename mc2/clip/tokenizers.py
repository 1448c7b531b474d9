"""Tokenizers: from texts to token ids, ready for a CLIP text transformer that pools at the end of the text.

A row is [bos] text eos pad pad ... of context_length ids. bos is there where the tokenizer's own post-processor puts
one (XLM-R, XLM-V: <s>; Gemma: <bos>; mT5: none), eos always, also where it puts none (Gemma). A literal `</s>` in a
text becomes <unk>, so that the first eos of a row is its end: open_clip pools there.

Texts are taken as they are, without ftfy; only CLIP's own BPE cleans them, as open_clip does. open_clip's HFTokenizer
cleans the texts of every tokenizer: it mends what looks like a wrong encoding, and typographic quotes and ligatures
(ftfy), resolves HTML entities twice, and makes all white space single spaces. The ids of plain texts are the same;
those of `Tom &amp; Jerry`, `“quoted”`, `ﬁsh` or of a text with line breaks may differ. A model has to be used as it was
trained.
"""
import functools
import hashlib
import json
import math
import os
import re
import shlex
import string
from typing import NamedTuple

import numpy as np

from mc2 import files
from mc2.errors import BadData, BadUsage, Mc2Error

CLIP_BPE = "openai"             # the name of CLIP's own BPE
MOST_GROWTH = 1000              # of a text, by the normalizer of a tokenizer
CLIP_WORDS = 1 << 20            # the most words whose tokens are kept in memory; open_clip keeps all
ROUNDED_UP = 128                # embeddings are rounded up to a multiple of at most this: mT5's 250,100 to 250,112
# The last tokens of T5's and mT5's vocabularies, which stand for gaps in a text and are in none: mT5 has 250,000 tokens
# without these 100, and Meta CLIP 2 leaves out their embeddings.
SENTINEL = re.compile(r"▁?<extra_id_\d+>")
CONTEXT_LENGTH, VOCAB_SIZE, EOS_ID, PAD_ID = 77, 49_408, 2, 0     # open_clip's, where text_cfg says nothing

NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

EOS_NAMES = ("</s>", "<eos>", "<|endoftext|>", "<|end_of_text|>", "[SEP]")
PAD_NAMES = ("<pad>", "[PAD]", "<|pad|>")
UNK_NAMES = ("<unk>", "[UNK]")


class Special(NamedTuple):
    """Ids of special tokens; None: the tokenizer has no such token."""

    bos: tuple          # all before a text, mostly one or none
    eos: int | None
    pad: int | None
    unk: int | None


KNOWN = {               # name on the Hub: number of tokens, special ids
    "facebook/xlm-v-base": (901_629, Special((0,), 2, 1, 3)),
    "FacebookAI/xlm-roberta-base": (250_002, Special((0,), 2, 1, 3)),
    "google/mt5-base": (250_100, Special((), 1, 0, 2)),
    "timm/ViT-B-16-SigLIP-i18n-256": (250_000, Special((), 1, 0, 2)),       # mT5's without sentinels, of mSigLIP
    "google/gemma-2b": (256_000, Special((2,), 1, 0, 3)),
}


def load(name_or_path, text_cfg):
    """The Tokenizer of that name for a model's text_cfg: `openai` (CLIP's own BPE), a tokenizer.json or a directory
    that holds one, or a name on the Hub.

    BadUsage where there is none, BadData where it does not fit the model, Mc2Error where the Hub does not answer.
    """
    if name_or_path == CLIP_BPE:
        return Tokenizer(name_or_path, None, text_cfg)
    path = os.path.join(name_or_path, "tokenizer.json") if os.path.isdir(name_or_path) else name_or_path
    if os.path.isfile(path):
        with open(path, "rb") as stream:
            return Tokenizer(name_or_path, stream.read(), text_cfg)
    if os.path.exists(path):
        raise BadUsage(f"{path}: is neither a tokenizer.json nor a directory that holds one.")
    if path.endswith(".json") or os.path.isabs(path) or path.startswith(".") or path.count("/") > 1:
        raise BadUsage(f"{path}: there is no such tokenizer. Name a tokenizer.json, a name on the Hub (OWNER/NAME) or "
                       f"\"{CLIP_BPE}\".")
    tokenizer = Tokenizer(name_or_path, _from_hub(name_or_path), text_cfg)
    _check_known(tokenizer)
    return tokenizer


def special_of(path):
    """The Special ids of a tokenizer.json or of that in a directory, or None where there is no such file. BadData where
    it is none."""
    path = os.path.join(path, "tokenizer.json") if os.path.isdir(path) else path
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as stream:
        return _from_definition(path, stream.read())[1]


class Tokenizer:
    """tokenizer(texts) -> int64 [len(texts), context_length]. Picklable.

    definition: the bytes of its tokenizer.json; None for CLIP's own BPE. fingerprint: their SHA-256, in hexadecimal.
    vocab_size: highest id + 1; words: the same without the sentinels at its end. special: the Special ids.
    """

    def __init__(self, name, definition, text_cfg):
        self.name, self.definition, self.text_cfg = name, definition, dict(text_cfg)
        self.context_length = text_cfg.get("context_length", CONTEXT_LENGTH)
        if definition is None:
            self._encode, self.special, self.vocab_size, self.fingerprint = _clip_bpe()
            self.words = self.vocab_size
        else:
            self._encode, self.special, self.vocab_size, self.words = _from_definition(name, definition)
            self.fingerprint = hashlib.sha256(definition).hexdigest()
        _check(self)
        self.eos_id = self.special.eos
        self.pad_id = text_cfg.get("pad_id", PAD_ID) if self.special.pad is None else self.special.pad
        self._reserved = np.array([*self.special.bos, self.special.eos,
                                   *([] if self.special.pad is None else [self.special.pad])])

    def __reduce__(self):
        return Tokenizer, (self.name, self.definition, self.text_cfg)

    def __call__(self, texts):
        start = len(self.special.bos)
        most = self.context_length - start - 1
        rows = np.full((len(texts), self.context_length), self.pad_id, np.int64)
        rows[:, :start] = self.special.bos
        clean = canonical if self.text_cfg.get("tokenizer_kwargs") else _valid
        for row, ids in zip(rows, self._encode([clean(text) for text in texts])):
            ids = self._text_only(np.array(ids, np.int64))[:most]
            row[start:start + len(ids)] = ids
            row[start + len(ids)] = self.eos_id
        return rows

    def _text_only(self, ids):
        """The ids of a text, without those that have a meaning of their own in a row (bos, eos, padding) and those that
        the model has no embedding for (sentinels)."""
        reserved = np.isin(ids, self._reserved) | (ids >= self.text_cfg.get("vocab_size", VOCAB_SIZE))
        if not reserved.any():
            return ids
        unk = self.special.unk
        # CLIP's own in transformers' form has one token for both, which would end the text in the middle
        return ids[~reserved] if unk is None or unk in self._reserved else np.where(reserved, unk, ids)

    def save(self, path):
        """Write the definition, so that load(path) gives the same tokenizer. CLIP's own BPE comes with open_clip and
        is not written. Returns whether it was."""
        if self.definition is not None:
            files.write_bytes(path, self.definition, is_own=True)
        return self.definition is not None


def canonical(text):
    """A text in lower case, without ASCII punctuation, with single spaces: what SigLIP is trained on, and open_clip's
    clean="canonicalize" where ftfy and HTML entities change nothing. `_` is a space."""
    return " ".join(_valid(text).replace("_", " ").translate(NO_PUNCTUATION).lower().split())


def _valid(text):
    """The text with lone surrogates, which JSON lets through, as U+FFFD, so that it can be encoded."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# ---------------------------------------------------------------- CLIP's own BPE

def _clip_bpe():
    """(encode, special, size, fingerprint) of open_clip's SimpleTokenizer. A literal <end_of_text> is read as the words
    that it looks like: this vocabulary has no <unk>, and its padding, 0, is an ordinary token."""
    from open_clip.tokenizer import SimpleTokenizer, default_bpe
    bpe = SimpleTokenizer()
    names = re.compile("<(?=start_of_text>|end_of_text>)", re.IGNORECASE)
    bpe.clean_fn = functools.partial(_spaced, bpe.clean_fn, names)
    no_words = dict(bpe.cache)

    def encode(texts):
        if len(bpe.cache) > CLIP_WORDS:
            bpe.cache = dict(no_words)
        return map(bpe.encode, texts)

    with files.open_read(default_bpe()) as stream:
        fingerprint = hashlib.sha256(stream.read()).hexdigest()
    return encode, Special((bpe.sot_token_id,), bpe.eot_token_id, None, None), bpe.vocab_size, fingerprint


def _spaced(clean, names, text):
    return names.sub("< ", clean(text))         # where words end does not change: `<` and letters are two words anyway


# ---------------------------------------------------------------- tokenizer.json, by the library `tokenizers`

def _from_hub(name):
    import tokenizers
    try:
        return tokenizers.Tokenizer.from_pretrained(name).to_str().encode()
    except Exception as error:                  # of the library, the network or the Hub: it has no narrower class
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        program = shlex.quote("from transformers import AutoTokenizer; "        # a checkpoint may name anything
                              f"AutoTokenizer.from_pretrained({name!r}).save_pretrained('tokenizer')")
        raise Mc2Error(
            f"{name}: its tokenizer.json could not be fetched from the Hub ({reason}). Download it by hand and name "
            f"its path. Where a model has only a sentencepiece file (google/mt5-base), make one: python -c "
            f"{program}") from None


def _from_definition(name, definition):
    """(encode, special, size, size without sentinels at its end) of a tokenizer.json."""
    import tokenizers
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")    # the processes that read data share the cores already
    try:
        tokenizer = tokenizers.Tokenizer.from_buffer(definition)
    except Exception as error:                  # the library raises no narrower class
        raise BadData(f"{name}: is not a tokenizer.json ({error}).") from None
    content = json.loads(definition)
    if _growth(content.get("normalizer")) > MOST_GROWTH:
        raise BadData(f"{name}: its normalizer can make texts more than {MOST_GROWTH:,} times as long, which takes "
                      f"memory without end. Name the tokenizer that the model was made for.")
    padding = tokenizer.padding
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def encode(texts):
        return (encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False))

    vocab = tokenizer.get_vocab(with_added_tokens=True)
    size = 1 + max(vocab.values(), default=-1)
    words = 1 + max((number for token, number in vocab.items() if not SENTINEL.fullmatch(token)), default=-1)
    return encode, _special(tokenizer, padding, content["model"]), size, words


def _growth(normalizer):
    """How many times as long a normalizer of a tokenizer.json can make a text, by what it replaces."""
    normalizer = normalizer or {}
    if normalizer.get("type") == "Sequence":
        return math.prod(map(_growth, normalizer["normalizers"]))
    if normalizer.get("type") != "Replace":
        return 1
    may_be_empty = "Regex" in normalizer["pattern"]         # a match, between any two characters
    return max(1, len(normalizer["content"]) + may_be_empty)


def _special(tokenizer, padding, model):
    """The Special ids of a tokenizer: as its post-processor and its padding use them, else by the usual names. model: that
    of its definition"""
    before, after = around(tokenizer)
    pad = padding["pad_id"] if padding else _first(tokenizer, PAD_NAMES)
    return Special(before, after[0] if after else _first(tokenizer, EOS_NAMES), pad, _unk(tokenizer, model))


def around(tokenizer):
    """(ids before, ids after) that the post-processor adds to a text, two tuples."""
    encoding = tokenizer.encode("a")
    added = encoding.special_tokens_mask
    if 0 not in added:                          # "a" is no token of this vocabulary: the post-processor put every id
        encoding = tokenizer.encode(tokenizer.id_to_token(tokenizer.get_vocab_size() - 1) or "")
        added = encoding.special_tokens_mask
    if 0 not in added:
        return (), tuple(encoding.ids)
    last = len(added) - added[::-1].index(0)
    return tuple(encoding.ids[:added.index(0)]), tuple(encoding.ids[last:])


def _first(tokenizer, names):
    return next((found for name in names if (found := tokenizer.token_to_id(name)) is not None), None)


def _unk(tokenizer, model):
    if model.get("unk_id") is not None:         # Unigram
        return model["unk_id"]
    return _first(tokenizer, ([model["unk_token"]] if model.get("unk_token") else []) + list(UNK_NAMES))


# ---------------------------------------------------------------- does it fit?

def _check(tokenizer):
    """Raise BadData where tokenizer and model do not belong together."""
    name, special, text_cfg = tokenizer.name, tokenizer.special, tokenizer.text_cfg
    if special.eos is None:
        raise BadData(f"{name}: no token ends a text: the post-processor adds none, and none is called "
                      f"{', '.join(EOS_NAMES)}. Add one to the tokenizer.")
    _check_size(tokenizer)
    pool_type = text_cfg.get("pool_type", "argmax")
    if pool_type != "eos" and not (pool_type == "argmax" and special.eos == tokenizer.vocab_size - 1):
        raise BadData(f"{name}: the model's text_cfg.pool_type is \"{pool_type}\"; that finds the end of a text only "
                      f"where it is the highest id, but here it is {special.eos} of {tokenizer.vocab_size:,}. Set it "
                      f"to \"eos\", and text_cfg.eos_id to {special.eos}.")
    if pool_type == "eos":
        _check_id(name, "ends a text with", "eos_id", special.eos, text_cfg.get("eos_id", EOS_ID))
    if special.pad is not None:
        _check_id(name, "fills rows with", "pad_id", special.pad, text_cfg.get("pad_id", PAD_ID))
    if tokenizer.context_length < len(special.bos) + 2:
        raise BadData(f"{name}: text_cfg.context_length is {tokenizer.context_length}, which leaves no space for a "
                      f"text, with {len(special.bos)} token{'s' * (len(special.bos) != 1)} before it and one after it.")


def _check_size(tokenizer):
    size, vocab_size = tokenizer.vocab_size, tokenizer.text_cfg.get("vocab_size", VOCAB_SIZE)
    if tokenizer.words <= vocab_size < size + ROUNDED_UP:
        return
    wrong = "some ids would have no embedding" if size > vocab_size else "most likely it is not this model's"
    raise BadData(f"{tokenizer.name}: has {size:,} tokens, but the model's text_cfg.vocab_size is {vocab_size:,}: "
                  f"{wrong}. Set text_cfg.vocab_size to {size}, or name the tokenizer that the model was made for.")


def _check_id(name, does, key, found, expected):
    if found != expected:
        raise BadData(f"{name}: {does} id {found}, but the model's text_cfg.{key} is {expected}. Set text_cfg.{key} to "
                      f"{found}, or name the tokenizer that the model was made for.")


def _check_known(tokenizer):
    size, special = KNOWN.get(tokenizer.name, (tokenizer.vocab_size, tokenizer.special))
    if (tokenizer.vocab_size, tokenizer.special) != (size, special):
        raise BadData(f"{tokenizer.name}: what the Hub gave has {tokenizer.vocab_size:,} tokens, "
                      f"{_shown(tokenizer.special)}; expected were {size:,}, {_shown(special)}. Download the "
                      f"tokenizer.json that you mean and name its path.")


def _shown(special):
    return ", ".join(f"{key} {'none' if value in (None, ()) else value}" for key, value in special._asdict().items())
