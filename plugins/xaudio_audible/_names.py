"""The sounds that an explanation is made of."""

PARTS = ("original", "positive", "negative", "complement")
