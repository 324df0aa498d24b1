"""Differentiable twins of the feature extractors of transformers: what each computes, read from the extractor's attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from xaudio.plugin import Length, ModelError

from ._levels import LogMel, as_tensor, mel_centres
from ._spectra import Spectra
from ._twin import NormalisedWaveform, Twin

KALDI_FLOOR, KALDI_EMPHASIS, KALDI_FRAME, KALDI_HOP, KALDI_BINS = 1.192092955078125e-07, 0.97, 400, 160, 512


class _Kaldi(LogMel):
    """Frames of 25 ms every 10 ms, each with its mean taken off and pre-emphasis, in bands from 20 Hz."""

    shape: ClassVar[str]
    floor = KALDI_FLOOR

    def _length(self) -> Length:
        return Length(None, KALDI_FRAME, None)

    def _filters(self) -> Any:
        """The extractor's, or, where it uses torchaudio and has none, the same ones."""
        from transformers.audio_utils import mel_filter_bank

        own = getattr(self.extractor, "mel_filters", None)
        return (
            mel_filter_bank(
                num_frequency_bins=KALDI_BINS // 2 + 1,
                num_mel_filters=self.extractor.num_mel_bins,
                min_frequency=20,
                max_frequency=self.sample_rate // 2,
                sampling_rate=self.sample_rate,
                norm=None,
                mel_scale="kaldi",
                triangularize_in_mel_space=True,
            )
            if own is None
            else own
        )

    def _spectra(self) -> Spectra:
        from transformers.audio_utils import window_function

        window = getattr(self.extractor, "window", None)
        shaped = window_function(KALDI_FRAME, self.shape, periodic=False) if window is None else window
        return Spectra(as_tensor(shaped), KALDI_HOP, KALDI_BINS, as_tensor(self._filters()), kaldi=KALDI_EMPHASIS)

    def _bands(self) -> np.ndarray[Any, Any]:
        return mel_centres(20, self.sample_rate // 2, self.extractor.num_mel_bins, "kaldi")


class Ast(_Kaldi):
    """Padded with 0 before it is normalised, or cut, to a fixed number of frames."""

    of, shape = "ASTFeatureExtractor", "hann"

    @property
    def window(self) -> int:
        """All its frames."""
        return KALDI_FRAME + KALDI_HOP * (int(self.extractor.max_length) - 1)

    def _sound(self, waveforms: Tensor) -> Tensor:
        return waveforms[:, : self.window]

    def _frames(self, kept: int) -> int:
        return int(self.extractor.max_length)

    def _finished(self, levels: Tensor) -> Tensor:
        padded = functional.pad(levels, (0, self.extractor.max_length - self.kept))
        return (padded - self.extractor.mean) / (2 * self.extractor.std) if self.extractor.do_normalize else padded

    def arguments(self, features: Tensor) -> dict[str, Tensor]:
        """Frames (batch, frames, bands)."""
        return {"input_values": features[:, 0].transpose(1, 2)}


class SeamlessM4T(_Kaldi):
    """Normalised in each band, recording by recording; the model reads several frames as one."""

    of, shape = "SeamlessM4TFeatureExtractor", "povey"

    def _length(self) -> Length:
        return Length(None, KALDI_FRAME + KALDI_HOP * (max(2, int(self.extractor.stride)) - 1), None)

    def _sound(self, waveforms: Tensor) -> Tensor:
        return waveforms * 2**15

    def _unrepeated(self, sound: Tensor) -> Tensor:
        return super()._unrepeated(sound) / 2**15

    def _finished(self, levels: Tensor) -> Tensor:
        return (levels - levels.mean(2, keepdim=True)) / self._spread(levels)

    def _spread(self, levels: Tensor) -> Tensor:
        return (levels.var(2, keepdim=True) + 1e-7).sqrt()

    def frames(self, features: Tensor) -> tuple[int, int]:
        """Stacked ones; the last is masked where it is not full."""
        count, stride = int(features.shape[-1]), int(self.extractor.stride)
        return (count + count % 2) // stride, count // stride

    def arguments(self, features: Tensor) -> dict[str, Tensor]:
        """Frames (batch, frames // stride, bands * stride); an odd one is padded, and what is padded is masked."""
        frames, stride = features[:, 0].transpose(1, 2), self.extractor.stride
        count = frames.shape[1]
        even = count + count % 2
        padded = functional.pad(frames, (0, 0, 0, even - count), value=self.extractor.padding_value)
        read = even // stride
        stacked = {"input_features": padded[:, : read * stride].reshape(len(frames), read, -1)}
        if stride == 1:  # the extractor gives no mask then
            return stacked
        mask = (torch.arange(read * stride, device=frames.device) < count).reshape(read, stride)[:, 1]
        return stacked if bool(mask.all()) else {**stacked, "attention_mask": mask.int().expand(len(frames), -1)}


class Whisper(LogMel):
    """Padded with zeros, or cut, to 30 s; at most 80 dB below the loudest cell, which counts as a constant."""

    of, scale, unit = "WhisperFeatureExtractor", "log10", "40 dB, 0 for power 1e-4"

    @property
    def window(self) -> int:
        """As many seconds as it is told."""
        return int(self.extractor.n_samples)

    def _spectra(self) -> Spectra:
        own = self.extractor
        if getattr(own, "dither", 0.0):
            raise ModelError(f"The {self._name} adds noise (dither={own.dither}), other noise each time: set dither to 0.")
        window = torch.hann_window(own.n_fft, dtype=torch.float64)
        return Spectra(window, own.hop_length, own.n_fft, as_tensor(own.mel_filters), "reflect")

    def _bands(self) -> np.ndarray[Any, Any]:
        return mel_centres(0, 8000, self.extractor.feature_size, "slaney")

    def _sound(self, waveforms: Tensor) -> Tensor:
        own = self.extractor
        missing = max(0, own.n_samples - waveforms.shape[1])
        return functional.pad(waveforms, (0, missing), value=own.padding_value)[:, : own.n_samples]

    def _kept(self, frames: int) -> int:
        return frames - 1

    def _finished(self, levels: Tensor) -> Tensor:
        loudest = levels.detach().amax((1, 2), keepdim=True)
        return (torch.maximum(levels, loudest - 8.0) + 4.0) / 4.0

    def arguments(self, features: Tensor) -> dict[str, Tensor]:
        """Levels (batch, bands, frames)."""
        return {"input_features": features[:, 0]}


class Clap(LogMel):
    """Decibels of 10 s; shorter recordings are repeated or padded, longer ones have no answer, since the extractor draws."""

    of, scale, unit = "ClapFeatureExtractor", "dB", "dB"

    @property
    def window(self) -> int:
        """As many seconds as it is told."""
        return int(self.extractor.nb_max_samples)

    @property
    def _sounding(self) -> int:
        return self.samples * self._repeats()

    @property
    def _filling(self) -> str:  # type: ignore[override]
        return "repetition" if self._repeats() > 1 else "padding"

    def _length(self) -> Length:
        return Length(None, 1, int(self.extractor.nb_max_samples))

    def _spectra(self) -> Spectra:
        own = self.extractor
        filters = own.mel_filters if own.truncation == "fusion" else own.mel_filters_slaney
        window = torch.hann_window(own.fft_window_size, dtype=torch.float64)
        return Spectra(window, own.hop_length, own.fft_window_size, as_tensor(filters), "reflect")

    def _bands(self) -> np.ndarray[Any, Any]:
        own = self.extractor
        scale = "htk" if own.truncation == "fusion" else "slaney"
        return mel_centres(own.frequency_min, own.frequency_max, own.feature_size, scale)

    def _repeats(self) -> int:
        if self.extractor.padding not in ("repeat", "repeatpad"):
            return 1
        most = int(self.extractor.nb_max_samples)
        return most // self.samples + int(self.extractor.padding == "repeat" and self.samples < most)

    def _sound(self, waveforms: Tensor) -> Tensor:
        most = self.extractor.nb_max_samples
        repeated = waveforms.repeat(1, self._repeats())[:, :most]
        return functional.pad(repeated, (0, most - repeated.shape[1]))

    def _unrepeated(self, sound: Tensor) -> Tensor:
        """The mean of the repetitions."""
        used = min(self._repeats() * self.samples, sound.shape[1])
        count = -(-used // self.samples)
        folded = functional.pad(sound[:, :used], (0, count * self.samples - used)).reshape(len(sound), count, self.samples)
        times = functional.pad(torch.ones(used), (0, count * self.samples - used)).reshape(count, self.samples).sum(0)
        return folded.sum(1) / times.to(sound)

    def arguments(self, features: Tensor) -> dict[str, Tensor]:
        """Levels (batch, views, frames, bands): four equal ones where the model fuses views, as of a recording alone."""
        fuses = self.extractor.truncation == "fusion"
        levels = features.transpose(2, 3).expand(-1, 4 if fuses else 1, -1, -1)
        longer = torch.full((len(features), 1), fuses, dtype=torch.bool, device=features.device)
        return {"input_features": levels, "is_longer": longer}


class Parakeet(LogMel):
    """Normalised in each band, recording by recording; the last frame is masked."""

    of = "ParakeetFeatureExtractor"

    def _length(self) -> Length:
        return Length(None, 2 * int(self.extractor.hop_length), None)

    def _spectra(self) -> Spectra:
        own = self.extractor
        before = (own.n_fft - own.win_length) // 2
        window = torch.hann_window(own.win_length, periodic=False, dtype=torch.float64)
        framed = functional.pad(window, (before, own.n_fft - own.win_length - before))
        return Spectra(framed, own.hop_length, own.n_fft, as_tensor(own.mel_filters).T, "constant", emphasis=own.preemphasis)

    def _bands(self) -> np.ndarray[Any, Any]:
        return mel_centres(0, self.sample_rate / 2, self.extractor.feature_size, "slaney")

    def _kept(self, frames: int) -> int:
        return self.samples // int(self.extractor.hop_length)

    def _logarithm(self, power: Tensor) -> Tensor:
        return (power + 2**-24).log()

    def _finished(self, levels: Tensor) -> Tensor:
        return (levels - levels.mean(2, keepdim=True)) / self._spread(levels)

    def _spread(self, levels: Tensor) -> Tensor:
        return levels.std(2, keepdim=True) + 1e-5

    def frames(self, features: Tensor) -> tuple[int, int]:
        """The last is masked."""
        return int(features.shape[-1]) + 1, int(features.shape[-1])

    def arguments(self, features: Tensor) -> dict[str, Tensor]:
        """Frames (batch, frames + 1, bands), of which the last is 0 and masked."""
        frames = functional.pad(features[:, 0].transpose(1, 2), (0, 0, 0, 1))
        heard = torch.arange(frames.shape[1], device=frames.device) < frames.shape[1] - 1
        return {"input_features": frames, "attention_mask": heard.expand(len(frames), -1)}


TWINS = {twin.of: twin for twin in (NormalisedWaveform, Ast, SeamlessM4T, Whisper, Clap, Parakeet)}


def twin_of(extractor: Any, least: Callable[[Twin], int] = lambda twin: 1) -> Twin:
    """The twin of a feature extractor, compared with it on noise.

    Parameters
    ----------
    extractor : transformers.SequenceFeatureExtractor
    least : callable
        The fewest samples that the model takes, given the twin.

    Raises
    ------
    ModelError
        If it is of a kind that is not known, or computes something else than its kind does.
    """
    kinds = [TWINS[base.__name__] for base in type(extractor).__mro__ if base.__name__ in TWINS]
    if not kinds:
        raise ModelError(
            f"The feature extractor {type(extractor).__name__} is of an unknown kind (known: {', '.join(TWINS)}): give a "
            "representation that computes the same, so that the model can be explained down to its features."
        )
    twin = kinds[0](extractor)
    twin = kinds[0](extractor, least=least(twin))
    noise = torch.randn(1, twin.samples, generator=torch.Generator().manual_seed(0)) / 10
    twin.check(noise)
    return twin
