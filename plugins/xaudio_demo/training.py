"""Train the demo model anew: python -m xaudio_demo.training DATA --out FOLDER."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, nn

from xaudio import Model, create, open_dataset, save_model
from xaudio.plugin import Dataset, IntArray, parse_spec, write_json

from .measuring import logits_of, score, tests
from .scenes import Scenes
from .sounds import CLASSES, DIGITS, NO_DIGIT, RATE, WORDS, arabic, environment, fsdd, spoken

NETWORK = {"sample_rate": RATE, "bands": 40, "window": 0.032, "hop": 0.01, "width": 13, "dropout": 0.2}
PROVENANCE = {
    "what": "spoken English digits, and none of them; a log-mel-cnn of xaudio",
    "command": "python -m xaudio_demo.training DATA --out FOLDER",
    "trained_on": {
        "Free Spoken Digit Dataset, all speakers but two": "CC BY-SA 4.0, github.com/Jakobovski/free-spoken-digit-dataset",
        "digits and other words in voices of espeak-ng": "spoken by a program; its licence (GPL 3) does not cover what it says",
        "Arabic speech commands, the training part": "CC BY 4.0, A. Ghandoura et al.",
        "ESC-10, folds 1 to 3": "CC BY 3.0 or CC0, each recording by itself, K. J. Piczak and the authors named there",
    },
    "never_trained_on": "AudioMNIST, Speech Commands, folds 4 and 5 of ESC-10, the Arabic test speakers, two speakers of FSDD",
}
BATCH, LEARNING_RATE, WEIGHT_DECAY, WARMUP = 32, 3e-3, 0.05, 100


def untrained(seed: int) -> Model:
    """The model with weights that are drawn."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = create("model", "log-mel-cnn", classes=len(CLASSES), **NETWORK)
    name, options = parse_spec(f"{network.representation},samples={RATE},placement=centre")
    return Model(
        network,
        create("representation", name, **options),
        CLASSES,
        "digit",
        model_spec={"name": "log-mel-cnn", "options": NETWORK},
        representation_spec={"name": name, "options": options},
        facts={"fit": "loudest"},
    )


def train(model: Model, scenes: Scenes, steps: int, seed: int) -> None:
    """Train in place: AdamW, its rate falling to 0 along a cosine."""
    network = model.network.train()
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = LEARNING_RATE * min(1, (step + 1) / WARMUP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
            waveforms, classes = scenes.batch(step, BATCH)
            with torch.no_grad():
                features = partly_hidden(model.features(waveforms))
            loss = nn.functional.cross_entropy(network(features), classes)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            if (step + 1) % 100 == 0:
                print(f"step {step + 1} of {steps}: loss {loss.item():.3f}", flush=True)
    network.eval()


def partly_hidden(features: Tensor) -> Tensor:
    """Levels (batch, 1, bands, frames) of which a range of bands and one of frames, a sixth at most, are put to the mean, 0."""
    for axis in (2, 3):
        size = features.shape[axis]
        starts, lengths = torch.rand(2, len(features), 1) * torch.tensor([size, size / 6])[:, None, None]
        kept = (torch.arange(size) < starts) | (torch.arange(size) > starts + lengths)
        features = features * (kept[:, None, :, None] if axis == 2 else kept[:, None, None, :])
    return features


def calibrate(model: Model, logits: Tensor, classes: Tensor) -> float:
    """Divide the last layer by the temperature at which these logits are likeliest, which is returned."""
    temperatures = torch.logspace(-1, 1, 401)
    losses = [float(nn.functional.cross_entropy(logits / temperature, classes)) for temperature in temperatures]
    best = float(temperatures[int(np.argmin(losses))])
    with torch.no_grad():
        for parameter in model.network.classifier.parameters():  # type: ignore[union-attr]
            parameter /= best
    return best


def main(
    data: Annotated[
        Path,
        typer.Argument(help="Holds fsdd, esc10 and arabic-commands; for more tests audiomnist-en, speech-commands."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    steps: Annotated[int, typer.Option(help="Steps of the training.")] = 3500,
    voices: Annotated[int, typer.Option(help="Voices in which espeak-ng says each digit.")] = 150,
    calibrated_on: Annotated[str, typer.Option(help="Speaker of FSDD that sets the temperature.")] = "theo",
    tested_on: Annotated[str, typer.Option(help="Speaker of FSDD for the test.")] = "yweweler",
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
) -> None:
    """Train, calibrate and test the demo model."""
    start = time.process_time()
    digits = open_dataset("fsdd", data=data / "fsdd")
    held_out = [calibrated_on, tested_on]
    words = fsdd(data / "fsdd", set(digits.speakers) - set(held_out)) + arabic(data / "arabic-commands", "train")
    words += spoken(DIGITS, range(10), voices, seed) + spoken(known_words(), NO_DIGIT, max(1, voices // 12), seed)
    print(f"{len(words)} words, of which {int((words.classes != NO_DIGIT).sum())} are digits", flush=True)
    model = untrained(seed)
    train(model, Scenes(words, environment(data / "esc10", "123").waveforms, seed), steps, seed)
    speakers = {speaker: fsdd(data / "fsdd", [speaker]) for speaker in held_out}
    heard = speakers[calibrated_on] + environment(data / "esc10", "4")
    temperature = calibrate(model, logits_of(model, heard), torch.from_numpy(heard.classes))
    seconds = round(time.process_time() - start)
    scores = {}
    for name, sounds in tests(data, speakers, seed).items():
        scores[name] = score(model, sounds)
        print(f"{name}: {scores[name]}", flush=True)
    used = np.flatnonzero(np.array(digits.speakers) != tested_on)
    keep(model, out, digits, used)
    write_json(out / "provenance.json", {
        **PROVENANCE, "seed": seed, "steps": steps, "temperature": round(temperature, 3), "seconds": seconds, "scores": scores,
        "calibrated_on": calibrated_on, "tested_on": tested_on,
    })  # fmt: skip


def keep(model: Model, folder: Path, digits: Dataset, used: IntArray) -> None:
    """Save the model as a run folder that knows its recordings of FSDD, but not where they lay."""
    save_model(model, folder, trained_on=(digits, used.tolist()), fit="loudest")
    kept = Model.load(folder)
    facts = {name: value for name, value in kept.facts.items() if name not in ("run", "options")}
    replace(kept, facts={**facts, "options": {}}).save(folder)
    (folder / "run.json").unlink()


def known_words() -> list[str]:
    """The words that are no digits and are trained on."""
    return [word for index, word in enumerate(WORDS) if index % 5]


if __name__ == "__main__":
    typer.run(main)
