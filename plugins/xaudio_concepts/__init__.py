"""Concepts one can hear: the channels of a layer that carry a prediction, and what each of them answers to.

`xaudio_concepts.concepts` is the way in.
"""
