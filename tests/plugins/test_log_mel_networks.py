"""Networks that others trained read our representations by options alone: their features, and their answers."""

import json

import numpy as np
import pytest
import soxr
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from xaudio import Clip, explain, read_audio

HONK = (
    "mfcc:sample_rate=16000,samples=16000,n_fft=480,hop=160,bands=40,fmin=20,fmax=4000,levels=log,floor=0,top_db=none,"
    "coefficients=40"
)


class HonkCnn(nn.Module):
    """Frames before coefficients, with a channel."""

    representation = HONK + ",order=time_frequency"

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 64, (20, 8)), nn.Conv2d(64, 64, (10, 4))
        self.pool, self.dropout, self.output = nn.MaxPool2d(2), nn.Dropout(0.5), nn.Linear(26624, 12)

    def forward(self, features):
        features = self.pool(self.dropout(functional.relu(self.conv1(features))))
        return self.output(self.dropout(functional.relu(self.conv2(features))).flatten(1))


class HonkRes8Narrow(nn.Module):
    """Residuals that are added before they are normalised."""

    representation = HONK + ",order=time_frequency"

    def __init__(self):
        super().__init__()
        self.conv0, self.pool, self.output = nn.Conv2d(1, 19, 3, padding=1, bias=False), nn.AvgPool2d((4, 3)), nn.Linear(19, 12)
        for number in range(1, 7):
            self.add_module(f"conv{number}", nn.Conv2d(19, 19, 3, padding=1, bias=False))
            self.add_module(f"bn{number}", nn.BatchNorm2d(19, affine=False))

    def forward(self, features):
        features = earlier = self.pool(functional.relu(self.conv0(features)))
        for number in range(1, 7):
            features = functional.relu(getattr(self, f"conv{number}")(features))
            if number % 2 == 0:
                features = earlier = features + earlier
            features = getattr(self, f"bn{number}")(features)
        return self.output(features.flatten(2).mean(2))


class LstmWords(nn.Module):
    """Twelve coefficients a frame, any number of frames."""

    representation = "mfcc:sample_rate=16000,coefficients=12,order=time_frequency"

    def __init__(self):
        super().__init__()
        self.lstm, self.fc = nn.LSTM(12, 64, 3, batch_first=True), nn.Linear(64, 35)

    def forward(self, features):
        return self.fc(self.lstm(features[:, 0])[0][:, -1])


class Inspektral(nn.Module):
    """Three convolutions on coefficients."""

    representation = "mfcc:convention=torchaudio,coefficients=20,samples=16000"

    def __init__(self):
        super().__init__()
        for number, (inputs, outputs) in enumerate([(1, 4), (4, 8), (8, 16)], 1):
            self.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, 3, padding=1))
            self.add_module(f"bn{number}", nn.BatchNorm2d(outputs))
        self.fc = nn.Linear(320, 10)

    def forward(self, features):
        for number in (1, 2, 3):
            features = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(features))
            features = functional.max_pool2d(functional.relu(features), 2)
        return self.fc(features.flatten(1))


class Makowski(nn.Module):
    """Four convolutions on linear mel powers, and a softmax inside."""

    representation = "log_mel:convention=torchaudio,sample_rate=48000,samples=48000,n_fft=1024,hop=512,bands=64,levels=linear"

    def __init__(self):
        super().__init__()
        for number, (inputs, outputs) in enumerate([(1, 16), (16, 32), (32, 64), (64, 128)], 1):
            layers = nn.Conv2d(inputs, outputs, 3, padding=2), nn.ReLU(), nn.MaxPool2d(2)
            self.add_module(f"conv{number}", nn.Sequential(*layers))
        self.linear = nn.Linear(4480, 10)

    def forward(self, features):
        for number in (1, 2, 3, 4):
            features = getattr(self, f"conv{number}")(features)
        return functional.softmax(self.linear(features.flatten(1)), 1)


NETWORKS = {
    "honk_cnn": HonkCnn,
    "honk_res8_narrow": HonkRes8Narrow,
    "lstm_words": LstmWords,
    "audiomnist_inspektral": Inspektral,
    "audiomnist_makowski": Makowski,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_features_and_answers_are_those_of_its_authors(name, real_data):
    folder = real_data("..") / "models" / name
    if not folder.exists():
        pytest.skip(f"there is no model {name} beside the recordings")
    facts = json.loads((folder / "facts.json").read_text())
    network = NETWORKS[name]()
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    expected = load_file(folder / "expected.safetensors")
    for number, recording in enumerate(facts["expected"]):
        clip = read_audio(real_data(recording["recording"]))
        if name == "audiomnist_inspektral":  # whose authors' resampler differs from ours at the ends
            clip = Clip(soxr.resample(clip.waveform, clip.sample_rate, 16000), 16000)
        samples = f",samples={len(clip.waveform)}" if name == "lstm_words" else ""
        explanation = explain(
            network.eval(),
            clip,
            representation=network.representation + samples,
            explainer="gradient",
            classes=facts["labels"],
            placement="start",
        )
        features, answer = (expected[f"{what}_{number}"].numpy() for what in ("features", "output"))
        np.testing.assert_allclose(explanation.features[0], features.reshape(features.shape[-2:]), rtol=1e-5, atol=3e-3)
        # What a network squashes itself is explained before it is squashed.
        said = explanation.probabilities if name == "audiomnist_makowski" else explanation.logits
        np.testing.assert_allclose(said, answer[0], rtol=1e-3, atol=1e-3)
        assert explanation.classes[explanation.predicted] == recording["answer"]
