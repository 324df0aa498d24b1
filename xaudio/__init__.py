"""xaudio: why did the network decide this way? Explanations of audio classifiers, to see and to hear."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import AudioError, DataError, DeviceError, ModelError, OutputError, PluginError, XaudioError, XaudioWarning
from .hookspecs import hookimpl
from .types import Axis, Clip, Fold, Sound

if TYPE_CHECKING:
    from .allocator import keep_large_buffers
    from .arguments import explainer_of
    from .attribution import attribute
    from .audio import read_audio, write_audio
    from .baselines import baseline_features, baseline_waveforms
    from .batching import in_batches
    from .classifier import Classifier, evaluation_mode, weights_digest
    from .clusters import cluster_explanations
    from .concept.finding import concepts
    from .concept.layers import find_layer
    from .concept.results import ConceptResults
    from .copies import plain_copy
    from .datasets import Recording, SpeakerDataset, open_dataset, speaker_folds
    from .devices import resolve_device
    from .doctor.diagnosis import diagnose
    from .doctor.findings import Diagnosis, Finding
    from .evaluation import Evaluation, evaluate
    from .experiment import Experiment, placed_waveforms, run_experiment
    from .explanation import Explanation
    from .figures import clean_texts, own_style, save_figure
    from .groups import group_relevance
    from .levels import heard_renderer, loudness, part_gain, reference_gain
    from .measuring import check_explanations
    from .modes import in_this_thread, own_hooks
    from .notebook import Explanations
    from .options import at_least, for_each, parse_spec, split_specs
    from .pages import data_address, read_results, write_page
    from .parallel import run_experiments
    from .perturbation import flipped_logits, logits_without, scaled_frequencies, tied
    from .pipeline import create, explain, load_model, names
    from .precision import count_operations, matrix_peak
    from .preparation import original_recording
    from .probability import log_odds, probabilities
    from .probes.results import ProbeResults
    from .probing import probe
    from .randomness import seeded_generator
    from .results import TrainingResult
    from .runs import cache_folder, read_json, refuse_other_settings, replaced, write_json, write_rows, write_run, write_text
    from .statistics import Interval, bootstrap_interval, ranks_with_ties
    from .sums import completeness, difference_from_baseline
    from .terminal import in_sight, progress
    from .truth import truth_domain, truth_mask

# Names whose modules take time to import (scipy, torch) are imported when they are first used.
_LAZY = {
    "Classifier": "classifier",
    "Diagnosis": "doctor.findings",
    "Finding": "doctor.findings",
    "Interval": "statistics",
    "diagnose": "doctor.diagnosis",
    "Evaluation": "evaluation",
    "Experiment": "experiment",
    "Explanation": "explanation",
    "Explanations": "notebook",
    "Recording": "datasets",
    "SpeakerDataset": "datasets",
    "speaker_folds": "datasets",
    "TrainingResult": "results",
    "check_explanations": "measuring",
    "clean_texts": "figures",
    "own_style": "figures",
    "save_figure": "figures",
    "create": "pipeline",
    "data_address": "pages",
    "evaluation_mode": "classifier",
    "cluster_explanations": "clusters",
    "concepts": "concept.finding",
    "plain_copy": "copies",
    "find_layer": "concept.layers",
    "ConceptResults": "concept.results",
    "group_relevance": "groups",
    "explain": "pipeline",
    "explainer_of": "arguments",
    "held_out": "splits",
    "in_this_thread": "modes",
    "own_hooks": "modes",
    "load_model": "pipeline",
    "names": "pipeline",
    "original_recording": "preparation",
    "attribute": "attribution",
    "baseline_features": "baselines",
    "baseline_waveforms": "baselines",
    "bootstrap_interval": "statistics",
    "cache_folder": "runs",
    "completeness": "sums",
    "count_operations": "precision",
    "difference_from_baseline": "sums",
    "evaluate": "evaluation",
    "flipped_logits": "perturbation",
    "in_batches": "batching",
    "in_sight": "terminal",
    "logits_without": "perturbation",
    "matrix_peak": "precision",
    "placed_waveforms": "experiment",
    "progress": "terminal",
    "ranks_with_ties": "statistics",
    "scaled_frequencies": "perturbation",
    "ProbeResults": "probes.results",
    "log_odds": "probability",
    "probabilities": "probability",
    "probe": "probing",
    "open_dataset": "datasets",
    "heard_renderer": "levels",
    "loudness": "levels",
    "part_gain": "levels",
    "reference_gain": "levels",
    "at_least": "options",
    "for_each": "options",
    "parse_spec": "options",
    "split_specs": "options",
    "tied": "perturbation",
    "truth_domain": "truth",
    "truth_mask": "truth",
    "read_audio": "audio",
    "read_json": "runs",
    "read_results": "pages",
    "resolve_device": "devices",
    "run_experiment": "experiment",
    "seeded_generator": "randomness",
    "run_experiments": "parallel",
    "write_audio": "audio",
    "write_json": "runs",
    "write_page": "pages",
    "write_rows": "runs",
    "write_run": "runs",
    "write_text": "runs",
    "refuse_other_settings": "runs",
    "replaced": "runs",
    "keep_large_buffers": "allocator",
    "weights_digest": "classifier",
}

__version__ = "0.1.0"
__all__ = [
    "AudioError",
    "Axis",
    "Classifier",
    "Clip",
    "ConceptResults",
    "DataError",
    "DeviceError",
    "Diagnosis",
    "Evaluation",
    "Experiment",
    "Explanation",
    "Explanations",
    "Finding",
    "Fold",
    "Interval",
    "ModelError",
    "OutputError",
    "PluginError",
    "ProbeResults",
    "Recording",
    "Sound",
    "SpeakerDataset",
    "TrainingResult",
    "XaudioError",
    "XaudioWarning",
    "at_least",
    "attribute",
    "baseline_features",
    "baseline_waveforms",
    "bootstrap_interval",
    "cache_folder",
    "check_explanations",
    "clean_texts",
    "cluster_explanations",
    "completeness",
    "concepts",
    "count_operations",
    "create",
    "data_address",
    "diagnose",
    "difference_from_baseline",
    "evaluate",
    "evaluation_mode",
    "explain",
    "explainer_of",
    "find_layer",
    "flipped_logits",
    "for_each",
    "group_relevance",
    "heard_renderer",
    "held_out",
    "hookimpl",
    "in_batches",
    "in_sight",
    "in_this_thread",
    "keep_large_buffers",
    "load_model",
    "log_odds",
    "logits_without",
    "loudness",
    "matrix_peak",
    "names",
    "open_dataset",
    "original_recording",
    "own_hooks",
    "own_style",
    "parse_spec",
    "part_gain",
    "placed_waveforms",
    "plain_copy",
    "probabilities",
    "probe",
    "progress",
    "ranks_with_ties",
    "read_audio",
    "read_json",
    "read_results",
    "reference_gain",
    "refuse_other_settings",
    "replaced",
    "resolve_device",
    "run_experiment",
    "run_experiments",
    "save_figure",
    "scaled_frequencies",
    "seeded_generator",
    "speaker_folds",
    "split_specs",
    "tied",
    "truth_domain",
    "truth_mask",
    "weights_digest",
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
