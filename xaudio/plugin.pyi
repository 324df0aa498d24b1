"""What authors of plugins see; each name is loaded from its module when it is first used."""

from .cli.common import (
    MODEL_HELP as MODEL_HELP,
    ChannelsOption as ChannelsOption,
    DataOption as DataOption,
    DatasetOption as DatasetOption,
    DeviceOption as DeviceOption,
    JsonOption as JsonOption,
    ModelOption as ModelOption,
    OutOption as OutOption,
    SeedOption as SeedOption,
    in_channels as in_channels,
    names_of as names_of,
    no_other_results as no_other_results,
    prepare_command as prepare_command,
    print_end as print_end,
    print_json as print_json,
    print_table as print_table,
    refuse_inside as refuse_inside,
    warn_about_plugins as warn_about_plugins,
)
from .cli.sharing import (
    EngineOption as EngineOption,
    ShardOption as ShardOption,
    WorkersOption as WorkersOption,
    shared_by as shared_by,
)
from .cli.stopping import when_stopped as when_stopped
from .doctor.diagnosis import diagnose as diagnose
from .doctor.findings import Diagnosis as Diagnosis, Finding as Finding
from .doctor.warning import warn_about as warn_about
from .errors import (
    AudioError as AudioError,
    DataError as DataError,
    DeviceError as DeviceError,
    ModelError as ModelError,
    OutputError as OutputError,
    PartDoneError as PartDoneError,
    PluginError as PluginError,
    XaudioError as XaudioError,
    XaudioWarning as XaudioWarning,
    nearest as nearest,
    unknown as unknown,
)
from .explanation.channels import by_channel as by_channel
from .explanation.collection import (
    KeptExplanations as KeptExplanations,
    Opened as Opened,
    drawn as drawn,
    identity_of as identity_of,
    kept_explanations as kept_explanations,
    recordings_of as recordings_of,
)
from .explanation.explaining import (
    create as create,
    explain as explain,
    explainer_of as explainer_of,
    load_model as load_model,
    names as names,
)
from .explanation.explanation import Explanation as Explanation
from .explanation.exploring import explore as explore
from .explanation.listing import listing_of as listing_of
from .explanation.original import original_recording as original_recording
from .explanation.prepared import explain_prepared as explain_prepared, provenance_of as provenance_of
from .explanation.renderer import Renderer as Renderer
from .explanation.rendering import Written as Written, as_written as as_written, save_and_render as save_and_render
from .explanation.report import report_writer as report_writer, write_page as write_page
from .explanation.table import Explanations as Explanations
from .explanation.views import domain_name as domain_name, other_domain as other_domain, parse_view as parse_view
from .explanation.windowing import explain_windows as explain_windows
from .explanation.windows import LongExplanation as LongExplanation
from .lazy import attach as attach
from .measuring.checks import check_explanations as check_explanations, check_outputs as check_outputs
from .measuring.choosing import evenly as evenly, spread as spread
from .measuring.evaluation import Evaluation as Evaluation, evaluate as evaluate
from .measuring.metric import Better as Better, Metric as Metric
from .measuring.scoring import Column as Column
from .measuring.statistics import (
    DRAWS as DRAWS,
    LEAST as LEAST,
    LEVEL as LEVEL,
    Interval as Interval,
    bootstrap_interval as bootstrap_interval,
    difference_tests as difference_tests,
    holm as holm,
    ranks_with_ties as ranks_with_ties,
    tails as tails,
)
from .measuring.tables import Measured as Measured, column_titles as column_titles, measured as measured
from .measuring.truth import truth_domain as truth_domain, truth_mask as truth_mask
from .model.allocator import keep_large_buffers as keep_large_buffers
from .model.answers import (
    Answer as Answer,
    Contrast as Contrast,
    Output as Output,
    Score as Score,
    Similarity as Similarity,
    class_index as class_index,
)
from .model.arguments import as_clip as as_clip, as_explainer as as_explainer, as_model as as_model, seeded as seeded
from .model.attribution import attribute as attribute
from .model.batching import in_batches as in_batches
from .model.chance import guessing as guessing
from .model.conditional import ConditionalExplainer as ConditionalExplainer, LayerRelevance as LayerRelevance
from .model.copies import plain_copy as plain_copy
from .model.ctc import Path as Path
from .model.devices import resolve_device as resolve_device
from .model.examples import Examples as Examples, examples as examples
from .model.experiment import (
    Experiment as Experiment,
    in_one_window as in_one_window,
    placed_waveforms as placed_waveforms,
    run_experiment as run_experiment,
)
from .model.layers import channels_of as channels_of, find_layer as find_layer
from .model.lengths import Length as Length, length_of as length_of
from .model.model import Model as Model, weights_digest as weights_digest
from .model.modes import in_this_thread as in_this_thread, own_hooks as own_hooks
from .model.parallel import run_experiments as run_experiments
from .model.precision import count_operations as count_operations, matrix_peak as matrix_peak
from .model.probability import log_odds as log_odds, probabilities as probabilities
from .model.relabelling import in_classes_of as in_classes_of
from .model.results import TrainingResult as TrainingResult
from .model.running import Around as Around, evaluation_mode as evaluation_mode, network_name as network_name
from .model.saving import save_model as save_model
from .model.splits import held_out as held_out, training_notes as training_notes, used_recordings as used_recordings
from .model.sums import Law as Law, completeness as completeness, difference_from_baseline as difference_from_baseline
from .model.trial import example_sound as example_sound
from .model.wrapping import wrap as wrap
from .output.digests import digest_bytes as digest_bytes, digest_text as digest_text
from .output.figures import (
    AGAINST as AGAINST,
    FOR as FOR,
    clean_texts as clean_texts,
    own_style as own_style,
    save_figure as save_figure,
)
from .output.pages import data_address as data_address, read_results as read_results
from .output.results import FixedRecord as FixedRecord, ResultPart as ResultPart
from .output.runs import (
    cache_folder as cache_folder,
    output_folder as output_folder,
    read_json as read_json,
    refuse_other_settings as refuse_other_settings,
    replaced as replaced,
    write_json as write_json,
    write_rows as write_rows,
    write_run as write_run,
    write_text as write_text,
)
from .output.table import Table as Table
from .output.temporary import remove_leftovers as remove_leftovers
from .output.tensors import read_tensors as read_tensors, write_tensors as write_tensors
from .output.terminal import in_sight as in_sight, progress as progress, reported_to as reported_to, say as say
from .output.words import counted as counted, counted_of as counted_of, without_folders as without_folders
from .registry.bounds import (
    Amount as Amount,
    AtOnce as AtOnce,
    Count as Count,
    Percentile as Percentile,
    Positive as Positive,
    PositiveShare as PositiveShare,
    ProductPrecision as ProductPrecision,
    Seed as Seed,
    Share as Share,
)
from .registry.defaults import CONTROLS as CONTROLS
from .registry.hookspecs import hookimpl as hookimpl
from .registry.loading import registry as registry
from .registry.options import (
    check_options as check_options,
    convert as convert,
    first_fault as first_fault,
    for_each as for_each,
    format_spec as format_spec,
    options_of as options_of,
    parse_spec as parse_spec,
    split_specs as split_specs,
)
from .registry.randomness import seeded_generator as seeded_generator
from .registry.torchvision import beside_torchvision as beside_torchvision
from .shards.gathering import (
    Engine as Engine,
    Gathered as Gathered,
    Sharing as Sharing,
    carry_out as carry_out,
    gather as gather,
)
from .shards.plan import Plan as Plan, Row as Row, planned as planned
from .shards.processes import (
    prepare_process as prepare_process,
    seeing_device as seeing_device,
    visible_devices as visible_devices,
)
from .shards.working import Assignment as Assignment, Counts as Counts, Job as Job
from .sound.audio import read_audio as read_audio, write_audio as write_audio
from .sound.baselines import baseline_features as baseline_features, baseline_waveforms as baseline_waveforms
from .sound.channelwise import channelwise as channelwise
from .sound.contents import recording_digests as recording_digests
from .sound.datasets import (
    Recording as Recording,
    SpeakerDataset as SpeakerDataset,
    open_dataset as open_dataset,
    speaker_folds as speaker_folds,
)
from .sound.domains import (
    FLOOR_DB as FLOOR_DB,
    Domain as Domain,
    Frequency as Frequency,
    Samples as Samples,
    Time as Time,
    TimeFrequency as TimeFrequency,
    check_waveforms as check_waveforms,
    exact as exact,
    like as like,
)
from .sound.fingerprints import files_fingerprint as files_fingerprint
from .sound.inspection import Checked as Checked
from .sound.labels import class_names as class_names, labelled as labelled
from .sound.levels import (
    loudness as loudness,
    part_gain as part_gain,
    reference_gain as reference_gain,
    renderer_for_listening as renderer_for_listening,
)
from .sound.manifests import read_manifest as read_manifest
from .sound.rules import PlacedClips as PlacedClips, Rules as Rules
from .sound.window import spectral_window as spectral_window
from .types import (
    Axis as Axis,
    Baseline as Baseline,
    Benchmark as Benchmark,
    Clip as Clip,
    Dataset as Dataset,
    Excerpt as Excerpt,
    Explainer as Explainer,
    Fit as Fit,
    FloatArray as FloatArray,
    Fold as Fold,
    IntArray as IntArray,
    Kind as Kind,
    Needs as Needs,
    Placed as Placed,
    Placement as Placement,
    Promise as Promise,
    Reliance as Reliance,
    Representation as Representation,
    Resampling as Resampling,
    Separator as Separator,
    Sound as Sound,
)

__all__: list[str]
