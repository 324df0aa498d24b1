"""What many explanations have in common: differences of groups, clusters of strategies."""
