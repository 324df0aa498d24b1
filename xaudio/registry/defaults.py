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

PICTURE = "visual"
SOUND = "audible"
PAGE = "html"
RENDERERS = (PICTURE, SOUND, PAGE)

DATASET = "audiomnist"
DATASET_WITH_OPTIONS = "synthetic:speakers=40"
DATASET_OF_FILES = "fsdd:data=FOLDER"
DATASET_WITH_TRUTH = "truth"
MODEL_WITH_OPTIONS = "audionet:pool1=paper"

EVALUATION = "explainers"
"""The benchmark that ``xaudio evaluate`` runs on one model."""
