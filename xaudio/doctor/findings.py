"""What was found wrong with a model, and which explainers it concerns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """Something that makes attributions wrong.

    Parameters
    ----------
    name : str
        Short and fixed, such as "module-reused".
    severity : {"error", "warning"}
        An error is an attribution that is wrong or fails; a warning one that is right only with care.
    where : tuple of str
        Modules, with the line of code where that is known.
    explainers : tuple of str
        Which of those that were checked are concerned.
    effect : str
        What it does to them.
    remedy : str
        What to change.
    """

    name: str
    severity: Literal["error", "warning"]
    where: tuple[str, ...]
    explainers: tuple[str, ...]
    effect: str
    remedy: str

    def __str__(self) -> str:
        places = f" ({'; '.join(self.where)})" if self.where else ""
        return f"{self.name}{places}: {', '.join(self.explainers)}: {self.effect} {self.remedy}"


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was found.

    Parameters
    ----------
    findings : tuple of Finding
        Errors first.
    measured : mapping of str to mapping of str to float
        Of each explainer that was run: "sum" is the sum of its relevance over that which it should sum to (with that of
        constants where it keeps books of them), "constants" their part, "padding" the share of absolute relevance on features
        that are exactly 0. Only what is defined for the explainer.
    """

    findings: tuple[Finding, ...]
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def is_healthy(self) -> bool:
        """Whether nothing was found that is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "healthy": self.is_healthy,
            "findings": [asdict(finding) for finding in self.findings],
            "measured": {name: dict(values) for name, values in self.measured.items()},
        }

    def __str__(self) -> str:
        lines = []
        for finding in self.findings:
            lines += [f"{finding.severity}: {finding.name} ({', '.join(finding.explainers)})"]
            lines += [f"  where: {place}" for place in finding.where]
            lines += [f"  what it does: {finding.effect}", f"  what to do: {finding.remedy}"]
        errors = sum(finding.severity == "error" for finding in self.findings)
        warnings = len(self.findings) - errors
        lines += [f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}."]
        for name, values in self.measured.items():
            parts = {
                "sum": "relevance sums to {:.3f} of what it explains",
                "constants": "{:.0%} of that lies in biases and other constants",
                "padding": "{:.2%} of it lies on features of 0",
            }
            shown = [parts[key].format(value) for key, value in values.items()]
            lines += [f"{name}: {', '.join(shown)}."] if shown else []
        return "\n".join(lines)
