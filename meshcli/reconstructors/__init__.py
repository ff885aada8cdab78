"""Views to a mesh: the engines of `reconstruct`."""
