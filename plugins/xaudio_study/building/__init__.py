"""A study made from a trained model: recordings, explanations, order, sounds, pictures."""
