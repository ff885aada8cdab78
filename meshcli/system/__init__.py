"""What any program needs of its machine: whole files, child processes, digests, memory, compiled loops."""
