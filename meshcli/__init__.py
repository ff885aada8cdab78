"""Photos of one object in, a textured mesh with its camera rig out."""

__version__ = "0.1.0"
