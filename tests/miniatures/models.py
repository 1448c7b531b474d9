"""A model that takes milliseconds: open_clip's CLIP with random weights, as a run directory of mc2 train."""
import functools
import hashlib
import json

ARCHITECTURE = {
    "embed_dim": 16, "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"vocab_size": 259, "context_length": 32, "width": 32, "heads": 2, "layers": 1, "pool_type": "eos",
                 "eos_id": 2, "pad_id": 1},
}


def tokenizer_json():
    """A byte-level tokenizer without merges: 3 special tokens, 256 bytes."""
    import tokenizers
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: number for number, token in enumerate(["<unk>", "<pad>", "</s>", *alphabet])}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab, [], unk_token="<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.add_special_tokens(["<unk>", "<pad>", "</s>"])
    made.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return made.to_str()


def network(architecture=ARCHITECTURE, seed=0):
    return _network(json.dumps(architecture), seed)


@functools.cache
def _network(architecture, seed):
    import open_clip
    import torch
    torch.manual_seed(seed)
    return open_clip.model.CLIP(**json.loads(architecture), output_dict=True).eval()


def write_run(folder, architecture=ARCHITECTURE, seed=0):
    """A run directory with one checkpoint; returns its path."""
    from mc2.training import run_directory
    (folder / "run").mkdir(parents=True)
    (folder / "run/tokenizer.json").write_text(tokenizer_json(), "utf-8")
    run_directory.save(str(folder / "run"), {
        "step": 1, "seen_pairs": 64, "config": {"data": {}}, "data": [], "tallies": {},
        "models": [{"name": "student", "architecture": architecture, "tokenizer": "tokenizer.json",
                    "tokenizer_fingerprint": hashlib.sha256(tokenizer_json().encode()).hexdigest(),
                    "state": network(architecture, seed).state_dict(), "optimizer": None}]}, keep=1)
    return folder / "run"


def write_records(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")


# What the tests compare with: open_clip's transform, one image at a time; token ids spelled out.

def plain_images(paths, architecture=ARCHITECTURE, seed=0):
    """float32 (n, d), normalised. paths: of images, or PIL images."""
    import open_clip
    import torch
    from PIL import Image
    transform = open_clip.image_transform(architecture["vision_cfg"]["image_size"], is_train=False)
    pictures = (path if hasattr(path, "mode") else Image.open(path).convert("RGB") for path in paths)
    with torch.no_grad():
        rows = [network(architecture, seed).encode_image(transform(picture)[None])[0] for picture in pictures]
    return torch.nn.functional.normalize(torch.stack(rows), dim=-1).numpy()


class PlainTokenizer:
    """As open_clip's tokenizers are called: texts -> ids, a torch tensor."""

    def __call__(self, texts):
        import tokenizers
        import torch
        made, length = tokenizers.Tokenizer.from_str(tokenizer_json()), ARCHITECTURE["text_cfg"]["context_length"]
        rows = [made.encode(text, add_special_tokens=False).ids[:length - 1] + [2] for text in texts]
        return torch.tensor([row + [1] * (length - len(row)) for row in rows])


def plain_texts(texts, architecture=ARCHITECTURE, seed=0):
    """float32 (n, d), normalised."""
    import torch
    with torch.no_grad():
        rows = network(architecture, seed).encode_text(PlainTokenizer()(list(texts)))
    return torch.nn.functional.normalize(rows, dim=-1).numpy()


def plain_classes(classes, templates):
    """float32 (classes, d): classes are lists of names."""
    import numpy as np
    prompts = [[template.replace("{}", name) for name in names for template in templates] for names in classes]
    embeddings = iter(plain_texts(sum(prompts, [])))
    rows = np.stack([np.mean([next(embeddings) for _ in texts], axis=0) for texts in prompts])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
