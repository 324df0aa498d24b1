"""The listening study: build it from a run, serve it to people, analyse what they answered."""
