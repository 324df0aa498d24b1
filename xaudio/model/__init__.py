"""A network with all that is needed to ask it: training, experiments, batches, attribution."""
