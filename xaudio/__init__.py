"""xaudio: why did the network decide so about a sound? Explanations of audio classifiers, to see and to hear."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import AudioError, DataError, DeviceError, ModelError, OutputError, PluginError, XaudioError, XaudioWarning
from .hookspecs import hookimpl
from .types import Axis, Clip, Fold, Sound

if TYPE_CHECKING:
    from .arguments import explainer_of
    from .attribution import attribute
    from .audio import read_audio, write_audio
    from .baselines import baseline_features, baseline_waveforms
    from .classifier import Classifier
    from .datasets import Recording, SpeakerDataset, open_dataset, speaker_folds
    from .devices import resolve_device
    from .doctor.diagnosis import diagnose
    from .doctor.findings import Diagnosis, Finding
    from .experiment import Experiment, held_out, placed_waveforms, run_experiment
    from .explanation import Explanation
    from .options import parse_spec, split_specs
    from .pages import read_results, write_page
    from .parallel import run_experiments
    from .perturbation import flipped_logits, scaled_frequencies
    from .pipeline import create, explain, load_model, names
    from .precision import count_operations, matrix_peak
    from .results import TrainingResult
    from .runs import cache_folder, read_json, replaced, write_json, write_rows, write_run, write_text
    from .terminal import progress

# Names whose modules take time to import (scipy, torch) are imported when they are first used.
_LAZY = {
    "Classifier": "classifier",
    "Diagnosis": "doctor.findings",
    "Finding": "doctor.findings",
    "diagnose": "doctor.diagnosis",
    "Experiment": "experiment",
    "Explanation": "explanation",
    "Recording": "datasets",
    "SpeakerDataset": "datasets",
    "speaker_folds": "datasets",
    "TrainingResult": "results",
    "create": "pipeline",
    "explain": "pipeline",
    "explainer_of": "arguments",
    "held_out": "experiment",
    "load_model": "pipeline",
    "names": "pipeline",
    "attribute": "attribution",
    "baseline_features": "baselines",
    "baseline_waveforms": "baselines",
    "cache_folder": "runs",
    "count_operations": "precision",
    "flipped_logits": "perturbation",
    "matrix_peak": "precision",
    "placed_waveforms": "experiment",
    "progress": "terminal",
    "scaled_frequencies": "perturbation",
    "open_dataset": "datasets",
    "parse_spec": "options",
    "split_specs": "options",
    "read_audio": "audio",
    "read_json": "runs",
    "read_results": "pages",
    "resolve_device": "devices",
    "run_experiment": "experiment",
    "run_experiments": "parallel",
    "write_audio": "audio",
    "write_json": "runs",
    "write_page": "pages",
    "write_rows": "runs",
    "write_run": "runs",
    "write_text": "runs",
    "replaced": "runs",
}

__version__ = "0.1.0"
__all__ = [
    "AudioError",
    "Axis",
    "Classifier",
    "Clip",
    "DataError",
    "DeviceError",
    "Diagnosis",
    "Experiment",
    "Explanation",
    "Finding",
    "Fold",
    "ModelError",
    "OutputError",
    "PluginError",
    "Recording",
    "Sound",
    "SpeakerDataset",
    "TrainingResult",
    "XaudioError",
    "XaudioWarning",
    "attribute",
    "baseline_features",
    "baseline_waveforms",
    "cache_folder",
    "count_operations",
    "create",
    "diagnose",
    "explain",
    "explainer_of",
    "flipped_logits",
    "held_out",
    "hookimpl",
    "load_model",
    "matrix_peak",
    "names",
    "open_dataset",
    "parse_spec",
    "placed_waveforms",
    "progress",
    "read_audio",
    "read_json",
    "read_results",
    "replaced",
    "resolve_device",
    "run_experiment",
    "run_experiments",
    "scaled_frequencies",
    "speaker_folds",
    "split_specs",
    "write_audio",
    "write_json",
    "write_page",
    "write_rows",
    "write_run",
    "write_text",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
