"""Train the demo's tokenizer: byte-level BPE on the texts of matched pairs.

    python train_tokenizer.py out/matched -o out/tokenizer.json

Takes two seconds. Every text has tokens, whatever its script; <s>, <pad>, </s> and <unk> are the tokens 0, 1, 2
and 3, as in XLM-V, and <s> is put before a text and </s> after it. It learns from texts that matched an entry alone,
because file names and numbers would fill the vocabulary otherwise.
"""
import argparse
import glob
import os
import time

import orjson
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from mc2 import files

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
VOCAB_SIZE = 2048               # 4 special tokens, 256 bytes, and merges


def texts_of(directory):
    """The texts of all pairs that matched an entry."""
    for path in sorted(glob.glob(os.path.join(directory, "*.jsonl.zst"))):
        for _, line in files.read_lines(path):
            pair = orjson.loads(line)
            if pair["matched_entry_ids"]:
                yield pair["text"]


def trained(texts, vocab_size=VOCAB_SIZE):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([         # ByteLevel's own pattern cuts Thai and Hindi at vowels
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(),
        pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(token, SPECIAL.index(token)) for token in ("<s>", "</s>")])
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pairs", metavar="DIR", help="directory of matched pairs")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="tokenizer.json to write")
    parser.add_argument("--vocab-size", type=int, default=VOCAB_SIZE, metavar="N", help="tokens [%(default)s]")
    options = parser.parse_args()
    start = time.time()
    tokenizer = trained(texts_of(options.pairs), options.vocab_size)
    files.write_bytes(options.output, tokenizer.to_str().encode())
    print(f"train_tokenizer: {tokenizer.get_vocab_size():,} tokens -> {options.output} ({time.time() - start:.1f} s)")


if __name__ == "__main__":
    main()
