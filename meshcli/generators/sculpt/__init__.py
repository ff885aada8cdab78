"""Views without weights: a body is inflated from silhouettes, fitted to the photos, and rendered from six sides."""
