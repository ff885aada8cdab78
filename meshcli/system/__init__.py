"""Operating system and libraries beneath: atomic files, child processes, digests, memory, compiled loops."""
