"""How people call the columns of their tables: in small letters, with underscores for blanks and hyphens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PATHS = _words("""
    file_name filename file filepath file_path path audio audio_filepath audio_file audio_path wav wav_path wavfile wav_file
    slice_file_name fname recording clip sound begin_file
""")
LABELS = _words("""
    label labels category class class_name command
    instrument_family_str emotion species event_label tags tag instrument genre diagnosis condition
    disease disorder status keyword word digit phoneme vowel syllable note intent accent language gender sex scene scene_label
    event sound_class ebird_code primary_label species_code common_name call_type annotation annotations positive_labels
    transcription text sentence target y classid class_id label_id
""")
"""Names of columns with labels, the likeliest first; a name rather than its number."""
FREE_TEXT = _words("text sentence transcription note")
SPEAKERS = _words("""
    speaker speaker_id speakerid spk_id spk spkid client_id subject subject_id participant participant_id patient patient_id
    patientid actor actor_id singer person user_id individual animal animal_id bird bird_id player performer artist artist_id
""")
SOURCES = _words("""
    src_file fsid source source_file source_id recording_id original original_file freesound_id session session_id track_id song
    song_id album machine_id device_id
""")
SITES = _words("site site_id location location_id place station hospital city recorder device")
SPLITS = _words("fold split set subset partition cv_fold")
STARTS = _words("start start_time begin offset start_s begin_time_(s) start_seconds start_sec")
ENDS = _words("end end_time stop end_s end_time_(s) end_seconds end_sec")
LENGTHS = _words("duration length duration_s")
ONSETS = _words("onset onset_s begin_time_(s)")
LOWS = _words("low low_freq freq_min low_freq_(hz) fmin min_frequency f_min")
HIGHS = _words("high high_freq freq_max high_freq_(hz) fmax max_frequency f_max")
PLURAL = _words("labels tags species_list annotations events classes positive_labels")


def plain(name: str) -> str:
    """A name as it is compared."""
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def column(names: Sequence[str], wanted: Iterable[str]) -> str:
    """The first of the wanted columns that a table has, whatever its capitals and blanks; "" if it has none."""
    there = {plain(name): name for name in reversed(names)}
    return next((there[plain(name)] for name in wanted if plain(name) in there), "")
