"""The tokenizer that a model was trained with: found, or compared with the one that is given in its stead. Another one
would give wrong features without any error, so it is refused."""
import hashlib
import os

from mc2.clip import tokenizers
from mc2.clip.tokenizers import CLIP_BPE, CONTEXT_LENGTH, KNOWN, VOCAB_SIZE
from mc2.errors import BadData, BadUsage


def of_checkpoint(given, held, path, is_first, name):
    """(Tokenizer, notes) of a model in a checkpoint. BadData where it is not the one that it was trained with.

    given: a name or file, or None; held: the checkpoint's entry of the model; path: of the checkpoint; is_first:
    whether it is the checkpoint's first model; name: the model's, for messages.
    """
    said, text_cfg = held["tokenizer"], _text_cfg(held["architecture"], held["tokenizer"])
    kept = _kept_beside(path, held, is_first)
    if not (given or kept) and not os.path.isabs(said) and (os.path.exists(said) or not _is_on_hub(said)):
        raise BadUsage(f"{name}: its tokenizer ({said}) is not kept beside it. Put the run's tokenizer.json there, or "
                       "give it with --tokenizer FILE.")
    chosen = given or kept or said
    tokenizer = tokenizers.load(chosen, text_cfg)
    if chosen == said == CLIP_BPE:
        return tokenizer, []
    trained = {held["tokenizer_fingerprint"]} if held.get("tokenizer_fingerprint") \
        else _fingerprints(tokenizers.load(kept, text_cfg)) if given and kept else None
    if trained and tokenizer.fingerprint not in trained and not _fingerprints(tokenizer) & trained:
        raise _another(chosen, name, said,
                       "Leave --tokenizer out." if given and kept else "Give that one with --tokenizer FILE.")
    return tokenizer, [] if trained or not given else [_not_compared(given, said)]


def of_configuration(given, own, config, name):
    """(Tokenizer, notes) of a model. BadData where the one given cannot be its own.

    given, own: a name or file; config: of open_clip's form; name: the model's, for messages.
    """
    text_cfg = _text_cfg(config, own)
    tokenizer = tokenizers.load(given, text_cfg)
    if given == own:
        return tokenizer, []
    at_hand = own if own == CLIP_BPE or os.path.isfile(own) else _from_cache_of_hub(own)
    if at_hand is None:
        return tokenizer, [_not_compared(given, own)]
    if not _fingerprints(tokenizers.load(at_hand, text_cfg)) & _fingerprints(tokenizer):
        raise _another(given, name, own, "Leave --tokenizer out.")
    return tokenizer, []


def by_vocabulary(config):
    """CLIP's own BPE where the model has as many token embeddings as that has tokens, else None."""
    return CLIP_BPE if config["text_cfg"].get("vocab_size", VOCAB_SIZE) == VOCAB_SIZE else None


def _kept_beside(path, held, is_first):
    """The definition that the run keeps, run/tokenizer.json or run/tokenizer-NAME.json, or one beside the checkpoint;
    None where there is none."""
    if held["tokenizer"] == CLIP_BPE:
        return CLIP_BPE
    folder = os.path.dirname(path)
    name = "tokenizer.json" if is_first else f"tokenizer-{held['name']}.json"
    run = [os.path.dirname(folder)] if os.path.basename(folder) == "checkpoints" else []
    return next((file for parent in (*run, folder) if os.path.isfile(file := os.path.join(parent, name))), None)


def _text_cfg(config, own):
    """A model's text_cfg, with the pad_id that open_clip leaves out where its causal mask hides it."""
    text_cfg = {"context_length": CONTEXT_LENGTH, "vocab_size": VOCAB_SIZE, **config["text_cfg"]}
    if "pad_id" not in text_cfg and own in KNOWN:
        text_cfg["pad_id"] = KNOWN[own][1].pad
    return text_cfg


def _is_on_hub(name):
    return not name.endswith(".json") and not name.startswith((".", "/")) and name.count("/") <= 1


def _from_cache_of_hub(name):
    """The path of the tokenizer.json that was fetched from the Hub before, or None."""
    try:
        import huggingface_hub
        found = huggingface_hub.try_to_load_from_cache(name, "tokenizer.json")
    except (ImportError, ValueError):           # ValueError: no name of the Hub
        return None
    return found if isinstance(found, str) else None


def _fingerprints(tokenizer):
    """A set: of the definition as it is, and as the library writes it, which is how one from the Hub is kept."""
    if getattr(tokenizer, "definition", None) is None:
        return {tokenizer.fingerprint}
    from tokenizers import Tokenizer
    written = Tokenizer.from_buffer(tokenizer.definition).to_str().encode()
    return {tokenizer.fingerprint, hashlib.sha256(written).hexdigest()}


def _another(given, name, own, hint):
    return BadData(f"{given}: is another tokenizer than {name} was trained with ({own}): its ids would mean other "
                   f"words. {hint}")


def _not_compared(given, own):
    return (f"{given}: could not be compared with the tokenizer that the model was trained with ({own}), which is not "
            "at hand. With another one every score is wrong.")
