"""State dicts in open_clip's layout, and whether they are those of a network."""
import torch

from mc2.clip import checkpoints, torch_files
from mc2.clip.model import build
from mc2.errors import BadData, BadUsage

PREFIXES = ("module.", "_orig_mod.")            # of DistributedDataParallel and torch.compile
# Tensors of some files that are no weights of a CLIP: the causal mask and sizes, which follow from the architecture;
# the bias of a sigmoid loss, which is added to all logits and so changes no softmax.
NO_WEIGHTS = {"attn_mask", "input_resolution", "context_length", "vocab_size", "logit_bias"}


def read_into(network, path):
    """Load a file of weights of open_clip or Meta into a network. BadUsage, BadData."""
    import open_clip
    state = torch_files.read(path)
    if checkpoints.is_checkpoint(state):
        raise BadUsage(f"{path}: is a checkpoint of mc2 train, which says itself what model it is: --model {path}.")
    state = open_clip.factory.convert_state_dict(network, stripped(state, path))
    if "positional_embedding" in state and not hasattr(network, "positional_embedding"):
        state = open_clip.convert_to_custom_text_state_dict(state)
    own = network.state_dict()
    state = {name: value for name, value in state.items() if name in own or name not in NO_WEIGHTS}
    if "logit_scale" in state and state["logit_scale"].numel() == 1:
        state["logit_scale"] = state["logit_scale"].reshape(network.logit_scale.shape)
    fill(network, state, path)


def without_buffers(state):
    """(the state dict without tensors that are no weights, their names, sorted), logit_scale as a scalar."""
    left = {name: value for name, value in state.items() if name not in NO_WEIGHTS}
    if "logit_scale" in left and left["logit_scale"].numel() == 1:
        left["logit_scale"] = left["logit_scale"].reshape(())       # (1,) in some versions
    return left, sorted(state.keys() & NO_WEIGHTS)


def fill(network, state, path):
    """Load a state dict into a network: all weights of it and no others. BadData names those that do not fit."""
    if problems := differences(state, {name: value.shape for name, value in network.state_dict().items()}):
        raise BadData(f"{path}: these weights are of another architecture: {problems}.")
    network.load_state_dict(state)


def stripped(state, source):
    """{name: tensor}: the state dict in the content of a file, its names without prefixes. BadUsage, BadData."""
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if checkpoints.is_checkpoint(state):
        raise BadUsage(f"{source}: is a checkpoint of mc2 train already.")
    if not isinstance(state, dict) or not any(map(torch.is_tensor, state.values())):
        raise BadData(f"{source}: holds no state dict, neither at the top nor under `state_dict` or `model`.")
    found = {_plain(name): value for name, value in state.items() if torch.is_tensor(value)}
    if "text.token_embedding.weight" in found:              # open_clip's CustomTextCLIP has a text tower of its own
        found = {name.removeprefix("text."): value for name, value in found.items()}
    return found


def _plain(name):
    while name.startswith(PREFIXES):
        name = name.split(".", 1)[1]
    return name


def expected_shapes(config):
    """{name of a weight: shape} of an architecture, in open_clip's order; no weight is made. BadData"""
    try:
        with torch.device("meta"):
            state = build(config, device="meta").state_dict()
    except (RuntimeError, OverflowError) as error:      # sizes whose product is no number of 64 bits
        raise BadData(f"no network of its configuration can be made ({str(error).splitlines()[0][:100]}).") from None
    return {name: tuple(weight.shape) for name, weight in state.items()}


def differences(state, expected):
    """A text for people: which weights of {name: shape} the state dict lacks, has too many or in another shape; empty
    where there are none."""
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    misshapen = [f"{name} is {_size(state[name].shape)}, not {_size(shape)}" for name, shape in expected.items()
                 if name in state and tuple(state[name].shape) != tuple(shape)]
    return ", ".join(f"{len(names):,} {what} ({'; '.join(names[:3])}{'; ...' if len(names) > 3 else ''})"
                     for what, names in (("missing", missing), ("unexpected", unexpected),
                                         ("of another shape", misshapen)) if names)


def _size(shape):
    return " x ".join(map(str, shape)) or "a scalar"
