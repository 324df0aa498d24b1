"""The plugins that are taken where none is named, and those that help and messages name as examples.

Nowhere else does the core know a plugin by its name.
"""

from __future__ import annotations

EXPLAINER = "lrp"
EXPLAINER_WITH_OPTIONS = "lrp:composite=epsilon"

CONTROLS = ("amplitude", "random")
"""Explainers that know nothing of the model, which every comparison of explanations holds beside it."""

QUICKEST = "amplitude"
"""The explainer that is asked first: it costs no more than the prediction, which decides what can be measured."""

SLOPE = "gradient"
"""The explainer by which metrics are checked, where it is installed."""

WITHOUT_RULES = ("deep_lift", "integrated_gradients")
"""Explainers that need no rule for each layer: first for activations, then for any operation."""

SUMS_TO_DIFFERENCE = ("integrated_gradients", "kernel_shap")
"""Explainers whose relevance sums to the difference from a baseline in any model."""

RAW = "raw"
"""What a function of sound reads."""

PICTURE = "visual"
SOUND = "audible"
PAGE = "html"
EXPLORING = "explore"
"""What serves the page of `xaudio.explore`."""
RENDERERS = (PICTURE, SOUND, PAGE)

DATASET = "audiomnist"
DATASET_WITH_OPTIONS = "synthetic:speakers=40"
DATASET_OF_A_FOLDER = "folder"
"""What a folder is taken for that has the layout of no other data set."""
DATASET_OF_FILES = "fsdd:data=FOLDER"
DATASET_WITH_TRUTH = "truth"
LOADER_WITH_OPTIONS = "torchscript:path=model.pt"
MODEL_WITH_OPTIONS = "audionet:pool1=paper"
MODEL_OF_ANY_RATE = "log-mel-cnn"
"""A model with the option ``sample_rate``."""

EVALUATION = "explainers"
"""The benchmark that ``xaudio evaluate`` runs on one model."""

ENGINE = "local"
"""Where ``--workers`` run: processes of this machine."""
ENGINE_WITH_OPTIONS = "ray:workers=8"
