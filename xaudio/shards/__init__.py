"""Work on many rows, divided into shards on a shared folder: any worker may die, and the result is the same."""
