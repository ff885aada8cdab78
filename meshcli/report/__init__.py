"""Self-contained pages of results, to look at in a browser and to send."""
