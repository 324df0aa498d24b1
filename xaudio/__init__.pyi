"""What users see; each name is loaded from its module when it is first used."""

from .doctor.diagnosis import diagnose as diagnose
from .doctor.findings import Diagnosis as Diagnosis, Finding as Finding
from .errors import (
    AudioError as AudioError,
    DataError as DataError,
    DeviceError as DeviceError,
    ModelError as ModelError,
    OutputError as OutputError,
    PluginError as PluginError,
    XaudioError as XaudioError,
    XaudioWarning as XaudioWarning,
)
from .explanation.explaining import create as create, explain as explain, load_model as load_model, names as names
from .explanation.explanation import Explanation as Explanation
from .explanation.exploring import explore as explore
from .explanation.table import Explanations as Explanations
from .explanation.windowing import explain_windows as explain_windows
from .explanation.windows import LongExplanation as LongExplanation
from .measuring.evaluation import Evaluation as Evaluation, evaluate as evaluate
from .model.allocator import keep_large_buffers as keep_large_buffers
from .model.answers import Contrast as Contrast, Output as Output, Similarity as Similarity
from .model.ctc import Path as Path
from .model.experiment import Experiment as Experiment, run_experiment as run_experiment
from .model.model import Model as Model
from .model.saving import save_model as save_model
from .model.splits import held_out as held_out
from .model.wrapping import wrap as wrap
from .sound.audio import read_audio as read_audio, write_audio as write_audio
from .sound.datasets import open_dataset as open_dataset
from .types import Clip as Clip

__version__: str
__all__: list[str]
