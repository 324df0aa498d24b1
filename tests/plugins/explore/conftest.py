"""A small model of spoken digits, and what serves it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from torch import nn

import xaudio
from xaudio_explore import Explorer
from xaudio_explore.app import App
from xaudio_explore.explorer import wav_of
from xaudio_web import Gate, headers

TOKEN = "a-token-of-the-tests"
HOST = "127.0.0.1:8770"


@pytest.fixture(scope="session")
def digits():
    """Generated recordings of spoken digits."""
    return xaudio.open_dataset("synthetic:speakers=8,repetitions=1")


@pytest.fixture(scope="session")
def model(digits):
    """A network with random weights that tells frequencies apart, on the waveform of one second."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Conv1d(1, 8, 64, stride=16), nn.ReLU(), nn.AdaptiveAvgPool1d(8), nn.Flatten(), nn.Linear(64, 10)
    return xaudio.Model(nn.Sequential(*layers), xaudio.create("representation", "waveform"), digits.tasks["digit"], "digit")


@pytest.fixture
def explorer(model, digits):
    return Explorer(model, digits)


@pytest.fixture
def served(explorer):
    """The application with what a page sends: ``post``, ``get``, ``send``, and ``work`` for what takes long."""
    app = App(explorer, TOKEN)
    client = TestClient(
        Gate(app.app(), headers(microphone=True), {HOST}), base_url=f"http://{HOST}", raise_server_exceptions=False
    )
    own = {"Authorization": f"Bearer {TOKEN}"}

    def post(path, content, status=200):
        response = client.post(f"/api/{path}", json=content, headers=own)
        assert response.status_code == status, response.text
        return response.json()

    def get(path, status=200):
        response = client.get(f"/api/{path}", headers=own)
        assert response.status_code == status, response.text
        return response.json()

    def send(content, name="word.wav", status=200):
        response = client.post(
            "/api/clips", content=content, headers={**own, "Content-Type": "application/octet-stream", "X-Name": name}
        )
        assert response.status_code == status, response.text
        return response.json()

    def work(path, content):
        state = post(path, content)
        while "result" not in state and "error" not in state:
            state = get(f"jobs/{state['job']}")
        return state

    with client:
        yield SimpleNamespace(client=client, app=app, own=own, post=post, get=get, send=send, work=work)


@pytest.fixture
def word():
    """Half a second of two tones, 500 Hz and 2500 Hz, at 16 kHz, as a WAV file."""
    time = np.arange(8000) / 16000
    tones = 0.2 * np.sin(2 * np.pi * 500 * time) + 0.2 * np.sin(2 * np.pi * 2500 * time)
    return wav_of((tones * np.hanning(8000)).astype(np.float32), 16000)
