"""Photos to views: the engines of `generate`."""
