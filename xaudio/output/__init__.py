"""Files that are never half written: runs, tensors, pages, the terminal."""
