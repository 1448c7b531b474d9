"""mc2 tokenizer"""
import itertools
import time

import click

from mc2 import options
from mc2.terminal import say


@click.command()
@options.inputs
@click.option("-o", "--output", required=True, metavar="FILE", help="The tokenizer.json.")
@click.option("--vocab-size", type=click.IntRange(260), default=2048, show_default=True, metavar="N",
              help="Tokens, at most: 4 special ones, 256 bytes, and what texts have in common.")
@click.option("--keep-case", is_flag=True, help="Tell capitals from small letters. Default: all are lowered.")
@click.option("--matched", is_flag=True, help="Only texts that matched an entry: file names and numbers would fill the "
                                              "vocabulary otherwise.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N texts.")
@options.quiet
@options.receipt
@options.verbose
@click.pass_context
def tokenizer(ctx, inputs, output, vocab_size, keep_case, matched, limit, quiet):
    """Train a tokenizer from texts: files of pairs, tars, or .txt files with a text per line.

    Byte-level BPE with <s> 0, <pad> 1, </s> 2 and <unk> 3, as in XLM-V. A model has as many token embeddings as its
    tokenizer has tokens: text_cfg.vocab_size of its configuration. Needs the extra [train].

    \b
    mc2 tokenizer matched/*.jsonl.zst --matched -o tokenizer.json
    mc2 tokenizer tars/*.tar -o tokenizer.json --vocab-size 8000
    """
    from mc2 import extras, files, manifests
    from mc2.clip.tokenizer_training import trained
    from mc2.errors import BadData
    from mc2.execution import receipt
    from mc2.execution.run import begin
    from mc2.training import texts
    inputs = options.pair_inputs(ctx, inputs, None)
    extras.need("train", "tokenizers")
    files.refuse_unwritable(output, parquet=False)
    begin([output], inputs)
    started, count = time.monotonic(), itertools.count()
    found = (text for text, _ in zip(itertools.islice(texts.of_files(inputs, matched), limit), count))
    made = trained(found, vocab_size, keep_case)
    n_texts, n_tokens = next(count), made.get_vocab_size()
    if not n_texts:
        raise BadData(f"{', '.join(map(files.name_of, inputs[:3]))}: no texts"
                      + (" that matched an entry." if matched else
                         ". Name the files of pairs of these images, tars with captions, or a .txt with a text per line."))
    files.write_bytes(output, made.to_str().encode())
    seconds = time.monotonic() - started
    if files.is_kept(output):
        manifests.write_for_file(output, manifests.describe_run(
            "tokenizer", inputs, {"vocab_size": vocab_size, "keep_case": keep_case, "matched": matched, "limit": limit},
            {"in": n_texts, "tokens": n_tokens}, seconds))
    if n_tokens < vocab_size and not quiet:
        say(f"note: {n_tokens:,} tokens, not {vocab_size:,}: there is no more that these texts have in common. Set "
            f"text_cfg.vocab_size of the model to {n_tokens}.")
    receipt.write("tokenizer", f"{n_texts:,} texts in, {n_tokens:,} tokens", {"in": n_texts, "tokens": n_tokens}, output,
                  seconds, quiet)
