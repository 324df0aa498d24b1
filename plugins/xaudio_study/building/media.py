"""The sounds and pictures of a study, made once each, under names that say nothing."""

from __future__ import annotations

import secrets
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from xaudio.plugin import (
    DataError,
    Explanation,
    as_written,
    parse_spec,
    read_audio,
    renderer_for_listening,
    replaced,
    write_audio,
    write_text,
)

from ..plan import MEDIA, Medium, Trial
from ..records import Mode
from ..server.links import SECRET, read_secret
from ..server.texts import all_texts
from .pictures import draw_picture
from .settings import StudySettings
from .sounds import RATE, headphone_trials, level_noise


class Media:
    """The sounds and pictures of a study, under names that say nothing; each is made when it is asked for, once."""

    def __init__(self, out: Path, settings: StudySettings, explanations: dict[str, list[Explanation]]) -> None:
        self.folder, self.settings, self.explanations = out / MEDIA, settings, explanations
        self.renderer = renderer_for_listening(*parse_spec(settings.explanations.sound))
        self.secret = _secret(out)
        self.has_sounds = False

    def name(self, *parts: object) -> str:
        """24 hexadecimal digits that only the secret tells the meaning of."""
        return blake2b("/".join(map(str, parts)).encode(), digest_size=12, key=self.secret).hexdigest()

    def of(self, mode: Mode, explainer: str | None, place: int) -> Medium:
        """The sound or picture of a recording in a mode."""
        if mode.startswith("audible"):
            return self._sound(explainer, place)
        spec = explainer or self.settings.explanations.explainers[0]
        path = self.folder / f"{self.name('picture', explainer, place)}.png"
        if not path.exists():
            draw_picture(path, self.explanations[spec][place], self.settings.pictures, coloured=explainer is not None)
        pictures = self.settings.pictures
        return Medium(name=path.name, kind="picture", width=pictures.width, height=pictures.height)

    def _sound(self, explainer: str | None, place: int) -> Medium:
        part = self.settings.explanations.part if explainer else "original"
        path = self.folder / f"{self.name('sound', explainer, place)}.wav"
        if not path.exists():
            self._render(self.explanations[explainer or self.settings.explanations.explainers[0]][place], part, path)
        self.has_sounds = True
        return Medium(name=path.name, kind="sound", seconds=round(read_audio(path).duration, 4))

    def _render(self, explanation: Explanation, part: str, path: Path) -> None:
        with TemporaryDirectory() as folder:
            written = {file.path.name: file for file in as_written(self.renderer(explanation, Path(folder)))}
            sound = written.get(f"{part}.wav")
            if sound is None:
                name = self.settings.explanations.sound
                raise DataError(f"The renderer {name!r} writes no {part}.wav; see explanations.sound and explanations.part.")
            if reason := sound.facts.get("reason"):
                raise DataError(
                    f"{explanation.clip.source}: the sound {part!r} of {explanation.explainer} would be silent ({reason}). "
                    "Take another explainer, part or seed."
                )
            content = sound.path.read_bytes()
        with replaced(path) as temporary:
            temporary.write_bytes(content)

    def level(self) -> Medium | None:
        """The noise of the level check, as loud as the sounds of the study; None if it is not wanted or there are none."""
        if not self.settings.checks.level or not self.has_sounds:
            return None
        return self._made("level", level_noise())

    def headphones(self) -> tuple[tuple[Trial, ...], dict[str, str]]:
        """The trials of the headphone check and their right answers; none if it is not wanted."""
        trials, right = [], {}
        for number, (sound, answer) in enumerate(headphone_trials() if self.settings.checks.headphones else ()):
            item = self.name("headphones", number)[:16]
            texts = {language: all_texts(language, self.settings.texts) for language in self.settings.languages}
            trials.append(
                Trial(
                    item=item,
                    question="",
                    media=(self._made(f"headphones/{number}", sound),),
                    text={language: words["headphones_question"] for language, words in texts.items()},
                    hint={language: words["headphones_hint"] for language, words in texts.items()},
                    answers=("1", "2", "3"),
                )
            )
            right[item] = answer
        return tuple(trials), right

    def _made(self, name: str, sound: Any) -> Medium:
        path = self.folder / f"{self.name(name)}.wav"
        if not path.exists():
            write_audio(path, sound, RATE)
        return Medium(name=path.name, kind="sound", seconds=round(sound.shape[-1] / RATE, 4))


def _secret(out: Path) -> bytes:
    """The secret of a study, made once, which nobody else can read."""
    path = out / SECRET
    if not path.exists():
        write_text(path, secrets.token_hex(32))
        path.chmod(0o600)
    return read_secret(out)
