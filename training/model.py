"""Model: a small network that corrects the lane table, for three quantiles and being late.

Its last layer starts at zero, so untrained it answers exactly what the lane table answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from training.artifact import CLIP, DELAY_SCALE, LAYERS, Tensors, forward, lane_base
from training.dataset import Part
from twin.features import FEATURES
from twin.forecast import QUANTILES

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


class QuantileNet(nn.Module):
    """(n, f) standardised inputs and (n, 4) base -> (n, 4): three delays in days, late log-odds.

    `training.artifact.forward` is the same network in numpy; a test keeps them equal.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        sizes = [len(FEATURES)] + [hidden] * (LAYERS - 1) + [4]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False))
        self.drop = nn.Dropout(0.2)
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]  # modules are typed as tensors
        nn.init.zeros_(self.layers[-1].bias)  # type: ignore[arg-type]  # the same

    def forward(self, inputs: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
        hidden = inputs
        for layer in self.layers[:-1]:
            hidden = self.drop(relu(layer(hidden)))
        change = self.layers[-1](hidden)
        return torch.cat(
            (base[:, :3] + DELAY_SCALE * change[:, :3], base[:, 3:] + change[:, 3:]), 1
        )


def loss_of(answers: torch.Tensor, delays: torch.Tensor, late: torch.Tensor) -> torch.Tensor:
    """Pinball loss in days, summed over QUANTILES, plus cross-entropy of being late.

    Pinball: Koenker and Bassett (1978), max(q e, (q - 1) e) of the error e = delay - answer.
    """
    shares = torch.tensor(QUANTILES, dtype=answers.dtype, device=answers.device)
    error = delays[:, None] - answers[:, :3]
    pinball = torch.maximum(shares * error, (shares - 1) * error).mean(0).sum()
    return pinball + 2.0 * binary_cross_entropy_with_logits(answers[:, 3], late)


def standard(inputs: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    """Mean and scale per feature over what is known; 0 and 1 where nothing is."""
    known = ~np.isnan(inputs)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, inputs, 0.0).sum(0) / count
    spread = np.sqrt((np.where(known, inputs - mean, 0.0) ** 2).sum(0) / count)
    return {
        "inputs.mean": mean.astype(np.float32),
        "inputs.scale": np.where(spread > 1e-6, spread, 1.0).astype(np.float32),
    }


def prepare(
    inputs: npt.NDArray[np.float32], scaling: Tensors, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised inputs, and what the network starts from."""
    scaled = (inputs - scaling["inputs.mean"]) / scaling["inputs.scale"]
    scaled = np.clip(np.nan_to_num(scaled, nan=0.0), -CLIP, CLIP)
    return torch.from_numpy(scaled).to(device), torch.from_numpy(lane_base(inputs)).to(device)


def merged(members: Sequence[Tensors]) -> dict[str, npt.NDArray[np.float32]]:
    """One wider network that answers the mean of its members (before sorting and the sigmoid)."""
    first, last = members[0], LAYERS - 1
    whole = {name: first[name] for name in ("inputs.mean", "inputs.scale")}
    for layer in range(LAYERS):
        name = f"layers.{layer}"
        weights = [member[f"{name}.weight"] for member in members]
        biases = [member[f"{name}.bias"] for member in members]
        if layer == 0:
            weight = np.concatenate(weights)
        elif layer < last:
            weight = _blocks(weights)
        else:
            weight = np.concatenate(weights, axis=1) / np.float32(len(members))
        bias = np.concatenate(biases) if layer < last else np.mean(biases, axis=0)
        whole[f"{name}.weight"], whole[f"{name}.bias"] = weight, bias.astype(np.float32)
    return whole


def _blocks(weights: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    size = len(weights[0])
    whole = np.zeros((size * len(weights), size * len(weights)), dtype=np.float32)
    for place, weight in enumerate(weights):
        here = slice(place * size, (place + 1) * size)
        whole[here, here] = weight
    return whole


def shrunk(tensors: Tensors, part: Part) -> Tensors:
    """Each answer drawn back towards the lane table by the share that `part` likes best.

    The last layer is linear, so a share of an answer's correction is that share of its weights.
    The regime of a lane changes by the year: a correction that does not carry over to rows after
    those it was learned from is worth less than none.
    """
    if not len(part.delays):
        return tensors
    scaled = dict(tensors)
    names = [f"layers.{LAYERS - 1}.{kind}" for kind in ("weight", "bias")]
    shares = np.ones(4, dtype=np.float32)
    for answer in range(4):
        losses = []
        for share in SHARES:
            only = np.zeros(4, dtype=np.float32)
            only[answer] = share
            scaled.update({name: (tensors[name].T * only).T for name in names})
            losses.append(_head_loss(forward(scaled, part.inputs)[:, answer], part, answer))
        shares[answer] = SHARES[int(np.argmin(losses))]
    scaled.update({name: (tensors[name].T * shares).T for name in names})
    return scaled


def _head_loss(answers: npt.NDArray[np.float32], part: Part, answer: int) -> float:
    if answer < len(QUANTILES):
        error, share = part.delays - answers, QUANTILES[answer]
        return float(np.maximum(share * error, (share - 1) * error).mean())
    chance = np.clip(answers, 1e-4, 1 - 1e-4)
    return -float(np.where(part.late > 0, np.log(chance), np.log(1 - chance)).mean())


def tensors_of(net: QuantileNet, scaling: Tensors) -> dict[str, npt.NDArray[np.float32]]:
    """Everything `training.artifact.forward` needs, in its names."""
    weights = {
        name: value.detach().cpu().numpy().copy() for name, value in net.state_dict().items()
    }
    return {**weights, **scaling}
