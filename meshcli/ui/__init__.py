"""The steps in a browser: a local page over the same stages, on the same project directory."""
