"""Cameras, and pictures posed by them: projection, lenses, rigs of other programs, scores."""
