"""Phonemes and the ten words made of them.

Vowel formants start from the averages of adult men in Peterson and Barney (1952), "Control methods used in a study of
the vowels"; loci of consonants and levels follow what Klatt (1980), "Software for a cascade/parallel formant
synthesizer", describes. Women and children are reached by scaling the formants, see `voice`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phoneme:
    """Targets of one stretch of a word.

    Parameters
    ----------
    formants : tuple of float
        F1 to F4 in Hz, of a vocal tract of 17.5 cm; those of a consonant are its loci.
    voicing, aspiration, frication : float
        Amplitudes of the three sources; 1 is a stressed vowel's voicing.
    band : tuple of float
        Centre and width in Hz of the frication.
    nasal : float
        0 closed to 1 open velum.
    neighbour : str
        The phoneme it slides towards in careless speech, "" if none.
    """

    formants: tuple[float, float, float, float]
    voicing: float = 0.0
    aspiration: float = 0.0
    frication: float = 0.0
    band: tuple[float, float] = (4000.0, 3000.0)
    nasal: float = 0.0
    neighbour: str = ""

    @property
    def vowel(self) -> bool:
        """Whether it is a vowel, which is reduced and coloured by accent more than a consonant."""
        return self.voicing >= 0.8


SIBILANT = (6200.0, 1500.0)
FLAT = (4200.0, 3600.0)

PHONEMES = {
    "iy": Phoneme((280, 2250, 2950, 3600), 0.9, neighbour="ih"),
    "ih": Phoneme((400, 1950, 2550, 3500), 0.95, neighbour="eh"),
    "eh": Phoneme((540, 1820, 2480, 3500), 1.0, neighbour="ih"),
    "ey": Phoneme((470, 2000, 2600, 3550), 1.0, neighbour="ih"),
    "ax": Phoneme((480, 1350, 2450, 3400), 0.8, neighbour="ah"),
    "ah": Phoneme((640, 1200, 2420, 3400), 1.0, neighbour="aa"),
    "aa": Phoneme((720, 1180, 2450, 3450), 1.0, neighbour="ah"),
    "ao": Phoneme((560, 860, 2420, 3350), 1.0, neighbour="ow"),
    "ow": Phoneme((500, 950, 2350, 3300), 1.0, neighbour="ao"),
    "uw": Phoneme((310, 1050, 2250, 3250), 0.9, neighbour="ux"),
    "ux": Phoneme((310, 1700, 2350, 3300), 0.9, neighbour="iy"),
    "w": Phoneme((320, 650, 2200, 3200), 0.55),
    "r": Phoneme((360, 1150, 1620, 3100), 0.6),
    "er": Phoneme((460, 1250, 1750, 3150), 0.8, neighbour="ax"),
    "n": Phoneme((290, 1500, 2500, 3300), 0.45, nasal=1.0),
    "v": Phoneme((300, 1150, 2250, 3200), 0.3, frication=0.05, band=FLAT),
    "z": Phoneme((300, 1650, 2500, 3400), 0.25, frication=0.28, band=SIBILANT),
    "s": Phoneme((320, 1650, 2550, 3400), frication=0.55, band=SIBILANT),
    "f": Phoneme((340, 1150, 2250, 3250), aspiration=0.01, frication=0.10, band=FLAT),
    "th": Phoneme((330, 1350, 2500, 3350), aspiration=0.01, frication=0.09, band=(4600.0, 3000.0)),
    "closure": Phoneme((300, 1700, 2600, 3400)),
    "t": Phoneme((330, 1750, 2650, 3500), frication=0.7, band=(4300.0, 1800.0)),
    "t_breath": Phoneme((350, 1600, 2550, 3450), aspiration=0.10, frication=0.12, band=(4300.0, 1800.0)),
    "k": Phoneme((320, 1900, 2350, 3350), aspiration=0.05, frication=0.5, band=(2000.0, 500.0)),
}
"""By name, as in ARPAbet."""

NEUTRAL = (500.0, 1450.0, 2450.0, 3450.0)
"""F1 to F4 in Hz of the neutral tract, towards which reduced vowels go."""

DIGITS: tuple[tuple[tuple[str, float], ...], ...] = (
    (("z", 80), ("ih", 75), ("r", 75), ("ow", 130), ("uw", 70)),
    (("w", 85), ("ah", 150), ("n", 120)),
    (("t", 14), ("t_breath", 50), ("ux", 70), ("uw", 180)),
    (("th", 95), ("r", 70), ("iy", 210)),
    (("f", 95), ("ao", 190), ("er", 120)),
    (("f", 95), ("aa", 140), ("ih", 100), ("v", 85)),
    (("s", 110), ("ih", 95), ("closure", 65), ("k", 22), ("s", 125)),
    (("s", 105), ("eh", 95), ("v", 55), ("ax", 70), ("n", 95)),
    (("ey", 110), ("iy", 80), ("closure", 75), ("t", 16), ("t_breath", 45)),
    (("n", 90), ("aa", 125), ("ih", 90), ("n", 100)),
)
"""Phonemes of the words zero to nine, and their durations in ms at a rate of 1."""

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
