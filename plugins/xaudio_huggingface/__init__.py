"""Models of Hugging Face: objects of transformers with their feature extractors, pipelines, and folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xaudio.plugin import hookimpl

from ._library import is_of_library


def huggingface(*, path: Path, classes: tuple[str, ...] = ()) -> Any:
    """A model of transformers in a folder, with its feature extractor, as save_pretrained writes them.

    Audio classification, frame classification, x-vectors, CTC and CLAP's audio embedding. Nothing is downloaded.

    Parameters
    ----------
    path : path
        The folder.
    classes : tuple of str
        Other names of the outputs, separated by '+'; of CLAP texts, one of which describes the sound.
    """
    from xaudio.plugin import class_names

    from ._folders import read_folder

    model = read_folder(path)
    return model.renamed(class_names(classes), None) if classes else model


def features(*, extractor: str = '{"feature_extractor_type": "Wav2Vec2FeatureExtractor"}', samples: int | None = None) -> Any:
    """What a feature extractor of transformers gives, differentiable: the normalised waveform, or levels in mel bands.

    Parameters
    ----------
    extractor : str
        The folder that holds it, or its preprocessor_config.json as text; by default that of wav2vec 2.0.
    samples : int
        Of a recording; by default one second, or what comes nearest to it.
    """
    from ._remembering import remembered

    return remembered(extractor, samples)


@hookimpl
def xaudio_representations() -> Mapping[str, Any]:
    """Offer what feature extractors give."""
    return {"huggingface": features}


@hookimpl
def xaudio_loaders() -> Mapping[str, Any]:
    """Offer folders."""
    return {"huggingface": huggingface}


@hookimpl
def xaudio_adapt(model: Any, feature_extractor: Any) -> Any:
    """Take models of transformers, modules with a feature extractor of transformers, and pipelines."""
    if is_of_library(model, "Pipeline"):
        from ._adapter import of_pipeline

        return of_pipeline(model, feature_extractor)
    mixins = ("FeatureExtractionMixin", "ProcessorMixin")
    if is_of_library(model, "PreTrainedModel") or any(is_of_library(feature_extractor, mixin) for mixin in mixins):
        from ._adapter import adapted

        return adapted(model, feature_extractor)
    return None
