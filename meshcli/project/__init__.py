"""The project directory: its manifest, its lock, its files. Light."""
