"""Who offers what: hooks, loading of plugins, their options."""
