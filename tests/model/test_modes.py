"""Modes of torch that others have set, formats of weights, compiled and quantised models, seeds, and threads."""

import threading
import warnings
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache

import numpy as np
import pytest
import torch
from sweeps import sweep
from torch import nn

import xaudio
import xaudio.plugin
from xaudio.model.precision import float32_products
from xaudio.registry.loading import registry
from xaudio.registry.options import options_of

SAMPLES = 2000
SOUND = (0.2 * np.random.default_rng(0).standard_normal(SAMPLES)).astype(np.float32)
FEW = {"samples": 20, "masks": 6, "steps": 4, "slots": 4, "permutations": 2, "bands": 4}
EXPLAINERS = [
    "amplitude",
    "audiolime",
    "band_occlusion",
    "deep_lift",
    "feature_ablation",
    "freqrise",
    "grad_cam",
    "gradient",
    "gradient_shap:baseline=noise_floor",
    "guided_backprop",
    "input_x_gradient",
    "integrated_gradients",
    "kernel_shap",
    "lime",
    "lrp",
    "lrp:engine=zennit",
    "occlusion",
    "random",
    "saliency",
    "shapley_value_sampling",
    "slot_occlusion:baseline=noise_floor",
    "smooth_grad",
]
"""Every installed explainer (a test sees to that), those that draw baselines with one."""

QUICK = ["deep_lift", "freqrise", "gradient", "lime", "lrp", "lrp:engine=zennit"]
EACH = sweep(EXPLAINERS, quick=QUICK)


def network(gain=1.0):
    torch.manual_seed(1)
    layers = nn.Conv1d(1, 4, 33, stride=8, padding=16), nn.ReLU(), nn.Conv1d(4, 4, 5, padding=2), nn.ReLU(), nn.Dropout(0.5)
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(1000, 3)).eval()
    with torch.no_grad():
        model[6].weight.mul_(gain)
    return model


def explain(model, spec, sound=SOUND, **options):
    name = spec.partition(":")[0]
    known = options_of(registry().factory("explainer", name))
    few = {option: value for option, value in FEW.items() if option in known and (option != "bands" or name == "band_occlusion")}
    read = xaudio.create("representation", "waveform", sample_rate=8000, samples=SAMPLES, normalisation="none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xaudio.XaudioWarning)
        return xaudio.explain(
            model,
            sound,
            **{"sample_rate": 8000, "representation": read, "explainer": spec, "target": 0, "device": "cpu", **few, **options},
        )


@cache
def plainly_explained(spec, gain=1.0):
    """What each test is held against: the network in float32, no mode set, no thread beside it."""
    return explain(network(gain), spec)


def rounding(spec, relevance, threads=1):
    """What the order of summation may change, which is another with more threads.

    FreqRISE weighs differences of scores that lie 64 times closer to each other here than to 0.
    """
    return 1e-6 * np.abs(relevance).max() * (64 if spec == "freqrise" and threads > 1 else 1)


def state_of(model):
    """All that an explanation may have left behind."""
    return (
        [module.training for module in model.modules()],
        [tensor.requires_grad for tensor in model.parameters()],
        [tensor.grad is None for tensor in model.parameters()],
        [len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks) for module in model.modules()],
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_anomaly_enabled(),
        torch.get_float32_matmul_precision(),
        torch.random.get_rng_state().tolist(),
    )


@contextmanager
def set_for_a_while(write, value, before):
    write(value)
    try:
        yield
    finally:
        write(before)


MODES = {
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "autocast to half": lambda: torch.autocast("cpu", dtype=torch.float16),
    "double": lambda: set_for_a_while(torch.set_default_dtype, torch.float64, torch.float32),
    "bfloat16": lambda: set_for_a_while(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "another device": lambda: torch.device("meta"),
    "deterministic": lambda: set_for_a_while(torch.use_deterministic_algorithms, True, False),
    "anomaly": lambda: torch.autograd.set_detect_anomaly(True),
    "coarse products": lambda: set_for_a_while(torch.set_float32_matmul_precision, "medium", "highest"),
    "two threads": lambda: set_for_a_while(torch.set_num_threads, 2, 1),
}


def test_every_explainer_is_here():
    assert {spec.partition(":")[0] for spec in EXPLAINERS} == set(xaudio.names("explainer"))


IN_MODES = [(spec, mode) for spec in EXPLAINERS for mode in MODES]
IN_THREADS = ("gradient", "lrp")
"""Explainers that the quick loop asks with two threads, which get in each other's way beside other work."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize(
    ("spec", "mode"), sweep(IN_MODES, [(s, m) for s, m in IN_MODES if s in (IN_THREADS if m == "two threads" else QUICK)])
)
def test_a_mode_of_torch_changes_no_number_and_is_left_on(spec, mode):
    expected = plainly_explained(spec)
    model = network().train()
    with MODES[mode]():
        before = state_of(model)
        found = explain(model, spec)
        assert state_of(model) == before
    assert found.relevance.dtype == np.float32
    rounded = rounding(spec, expected.relevance, threads=2 if mode == "two threads" else 1)
    np.testing.assert_allclose(found.relevance, expected.relevance, rtol=1e-4, atol=rounded)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bfloat16", "half", "mixed", "inference", "frozen", "compiled", "compiled part"])
@pytest.mark.parametrize("spec", EACH)
def test_whatever_its_weights_are_a_model_is_explained_as_in_float32(spec, kind):
    given, rounded = network(), None
    if kind == "bfloat16":
        given, rounded = given.bfloat16(), network().bfloat16().float()
    elif kind == "half":
        given, rounded = given.half(), network().half().float()
    elif kind == "mixed":
        given[2].bfloat16()
        rounded = network()
        rounded[2].bfloat16().float()
    elif kind == "inference":
        with torch.inference_mode():
            given = network()
    elif kind == "frozen":
        given.requires_grad_(False)
    elif kind == "compiled":
        given = torch.compile(given, backend="eager")
    else:
        given[2] = torch.compile(given[2], backend="eager")
    before = [(tensor.dtype, tensor.requires_grad) for tensor in given.parameters()]
    expected, found = plainly_explained(spec) if rounded is None else explain(rounded, spec), explain(given, spec)
    assert [(tensor.dtype, tensor.requires_grad) for tensor in given.parameters()] == before
    np.testing.assert_allclose(found.relevance, expected.relevance, rtol=1e-4, atol=1e-6 * np.abs(expected.relevance).max())
    if kind in ("bfloat16", "half"):
        assert any("computed in float32" in note for note in found.clip.notes)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["whole", "layer", "inner"])
def test_nothing_is_compiled_to_explain_or_to_measure(part):
    """Compiling anew for gradients, hooks and batches of other sizes takes a minute, in which nothing would be said."""
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    given = network()
    if part == "layer":
        given[2] = torch.compile(given[2], backend=backend)
    else:
        given = torch.compile(given, backend=backend)
    model = nn.Sequential(given) if part == "inner" else given
    explanations = [explain(model, spec) for spec in ("lrp", "gradient", "deep_lift", "feature_ablation")]
    read = xaudio.create("representation", "waveform", sample_rate=8000, samples=SAMPLES, normalisation="none")
    xaudio.create("metric", "deletion_auc", steps=4)(xaudio.Model(model, read, ("0", "1", "2")), explanations[:1])
    assert not compiled
    model(torch.zeros(1, 1, SAMPLES))
    assert compiled  # it is as it was


class Casting(nn.Module):
    """Computes in bfloat16 by itself, as models do that switch autocast on in their forward."""

    def __init__(self):
        super().__init__()
        self.inner = network(20)

    def forward(self, features):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.inner(features)


class Weighted(torch.Tensor):
    """A weight that keeps integers and gives numbers only when it is used, as quantisation libraries have it."""

    @staticmethod
    def __new__(cls, integers, scale):
        made = torch.Tensor._make_wrapper_subclass(cls, integers.shape, dtype=torch.float32)
        made.integers, made.scale = integers, scale
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return Weighted(args[0].integers, args[0].scale)
        plain = [part.integers.float() * part.scale if isinstance(part, Weighted) else part for part in args]
        return func(*plain, **(kwargs or {}))


def quantised(kind):
    model = network(20)
    if kind == "casting":
        return Casting().eval()
    if kind == "weights of integers":
        weight = model[6].weight.detach()
        scale = float(weight.abs().max() / 127)
        model[6].weight = nn.Parameter(Weighted((weight / scale).round().to(torch.int8), scale), requires_grad=False)
        return model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "dynamic":
            return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
        stubs = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
        static = nn.Sequential(stubs[0], *model, stubs[1]).eval()
        static.qconfig = torch.ao.quantization.default_qconfig
        torch.ao.quantization.prepare(static, inplace=True)
        static(torch.from_numpy(SOUND)[None, None])
        return torch.ao.quantization.convert(static, inplace=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["casting", "weights of integers", "dynamic", "static"])
@pytest.mark.parametrize("spec", EACH)
def test_a_quantised_model_is_explained_about_as_the_plain_one_or_refused_in_one_line(spec, kind):
    try:
        found = explain(quantised(kind), spec)
    except xaudio.ModelError as error:
        assert "\n" not in str(error)
        assert not spec.startswith(("feature_ablation", "kernel_shap", "occlusion", "shapley", "slot", "band", "lime", "audio"))
        return
    expected = plainly_explained(spec, 20)
    # Rectified gradients flip where an activation crosses 0, so that single cells may differ.
    both = np.corrcoef(found.relevance.ravel(), expected.relevance.ravel())[0, 1]
    assert both > 0.9, both
    assert found.relevance.any()


@pytest.mark.parametrize("seed", [np.int64(3), np.uint64(2**63), -1, 2**32 + 1, 2**63 + 1, 2**70, -(2**70)])
@pytest.mark.parametrize(
    "spec", ["gradient_shap:baseline=noise_floor", "random", "lime", "smooth_grad", "freqrise", "kernel_shap"]
)
def test_seeds_of_any_size_are_taken_or_refused_in_one_line(spec, seed, tmp_path):
    found = explain(network(), f"{spec}{',' if ':' in spec else ':'}seed={seed}")
    again = explain(network(), spec, seed=seed) if seed >= 0 else found
    assert np.array_equal(found.relevance, again.relevance)
    again.save(tmp_path / "e.safetensors")


@pytest.mark.parametrize("size", [np.int64(2), np.int32(2), 2])
def test_numpy_integers_are_batch_sizes(size):
    expected = explain(network(), "integrated_gradients", internal_batch_size=2)
    found = explain(network(), "integrated_gradients", batch_size=size, internal_batch_size=size)
    np.testing.assert_allclose(found.relevance, expected.relevance, rtol=1e-5)


LAZY = {
    "negated": lambda: torch._neg_view(torch.from_numpy(-SOUND)),
    "imaginary part of a conjugate": lambda: torch.complex(torch.zeros(SAMPLES), torch.from_numpy(-SOUND)).conj().imag,
    "double": lambda: torch.from_numpy(SOUND).double(),
    "requires gradients": lambda: torch.from_numpy(SOUND.copy()).requires_grad_(),
    "strided": lambda: torch.from_numpy(np.repeat(SOUND, 2))[::2],
}


@pytest.mark.parametrize("kind", LAZY)
def test_tensors_of_every_kind_are_sounds(kind):
    np.testing.assert_allclose(explain(network(), "gradient", LAZY[kind]()).clip.waveform, SOUND, rtol=1e-6)


@pytest.mark.parametrize("made", [lambda x: x.bfloat16(), lambda x: x.half()])
def test_half_precision_tensors_are_sounds(made):
    np.testing.assert_allclose(explain(network(), "gradient", made(torch.from_numpy(SOUND))).clip.waveform, SOUND, atol=0.01)


@pytest.mark.parametrize("made", [lambda x: x.to("meta"), lambda x: torch.complex(x, x).conj(), lambda x: x.to_sparse()])
def test_tensors_that_are_no_sound_are_refused(made):
    with pytest.raises(xaudio.AudioError):
        explain(network(), "gradient", made(torch.from_numpy(SOUND)))


@pytest.mark.slow
def test_threads_that_share_a_model_get_what_each_would_get_alone():
    """Different explainers at once, one model in training mode: the numbers of one thread, and the model as it was."""
    specs = EXPLAINERS * 2
    alone = [plainly_explained(spec).relevance for spec in specs]
    model = network().train()
    before = state_of(model)[:4]
    found, failed = {}, []

    def work(place):
        try:
            found[place] = explain(model, specs[place]).relevance
        except BaseException as error:
            failed.append((specs[place], error))

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(specs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    for place, expected in enumerate(alone):
        rounded = rounding(specs[place], expected, threads=2)  # a new thread has as many as there are cores
        np.testing.assert_allclose(found[place], expected, rtol=1e-4, atol=rounded, err_msg=specs[place])
    assert state_of(model)[:4] == before


def test_overlapping_threads_restore_what_was_before_the_first():
    """The second begins while the first is at work, and ends after it."""
    model, precision = network().train(), torch.get_float32_matmul_precision()
    first, second = ExitStack(), ExitStack()
    with torch.backends.cudnn.flags(allow_tf32=True):
        first.enter_context(xaudio.plugin.evaluation_mode(model))
        second.enter_context(xaudio.plugin.evaluation_mode(model[0]))
        second.enter_context(float32_products())
        first.close()
        assert [module.training for module in model.modules()] == [module is not model[0] for module in model.modules()]
        assert not torch.backends.cudnn.allow_tf32
        second.close()
        assert all(module.training for module in model.modules())
        assert torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == precision


def test_products_are_exact_where_somebody_used_torchs_new_interface():
    """Where it was used, torch refuses to say anything through the old one."""
    matrices = torch.backends.cuda.matmul
    if not hasattr(matrices, "fp32_precision"):
        pytest.skip("this torch has the old interface only")
    before = matrices.fp32_precision
    try:
        matrices.fp32_precision = "tf32"
        with float32_products():
            assert matrices.fp32_precision == "ieee"
        assert matrices.fp32_precision == "tf32"
        explain(network(), "gradient")
    finally:
        matrices.fp32_precision = before


def test_nothing_is_in_the_way_where_no_mode_is_on():
    with nullcontext(), torch.enable_grad():
        model = network()
        before = state_of(model)
        explain(model, "gradient")
        assert state_of(model) == before


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_run_learns_and_answers_the_same_under_another_default_format(run_folder, recording, tmp_path, dtype):
    def trained_and_explained(folder):
        speech = xaudio.create("dataset", "synthetic", speakers=8, repetitions=1)
        training = {"steps": 1, "batch_size": 4, "initialisation": "he"}
        xaudio.run_experiment(xaudio.Experiment(speech, "digit", 0, "audionet", training=training), folder, torch.device("cpu"))
        return xaudio.load_model(folder, "cpu").digest(), xaudio.explain(run_folder, recording, explainer="lrp", device="cpu")

    expected, before = trained_and_explained(tmp_path / "plain")
    with set_for_a_while(torch.set_default_dtype, dtype, torch.float32):
        found, after = trained_and_explained(tmp_path / "other")
        assert torch.get_default_dtype() == dtype
    assert found == expected
    np.testing.assert_array_equal(after.relevance, before.relevance)
    np.testing.assert_array_equal(after.logits, before.logits)


@pytest.mark.slow
def test_a_network_of_float64_is_given_its_own_format():
    """What it makes in its forward is of the default format, which under xaudio is that of its weights."""

    class Window(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(SAMPLES, 3)

        def forward(self, features):
            return self.out(features[:, 0] @ torch.diag(torch.hann_window(SAMPLES)))

    with set_for_a_while(torch.set_default_dtype, torch.float64, torch.float32):
        torch.manual_seed(0)
        model = Window()
        assert explain(model, "integrated_gradients").relevance.dtype == np.float64
    assert explain(model, "integrated_gradients").relevance.dtype == np.float64
