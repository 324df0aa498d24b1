"""Concepts one can hear: the channels of a layer that carry a prediction, and what each of them answers to.

`xaudio.concepts` is the way in.
"""
