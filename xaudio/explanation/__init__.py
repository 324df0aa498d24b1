"""From a sound to its explanation, its views, and what is drawn and heard of it."""
