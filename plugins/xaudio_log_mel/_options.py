"""The options of both representations: types, bounds and words."""

from typing import Annotated, Literal

from annotated_types import Ge
from typing_extensions import Doc

from xaudio.plugin import Amount, Count, Placement, Positive, Share

Given = Literal["convention"]
"""The value that the convention gives the option."""

Convention = Annotated[
    Literal["librosa", "torchaudio", "huggingface", "whisper", "kaldi", "ast", "panns"],
    Doc("Whose formulas and defaults are taken: the value of every option that is left at 'convention'."),
]
SampleRate = Annotated[Count | Given, Doc("In Hz.")]
Samples = Annotated[
    Count | Given | None,
    Doc("Length of the waveforms, with zeros around shorter recordings; none, as in most conventions, is any."),
]
Place = Annotated[Placement | Given, Doc("Where a shorter recording lies within the zeros.")]
Transform = Annotated[Annotated[int, Ge(2)] | Given, Doc("Length of the Fourier transform in samples.")]
Window = Annotated[
    str, Doc("Of scipy.signal.get_window, such as hann or hamming, with parameters as in kaiser+8.6; or povey, as Kaldi has it.")
]
Periodic = Annotated[bool | Given, Doc("Whether the window is one period; else it is symmetric.")]
WindowLength = Annotated[Count | Given | None, Doc("In samples, at most n_fft; none is n_fft.")]
Hop = Annotated[Count | Given | None, Doc("Samples from one frame to the next; none is half a window.")]
Padding = Annotated[
    Literal["reflect", "zero", "edge"] | Given | None,
    Doc("What stands before and behind the recording, so that frames are centred at multiples of hop; none begins inside of it."),
]
Bands = Annotated[Count | Given, Doc("How many mel bands.")]
Lowest = Annotated[Amount | Given, Doc("Lower end of the first band in Hz.")]
Highest = Annotated[Positive | Given | None, Doc("Upper end of the last band in Hz; none is half the sample rate.")]
Scale = Annotated[
    Literal["slaney", "htk", "kaldi"] | Given, Doc("The mel scale; kaldi is that of HTK with triangles in mel, not in Hz.")
]
Norm = Annotated[
    Literal["slaney"] | Given | None, Doc("slaney divides each band by half its width in Hz; none leaves peaks of 1.")
]
Power = Annotated[Literal[1, 2] | Given, Doc("1 sums magnitudes in each band, 2 powers.")]
Levels = Annotated[
    Literal["dB", "log", "log10", "linear"] | Given, Doc("What is given of a band: decibels, a logarithm, or itself.")
]
Offset = Annotated[Amount | Given, Doc("Added before the logarithm.")]
Floor = Annotated[Amount | Given, Doc("Least value before the logarithm; with 0, what is 0 stays 0.")]
Reference = Annotated[Positive | Literal["max"] | Given, Doc("What is level 0: a value, or the recording's largest.")]
TopDb = Annotated[
    Positive | Given | None, Doc("Levels further below the recording's loudest than so many dB are raised to that.")
]
Normalisation = Annotated[
    Literal["recording", "band"] | Given | None,
    Doc("To mean 0 and variance 1, over each recording, or each of its rows; by the variance of all plus 1e-7."),
]
Mean = Annotated[float | Given, Doc("Subtracted from all levels: a number that was fixed in training.")]
Std = Annotated[Positive | Given, Doc("All levels, less mean, are divided by it.")]
Preemphasis = Annotated[Share | Given, Doc("Share of the sample before that is subtracted from each; 0 leaves the sound.")]
PreemphasisOf = Annotated[Literal["recording", "frame"] | Given, Doc("Where preemphasis begins anew.")]
RemoveDc = Annotated[bool | Given, Doc("Subtract each frame's mean.")]
Gain = Annotated[Positive | Given, Doc("The waveform is multiplied by it first; 32768 for the scale of 16-bit integers.")]
DropLast = Annotated[bool | Given, Doc("Leave out the last frame.")]
Order = Annotated[
    Literal["frequency_time", "time_frequency"], Doc("Order of the two axes: (batch, 1, bands, frames), or frames before bands.")
]
Coefficients = Annotated[Count | Given, Doc("How many coefficients are kept.")]
First = Annotated[Annotated[int, Ge(0)], Doc("First coefficient that is kept; 1 leaves out that of the level.")]
Orthonormal = Annotated[bool, Doc("Whether the cosine transform (DCT-II) is orthonormal; else as scipy.fft.dct without norm.")]
Lifter = Annotated[
    Amount | Given,
    Doc("Coefficient n is multiplied by 1 + L/2 sin(pi (n + 1) / L), with n instead of n + 1 in Kaldi; 0 leaves them."),
]
Channels = Annotated[Count, Doc("Of a recording that the model reads, each by itself; one is a recording mixed down.")]
