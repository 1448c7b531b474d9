"""A tokenizer in the form of transformers' folders: tokenizer.json and tokenizer_config.json.

transformers and open_clip's HFTokenizer read both, and give the ids of mc2's tokenizers but in two things. Words of a
text that look like special tokens (`</s>`, `<unk>`) are split into pieces, where mc2 has the unknown token; without
split_special_tokens such a word would end the text in the middle. And CLIP's own BPE is not preceded by ftfy, which
mends texts in a wrong encoding, nor are HTML entities resolved. HFTokenizer does both before any tokenizer.
"""
import functools
import json
import os

from mc2.clip.tokenizers import around
from mc2.errors import BadData

DEFINITION, CONFIG = "tokenizer.json", "tokenizer_config.json"
# CLIP's own BPE; transformers has other names for its special tokens than open_clip
CLIP_NAMES = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
CLIP_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def write(tokenizer, folder):
    """Write the two files of an mc2.clip.tokenizers.Tokenizer into a folder. BadData where transformers could not use
    it."""
    special = tokenizer.special
    definition, made = (clip_definition(), _clip_bpe()) if tokenizer.definition is None else _definition(tokenizer)
    tokens = {"bos_token": special.bos[0] if special.bos else None, "eos_token": special.eos, "unk_token": special.unk,
              "pad_token": special.eos if special.pad is None else special.pad}
    named = {key: made.id_to_token(number) for key, number in tokens.items() if number is not None}
    if None in named.values():
        raise BadData(f"{tokenizer.name}: its special tokens have no names, so that transformers could not use it.")
    content = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": tokenizer.context_length,
               "padding_side": "right", "truncation_side": "right", "split_special_tokens": True,
               "model_input_names": ["input_ids", "attention_mask"], **named}
    for name, data in ((DEFINITION, definition), (CONFIG, (json.dumps(content, indent=2) + "\n").encode())):
        with open(os.path.join(folder, name), "wb") as stream:
            stream.write(data)


def _definition(tokenizer):
    """(bytes, tokenizers.Tokenizer): the definition with mc2's special tokens around a text. As it is, where it has
    these already and neither pads nor cuts texts."""
    from tokenizers import Tokenizer
    made = Tokenizer.from_buffer(tokenizer.definition)
    is_plain = made.padding is None and made.truncation is None
    if is_plain and around(made) == (tokenizer.special.bos, (tokenizer.special.eos,)):
        return tokenizer.definition, made
    made.no_padding()
    made.no_truncation()
    _surround(made, tokenizer.special.bos, tokenizer.special.eos)
    return made.to_str().encode(), made


def _surround(made, bos, eos):
    """Have a tokenizers.Tokenizer put these ids before a text and after it."""
    from tokenizers import processors
    before, end = [made.id_to_token(number) for number in bos], made.id_to_token(eos)
    made.post_processor = processors.TemplateProcessing(
        single=[*before, "$A", end], special_tokens=list({**dict(zip(before, bos)), end: eos}.items()))


@functools.cache
def clip_definition():
    """The tokenizer.json of CLIP's own BPE, bytes."""
    return _clip_bpe().to_str().encode()


def _clip_bpe():
    """CLIP's own BPE as a tokenizers.Tokenizer: the words and merges of open_clip's file, as transformers has them."""
    from open_clip.tokenizer import SimpleTokenizer
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    plain = SimpleTokenizer()
    vocab = {CLIP_NAMES.get(token, token): number for token, number in plain.encoder.items()}
    merges = sorted(plain.bpe_ranks, key=plain.bpe_ranks.get)
    made = Tokenizer(models.BPE(vocab, merges, end_of_word_suffix="</w>"))
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "),
                                            normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CLIP_WORDS), behavior="removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(list(CLIP_NAMES.values()))
    _surround(made, [plain.sot_token_id], plain.eot_token_id)
    return made
