#!/usr/bin/env python3
"""Put the vision tower of an mc2 model into a multimodal language model, as LLaVA does, in small.

    mc2 checkpoint export run --format transformers -o hf
    python llava.py hf -o mllm          # half a minute on one core; the last lines are losses, which go down

The vision tower is that of the folder, and is frozen. The projector and a language model of 0.1 M parameters begin with
random weights. They learn to name the colour of a picture that the script draws. In earnest, take a trained language
model (README.md beside this file).
"""
import argparse

import numpy as np
import torch
from PIL import Image
from transformers import (AutoImageProcessor, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration,
                          MetaClip2VisionModel, logging)

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 200), "yellow": (220, 200, 40),
           "white": (235, 235, 235), "black": (20, 20, 20)}
WORDS = ["<pad>", "<image>", "<s>", "</s>", "which", "colour", "?", *COLOURS]
QUESTION = ["which", "colour", "?"]
NO_LOSS = -100                  # a label of a token that is given, not to be said
BATCH = 24


def main():
    given = arguments()
    torch.manual_seed(0)
    logging.set_verbosity_error()               # it would list the weights of the text tower, which are not needed
    logging.disable_progress_bar()
    model = llava(given.folder, given.layer)
    processor = AutoImageProcessor.from_pretrained(given.folder)
    batches = Batches(processor, patches_of(model), np.random.default_rng(0))
    projector = list(model.model.multi_modal_projector.parameters())
    # As LLaVA does: first the projector alone, so that images look like words; then the language model as well.
    train(model, batches, projector, given.steps // 4, "projector")
    both = [*projector, *model.model.language_model.parameters(), *model.lm_head.parameters()]
    train(model, batches, both, given.steps, "projector and language model")
    print(f"right answers: {right_answers(model, batches):.0%} (by chance {1 / len(COLOURS):.0%})")
    if given.output:
        model.save_pretrained(given.output)         # LlavaForConditionalGeneration.from_pretrained reads it
        processor.save_pretrained(given.output)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", help="of mc2 checkpoint export --format transformers")
    parser.add_argument("-o", "--output", help="a folder for the model")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--layer", type=int, default=-2, help="of the vision tower whose patches are taken; LLaVA: -2")
    return parser.parse_args()


def llava(folder, layer):
    """transformers' LLaVA with the vision tower of a folder, frozen; all else has random weights."""
    tower = MetaClip2VisionModel.from_pretrained(folder)
    # LLaVA makes its tower from a configuration, and has none for MetaClip2's. CLIP's vision tower is the same network;
    # only the towers of texts differ, so CLIPModel must not be used for the whole model.
    values = {key: value for key, value in tower.config.to_dict().items() if key not in ("model_type", "architectures")}
    text = LlamaConfig(vocab_size=len(WORDS), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                       num_attention_heads=4, num_key_value_heads=4, pad_token_id=0, bos_token_id=2, eos_token_id=3)
    model = LlavaForConditionalGeneration(LlavaConfig(
        vision_config=CLIPVisionConfig(**values), text_config=text, image_token_index=WORDS.index("<image>"),
        vision_feature_layer=layer, vision_feature_select_strategy="default"))      # patches, without the class token
    model.model.vision_tower.load_state_dict(tower.state_dict())        # every weight, or it fails
    model.model.vision_tower.requires_grad_(False)
    return model


def patches_of(model):
    """The number of tokens that an image takes in a text."""
    config = model.config.vision_config
    return (config.image_size // config.patch_size) ** 2


class Batches:
    """Pictures of one colour with a question, and the answer as the labels."""

    def __init__(self, processor, n_patches, draw):
        self.processor, self.n_patches, self.draw = processor, n_patches, draw

    def __call__(self):
        """{input_ids, attention_mask, labels: int64 (BATCH, tokens); pixel_values: float32 (BATCH, 3, S, S)}"""
        names = self.draw.choice(list(COLOURS), BATCH)
        pixels = self.processor(images=[self._picture(name) for name in names], return_tensors="pt")["pixel_values"]
        before = ["<s>", *["<image>"] * self.n_patches, *QUESTION]
        ids = torch.tensor([[WORDS.index(word) for word in (*before, name, "</s>")] for name in names])
        labels = ids.clone()
        labels[:, :len(before)] = NO_LOSS
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels, "pixel_values": pixels}

    def _picture(self, name):
        noise = self.draw.normal(0, 12, (48, 64, 3))
        return Image.fromarray(np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8))


def train(model, batches, weights, steps, what):
    optimizer = torch.optim.AdamW(weights, lr=3e-3)
    losses = []
    for _ in range(steps):
        loss = model(**batches()).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    print(f"{what}: loss {losses[0]:.3f} -> {np.mean(losses[-5:]):.3f} in {steps} steps")


@torch.no_grad()
def right_answers(model, batches):
    """The share of new pictures whose colour is the most probable next word."""
    batch = batches()
    answer = batch["input_ids"].shape[1] - 2
    logits = model(**batch).logits[:, answer - 1]       # what is said after the question
    return float((logits.argmax(dim=-1) == batch["input_ids"][:, answer]).float().mean())


if __name__ == "__main__":
    main()
