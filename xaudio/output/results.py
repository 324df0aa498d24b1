"""What records of settings and results have in common: they are fixed, and exact about their fields."""

from pydantic import BaseModel, ConfigDict


class FixedRecord(BaseModel):
    """A record that is never changed, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ResultPart(FixedRecord):
    """A part of ``results.json``; its schema requires every field that is written, also one that has a default."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)
