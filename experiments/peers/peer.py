"""Train one model of MultiVae on the pairs and write the images that it is asked for.

Runs in the peers' own environment (requirements.txt): PyTorch and NumPy, nothing of this project.

    python peer.py MODEL --pairs pairs.npz --out FILE.npz (--epochs N | --seconds S) [--device cuda]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from multivae_models import OTHER, PEERS

Arrays = dict[str, np.ndarray]


def images_of(arrays: Arrays, part: str, device: str) -> dict[str, torch.Tensor]:
    """Images of "train" or "test" by side; both sides' are the same where the file has one set."""
    if part in arrays:
        return dict.fromkeys("xy", torch.from_numpy(arrays[part]).to(device))
    return {side: torch.from_numpy(arrays[f"{part}_{side}"]).to(device) for side in "xy"}


def train(peer: Any, arrays: Arrays, settings: dict[str, Any], limit: dict[str, Any]) -> Arrays:
    """Adam, its rate falling geometrically, until the epochs or seconds are used up.

    Returns:
        Epochs (a fraction where time ended one) and seconds of training.
    """
    rng = np.random.default_rng(settings["seed"])
    device, batch = settings["device"], settings["batch_size"]
    x, y = images_of(arrays, "train", device).values()
    index = torch.from_numpy(arrays["index"]).to(device)
    optimizer = torch.optim.Adam(peer.parameters(), lr=settings["rate_start"], fused=True)
    fall = settings["rate_end"] / settings["rate_start"]
    steps, per_epoch, begin = 0, max(1, len(index) // batch), time.perf_counter()

    def progress() -> float:
        if limit["seconds"]:
            return (time.perf_counter() - begin) / limit["seconds"]
        return steps / (per_epoch * limit["epochs"])

    while (done := progress()) < 1:
        if steps % per_epoch == 0:
            order = torch.from_numpy(rng.permutation(len(index))).to(device)
        start = steps % per_epoch * batch
        rows = index[order[start : start + batch]]
        for group in optimizer.param_groups:
            group["lr"] = settings["rate_start"] * fall**done
        loss = peer.loss(x[rows[:, 0]], y[rows[:, 1]], done)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        if steps % per_epoch == 0:
            print(f"epoch {steps // per_epoch}: {loss.item():.3f}", flush=True)
            # Looking at every step's would make a GPU wait; a loss that is not finite stays so.
            if not torch.isfinite(loss):
                break
    if not torch.isfinite(loss):
        sys.exit(f"the loss became {loss.item()} by step {steps}")
    return {"epochs": steps / per_epoch, "seconds": time.perf_counter() - begin}


def chunks(count: int) -> Iterator[slice]:
    """Slices of `count` rows, of 1,000 each."""
    return (slice(start, start + 1000) for start in range(0, count, 1000))


def pixels(logits: torch.Tensor) -> np.ndarray:
    """Images uint8 `(n, h, w, c)`: the means of the pixels' Bernoulli distributions."""
    return (255 * torch.sigmoid(logits)).round().to(torch.uint8).cpu().numpy()


@torch.no_grad()
def answer(peer: Any, arrays: Arrays, settings: dict[str, Any]) -> Arrays:
    """All that the evaluation asks for, by name: images, and means of latents to rank by."""
    test = images_of(arrays, "test", settings["device"])
    answers = {}
    for side, other in OTHER.items():

        def generate(rows: np.ndarray, given: str = other) -> np.ndarray:
            images = test[given][torch.from_numpy(rows)]
            parts = [pixels(peer.conditional(images[s], given)) for s in chunks(len(rows))]
            return np.concatenate(parts)

        diverse, samples = arrays[f"diverse_{side}"], settings["samples"]
        answers[f"conditional_{side}"] = generate(arrays[f"inputs_{side}"])
        many = generate(np.repeat(diverse, samples))
        answers[f"diverse_{side}"] = many.reshape(len(diverse), samples, *many.shape[1:])
        if "transfer" in peer.tasks and f"styles_{side}" in arrays:
            styles, concepts = arrays[f"styles_{side}"], arrays[f"concepts_{side}"]
            style = test[side][torch.from_numpy(np.repeat(styles, len(concepts)))]
            concept = test[other][torch.from_numpy(np.tile(concepts, len(styles)))]
            parts = [pixels(peer.transfer(style[s], concept[s], side)) for s in chunks(len(style))]
            made = np.concatenate(parts)
            answers[f"transfer_{side}"] = made.reshape(len(styles), len(concepts), *made.shape[1:])
        if settings.get("ranked") and "joint" in peer.tasks:
            answers[f"mean_{side}"] = peer.mean(test[side], side).cpu().numpy()
    if "joint" in peer.tasks:
        x, y = peer.joint(settings["pairs"])
        answers["joint_x"], answers["joint_y"] = pixels(x), pixels(y)
    return answers


def main() -> None:
    """Train, answer, and write the file whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=PEERS)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--epochs", type=int)
    budget.add_argument("--seconds", type=float)
    parser.add_argument("--device", default="cpu", help="of PyTorch: cpu or cuda")
    options = parser.parse_args()
    arrays = dict(np.load(options.pairs))
    settings = json.loads(str(arrays.pop("settings"))) | {"device": options.device}
    torch.manual_seed(settings["seed"])
    np.random.seed(settings["seed"])  # noqa: NPY002 - MultiVae draws from it
    shapes = {
        side: tuple(images.shape[1:]) for side, images in images_of(arrays, "train", "cpu").items()
    }
    peer = PEERS[options.model](options.model, shapes, settings["hidden"], options.device)
    limit = {"epochs": options.epochs, "seconds": options.seconds}
    spent = train(peer, arrays, settings, limit)
    # MultiVae makes some tensors where PyTorch's default is.
    with torch.device(options.device):
        answers = answer(peer, arrays, settings)
    parameters = sum(each.numel() for each in peer.parameters())
    facts = {**spent, "parameters": parameters, "tasks": peer.tasks}
    partial = options.out.with_name(f".{options.out.stem}.partial.npz")
    np.savez_compressed(partial, facts=np.array(json.dumps(facts)), **answers)
    os.replace(partial, options.out)


if __name__ == "__main__":
    main()
