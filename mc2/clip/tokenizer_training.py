"""Train a tokenizer: byte-level BPE, so that every text of every script has tokens.

<s>, <pad>, </s> and <unk> are the tokens 0, 1, 2 and 3, as in XLM-V, and <s> is put before a text and </s> after it. Words
end at white space and punctuation; capitals are lowered, as CLIP does, unless `keep_case`.
"""
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
VOCAB_SIZE = 2048               # 4 special tokens, 256 bytes, and merges
LEAST = len(SPECIAL) + 256


def trained(texts, vocab_size=VOCAB_SIZE, keep_case=False):
    """The tokenizers.Tokenizer that texts (an iterable of str) give, with at most `vocab_size` tokens. Without any text its
    tokens are bytes alone."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    if not keep_case:
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
