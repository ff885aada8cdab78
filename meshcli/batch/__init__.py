"""Many objects: lists of them, what is done of each, and the runners that spread the work."""
